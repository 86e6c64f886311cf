//! A run as far as it has come, read from its directory.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;

use crate::cli::course::{Course, Courses, costs_of};
use crate::config::{Constraint, TrainConfig};
use crate::error::UsageError;
use crate::log::csv::Table;
use crate::run_dir::RunDir;

/// Columns that are drawn unless others are asked for, where a run has them.
const DEFAULT_COLUMNS: [&str; 2] = ["Train/KL", "steps_per_s"];
/// Rows that a speed is told from.
const SPEED_ROWS: usize = 20;

/// A run.
#[derive(Debug)]
pub struct Watched {
    /// Its directory.
    pub path: PathBuf,
    /// What it is.
    pub config: TrainConfig,
    /// What is limited.
    pub constraints: Vec<Constraint>,
    /// Environment steps done, iteration by iteration.
    pub steps: Vec<f64>,
    /// Return and costs of the policy that is judged.
    pub judged: Course,
    /// What the mean step of the last rollout promises for an episode: return, then costs.
    promised: Vec<f64>,
    /// Further columns that were asked for and are there.
    pub columns: Vec<(String, Vec<f64>)>,
    /// Every column there is.
    pub known_columns: Vec<String>,
    /// Seconds of training.
    pub wall_s: f64,
    /// Environment steps per second over the last rows.
    pub steps_per_s: f64,
    /// Length of the metrics and when they were written last.
    stamp: Option<(u64, SystemTime)>,
}

impl Watched {
    /// Reads the run in `path`, of its metrics also these columns.
    ///
    /// # Errors
    ///
    /// When its configuration or its metrics cannot be read.
    pub fn read(path: &Path, columns: &[String]) -> Result<Self> {
        let dir = RunDir::open(path)?;
        let (config, _) = dir.config()?;
        let constraints = config.cost_limit.of(&config.env.spec()?.env.constraints)?;
        let stamp = stamp(&dir.metrics());
        let mut run = Self {
            path: path.to_owned(),
            judged: Course { returns: Vec::new(), costs: vec![Vec::new(); constraints.len()] },
            promised: Vec::new(),
            config,
            constraints,
            steps: Vec::new(),
            columns: Vec::new(),
            known_columns: Vec::new(),
            wall_s: 0.0,
            steps_per_s: f64::NAN,
            stamp,
        };
        if stamp.is_none_or(|(length, _)| length == 0) {
            return Ok(run); // its first iteration is not over
        }
        let (table, _) = Table::read(&dir.metrics())?;
        run.steps = table.column("steps")?;
        run.judged = Courses::of(&table, run.constraints.len())?.judged();
        run.promised = promised(&table, run.constraints.len());
        let wall_s = table.column("wall_s")?;
        run.wall_s = wall_s.last().copied().unwrap_or(0.0);
        run.steps_per_s = speed(&run.steps, &wall_s);
        let wanted: Vec<&str> = match columns {
            [] => DEFAULT_COLUMNS.to_vec(),
            columns => columns.iter().map(String::as_str).collect(),
        };
        let found = wanted.into_iter().filter_map(|name| Some((name.to_owned(), table.column(name).ok()?)));
        run.columns = found.collect();
        run.known_columns = table.columns;
        Ok(run)
    }

    /// Whether nothing was written since it was read.
    pub fn is_current(&self) -> bool {
        self.stamp == stamp(&self.path.join("metrics.csv"))
    }

    /// Environment steps done.
    pub fn done(&self) -> f64 {
        self.steps.last().copied().unwrap_or(0.0)
    }

    /// Whether all its steps are done.
    pub fn is_done(&self) -> bool {
        self.done() >= self.config.total_steps as f64
    }

    /// Seconds that are left at the speed of the last rows.
    pub fn seconds_left(&self) -> f64 {
        (self.config.total_steps as f64 - self.done()).max(0.0) / self.steps_per_s
    }

    /// Seconds since the last row; NaN where there is none.
    pub fn age(&self) -> f64 {
        let age = self.stamp.and_then(|(_, written)| written.elapsed().ok());
        age.map_or(f64::NAN, |age| age.as_secs_f64())
    }

    /// Algorithm, environment and seed.
    pub fn name(&self) -> String {
        format!("{} on {}, seed {}", self.config.algo, self.config.env, self.config.seed)
    }

    /// The return of the last episodes, or what the mean step promises.
    pub fn last_return(&self) -> Told {
        self.told(&self.judged.returns, 0)
    }

    /// The same of the cost by constraint `k`.
    pub fn last_cost(&self, k: usize) -> Told {
        self.told(&self.judged.costs[k], 1 + k)
    }

    fn told(&self, values: &[f64], row: usize) -> Told {
        match values.iter().rev().copied().find(|value| value.is_finite()) {
            Some(value) => Told { value, promised: false },
            None => Told { value: self.promised.get(row).copied().unwrap_or(f64::NAN), promised: true },
        }
    }
}

