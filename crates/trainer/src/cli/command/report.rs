//! `report`: compares runs, grouped by environment and algorithm.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::atomic_file::write_atomically;
use crate::cli::console::{diagnose, print};
use crate::cli::plot::{Curve, Figure, Panel, Point, Scale};
use crate::cli::statistics::{bootstrap_interval, interquartile_mean, mean, std};
use crate::config::TrainConfig;
use crate::error::UsageError;
use crate::log::csv::Table;
use crate::run_dir::RunDir;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run directories, or directories that contain some
    #[arg(value_name = "DIR", required = true)]
    pub dirs: Vec<PathBuf>,
    /// Where to write report.md, report.json and the figures
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub out: PathBuf,
    /// Print one JSON object a group of runs
    #[arg(long)]
    pub json: bool,
}

/// Levels of directories searched for runs.
const MAX_DEPTH: usize = 4;
/// Points of a curve: more would not be seen at the figure's size.
const CURVE_POINTS: usize = 200;

/// A run as far as the comparison needs it.
struct Run {
    config: TrainConfig,
    steps: Vec<f64>,
    returns: Vec<f64>,
    costs: Vec<f64>,
    final_return: f64,
    final_cost: f64,
    evaluated: bool,
    steps_per_s: f64,
}

/// Runs of one environment, algorithm and cost limit.
struct Group {
    env: String,
    algo: String,
    cost_limit: f64,
    runs: Vec<Run>,
}

