//! Where the numbers of a run go: a CSV file and TensorBoard events.

use safe_rl::EpisodeStatistics;

use crate::runner::IterationReport;

pub mod csv;
pub mod tensorboard;

/// One iteration as the sinks see it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// What the runner reported.
    pub report: &'a IterationReport,
    /// Environment steps of this iteration.
    pub samples: u64,
    /// Seconds of training so far, over all sessions of the run.
    pub wall_s: f64,
}

impl Record<'_> {
    /// Seconds this iteration took.
    pub fn seconds(&self) -> f64 {
        self.report.rollout_s + self.report.update_s
    }

    /// Environment steps a second over this iteration.
    pub fn steps_per_s(&self) -> f64 {
        self.samples as f64 / self.seconds().max(1e-9)
    }

    /// A figure over the last 100 finished episodes; NaN before the first.
    fn recent(&self, of: fn(&EpisodeStatistics) -> f64) -> f64 {
        self.report.recent.as_ref().map_or(f64::NAN, of)
    }

    /// Mean return of the last 100 finished episodes; NaN before the first, like the following.
    pub fn return_mean(&self) -> f64 {
        self.recent(|recent| recent.return_mean)
    }

    /// Standard deviation of their return.
    pub fn return_std(&self) -> f64 {
        self.recent(|recent| recent.return_std)
    }

    /// Their mean cost.
    pub fn cost_mean(&self) -> f64 {
        self.recent(|recent| first(&recent.cost_mean))
    }

    /// Standard deviation of their cost.
    pub fn cost_std(&self) -> f64 {
        self.recent(|recent| first(&recent.cost_std))
    }

    /// Their mean length in steps.
    pub fn length_mean(&self) -> f64 {
        self.recent(|recent| recent.length_mean)
    }
}

/// The first constraint's figure; NaN where there is none.
fn first(costs: &[f64]) -> f64 {
    costs.first().copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
pub(crate) mod fixture {
    use safe_rl::EpisodeStatistics;

    use crate::algorithm::UpdateReport;
    use crate::runner::IterationReport;

    /// An iteration of 100 steps in a second; the first two end no episode.
    pub fn report(iteration: u64, metrics: Vec<(&'static str, f64)>) -> IterationReport {
        let recent = EpisodeStatistics {
            episodes: 3,
            return_mean: 4.567,
            return_std: 1.0,
            cost_mean: vec![31.04],
            cost_std: vec![2.0],
            length_mean: 1000.0,
        };
        IterationReport {
            iteration,
            steps: 100 * iteration,
            total_steps: 1_000_000,
            rollout_s: 0.25,
            update_s: 0.75,
            episodes: 3,
            recent: (iteration > 2).then_some(recent),
            step_cost: 12.5,
            step_return: 2.0,
            update: UpdateReport {
                metrics: metrics.into_iter().map(|(name, value)| (name.into(), value)).collect(),
                ..UpdateReport::default()
            },
        }
    }
}
