//! What a run came to: `summary.json`, and what is printed at the end.

use serde::Serialize;

use crate::cli::progress::status_line::{count, duration};
use crate::config::{Actions, Constraint, InitFrom};
use crate::figures::Figures;
use crate::outcome::{Basis, Measured, Outcome};
use crate::statistics::{mean, std};
use crate::training::choice::Choice;
use crate::training::{Resources, Training};

/// `summary.json` and `--json`. Return and costs are those of the policy that the run is judged by: over the fresh episodes by which
/// it was chosen where there is a `choice`, else over its last 100 finished episodes or, where `basis` says so, by mean steps. Those
/// of the sampled actions stand in `sampled`.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    env: String,
    algo: String,
    seed: u64,
    device: String,
    threads: usize,
    num_envs: usize,
    steps: u64,
    wall_s: f64,
    steps_per_s: f64,
    rollout_s: f64,
    deployed_s: f64,
    update_s: f64,
    /// The actions that are judged.
    actions: Actions,
    basis: Basis,
    return_mean: f64,
    return_std: f64,
    /// By the first constraint, like `cost_std` and `cost_limit`; `constraints` has all.
    cost_mean: f64,
    cost_std: f64,
    episodes: u64,
    cost_limit: f64,
    within_limits: bool,
    constraints: Vec<Cost>,
    /// How the policy that is left was chosen, with what every candidate came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<Choice>,
    sampled: Sampled,
    /// Steps taken to measure the deployed policy; not among `steps`.
    deployed_steps: u64,
    accepted: u64,
    rollbacks: u64,
    skipped: u64,
    kl_mean: f64,
    kl_max: f64,
    /// What it began with, where that was no fresh policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    init_from: Option<InitFrom>,
    run_dir: String,
}

/// A cost beside its limit.
#[derive(Debug, Clone, Serialize)]
struct Cost {
    name: String,
    limit: f64,
    cost_mean: f64,
    cost_std: f64,
    within: bool,
}

/// The sampled actions, those that training learns from.
#[derive(Debug, Clone, Serialize)]
struct Sampled {
    basis: Basis,
    episodes: u64,
    return_mean: f64,
    return_std: f64,
    costs: Vec<Cost>,
}

impl Summary {
    /// The summary of a run as it stands.
    pub fn new(training: &Training, resources: &Resources) -> Self {
        let (config, runner) = (training.config(), training.runner());
        let (totals, constraints) = (runner.totals(), runner.constraints());
        let (sampled, deployed) = (runner.sampled(), runner.deployed());
        let judged = deployed.as_ref().map_or(&sampled, |deployed| &deployed.figures);
        let choice = training.choice().cloned();
        let outcome = choice.as_ref().map_or_else(|| Outcome::of(judged, 1), Choice::outcome);
        let first = outcome.costs.first();
        let wall_s = training.wall_s();
        Self {
            env: config.env.id().to_owned(),
            algo: config.algo.clone(),
            seed: config.seed,
            device: resources.device.name(),
            threads: resources.threads,
            num_envs: config.num_envs,
            steps: runner.steps(),
            wall_s,
            steps_per_s: runner.steps() as f64 / wall_s.max(1e-9),
            rollout_s: totals.rollout_s,
            deployed_s: totals.deployed_s,
            update_s: totals.update_s,
            actions: runner.judged_actions(),
            basis: outcome.basis,
            return_mean: outcome.ret.mean,
            return_std: outcome.ret.std,
            cost_mean: first.map_or(f64::NAN, |cost| cost.mean),
            cost_std: first.map_or(f64::NAN, |cost| cost.std),
            episodes: choice.as_ref().map_or(judged.episodes, Choice::episodes_of_chosen),
            cost_limit: config.cost_limit.first(),
            within_limits: outcome.is_within(constraints),
            constraints: costs(&outcome, constraints),
            choice,
            sampled: Sampled::new(&sampled, constraints),
            deployed_steps: deployed.map_or(0, |deployed| deployed.steps),
            accepted: totals.accepted as u64,
            rollbacks: totals.rollbacks as u64,
            skipped: totals.skipped as u64,
            kl_mean: totals.kl_sum / totals.updates,
            kl_max: totals.kl_max,
            init_from: config.init_from.clone(),
            run_dir: training.dir().path().display().to_string(),
        }
    }

