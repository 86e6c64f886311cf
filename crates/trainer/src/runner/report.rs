//! What an iteration did, and sums over the run.

use safe_rl::EpisodeStatistics;
use serde::{Deserialize, Serialize};

use crate::algorithm::UpdateReport;

/// Sums over the run, for the summary.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Seconds spent in rollouts.
    pub rollout_s: f64,
    /// Seconds spent in updates.
    pub update_s: f64,
    /// Steps of the policy that were kept.
    pub accepted: f64,
    /// Steps of the policy that were taken back.
    pub rollbacks: f64,
    /// Sum over iterations of the mean KL from the old policy.
    pub kl_sum: f64,
    /// Largest mean KL of an iteration.
    pub kl_max: f64,
    /// Iterations with an update of the policy.
    pub updates: f64,
}

impl Totals {
    /// Adds an iteration.
    pub fn add(&mut self, rollout_s: f64, update_s: f64, update: &UpdateReport) {
        self.rollout_s += rollout_s;
        self.update_s += update_s;
        self.accepted += update.accepted.unwrap_or(0.0);
        self.rollbacks += update.rejected.unwrap_or(0.0);
        if let Some(kl) = update.kl {
            self.kl_sum += kl;
            self.kl_max = self.kl_max.max(kl);
            self.updates += 1.0;
        }
    }
}

/// What one iteration did.
#[derive(Clone, Debug)]
pub struct IterationReport {
    /// Iterations done, this one included.
    pub iteration: u64,
    /// Environment steps done.
    pub steps: u64,
    /// Environment steps the run will take.
    pub total_steps: u64,
    /// Seconds this iteration spent in its rollout.
    pub rollout_s: f64,
    /// Seconds this iteration spent learning.
    pub update_s: f64,
    /// Whole episodes finished since the start.
    pub episodes: u64,
    /// Figures over the last 100 finished episodes; `None` before the first.
    pub recent: Option<EpisodeStatistics>,
    /// Episode length times the mean step cost of this rollout.
    pub step_cost: f64,
    /// Episode length times the mean step reward of this rollout.
    pub step_return: f64,
    /// What the update did, with the critics' numbers behind the algorithm's; nothing in the first iteration.
    pub update: UpdateReport,
}

impl IterationReport {
    /// What of the update is no finite number any more: then the policy or a critic is lost.
    pub fn first_not_finite(&self) -> Option<&str> {
        let kl = self.update.kl.filter(|kl| !kl.is_finite()).map(|_| "the KL divergence from the policy before");
        let losses = self.update.metrics.iter().filter(|(name, _)| name.starts_with("Loss/"));
        kl.or_else(|| losses.into_iter().find(|(_, loss)| !loss.is_finite()).map(|(name, _)| name.as_ref()))
    }
}
