//! What a run came to: `summary.json`, and what is printed at the end.

use serde::Serialize;

use crate::cli::statistics::{mean, std};
use crate::training::{Resources, Training};
use safe_rl::EpisodeStatistics;

/// `summary.json` and `--json`; return and cost are over the last 100 finished episodes (null before the first).
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
    update_s: f64,
    return_mean: f64,
    return_std: f64,
    cost_mean: f64,
    cost_std: f64,
    episodes: u64,
    cost_limit: f64,
    accepted: u64,
    rollbacks: u64,
    kl_mean: f64,
    kl_max: f64,
    run_dir: String,
}

impl Summary {
    /// The summary of a run as it stands.
    pub fn new(training: &Training, resources: &Resources) -> Self {
        let (config, runner) = (training.config(), training.runner());
        let totals = runner.totals();
        let recent = |of: fn(&EpisodeStatistics) -> f64| runner.recent().as_ref().map_or(f64::NAN, of);
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
            update_s: totals.update_s,
            return_mean: recent(|r| r.return_mean),
            return_std: recent(|r| r.return_std),
            cost_mean: recent(|r| r.cost_mean.first().copied().unwrap_or(f64::NAN)),
            cost_std: recent(|r| r.cost_std.first().copied().unwrap_or(f64::NAN)),
            episodes: runner.finished_episodes(),
            cost_limit: config.cost_limit.first(),
            accepted: totals.accepted as u64,
            rollbacks: totals.rollbacks as u64,
            kl_mean: totals.kl_sum / totals.updates,
            kl_max: totals.kl_max,
            run_dir: training.dir().path().display().to_string(),
        }
    }

    /// Three lines: speed, outcome, directory.
    pub fn text(&self) -> String {
        let verdict = if self.cost_mean <= self.cost_limit { "within" } else { "above" };
        let outcome = match self.episodes {
            0 => "no episode finished yet".to_owned(),
            _ => format!(
                "return {:.2} +- {:.2}, cost {:.2} +- {:.2} ({verdict} the limit {}), last 100 of {} episodes",
                self.return_mean, self.return_std, self.cost_mean, self.cost_std, self.cost_limit, self.episodes
            ),
        };
        format!(
            "{} steps in {:.1} s, {:.0} steps/s\n{outcome}\n{}",
            self.steps, self.wall_s, self.steps_per_s, self.run_dir
        )
    }
}

/// One line over several runs: mean and standard deviation of return and cost, and the speed of all together.
pub fn text_of_all(summaries: &[Summary], wall_s: f64, steps: u64) -> String {
    let of = |get: fn(&Summary) -> f64| -> Vec<f64> {
        summaries.iter().filter(|summary| summary.episodes > 0).map(get).collect()
    };
    let (returns, costs) = (of(|s| s.return_mean), of(|s| s.cost_mean));
    let outcome = match returns.len() {
        0 => "no episode finished yet".to_owned(),
        _ => format!(
            "return {:.2} +- {:.2}, cost {:.2} +- {:.2}",
            mean(&returns),
            std(&returns),
            mean(&costs),
            std(&costs)
        ),
    };
    format!(
        "{} runs, {steps} steps in {wall_s:.1} s, {:.0} steps/s: {outcome}",
        summaries.len(),
        steps as f64 / wall_s.max(1e-9)
    )
}
