//! `eval`: runs saved policies on fresh episodes.

mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use burn::tensor::Device;
use clap::Args;
use envs::CostKind;
use serde::Serialize;
use serde_json::{Value, json};

use crate::checkpoint::Checkpoint;
use crate::cli::command::episodes::{EpisodeArgs, Player};
use crate::cli::common_args::CommonArgs;
use crate::cli::console::{diagnose, print};
use crate::config::{Actions, Constraint};
use crate::evaluate::{EpisodeResult, evaluate};
use crate::statistics::{bootstrap_interval, mean, std};

/// The evaluation that a run keeps: the last one.
pub const EVALUATION: &str = "eval.json";

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Run directory, checkpoint, or exported policy (.safetensors); several are compared in a table
    #[arg(value_name = "RUN|FILE", required = true)]
    pub policies: Vec<PathBuf>,
    /// Fresh episodes to run
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub episodes: u32,
    /// Which policy plays where.
    #[command(flatten)]
    pub play: EpisodeArgs,
    /// Print the result as one JSON object, of several policies one a line
    #[arg(long)]
    pub json: bool,
    /// Device and threads.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What `--json` prints, field by field as documented.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Environment id.
    pub env: String,
    /// Environment steps of the evaluated checkpoint, which `--checkpoint` takes; null for an exported policy.
    pub checkpoint: Option<u64>,
    /// Episodes run.
    pub episodes: usize,
    /// Whether the policy's mean was taken as the action.
    pub deterministic: bool,
    /// Mean undiscounted return.
    pub return_mean: f64,
    /// Its standard deviation over episodes.
    pub return_std: f64,
    /// Mean undiscounted cost by the first constraint, NaN where there is none.
    pub cost_mean: f64,
    /// Its standard deviation over episodes.
    pub cost_std: f64,
    /// Fraction of the episodes one of whose costs exceeds its limit.
    pub violation_rate: f64,
    /// Mean episode length in steps.
    pub length_mean: f64,
    /// Whether every mean cost is within its limit.
    pub within_limits: bool,
    /// Every constraint.
    pub constraints: Vec<EvaluatedCost>,
    /// Steps per episode that each kind of cost was brought in, where kinds are told apart.
    pub kinds: BTreeMap<&'static str, f64>,
}

/// A cost beside its limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvaluatedCost {
    /// What is limited.
    pub name: String,
    /// The limit on its mean.
    pub limit: f64,
    /// Mean undiscounted cost.
    pub cost_mean: f64,
    /// Its standard deviation over episodes.
    pub cost_std: f64,
    /// Fraction of the episodes in which it exceeds the limit.
    pub violation_rate: f64,
    /// Whether its mean is within the limit.
    pub within: bool,
}

impl EvaluatedCost {
    fn new(constraint: &Constraint, costs: &[f64]) -> Self {
        let (limit, cost_mean) = (constraint.limit, mean(costs));
        let violations = costs.iter().filter(|cost| **cost > limit).count();
        Self {
            name: constraint.name.clone(),
            limit,
            cost_mean,
            cost_std: std(costs),
            violation_rate: violations as f64 / costs.len() as f64,
            within: cost_mean <= limit,
        }
    }
}

/// The mean number of steps that each kind of cost was brought in; kinds that never were are left out.
fn kinds_of(episodes: &[EpisodeResult]) -> BTreeMap<&'static str, f64> {
    let steps = |kind: &CostKind| {
        let counts = episodes.iter().filter_map(|episode| episode.kinds.get(*kind as usize));
        mean(&counts.map(|count| *count as f64).collect::<Vec<f64>>())
    };
    let all = CostKind::ALL.iter().map(|kind| (kind.name(), steps(kind)));
    all.filter(|(_, mean)| *mean > 0.0).collect()
}

/// The costs of all episodes by constraint `k`.
fn costs_of(episodes: &[EpisodeResult], k: usize) -> Vec<f64> {
    episodes.iter().map(|episode| episode.costs.get(k).copied().unwrap_or(f64::NAN)).collect()
}

