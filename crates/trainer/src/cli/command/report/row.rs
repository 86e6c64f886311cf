//! The statistics of a group over its seeds.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use super::group::Group;
use super::learning::MILESTONES;
use super::run::{Run, Way};
use crate::statistics::{bootstrap_interval, interquartile_mean, mean, median, std};

/// A group's row, and its object in `report.json`. Where nothing is known, or a single seed has no spread, stands NaN, which
/// JSON writes as null.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The environment's id.
    pub env: String,
    /// The algorithm.
    pub algo: String,
    /// Its name with what tells it from others.
    pub label: String,
    /// Seeds, ascending.
    pub seeds: Vec<u64>,
    /// Environment steps of training.
    pub steps: f64,
    settings: Map<String, Value>,
    evaluated: bool,
    /// How the figures were measured.
    pub evaluations: BTreeSet<String>,
    /// Mean over seeds of the return.
    pub return_mean: f64,
    /// Its standard deviation.
    pub return_std: f64,
    /// Its interquartile mean.
    pub return_iqm: f64,
    /// The 95 % bootstrap interval of that.
    pub return_iqm_ci95: (f64, f64),
    /// By the first constraint, like the following; `constraints` has all.
    cost_mean: f64,
    cost_std: f64,
    cost_mean_ci95: (f64, f64),
    cost_limit: f64,
    /// Every constraint.
    pub constraints: Vec<Cost>,
    /// Seeds that are within all limits.
    pub feasible_seeds: usize,
    /// Whether all mean costs are within their limits.
    pub feasible: bool,
    /// Whether the upper ends of their 95 % intervals are.
    pub strictly_feasible: bool,
    /// The same figures of the actions that were sampled for training, at its end.
    sampled: Sampled,
    /// What learning cost.
    pub learning: Learned,
    /// Environment steps per second.
    pub steps_per_s: f64,
}

/// A cost over the seeds beside its limit.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// What is limited.
    pub name: String,
    /// The limit.
    pub limit: f64,
    /// Mean over seeds.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
    /// 95 % bootstrap interval of the mean.
    pub ci95: (f64, f64),
}

#[derive(Debug, Clone, Serialize)]
struct Sampled {
    return_mean: f64,
    return_std: f64,
    cost_means: Vec<f64>,
}

/// What learning cost, over the seeds.
#[derive(Debug, Clone, Serialize)]
pub struct Learned {
    /// Mean over seeds of each cost, summed over training.
    pub costs: Vec<f64>,
    /// Mean share of training's episodes above a limit.
    pub violating_episodes: f64,
    /// Seeds whose last 100 episodes were within the limits at some time.
    pub seeds_ever_feasible: usize,
    /// Their median of environment steps until then.
    pub steps_to_feasible: f64,
    /// Their median of seconds.
    pub seconds_to_feasible: f64,
    /// Mean return at each milestone, (environment steps, return).
    pub returns_at: Vec<(f64, f64)>,
}

impl Row {
    /// The statistics of a group.
    pub fn of(group: &Group) -> Self {
        let returns = group.finals(|run| run.last.ret);
        let cost = |k: usize| {
            let costs = group.finals(|run| run.last.costs[k]);
            Cost {
                name: group.constraints[k].name.clone(),
                limit: group.constraints[k].limit,
                mean: mean(&costs),
                std: spread(&costs),
                ci95: interval(&costs, mean),
            }
        };
        let constraints: Vec<Cost> = (0..group.constraints.len()).map(cost).collect();
        let first = |of: fn(&Cost) -> f64| constraints.first().map_or(f64::NAN, of);
        let sampled = group.finals(|run| run.sampled.ret);
        let mut seeds: Vec<u64> = group.runs.iter().map(|run| run.config.seed).collect();
        seeds.sort_unstable();
        Self {
            env: group.env.clone(),
            algo: group.algo.clone(),
            label: group.label(),
            seeds,
            steps: group.runs.iter().filter_map(|run| run.steps.last()).copied().fold(0.0, f64::max),
            settings: group.settings.iter().cloned().collect(),
            evaluated: group.runs.iter().all(|run| matches!(run.way, Way::Evaluated { .. })),
            evaluations: group.ways(),
            return_mean: mean(&returns),
            return_std: spread(&returns),
            return_iqm: interquartile_mean(&returns),
            return_iqm_ci95: interval(&returns, interquartile_mean),
            cost_mean: first(|cost| cost.mean),
            cost_std: first(|cost| cost.std),
            cost_mean_ci95: constraints.first().map_or((f64::NAN, f64::NAN), |cost| cost.ci95),
            cost_limit: first(|cost| cost.limit),
            feasible_seeds: group.runs.iter().filter(|run| run.is_feasible()).count(),
            feasible: constraints.iter().all(|cost| cost.mean <= cost.limit),
            strictly_feasible: constraints.iter().all(|cost| cost.ci95.1 <= cost.limit),
            sampled: Sampled {
                return_mean: mean(&sampled),
                return_std: spread(&sampled),
                cost_means: (0..constraints.len()).map(|k| mean(&group.finals(|run| run.sampled.costs[k]))).collect(),
            },
            learning: Learned::of(group),
            constraints,
            steps_per_s: mean(&group.finals(|run| run.steps_per_s)),
        }
    }