/// A figure of a policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// NaN where nothing is known.
    pub value: f64,
    /// Whether it is promised by mean steps, because no episode has ended.
    pub promised: bool,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.value.is_finite(), self.promised) {
            (false, _) => f.write_str("-"),
            (true, promised) => write!(f, "{}{:.2}", if promised { "~" } else { "" }, self.value),
        }
    }
}

/// Return and costs that the last mean steps promise: of the deployed policy, where it is measured.
fn promised(table: &Table, constraints: usize) -> Vec<f64> {
    let last = |column: Vec<f64>| column.last().copied().unwrap_or(f64::NAN);
    let of = |ret: &str, first: &'static str, further: &'static str| -> Result<Vec<f64>> {
        let costs = costs_of(table, first, further, constraints)?;
        Ok(std::iter::once(table.column(ret)?).chain(costs).map(last).collect())
    };
    of("Deployed/StepReturn", "Deployed/StepCost", "Deployed/StepCost")
        .or_else(|_| of("step_return", "step_cost", "Metrics/StepCost"))
        .unwrap_or_default()
}

/// Refuses columns that no run has; a run without a row says nothing.
///
/// # Errors
///
/// [`UsageError`] with the columns there are.
pub fn ensure_columns(columns: &[String], runs: &[Watched]) -> Result<()> {
    let known = || runs.iter().flat_map(|run| &run.known_columns);
    let missing = columns.iter().find(|name| !known().any(|column| column == *name));
    match missing.filter(|_| known().next().is_some()) {
        Some(name) => {
            let mut names: Vec<&str> = known().map(String::as_str).collect();
            names.sort_unstable();
            names.dedup();
            Err(UsageError::new(format!("no run has a column `{name}`; there are: {}", names.join(", "))).into())
        }
        None => Ok(()),
    }
}

fn stamp(path: &Path) -> Option<(u64, SystemTime)> {
    let file = fs::metadata(path).ok()?;
    Some((file.len(), file.modified().ok()?))
}

/// Steps per second over the last rows.
fn speed(steps: &[f64], wall_s: &[f64]) -> f64 {
    let rows = steps.len().min(wall_s.len());
    let Some(end) = rows.checked_sub(1) else { return f64::NAN };
    let (begin, begun) = match end.saturating_sub(SPEED_ROWS) {
        0 if end == 0 => (0.0, 0.0),
        first => (steps[first], wall_s[first]),
    };
    (steps[end] - begin) / (wall_s[end] - begun).max(1e-9)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A run with these rows of steps, wall_s, return and cost.
    pub fn run(folder: &Path, name: &str, total_steps: u64, rows: &[[f64; 4]]) -> Watched {
        let path = folder.join(name);
        let config = TrainConfig { total_steps, ..TrainConfig::default() };
        let dir = RunDir::create(Some(&path), &config).unwrap();
        let mut text =
            "iteration,steps,wall_s,steps_per_s,return_mean,cost_mean,Train/KL,step_return,step_cost\n".to_owned();
        for (index, [steps, wall_s, ret, cost]) in rows.iter().enumerate() {
            let cell = |value: &f64| if value.is_nan() { String::new() } else { value.to_string() };
            let (ret, cost) = (cell(ret), cell(cost));
            text.push_str(&format!("{},{steps},{wall_s},100,{ret},{cost},0.01,1.5,40\n", index + 1));
        }
        fs::write(dir.metrics(), if rows.is_empty() { String::new() } else { text }).unwrap();
        Watched::read(&path, &[]).unwrap()
    }

    #[test]
    fn a_run_is_read_as_far_as_it_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let begun = run(folder.path(), "begun", 1000, &[]);
        assert!(!begun.is_done() && begun.is_current());
        assert_eq!((begun.last_return().to_string(), begun.last_cost(0).to_string()), ("-".to_owned(), "-".to_owned()));
        let rows = [[100.0, 1.0, f64::NAN, f64::NAN], [200.0, 3.0, 4.0, 30.0], [300.0, 5.0, f64::NAN, f64::NAN]];
        let half = run(folder.path(), "half", 1000, &rows);
        assert_eq!((half.done(), half.last_return().value, half.last_cost(0).value), (300.0, 4.0, 30.0));
        let early = run(folder.path(), "early", 1000, &rows[..1]);
        assert_eq!(
            (early.last_return().to_string(), early.last_cost(0).to_string()),
            ("~1.50".into(), "~40.00".into())
        );
        assert_eq!((half.steps_per_s, half.seconds_left()), (50.0, 14.0));
        assert_eq!(half.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), DEFAULT_COLUMNS);
        assert!(half.is_current() && half.age() < 60.0);
        fs::write(half.path.join("metrics.csv"), "").unwrap();
        assert!(!half.is_current());
        assert!(run(folder.path(), "done", 300, &rows).is_done());
        let refused = ensure_columns(&["Train/KLL".to_owned()], &[half]).unwrap_err().to_string();
        assert!(refused.contains("Train/KLL") && refused.contains("return_mean"), "{refused}");
    }
}