impl Evaluation {
    fn new(
        env: &str,
        checkpoint: Option<u64>,
        actions: Actions,
        limits: &[Constraint],
        episodes: &[EpisodeResult],
    ) -> Self {
        let of = |get: fn(&EpisodeResult) -> f64| episodes.iter().map(get).collect::<Vec<f64>>();
        let (returns, costs) = (of(|e| e.ret), costs_of(episodes, 0));
        let violates = |e: &&EpisodeResult| e.costs.iter().zip(limits).any(|(cost, limited)| *cost > limited.limit);
        let violations = episodes.iter().filter(violates).count();
        let constraints: Vec<EvaluatedCost> =
            limits.iter().enumerate().map(|(k, limited)| EvaluatedCost::new(limited, &costs_of(episodes, k))).collect();
        Self {
            env: env.to_owned(),
            checkpoint,
            episodes: episodes.len(),
            deterministic: actions == Actions::Mean,
            return_mean: mean(&returns),
            return_std: std(&returns),
            cost_mean: mean(&costs),
            cost_std: std(&costs),
            violation_rate: violations as f64 / episodes.len() as f64,
            length_mean: mean(&of(|e| e.length as f64)),
            within_limits: constraints.iter().all(|cost| cost.within),
            constraints,
            kinds: kinds_of(episodes),
        }
    }

    /// As lines: what was run, return and costs with their intervals, violations.
    fn text(&self, return_ci: (f64, f64), cost_cis: &[(f64, f64)]) -> String {
        let width = self.constraints.iter().map(|cost| cost.name.len()).max().unwrap_or(0).max("return".len());
        let line = |name: &str, mean: f64, std: f64, ci: (f64, f64)| {
            format!("{name:<width$} {mean:8.2} +- {std:.2}   95 % interval of the mean [{:.2}, {:.2}]", ci.0, ci.1)
        };
        let actions = if self.deterministic { Actions::Mean } else { Actions::Sampled };
        let after = self.checkpoint.map_or_else(String::new, |steps| format!(" after {steps} steps"));
        let mut lines = vec![
            format!("{}{after}, {} episodes, {actions} actions", self.env, self.episodes),
            line("return", self.return_mean, self.return_std, return_ci),
        ];
        for (cost, ci) in self.constraints.iter().zip(cost_cis) {
            let verdict = if cost.within { "within" } else { "above" };
            let numbers = line(&cost.name, cost.cost_mean, cost.cost_std, *ci);
            lines.push(format!("{numbers}, {verdict} the limit {}", cost.limit));
        }
        if !self.kinds.is_empty() {
            let kinds: Vec<String> = self.kinds.iter().map(|(name, steps)| format!("{name} {steps:.2}")).collect();
            lines.push(format!("steps that cost, per episode: {}", kinds.join(", ")));
        }
        lines.push(format!(
            "violations {:.0} % of the episodes, length {:.0} steps",
            100.0 * self.violation_rate,
            self.length_mean
        ));
        lines.join("\n")
    }
}

/// The episodes of an evaluation.
#[derive(Debug, Clone, Copy)]
pub struct Play {
    /// How many.
    pub episodes: u32,
    /// Their seed.
    pub seed: u64,
    /// The policy's actions; those that the run deploys where none are asked for.
    pub actions: Option<Actions>,
}

/// An evaluation with its intervals.
pub struct Evaluated {
    result: Evaluation,
    return_ci: (f64, f64),
    cost_cis: Vec<(f64, f64)>,
    /// What a run keeps of it.
    pub kept: Value,
}

/// Plays fresh episodes of a checkpoint's policy.
///
/// # Errors
///
/// When policy and environment do not fit or the device fails.
pub fn evaluated(checkpoint: &Checkpoint, play: Play, device: &Device) -> Result<Evaluated> {
    played(&Player::of_checkpoint(checkpoint, play.seed, play.actions, device)?, play.episodes, device)
}

/// Plays fresh episodes.
fn played(player: &Player, episodes: u32, device: &Device) -> Result<Evaluated> {
    let Player { policy, steps, config, spec, constraints, actions, seed, .. } = player;
    let episodes = evaluate(policy, player.environments(episodes as usize, device)?, *seed, *actions)?;
    let result = Evaluation::new(&spec.env.id, *steps, *actions, constraints, &episodes);

    let returns: Vec<f64> = episodes.iter().map(|episode| episode.ret).collect();
    let costs: Vec<Vec<f64>> = (0..constraints.len()).map(|k| costs_of(&episodes, k)).collect();
    let return_ci = bootstrap_interval(&returns, mean);
    let cost_cis: Vec<(f64, f64)> = costs.iter().map(|costs| bootstrap_interval(costs, mean)).collect();
    let mut kept = serde_json::to_value(&result)?;
    kept["seed"] = json!(seed);
    kept["cost_limit"] = json!(config.cost_limit);
    kept["return_ci95"] = json!([return_ci.0, return_ci.1]);
    kept["returns"] = json!(returns);
    for (k, (costs, ci)) in costs.iter().zip(&cost_cis).enumerate() {
        kept["constraints"][k]["ci95"] = json!([ci.0, ci.1]);
        kept["constraints"][k]["costs"] = json!(costs);
    }
    if let (Some(costs), Some(ci)) = (costs.first(), cost_cis.first()) {
        kept["cost_ci95"] = json!([ci.0, ci.1]);
        kept["costs"] = json!(costs);
    }
    Ok(Evaluated { result, return_ci, cost_cis, kept })
}