    /// `yes`, `strictly` or `no`.
    pub fn verdict(&self) -> &'static str {
        match (self.feasible, self.strictly_feasible) {
            (true, true) => "strictly",
            (true, false) => "yes",
            (false, _) => "no",
        }
    }
}

impl Learned {
    fn of(group: &Group) -> Self {
        let first = |run: &Run| run.learning.first_feasible;
        let ever: Vec<(f64, f64)> = group.runs.iter().filter_map(first).collect();
        let of_ever = |of: fn(&(f64, f64)) -> f64| median(&ever.iter().map(of).collect::<Vec<_>>());
        let at = |(index, steps): (usize, &f64)| {
            let returns: Vec<f64> = group.runs.iter().filter_map(|run| run.learning.returns[index]).collect();
            (returns.len() == group.runs.len()).then(|| (*steps, mean(&returns)))
        };
        Self {
            costs: (0..group.constraints.len()).map(|k| mean(&group.finals(|run| run.learning.costs[k]))).collect(),
            violating_episodes: mean(&group.finals(|run| run.learning.violating.unwrap_or(f64::NAN))),
            seeds_ever_feasible: ever.len(),
            steps_to_feasible: of_ever(|first| first.0),
            seconds_to_feasible: of_ever(|first| first.1),
            returns_at: MILESTONES.iter().enumerate().filter_map(at).collect(),
        }
    }
}

/// Standard deviation over seeds; a single seed has none.
fn spread(samples: &[f64]) -> f64 {
    if samples.len() < 2 { f64::NAN } else { std(samples) }
}

/// 95 % interval over seeds; a single seed has none.
fn interval(samples: &[f64], statistic: impl Fn(&[f64]) -> f64) -> (f64, f64) {
    if samples.len() < 2 { (f64::NAN, f64::NAN) } else { bootstrap_interval(samples, statistic) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{group, run};
    use super::*;
    use crate::config::Constraint;

    #[test]
    fn statistics_are_over_seeds() {
        let row = Row::of(&group(vec![run(3, 1.0, 100.0), run(1, 2.0, 100.0), run(2, 3.0, 100.0)]));
        assert_eq!((row.seeds.as_slice(), row.return_mean, row.return_std), (&[1, 2, 3][..], 200.0, 100.0));
        assert_eq!((row.cost_mean, row.feasible_seeds), (20.0, 2));
        assert!(row.feasible && !row.strictly_feasible && row.verdict() == "yes");
        let row = serde_json::to_value(Row::of(&group(vec![run(1, 2.0, 100.0)]))).unwrap();
        assert_eq!((&row["return_mean"], &row["return_std"]), (&json!(200.0), &Value::Null));
        assert_eq!(row["cost_mean_ci95"], json!([null, null]), "one seed shows no spread");
    }

    #[test]
    fn every_constraint_must_hold() {
        let mut runs = vec![run(1, 1.0, 100.0), run(2, 1.0, 100.0)];
        for run in &mut runs {
            run.constraints.push(Constraint { name: "speed".to_owned(), limit: 1.0 });
            (run.last.costs, run.sampled.costs) = (vec![10.0, 1.5], vec![10.0, 1.5]);
            run.learning.costs = vec![3.0, 4.0];
        }
        runs[0].last.costs[1] = 0.25;
        let mut group = group(runs);
        group.constraints = group.runs[0].constraints.clone();
        let row = Row::of(&group);
        assert_eq!((row.feasible_seeds, row.feasible, row.constraints[1].mean), (1, true, 0.875));
        assert!(!row.strictly_feasible);
        assert_eq!(row.learning.costs, [3.0, 4.0]);
    }
}
