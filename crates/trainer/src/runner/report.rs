//! What an iteration did, and sums over the run.

use safe_rl::FinishedEpisode;
use serde::{Deserialize, Serialize};

use crate::algorithm::{CostEstimate, UpdateReport};
use crate::config::Actions;
use crate::deployed::DeployedReport;
use crate::figures::Figures;

/// Sums over the run, for the summary.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Seconds spent in rollouts.
    pub rollout_s: f64,
    /// Seconds spent measuring the deployed policy.
    pub deployed_s: f64,
    /// Seconds spent in updates.
    pub update_s: f64,
    /// Steps of the policy that were kept.
    pub accepted: f64,
    /// Steps of the policy that were taken back.
    pub rollbacks: f64,
    /// Steps of the policy that were not tried.
    pub skipped: f64,
    /// Sum over iterations of the mean KL from the old policy.
    pub kl_sum: f64,
    /// Largest mean KL of an iteration.
    pub kl_max: f64,
    /// Iterations with an update of the policy.
    pub updates: f64,
    /// Iterations after which the policy was another one.
    pub learned: f64,
}

impl Totals {
    /// Adds an iteration.
    pub fn add(&mut self, report: &IterationReport) {
        self.rollout_s += report.rollout_s;
        self.deployed_s += report.deployed_s;
        self.update_s += report.update_s;
        let update = &report.update;
        self.accepted += update.accepted.unwrap_or(0.0);
        self.rollbacks += update.rejected.unwrap_or(0.0);
        self.skipped += update.skipped.unwrap_or(0.0);
        if let Some(kl) = update.kl {
            self.kl_sum += kl;
            self.kl_max = self.kl_max.max(kl);
            self.updates += 1.0;
        }
        if report.has_learned() {
            self.learned += 1.0;
        }
    }
}

/// What one iteration did.
#[derive(Clone, Debug)]
pub struct IterationReport {
    /// Iterations done, this one included.
    pub iteration: u64,
    /// Whether the policy was updated: all but a first one that only sets the normaliser.
    pub updates: bool,
    /// Environment steps done.
    pub steps: u64,
    /// Environment steps the run will take.
    pub total_steps: u64,
    /// Seconds this iteration spent in its rollout.
    pub rollout_s: f64,
    /// Seconds this iteration spent measuring the deployed policy.
    pub deployed_s: f64,
    /// Seconds this iteration spent learning.
    pub update_s: f64,
    /// Figures of the sampled actions, from the policy before the update, like the following.
    pub sampled: Figures,
    /// Figures of the deployed policy, where its mean actions are measured.
    pub deployed: Option<DeployedReport>,
    /// Whole episodes of the sampled actions that this iteration ended, oldest first.
    pub finished: Vec<FinishedEpisode>,
    /// The costs that the algorithm steered by, per constraint.
    pub costs: Vec<CostEstimate>,
    /// What the update did, with the critics' numbers behind the algorithm's; nothing in the first iteration.
    pub update: UpdateReport,
}

impl IterationReport {
    /// The actions that the run is judged by: the deployed ones where they are measured.
    pub fn judged_actions(&self) -> Actions {
        if self.deployed.is_some() { Actions::Mean } else { Actions::Sampled }
    }

    /// The figures that the run is judged by.
    pub fn judged(&self) -> &Figures {
        self.deployed.as_ref().map_or(&self.sampled, |deployed| &deployed.figures)
    }

    /// Whether the policy is another one after this iteration, as far as the algorithm tells.
    fn has_learned(&self) -> bool {
        let moved = self.update.kl.is_none_or(|kl| kl > 0.0);
        self.updates && self.update.accepted.map_or(moved, |accepted| accepted > 0.0)
    }

    /// What of the update is no finite number any more: then the policy or a critic is lost.
    pub fn first_not_finite(&self) -> Option<&str> {
        let kl = self.update.kl.filter(|kl| !kl.is_finite()).map(|_| "the KL divergence from the policy before");
        let losses = self.update.metrics.iter().filter(|(name, _)| name.starts_with("Loss/"));
        kl.or_else(|| losses.into_iter().find(|(_, loss)| !loss.is_finite()).map(|(name, _)| name.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::fixture::report;

    #[test]
    fn an_iteration_has_learned_where_a_step_was_kept_or_the_policy_has_moved() {
        let learned = |iteration, accepted, kl| {
            let mut report = report(iteration, vec![]);
            (report.update.accepted, report.update.kl) = (accepted, kl);
            let mut totals = Totals::default();
            totals.add(&report);
            totals.learned > 0.0
        };
        assert!(!learned(1, None, None), "the first iteration sets the normaliser");
        assert!(learned(2, Some(3.0), Some(0.0)) && !learned(2, Some(0.0), Some(0.01)));
        assert!(learned(2, None, Some(0.01)) && !learned(2, None, Some(0.0)));
        assert!(learned(2, None, None), "an algorithm that tells nothing is believed");
    }
}