/// Evaluates the selected policies, prints the results and keeps each as `eval.json` in its run, where it is of the run's own
/// environment and limits.
///
/// # Errors
///
/// When one of them cannot be read or does not fit, before any plays, or the device fails.
pub fn run(args: &EvalArgs) -> Result<ExitCode> {
    args.common.apply_threads()?;
    let device = args.common.select_device()?.device;
    let open = |path: &PathBuf| Player::open(path, &args.play, &device);
    let players = args.policies.iter().map(open).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for (path, (player, source)) in args.policies.iter().zip(&players) {
        let evaluated = played(player, args.episodes, &device).with_context(|| path.display().to_string())?;
        if let Some(dir) = source.run.as_ref().filter(|_| player.is_own)
            && let Err(error) = dir.write_json(EVALUATION, &evaluated.kept)
        {
            diagnose(&format!("warning: the result is not kept for `report`: {error:#}"));
        }
        let Evaluated { result, return_ci, cost_cis, .. } = &evaluated;
        match (args.json, players.len()) {
            (true, 1) => print(&serde_json::to_string(result)?)?,
            (true, _) => {
                let mut object = json!({"policy": path.display().to_string()});
                let fields = serde_json::to_value(result)?;
                object
                    .as_object_mut()
                    .into_iter()
                    .for_each(|all| all.extend(fields.as_object().cloned().unwrap_or_default()));
                print(&object.to_string())?;
            }
            (false, 1) => print(&result.text(*return_ci, cost_cis))?,
            (false, _) => rows.push((path.display().to_string(), evaluated)),
        }
    }
    if !rows.is_empty() {
        print(&table::text(&rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_a_cost_above_the_limit() {
        let limits = [Constraint { name: "cost".to_owned(), limit: 25.0 }];
        let episode = |ret, cost| EpisodeResult { ret, costs: vec![cost], length: 1000, kinds: Vec::new() };
        let episodes = [episode(1.0, 25.0), episode(3.0, 25.5), episode(2.0, 0.0), episode(2.0, 40.0)];
        let result = Evaluation::new("E", Some(7), Actions::Mean, &limits, &episodes);
        assert_eq!((result.return_mean, result.violation_rate), (2.0, 0.5));
        assert_eq!((result.length_mean, result.deterministic), (1000.0, true));
    }

    #[test]
    fn every_constraint_is_told_and_all_must_hold() {
        let limits =
            [("hazards", 25.0), ("speed", 1.0)].map(|(name, limit)| Constraint { name: name.to_owned(), limit });
        let episode = |costs| EpisodeResult { ret: 1.0, costs, length: 10, kinds: vec![2, 0, 0, 0, 1, 0, 0, 0] };
        let episodes = [episode(vec![20.0, 0.0]), episode(vec![30.0, 0.0]), episode(vec![10.0, 6.0])];
        let result = Evaluation::new("E", Some(7), Actions::Sampled, &limits, &episodes);
        assert_eq!((result.cost_mean, result.violation_rate, result.within_limits), (20.0, 2.0 / 3.0, false));
        let told: Vec<(&str, f64, f64, bool)> =
            result.constraints.iter().map(|c| (c.name.as_str(), c.cost_mean, c.violation_rate, c.within)).collect();
        assert_eq!(told, [("hazards", 20.0, 1.0 / 3.0, true), ("speed", 2.0, 1.0 / 3.0, false)]);
        let text = result.text((1.0, 1.0), &[(10.0, 30.0), (0.0, 6.0)]);
        assert!(text.contains("sampled actions") && text.contains("within the limit 25"), "{text}");
        assert!(text.contains("steps that cost, per episode: gremlins 1.00, hazards 2.00"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("speed") && line.ends_with("above the limit 1")), "{text}");
    }
}