/// Writes `report.md`, `report.json` and one figure an environment, and prints the table.
///
/// # Errors
///
/// When a directory holds no run, a run is damaged or the output cannot be written.
pub fn run(args: &ReportArgs) -> Result<ExitCode> {
    let mut paths = Vec::new();
    for dir in &args.dirs {
        let before = paths.len();
        find_runs(dir, MAX_DEPTH, &mut paths)?;
        if paths.len() == before {
            bail!(UsageError::new(format!("no run in {}", dir.display())));
        }
    }
    paths.sort();
    paths.dedup();
    let mut groups: BTreeMap<(String, String, String), Group> = BTreeMap::new();
    for path in &paths {
        let Some(run) = Run::read(path)? else {
            diagnose(&format!("warning: {} has no metrics yet: left out", path.display()));
            continue;
        };
        let (env, algo, cost_limit) = (run.config.env.clone(), run.config.algo.clone(), run.config.cost_limit.first());
        let key = (env.clone(), algo.clone(), cost_limit.to_string());
        let group = Group { env, algo, cost_limit, runs: Vec::new() };
        groups.entry(key).or_insert(group).runs.push(run);
    }
    let groups: Vec<Group> = groups.into_values().collect();
    ensure!(!groups.is_empty(), "none of the runs has metrics yet");

    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let rows: Vec<Value> = groups.iter().map(Group::summary).collect();
    let figures = write_figures(&groups, &args.out)?;
    let markdown = markdown(&groups, &rows, &figures);
    write_atomically(&args.out.join("report.md"), markdown.as_bytes())?;
    let all = serde_json::to_string_pretty(&rows)? + "\n";
    write_atomically(&args.out.join("report.json"), all.as_bytes())?;
    if args.json {
        for row in &rows {
            print(&row.to_string())?;
        }
    } else {
        print(markdown.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds every run directory at or below `dir`.
fn find_runs(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if dir.join("config.json").is_file() && dir.join("metrics.csv").is_file() {
        found.push(dir.to_owned());
        return Ok(());
    }
    let entries =
        fs::read_dir(dir).map_err(|error| UsageError::new(format!("cannot read {}: {error}", dir.display())))?;
    for entry in entries.flatten() {
        if depth > 0 && entry.path().is_dir() {
            find_runs(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

impl Run {
    /// Reads a run; none if it has finished no iteration yet.
    fn read(path: &Path) -> Result<Option<Self>> {
        let dir = RunDir::open(path)?;
        if fs::metadata(dir.metrics()).is_ok_and(|file| file.len() == 0) {
            return Ok(None);
        }
        let table = Table::read(&dir.metrics())?;
        let column = |name| table.column(name).with_context(|| dir.metrics().display().to_string());
        let (steps, returns, costs) = (column("steps")?, column("return_mean")?, column("cost_mean")?);
        let (rollout_s, update_s) = (column("rollout_s")?, column("update_s")?);
        let last = |values: &[f64]| values.last().copied().unwrap_or(f64::NAN);
        let trained: f64 = rollout_s.iter().chain(&update_s).sum();
        let evaluation: Option<Value> = dir.read_json_if_present("eval.json")?;
        let evaluated = |key: &str| evaluation.as_ref()?.get(key)?.as_f64();
        Ok(Some(Self {
            final_return: evaluated("return_mean").unwrap_or_else(|| last(&returns)),
            final_cost: evaluated("cost_mean").unwrap_or_else(|| last(&costs)),
            evaluated: evaluation.is_some(),
            steps_per_s: last(&steps) / trained,
            config: dir.read_json("config.json")?,
            steps,
            returns,
            costs,
        }))
    }
}

impl Group {
    fn finals(&self, of: impl Fn(&Run) -> f64) -> Vec<f64> {
        self.runs.iter().map(of).filter(|value| value.is_finite()).collect()
    }

    /// The group's row: statistics over seeds of the final return and cost.
    fn summary(&self) -> Value {
        let returns = self.finals(|run| run.final_return);
        let costs = self.finals(|run| run.final_cost);
        let return_ci = spread(&returns, |returns| bootstrap_interval(returns, interquartile_mean));
        let cost_ci = spread(&costs, |costs| bootstrap_interval(costs, mean));
        let feasible = self.runs.iter().filter(|run| run.final_cost <= self.cost_limit).count();
        let mut seeds: Vec<u64> = self.runs.iter().map(|run| run.config.seed).collect();
        seeds.sort_unstable();
        let steps = self.runs.iter().filter_map(|run| run.steps.last()).copied().fold(0.0, f64::max);
        json!({
            "env": self.env,
            "algo": self.algo,
            "seeds": seeds,
            "steps": steps,
            "evaluated": self.runs.iter().all(|run| run.evaluated),
            "return_mean": mean(&returns),
            "return_std": spread(&returns, |returns| (std(returns), 0.0)).0,
            "return_iqm": interquartile_mean(&returns),
            "return_iqm_ci95": [return_ci.0, return_ci.1],
            "cost_mean": mean(&costs),
            "cost_std": spread(&costs, |costs| (std(costs), 0.0)).0,
            "cost_mean_ci95": [cost_ci.0, cost_ci.1],
            "cost_limit": self.cost_limit,
            "feasible_seeds": feasible,
            "feasible": mean(&costs) <= self.cost_limit,
            "strictly_feasible": cost_ci.1 <= self.cost_limit,
            "steps_per_s": mean(&self.finals(|run| run.steps_per_s)),
        })
    }

    /// Mean and mean -+ standard deviation over the seeds of one quantity against the steps.
    fn curve(&self, name: String, of: impl Fn(&Run) -> &[f64]) -> Curve {
        let known: Vec<Vec<(f64, f64)>> = (self.runs.iter())
            .map(|run| {
                let pairs = run.steps.iter().copied().zip(of(run).iter().copied());
                pairs.filter(|(_, value)| value.is_finite()).collect()
            })
            .collect();
        let ends = || known.iter().filter_map(|pairs| Some((pairs.first()?.0, pairs.last()?.0)));
        let first = ends().map(|(first, _)| first).fold(f64::INFINITY, f64::min);
        let last = ends().map(|(_, last)| last).fold(f64::NEG_INFINITY, f64::max);
        let grid = (0..CURVE_POINTS).map(|index| first + (last - first) * index as f64 / (CURVE_POINTS - 1) as f64);
        let points = grid.filter_map(|x| {
            let values: Vec<f64> = known.iter().filter_map(|pairs| interpolated(pairs, x)).collect();
            let (y, spread) = (mean(&values), std(&values));
            y.is_finite().then_some(Point { x, y, low: y - spread, high: y + spread })
        });
        Curve { name, points: points.collect() }
    }
}

/// A measure of spread over seeds; a single seed has none.
fn spread(samples: &[f64], measure: impl Fn(&[f64]) -> (f64, f64)) -> (f64, f64) {
    if samples.len() < 2 { (f64::NAN, f64::NAN) } else { measure(samples) }
}

/// The value at `x` between ascending points, none outside of them.
fn interpolated(pairs: &[(f64, f64)], x: f64) -> Option<f64> {
    let after = pairs.partition_point(|(at, _)| *at < x);
    let (right_x, right) = *pairs.get(after)?;
    if right_x == x {
        return Some(right);
    }
    let (left_x, left) = *pairs.get(after.checked_sub(1)?)?;
    Some(left + (right - left) * (x - left_x) / (right_x - left_x))
}

/// One figure an environment; returns (environment, file name).
fn write_figures(groups: &[Group], out: &Path) -> Result<Vec<(String, String)>> {
    let mut by_env: BTreeMap<&str, Vec<&Group>> = BTreeMap::new();
    for group in groups {
        by_env.entry(&group.env).or_default().push(group);
    }
    let mut written = Vec::new();
    for (env, groups) in by_env {
        let same_limit = groups.iter().all(|group| group.cost_limit == groups[0].cost_limit);
        let name = |group: &Group| {
            let seeds = group.runs.len();
            let plural = if seeds == 1 { "" } else { "s" };
            match same_limit {
                true => format!("{} ({seeds} seed{plural})", group.algo),
                false => format!("{}, limit {} ({seeds} seed{plural})", group.algo, group.cost_limit),
            }
        };
        let limit = groups[0].cost_limit;
        let returns = groups.iter().map(|g| g.curve(name(g), |run| &run.returns)).collect();
        let costs = groups.iter().map(|g| g.curve(name(g), |run| &run.costs)).collect();
        let figure = Figure {
            x_scale: Scale::Linear,
            title: env.to_owned(),
            x_label: "environment steps".to_owned(),
            panels: vec![
                Panel { label: "episodic return".to_owned(), curves: returns, limit: None },
                Panel {
                    label: "episodic cost".to_owned(),
                    curves: costs,
                    limit: same_limit.then(|| (limit, format!("limit {limit}"))),
                },
            ],
        };
        let file = format!("{env}.svg");
        write_atomically(&out.join(&file), figure.to_svg().as_bytes())?;
        written.push((env.to_owned(), file));
    }
    Ok(written)
}

fn markdown(groups: &[Group], rows: &[Value], figures: &[(String, String)]) -> String {
    let mut text = String::from(
        "| environment | algorithm | seeds | steps | return | IQM [95 % interval] | cost | [95 % interval] | limit | feasible seeds | steps/s |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (group, row) in groups.iter().zip(rows) {
        let number = |value: &Value| value.as_f64().map_or("-".to_owned(), |v| format!("{v:.2}"));
        let field = |key: &str| number(&row[key]);
        let interval = |key: &str| format!("[{}, {}]", number(&row[key][0]), number(&row[key][1]));
        text.push_str(&format!(
            "| {} | {} | {} | {:.2e} | {} +- {} | {} {} | {} +- {} | {} | {} | {} of {} | {:.0} |\n",
            group.env,
            group.algo,
            group.runs.len(),
            row["steps"].as_f64().unwrap_or(f64::NAN),
            field("return_mean"),
            field("return_std"),
            field("return_iqm"),
            interval("return_iqm_ci95"),
            field("cost_mean"),
            field("cost_std"),
            interval("cost_mean_ci95"),
            group.cost_limit,
            row["feasible_seeds"],
            group.runs.len(),
            row["steps_per_s"].as_f64().unwrap_or(f64::NAN),
        ));
    }
    text.push_str(
        "\nMean +- standard deviation over seeds; IQM: interquartile mean; intervals: percentile bootstrap over seeds.\n",
    );
    let unevaluated = groups.iter().flat_map(|group| &group.runs).filter(|run| !run.evaluated).count();
    if unevaluated > 0 {
        text.push_str(&format!(
            "{unevaluated} run(s) were not evaluated with `trainer eval`: theirs are the last 100 training episodes.\n"
        ));
    }
    for (env, file) in figures {
        text.push_str(&format!("\n![Return and cost on {env} over training]({file})\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, slope: f64, last: f64) -> Run {
        let steps: Vec<f64> = (0..=10).map(|i| f64::from(i) * last / 10.0).collect();
        let values: Vec<f64> = steps.iter().map(|s| s * slope).collect();
        Run {
            config: TrainConfig { seed, ..TrainConfig::default() },
            final_return: last * slope,
            final_cost: 10.0 * seed as f64,
            returns: values.clone(),
            costs: values,
            steps,
            evaluated: false,
            steps_per_s: 1000.0,
        }
    }

    #[test]
    fn statistics_are_over_seeds() {
        let runs = vec![run(3, 1.0, 100.0), run(1, 2.0, 100.0), run(2, 3.0, 100.0)];
        let group = Group { env: "E".into(), algo: "a".into(), cost_limit: 25.0, runs };
        let row = group.summary();
        assert_eq!(row["seeds"], json!([1, 2, 3]));
        assert_eq!((&row["return_mean"], &row["return_std"]), (&json!(200.0), &json!(100.0)));
        assert_eq!((&row["cost_mean"], &row["feasible_seeds"]), (&json!(20.0), &json!(2)));
        assert_eq!(row["feasible"], json!(true));
        assert_eq!(row["strictly_feasible"], json!(false));
        let group = Group { runs: vec![run(1, 2.0, 100.0)], ..group };
        let row = group.summary();
        assert_eq!((&row["return_mean"], &row["return_std"]), (&json!(200.0), &Value::Null));
        assert_eq!(row["cost_mean_ci95"], json!([null, null]), "one seed shows no spread");
    }

    #[test]
    fn curves_of_unequal_length_average_what_is_there() {
        let runs = vec![run(0, 1.0, 100.0), run(1, 3.0, 50.0)];
        let group = Group { env: "E".into(), algo: "a".into(), cost_limit: 25.0, runs };
        let curve = group.curve("a".into(), |run| &run.returns);
        let at = |x: f64| curve.points.iter().min_by(|a, b| (a.x - x).abs().total_cmp(&(b.x - x).abs())).unwrap();
        let early = at(25.0);
        assert!((early.y - 2.0 * early.x).abs() < 1e-9 && early.high > early.y);
        let late = at(75.0);
        assert!((late.y - late.x).abs() < 1e-9 && late.high == late.y);
    }

    #[test]
    fn interpolation_stays_inside() {
        let pairs = [(0.0, 1.0), (10.0, 3.0)];
        assert_eq!(interpolated(&pairs, 5.0), Some(2.0));
        assert_eq!(interpolated(&pairs, 0.0), Some(1.0));
        assert_eq!(interpolated(&pairs, 10.0), Some(3.0));
        assert_eq!(interpolated(&pairs, 10.1), None);
        assert_eq!(interpolated(&pairs, -0.1), None);
    }
}
