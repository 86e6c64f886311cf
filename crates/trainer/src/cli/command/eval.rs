//! `eval`: runs a saved policy on fresh episodes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use envs::Navigation;
use serde::Serialize;
use serde_json::json;

use crate::checkpoint::Selector;
use crate::cli::command::selected;
use crate::cli::common_args::CommonArgs;
use crate::cli::console::{diagnose, print};
use crate::cli::statistics::{bootstrap_interval, mean, std};
use crate::config::CostLimit;
use crate::evaluate::{EpisodeResult, evaluate};
use crate::policy::saved::saved_policy;
use crate::protocol;
use crate::run_dir::RunDir;

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Run directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Fresh episodes to run
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub episodes: u32,
    /// Seed of the episodes; unlike training's, so that they are fresh
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub seed: u64,
    /// Sample actions instead of taking the mean
    #[arg(long)]
    pub stochastic: bool,
    /// Which checkpoint: latest, best or its number of steps
    #[arg(long, value_name = "WHICH", default_value = "latest")]
    pub checkpoint: Selector,
    /// Print the result as one JSON object
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
    /// Environment steps of the evaluated checkpoint; `--checkpoint` takes the same number.
    pub checkpoint: u64,
    /// Episodes run.
    pub episodes: usize,
    /// Whether the policy's mean was taken as the action.
    pub deterministic: bool,
    /// Mean undiscounted return.
    pub return_mean: f64,
    /// Its standard deviation over episodes.
    pub return_std: f64,
    /// Mean undiscounted cost.
    pub cost_mean: f64,
    /// Its standard deviation over episodes.
    pub cost_std: f64,
    /// Fraction of the episodes one of whose costs exceeds its limit.
    pub violation_rate: f64,
    /// Mean episode length in steps.
    pub length_mean: f64,
}

/// The cost by the first constraint; NaN where there is none.
fn first_cost(episode: &EpisodeResult) -> f64 {
    episode.costs.first().copied().unwrap_or(f64::NAN)
}

impl Evaluation {
    fn new(env: &str, checkpoint: u64, stochastic: bool, limits: &CostLimit, episodes: &[EpisodeResult]) -> Self {
        let of = |get: fn(&EpisodeResult) -> f64| episodes.iter().map(get).collect::<Vec<f64>>();
        let (returns, costs) = (of(|e| e.ret), of(first_cost));
        let violates = |e: &&EpisodeResult| e.costs.iter().zip(limits.values()).any(|(cost, limit)| cost > limit);
        let violations = episodes.iter().filter(violates).count();
        Self {
            env: env.to_owned(),
            checkpoint,
            episodes: episodes.len(),
            deterministic: !stochastic,
            return_mean: mean(&returns),
            return_std: std(&returns),
            cost_mean: mean(&costs),
            cost_std: std(&costs),
            violation_rate: violations as f64 / episodes.len() as f64,
            length_mean: mean(&of(|e| e.length as f64)),
        }
    }
}

/// Evaluates the selected checkpoint, prints the result and keeps it as `eval.json` in the run.
///
/// # Errors
///
/// When the run or checkpoint cannot be read or the device fails.
pub fn run(args: &EvalArgs) -> Result<ExitCode> {
    let dir = RunDir::open(&args.run)?;
    let checkpoint = selected(&dir, args.checkpoint)?;
    args.common.apply_threads()?;
    let selected = args.common.select_device()?;
    let policy = saved_policy(&checkpoint, &selected.device)?;
    let config = &checkpoint.config;
    let env = config.env.spec()?;
    let all = Navigation::new(env.clone(), args.episodes as usize, args.seed, &selected.device)?;
    let episodes = evaluate(&policy, protocol::wrap(config, Box::new(all))?, args.seed, args.stochastic)?;
    let result = Evaluation::new(&env.env.id, checkpoint.steps, args.stochastic, &config.cost_limit, &episodes);

    let returns: Vec<f64> = episodes.iter().map(|episode| episode.ret).collect();
    let costs: Vec<f64> = episodes.iter().map(first_cost).collect();
    let return_ci = bootstrap_interval(&returns, mean);
    let cost_ci = bootstrap_interval(&costs, mean);
    let mut kept = serde_json::to_value(&result)?;
    kept["seed"] = json!(args.seed);
    kept["cost_limit"] = json!(config.cost_limit);
    kept["return_ci95"] = json!([return_ci.0, return_ci.1]);
    kept["cost_ci95"] = json!([cost_ci.0, cost_ci.1]);
    kept["returns"] = json!(returns);
    kept["costs"] = json!(costs);
    if let Err(error) = dir.write_json("eval.json", &kept) {
        diagnose(&format!("warning: the result is not kept for `report`: {error:#}"));
    }

    if args.json {
        print(&serde_json::to_string(&result)?)?;
    } else {
        print(&format!(
            "{} after {} steps, {} episodes, {} actions\n\
             return  {:8.2} +- {:.2}   95 % interval of the mean [{:.2}, {:.2}]\n\
             cost    {:8.2} +- {:.2}   95 % interval of the mean [{:.2}, {:.2}], limit {}\n\
             violations {:.0} % of the episodes, length {:.0} steps",
            result.env,
            result.checkpoint,
            result.episodes,
            if args.stochastic { "sampled" } else { "mean" },
            result.return_mean,
            result.return_std,
            return_ci.0,
            return_ci.1,
            result.cost_mean,
            result.cost_std,
            cost_ci.0,
            cost_ci.1,
            config.cost_limit.first(),
            100.0 * result.violation_rate,
            result.length_mean
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_a_cost_above_the_limit() {
        let episode = |ret, cost| EpisodeResult { ret, costs: vec![cost], length: 1000 };
        let episodes = [episode(1.0, 25.0), episode(3.0, 25.5), episode(2.0, 0.0), episode(2.0, 40.0)];
        let result = Evaluation::new("E", 7, false, &25.0.into(), &episodes);
        assert_eq!((result.return_mean, result.violation_rate), (2.0, 0.5));
        assert_eq!((result.length_mean, result.deterministic), (1000.0, true));
    }
}
