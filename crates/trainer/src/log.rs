//! Where the numbers of a run go: CSV files and TensorBoard events. Their names stand here and nowhere else.

use std::borrow::Cow;

use safe_rl::EpisodeStatistics;

use crate::algorithm::numbered;
use crate::deployed::DeployedReport;
use crate::figures::Figures;
use crate::outcome::Outcome;
use crate::runner::IterationReport;

pub mod csv;
pub mod episodes;
pub mod tensorboard;

/// The deployed policy's mean return over its last 100 episodes.
pub const DEPLOYED_RETURN: &str = "Deployed/EpRet";
/// Their mean cost by the first constraint; the others' stand behind [`numbered`] names.
pub const DEPLOYED_COST: &str = "Deployed/EpCost";

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

/// A number with its names: a column of `metrics.csv` and a tag of TensorBoard, either of which may be missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Named<'a> {
    /// In `metrics.csv`. A name that ends in `_s` is that of a time, which differs from run to run.
    pub column: Option<Cow<'a, str>>,
    /// In TensorBoard.
    pub tag: Option<Cow<'a, str>>,
    /// NaN where it is not known (yet).
    pub value: f64,
}

impl<'a> Named<'a> {
    fn new(column: &'static str, tag: &'static str, value: f64) -> Self {
        let name = |name: &'static str| (!name.is_empty()).then_some(Cow::Borrowed(name));
        Self { column: name(column), tag: name(tag), value }
    }

    /// The same name in both.
    fn both(name: impl Into<Cow<'a, str>>, value: f64) -> Self {
        let name = name.into();
        Self { column: Some(name.clone()), tag: Some(name), value }
    }
}

impl<'a> Record<'a> {
    /// Seconds this iteration took.
    pub fn seconds(&self) -> f64 {
        self.report.rollout_s + self.report.deployed_s + self.report.update_s
    }

    /// Environment steps a second over this iteration.
    pub fn steps_per_s(&self) -> f64 {
        self.samples as f64 / self.seconds().max(1e-9)
    }

    /// What the policy that the run is judged by comes to.
    pub fn outcome(&self) -> Outcome {
        Outcome::of(self.report.judged(), 1)
    }

    /// Every number of the iteration, in the order of the columns.
    pub fn numbers(&self) -> Vec<Named<'a>> {
        let report = self.report;
        let Figures { episodes, recent, step_return, step_costs, .. } = &report.sampled;
        let recent = recent.as_ref();
        let mut numbers = vec![
            Named::new("iteration", "", report.iteration as f64),
            Named::new("steps", "", report.steps as f64),
            Named::new("wall_s", "", self.wall_s),
            Named::new("rollout_s", "Time/Rollout", report.rollout_s),
            Named::new("deployed_s", "Time/Deployed", report.deployed_s),
            Named::new("update_s", "Time/Update", report.update_s),
            Named::new("steps_per_s", "Time/FPS", self.steps_per_s()),
            Named::new("episodes", "", *episodes as f64),
            Named::new("return_mean", "Metrics/EpRet", known(recent.map(|recent| recent.return_mean))),
            Named::new("return_std", "", known(recent.map(|recent| recent.return_std))),
            Named::new("cost_mean", "Metrics/EpCost", mean_cost(recent, 0)),
            Named::new("cost_std", "", known(recent.and_then(|recent| recent.cost_std.first().copied()))),
            Named::new("length_mean", "Metrics/EpLen", known(recent.map(|recent| recent.length_mean))),
            Named::new("step_return", "Metrics/StepReturn", *step_return),
            Named::new("step_cost", "Metrics/StepCost", known(step_costs.first().copied())),
        ];
        for (k, cost) in step_costs.iter().enumerate().skip(1) {
            numbers.push(Named::both(numbered("Metrics/EpCost", k), mean_cost(recent, k)));
            numbers.push(Named::both(numbered("Metrics/StepCost", k), *cost));
        }
        for (k, cost) in report.costs.iter().enumerate() {
            numbers.push(Named::both(numbered("Metrics/SteeringCost", k), cost.rollout));
        }
        report.deployed.iter().for_each(|deployed| numbers.extend(deployed_numbers(deployed)));
        let metrics = &report.update.metrics;
        numbers.extend(metrics.iter().map(|(name, value)| Named::both(name.as_ref(), *value)));
        numbers
    }
}

/// The numbers of the deployed policy.
fn deployed_numbers(deployed: &DeployedReport) -> Vec<Named<'static>> {
    let Figures { episodes, recent, step_return, step_costs, .. } = &deployed.figures;
    let recent = recent.as_ref();
    let mut numbers = vec![
        Named::both("Deployed/Steps", deployed.steps as f64),
        Named::both("Deployed/Episodes", *episodes as f64),
        Named::both(DEPLOYED_RETURN, known(recent.map(|recent| recent.return_mean))),
        Named::both("Deployed/EpLen", known(recent.map(|recent| recent.length_mean))),
        Named::both("Deployed/StepReturn", *step_return),
    ];
    for (k, cost) in step_costs.iter().enumerate() {
        numbers.push(Named::both(numbered(DEPLOYED_COST, k), mean_cost(recent, k)));
        numbers.push(Named::both(numbered("Deployed/StepCost", k), *cost));
    }
    numbers
}

/// Mean cost of the last episodes by constraint `k`.
fn mean_cost(recent: Option<&EpisodeStatistics>, k: usize) -> f64 {
    known(recent.and_then(|recent| recent.cost_mean.get(k).copied()))
}

fn known(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

#[cfg(test)]
pub(crate) mod fixture {
    use safe_rl::EpisodeStatistics;

    use crate::algorithm::{CostEstimate, UpdateReport};
    use crate::deployed::DeployedReport;
    use crate::figures::Figures;
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
        let figures = |recent: Option<EpisodeStatistics>| Figures {
            episodes: 3,
            recent,
            step_return: 2.0,
            step_costs: vec![12.5],
            average_return: 2.5,
            average_costs: vec![13.0],
            recent_costs: vec![13.0],
            length_share: 1.0,
        };
        IterationReport {
            iteration,
            updates: iteration > 1,
            steps: 100 * iteration,
            total_steps: 1_000_000,
            rollout_s: 0.25,
            deployed_s: 0.0,
            update_s: 0.75,
            sampled: figures((iteration > 2).then_some(recent)),
            deployed: None,
            finished: Vec::new(),
            costs: vec![CostEstimate { rollout: 12.5, episodes: f64::NAN }],
            update: UpdateReport {
                metrics: metrics.into_iter().map(|(name, value)| (name.into(), value)).collect(),
                ..UpdateReport::default()
            },
        }
    }

    /// The same with a deployed policy that returns 7 and costs 20 an episode, of which 128 steps were taken per iteration.
    pub fn deployed_report(iteration: u64, metrics: Vec<(&'static str, f64)>) -> IterationReport {
        let mut report = report(iteration, metrics);
        let mut figures = report.sampled.clone();
        if let Some(recent) = &mut figures.recent {
            (recent.return_mean, recent.cost_mean) = (7.0, vec![20.0]);
        }
        (figures.average_return, figures.average_costs) = (6.0, vec![21.0]);
        report.deployed = Some(DeployedReport { figures, steps: 128 * iteration });
        report
    }
}
