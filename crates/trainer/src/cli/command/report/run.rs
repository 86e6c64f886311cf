//! A run as far as a comparison needs it: its course, what it ended with, what learning cost.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::learning::Learning;
use crate::cli::command::eval::EVALUATION;
use crate::cli::course::{Course, Courses, costs_of};
use crate::config::{Constraint, TrainConfig};
use crate::log::csv::Table;
use crate::run_dir::RunDir;

/// A run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What it is.
    pub config: TrainConfig,
    /// What is limited.
    pub constraints: Vec<Constraint>,
    /// Environment steps done, iteration by iteration.
    pub steps: Vec<f64>,
    /// Return and costs of the policy that is judged, iteration by iteration.
    pub judged: Course,
    /// What it ended with.
    pub last: Finals,
    /// What the actions that were sampled for training ended with.
    pub sampled: Finals,
    /// How `last` was measured.
    pub way: Way,
    /// What learning cost.
    pub learning: Learning,
    /// Environment steps per second of training.
    pub steps_per_s: f64,
}

/// Figures of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Finals {
    /// Mean return.
    pub ret: f64,
    /// Mean costs, one per constraint.
    pub costs: Vec<f64>,
}

/// How figures were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By `trainer eval`.
    Evaluated {
        /// Fresh episodes.
        episodes: u64,
        /// Whether the mean was taken as the action.
        deterministic: bool,
    },
    /// The last 100 episodes of the deployed policy, measured beside training.
    Deployed,
    /// The last 100 episodes of training.
    Trained,
    /// No episode had ended: the mean step, times the length of an episode.
    Estimated,
}

impl Way {
    /// In words.
    pub fn text(self) -> String {
        match self {
            Self::Evaluated { episodes, deterministic } => {
                format!("{episodes} episodes, {} actions", if deterministic { "mean" } else { "sampled" })
            }
            Self::Deployed => "last 100 episodes of the deployed policy beside training, mean actions".to_owned(),
            Self::Trained => "last 100 training episodes, sampled actions".to_owned(),
            Self::Estimated => "mean steps of the last rollout, as no episode had ended".to_owned(),
        }
    }
}

/// What `trainer eval` has left in a run.
#[derive(Debug, Clone, Deserialize)]
struct Evaluation {
    env: String,
    checkpoint: u64,
    episodes: u64,
    deterministic: bool,
    cost_limit: Value,
    return_mean: f64,
    cost_mean: Option<f64>,
    #[serde(default)]
    constraints: Vec<EvaluatedCost>,
}

#[derive(Debug, Clone, Deserialize)]
struct EvaluatedCost {
    cost_mean: f64,
}

impl Evaluation {
    fn costs(&self) -> Vec<f64> {
        match self.constraints.as_slice() {
            [] => self.cost_mean.into_iter().collect(),
            costs => costs.iter().map(|cost| cost.cost_mean).collect(),
        }
    }

    /// Why it says nothing about this run as it stands.
    fn stale(&self, config: &TrainConfig, newest: Option<u64>, constraints: usize) -> Option<&'static str> {
        (self.env != config.env.id())
            .then_some("of another environment")
            .or((Some(self.checkpoint) != newest).then_some("not of the newest checkpoint"))
            .or((self.cost_limit != json!(config.cost_limit)).then_some("under another cost limit"))
            .or((self.costs().len() != constraints).then_some("of other constraints"))
    }
}

impl Run {
    /// Reads a run, none if it has finished no iteration yet; also what of it could not be read.
    ///
    /// # Errors
    /// When its configuration or its metrics cannot be read.
    pub fn read(path: &Path) -> Result<(Option<Self>, Vec<String>)> {
        let dir = RunDir::open(path)?;
        let (config, warning) = dir.config()?;
        let mut warnings: Vec<String> = warning.into_iter().collect();
        let metrics = fs::metadata(dir.metrics());
        if metrics.map_or(true, |file| file.is_file() && file.len() == 0) {
            return Ok((None, warnings));
        }
        let (table, faults) = Table::read(&dir.metrics())?;
        warnings.extend(faults);
        let spec = config.env.env_spec()?;
        let constraints = config.cost_limit.of(&spec.constraints)?;
        let column = |name: &str| table.column(name).with_context(|| dir.metrics().display().to_string());
        let steps = column("steps")?;

        let in_metrics = || dir.metrics().display().to_string();
        let courses = Courses::of(&table, constraints.len()).with_context(in_metrics)?;
        let step_costs =
            costs_of(&table, "step_cost", "Metrics/StepCost", constraints.len()).with_context(in_metrics)?;

        let evaluation = match dir.read_json_if_present::<Evaluation>(EVALUATION) {
            Ok(evaluation) => evaluation.filter(|evaluation| {
                let newest = dir.checkpoints().steps().last().copied();
                let stale = evaluation.stale(&config, newest, constraints.len());
                let told = |stale| format!("the evaluation of {} is {stale}: left out", path.display());
                warnings.extend(stale.map(told));
                stale.is_none()
            }),
            Err(error) => {
                warnings.push(format!("{error:#}: left out"));
                None
            }
        };
        let estimated =
            Finals { ret: last(&column("step_return")?), costs: step_costs.iter().map(|costs| last(costs)).collect() };
        let sampled = last_of(&courses.sampled);
        let (last, way) = match (&evaluation, &courses.deployed) {
            (Some(evaluation), _) => {
                let Evaluation { episodes, deterministic, return_mean, .. } = *evaluation;
                (Finals { ret: return_mean, costs: evaluation.costs() }, Way::Evaluated { episodes, deterministic })
            }
            (None, Some(deployed)) => (last_of(deployed), Way::Deployed),
            (None, None) if sampled.ret.is_finite() => (sampled.clone(), Way::Trained),
            (None, None) => (estimated, Way::Estimated),
        };
        let judged = courses.judged();
        let (learning, further) = Learning::of(&dir, &table, &steps, &judged, &step_costs, &constraints, &spec)?;
        warnings.extend(further);
        let steps_per_s = speed(&table).with_context(|| dir.metrics().display().to_string())?;
        let run = Self { config, constraints, steps, judged, last, sampled, way, learning, steps_per_s };
        Ok((Some(run), warnings))
    }

    /// Whether its mean costs are within their limits.
    pub fn is_feasible(&self) -> bool {
        self.last.costs.iter().zip(&self.constraints).all(|(cost, constraint)| *cost <= constraint.limit)
    }
}

/// The last figures of a course.
fn last_of(course: &Course) -> Finals {
    Finals { ret: last(&course.returns), costs: course.costs.iter().map(|costs| last(costs)).collect() }
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(f64::NAN)
}

/// Steps per second over the rows that are there: an iteration whose row is lost must not count as if it had taken no time.
fn speed(table: &Table) -> Result<f64> {
    let parts = [table.column("rollout_s")?, table.column("update_s")?];
    let deployed = table.column("deployed_s").ok();
    let seconds = |row: usize| {
        let measured = deployed.as_ref().map(|column| column[row]).filter(|seconds| seconds.is_finite());
        parts.iter().map(|column| column[row]).sum::<f64>() + measured.unwrap_or(0.0)
    };
    let speeds = table.column("steps_per_s")?;
    let rows = speeds.iter().enumerate().map(|(row, speed)| (seconds(row), speed));
    let (samples, trained) =
        rows.fold((0.0, 0.0), |(samples, trained), (seconds, speed)| (samples + seconds * speed, trained + seconds));
    Ok(samples / trained)
}