    /// Speed, outcome of the judged policy, that of the sampled actions if they are others, directory; a line each.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("{} steps in {:.1} s, {:.0} steps/s", self.steps, self.wall_s, self.steps_per_s)];
        let line = |actions: Actions, basis: &str, ret, costs: &[Cost]| {
            format!("{actions} actions: {}, {basis}", outcome_text(ret, costs))
        };
        let basis = self.choice.as_ref().map_or_else(|| basis_text(self.basis, self.episodes), choice_text);
        lines.push(line(self.actions, &basis, (self.return_mean, self.return_std), &self.constraints));
        if self.actions != Actions::Sampled {
            let Sampled { basis, episodes, return_mean, return_std, costs } = &self.sampled;
            let basis = basis_text(*basis, *episodes);
            lines.push(line(Actions::Sampled, &basis, (*return_mean, *return_std), costs));
        }
        lines.push(self.run_dir.clone());
        lines.join("\n")
    }

    /// The outcome of the judged policy and what it took, in one line.
    pub fn line(&self) -> String {
        let outcome = outcome_text((self.return_mean, self.return_std), &self.constraints);
        format!("{outcome}; {} steps in {}", count(self.steps as f64), duration(self.wall_s))
    }
}

impl Sampled {
    fn new(figures: &Figures, constraints: &[Constraint]) -> Self {
        let outcome = Outcome::of(figures, 1);
        Self {
            basis: outcome.basis,
            episodes: figures.episodes,
            return_mean: outcome.ret.mean,
            return_std: outcome.ret.std,
            costs: costs(&outcome, constraints),
        }
    }
}

fn costs(outcome: &Outcome, constraints: &[Constraint]) -> Vec<Cost> {
    let cost = |(constraint, cost): (&Constraint, &Measured)| Cost {
        name: constraint.name.clone(),
        limit: constraint.limit,
        cost_mean: cost.mean,
        cost_std: cost.std,
        within: cost.mean <= constraint.limit,
    };
    constraints.iter().zip(&outcome.costs).map(cost).collect()
}

/// What figures of training rest on.
fn basis_text(basis: Basis, episodes: u64) -> String {
    match basis {
        Basis::Episodes => format!("last {} of {episodes} episodes", episodes.min(100)),
        Basis::Steps => "estimated from mean steps: no episode finished yet".to_owned(),
    }
}

/// What figures of the policy that is left rest on.
fn choice_text(choice: &Choice) -> String {
    let (episodes, policies) = (choice.episodes_of_chosen(), choice.candidates.len());
    format!("{episodes} fresh episodes of the policy of {} steps, chosen of {policies}", choice.chosen().steps)
}

/// Return, and every cost beside its limit.
fn outcome_text((mean, std): (f64, f64), costs: &[Cost]) -> String {
    let mut text = format!("return {}", Measured { mean, std });
    for Cost { name, limit, cost_mean, cost_std, within } in costs {
        let verdict = if *within { "within" } else { "above" };
        let cost = Measured { mean: *cost_mean, std: *cost_std };
        text.push_str(&format!(", {name} {cost} ({verdict} the limit {limit})"));
    }
    text
}

/// One line over several runs: mean and standard deviation of return and costs, how many are within their limits, and the
/// speed of all together.
pub fn text_of_all(summaries: &[Summary], wall_s: f64, steps: u64) -> String {
    let known: Vec<&Summary> = summaries.iter().filter(|summary| summary.return_mean.is_finite()).collect();
    let over = |name: &str, values: Vec<f64>| format!("{name} {:.2} +- {:.2}", mean(&values), std(&values));
    let mut parts = vec![over("return", known.iter().map(|summary| summary.return_mean).collect())];
    let constraints = || known.iter().flat_map(|summary| &summary.constraints);
    let mut names: Vec<&str> = Vec::new();
    for Cost { name, .. } in constraints() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    for name in names {
        parts.push(over(name, constraints().filter(|cost| cost.name == name).map(|cost| cost.cost_mean).collect()));
    }
    let within = known.iter().filter(|summary| summary.within_limits).count();
    parts.push(format!("{within} within the limits"));
    let estimated = known.iter().filter(|summary| summary.basis == Basis::Steps).count();
    if estimated > 0 {
        parts.push(format!("{estimated} estimated from mean steps: no episode finished yet"));
    }
    let outcome = if known.is_empty() { "nothing is known yet".to_owned() } else { parts.join(", ") };
    format!(
        "{} runs, {steps} steps in {wall_s:.1} s, {:.0} steps/s: {outcome}",
        summaries.len(),
        steps as f64 / wall_s.max(1e-9)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cost_stands_beside_its_limit() {
        let figures = Figures {
            episodes: 0,
            recent: None,
            step_return: 1.0,
            step_costs: vec![9.0, 9.0],
            average_return: 2.0,
            average_costs: vec![20.0, 6.0],
            recent_costs: vec![20.0, 6.0],
            length_share: 1.0,
        };
        let constraints =
            [("hazards", 25.0), ("vases", 5.0)].map(|(name, limit)| Constraint { name: name.to_owned(), limit });
        let sampled = Sampled::new(&figures, &constraints);
        assert_eq!(
            outcome_text((sampled.return_mean, sampled.return_std), &sampled.costs),
            "return ~2.00, hazards ~20.00 (within the limit 25), vases ~6.00 (above the limit 5)"
        );
    }
}
