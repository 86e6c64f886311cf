//! `report`: compares runs, grouped by every setting but the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::atomic_file::write_atomically;
use crate::cli::console::{FAILED, diagnose, print};
use crate::cli::plot::{Curve, Figure, Panel, Point, Scale};
use crate::cli::statistics::{bootstrap_interval, interquartile_mean, mean, std};
use crate::config::TrainConfig;
use crate::error::UsageError;
use crate::log::csv::Table;
use crate::run_dir::{RunDir, is_run};

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
/// Settings that do not make another experiment: repetitions differ by the seed, and when checkpoints are written changes
/// nothing.
const NOT_COMPARED: [&str; 2] = ["seed", "checkpoint"];

/// A run as far as the comparison needs it.
struct Run {
    config: TrainConfig,
    steps: Vec<f64>,
    returns: Vec<f64>,
    costs: Vec<f64>,
    final_return: f64,
    final_cost: f64,
    /// How the final figures were measured; none: they are of the last training episodes.
    evaluation: Option<Evaluation>,
    steps_per_s: f64,
}

/// What `trainer eval` has left in a run, if it is of the run's newest checkpoint.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Evaluation {
    env: String,
    checkpoint: u64,
    episodes: u64,
    deterministic: bool,
    cost_limit: Value,
    return_mean: f64,
    cost_mean: f64,
}

/// Runs that differ by their seeds alone.
struct Group {
    env: String,
    algo: String,
    cost_limit: f64,
    /// What tells it from other groups of this environment and algorithm.
    settings: Vec<(String, Value)>,
    runs: Vec<Run>,
}

/// Writes `report.md`, `report.json` and one figure an environment, and prints the table. A run that cannot be read is left
/// out and named, and the exit code says so.
///
/// # Errors
///
/// When a directory holds no run, none can be read or the output cannot be written.
pub fn run(args: &ReportArgs) -> Result<ExitCode> {
    let mut broken = false;
    let mut fault = |text: String| {
        broken = true;
        diagnose(&format!("error: {text}"));
    };
    let mut paths = Vec::new();
    for dir in &args.dirs {
        let before = paths.len();
        fs::read_dir(dir).map_err(|error| UsageError::new(format!("cannot read {}: {error}", dir.display())))?;
        find_runs(dir, MAX_DEPTH, &mut paths, &mut fault);
        if paths.len() == before {
            bail!(UsageError::new(format!("no run in {}", dir.display())));
        }
    }
    // By whatever names they were given, every run counts once.
    paths.sort();
    let mut known = BTreeSet::new();
    paths.retain(|path| known.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    let mut runs = Vec::new();
    for path in paths {
        match Run::read(&path) {
            Ok((Some(run), warnings)) => {
                warnings.iter().for_each(|warning| diagnose(&format!("warning: {warning}")));
                runs.push((path, run));
            }
            Ok((None, _)) => diagnose(&format!("warning: {} has no metrics yet: left out", path.display())),
            Err(error) => fault(format!("{} is left out: {error:#}", path.display())),
        }
    }
    ensure!(!runs.is_empty(), "none of the runs has metrics that can be read");
    let groups = grouped(runs);

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
    Ok(if broken { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Adds every run directory at or below `dir`.
fn find_runs(dir: &Path, depth: usize, found: &mut Vec<PathBuf>, fault: &mut impl FnMut(String)) {
    if is_run(dir) {
        found.push(dir.to_owned());
        return;
    }
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries.flatten().filter(|entry| depth > 0 && entry.path().is_dir()) {
                find_runs(&entry.path(), depth - 1, found, fault);
            }
        }
        Err(error) => fault(format!("cannot read {}: {error}", dir.display())),
    }
}

/// Runs by all settings but the seed, and by their length: of a seed that is there twice the first one counts.
fn grouped(runs: Vec<(PathBuf, Run)>) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String, String, String), Group> = BTreeMap::new();
    for (path, run) in runs {
        let (env, algo, cost_limit) =
            (run.config.env.id().to_owned(), run.config.algo.clone(), run.config.cost_limit.first());
        let steps = run.steps.last().copied().unwrap_or(0.0);
        let mut settings = leaves(&run.config);
        settings.insert("steps trained".to_owned(), json!(steps));
        let key = (env.clone(), algo.clone(), cost_limit.to_string(), json!(settings).to_string());
        let settings = settings.into_iter().collect();
        let group = groups.entry(key).or_insert(Group { env, algo, cost_limit, settings, runs: Vec::new() });
        if group.runs.iter().any(|other| other.config.seed == run.config.seed) {
            let seed = run.config.seed;
            diagnose(&format!("warning: {} repeats a run of seed {seed}: it is not counted again", path.display()));
            continue;
        }
        group.runs.push(run);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    let all: Vec<(String, Vec<(String, Value)>)> =
        groups.iter().map(|group| (format!("{} {}", group.env, group.algo), group.settings.clone())).collect();
    for group in &mut groups {
        let kind = format!("{} {}", group.env, group.algo);
        let rivals = || all.iter().filter(|(other, _)| *other == kind);
        let differs = |setting: &(String, Value)| rivals().any(|(_, settings)| !settings.contains(setting));
        let telling: Vec<(String, Value)> = group.settings.iter().filter(|s| differs(s)).cloned().collect();
        group.settings = telling;
    }
    groups
}

/// Every setting that can tell experiments apart, by its path.
fn leaves(config: &TrainConfig) -> BTreeMap<String, Value> {
    fn add(path: &str, value: Value, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(section) => {
                for (key, value) in section {
                    let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                    add(&path, value, found);
                }
            }
            value => drop(found.insert(path.to_owned(), value)),
        }
    }
    let mut found = BTreeMap::new();
    let mut tree = serde_json::to_value(config).unwrap_or_default();
    if let Value::Object(tree) = &mut tree {
        tree.retain(|key, _| !NOT_COMPARED.contains(&key.as_str()));
    }
    add("", tree, &mut found);
    found
}

impl Run {
    /// Reads a run, none if it has finished no iteration yet; also what of it could not be read.
    fn read(path: &Path) -> Result<(Option<Self>, Vec<String>)> {
        let dir = RunDir::open(path)?;
        let (config, warning) = dir.config()?;
        let mut warnings: Vec<String> = warning.into_iter().collect();
        let metrics = fs::metadata(dir.metrics());
        if metrics.map_or(true, |file| file.is_file() && file.len() == 0) {
            return Ok((None, warnings));
        }
        let (table, faults) = Table::read(&dir.metrics())?;
        warnings.extend(faults);
        let column = |name| table.column(name).with_context(|| dir.metrics().display().to_string());
        let (steps, returns, costs) = (column("steps")?, column("return_mean")?, column("cost_mean")?);
        let (rollout_s, update_s, speeds) = (column("rollout_s")?, column("update_s")?, column("steps_per_s")?);
        // Over the rows that are there: an iteration whose row is lost must not count as if it had taken no time.
        let seconds = rollout_s.iter().zip(&update_s).map(|(rollout, update)| rollout + update);
        let (samples, trained) = seconds
            .zip(&speeds)
            .fold((0.0, 0.0), |(samples, trained), (seconds, speed)| (samples + seconds * speed, trained + seconds));
        let evaluation = match dir.read_json_if_present::<Evaluation>("eval.json") {
            Ok(evaluation) => evaluation.filter(|evaluation| {
                let newest = dir.checkpoints().steps().last().copied();
                let stale = (evaluation.env != config.env.id())
                    .then_some("of another environment")
                    .or((Some(evaluation.checkpoint) != newest).then_some("not of the newest checkpoint"))
                    .or((evaluation.cost_limit != json!(config.cost_limit)).then_some("under another cost limit"));
                warnings
                    .extend(stale.map(|stale| format!("the evaluation of {} is {stale}: left out", path.display())));
                stale.is_none()
            }),
            Err(error) => {
                warnings.push(format!("{error:#}: left out"));
                None
            }
        };
        let last = |values: &[f64]| values.last().copied().unwrap_or(f64::NAN);
        let run = Self {
            final_return: evaluation.as_ref().map_or_else(|| last(&returns), |evaluation| evaluation.return_mean),
            final_cost: evaluation.as_ref().map_or_else(|| last(&costs), |evaluation| evaluation.cost_mean),
            evaluation,
            steps_per_s: samples / trained,
            config,
            steps,
            returns,
            costs,
        };
        Ok((Some(run), warnings))
    }
}

impl Group {
    fn finals(&self, of: impl Fn(&Run) -> f64) -> Vec<f64> {
        self.runs.iter().map(of).filter(|value| value.is_finite()).collect()
    }

    /// How the final figures were measured: every way there is, in words.
    fn evaluations(&self) -> BTreeSet<String> {
        let way = |run: &Run| match &run.evaluation {
            Some(Evaluation { episodes, deterministic, .. }) => {
                format!("{episodes} episodes, {} actions", if *deterministic { "mean" } else { "sampled" })
            }
            None => "last 100 training episodes, sampled actions".to_owned(),
        };
        self.runs.iter().map(way).collect()
    }

    /// Name of its algorithm with what tells it from others.
    fn label(&self) -> String {
        let settings: Vec<String> = self.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if settings.is_empty() { self.algo.clone() } else { format!("{}, {}", self.algo, settings.join(", ")) }
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
            "settings": self.settings.iter().cloned().collect::<Map<String, Value>>(),
            "evaluated": self.runs.iter().all(|run| run.evaluation.is_some()),
            "evaluations": self.evaluations(),
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
            format!("{} ({seeds} seed{})", group.label(), if seeds == 1 { "" } else { "s" })
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
        let file = format!("{}.svg", file_name(env));
        write_atomically(&out.join(&file), figure.to_svg().as_bytes())?;
        written.push((env.to_owned(), file));
    }
    Ok(written)
}

/// `text` with nothing in it that means something in a path.
fn file_name(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
}

/// `text` with nothing in it that means something in a table of Markdown or in HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '`' | '*' | '[' | ']' | '\\' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
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
            escaped(&group.env),
            escaped(&group.label()),
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
    let ways: BTreeSet<String> = groups.iter().flat_map(Group::evaluations).collect();
    let ways: Vec<String> = ways.into_iter().collect();
    text.push_str(&format!("Final figures are over: {}.\n", ways.join("; ")));
    let unevaluated = groups.iter().flat_map(|group| &group.runs).filter(|run| run.evaluation.is_none()).count();
    if unevaluated > 0 {
        text.push_str(&format!(
            "{unevaluated} run(s) were not evaluated with `trainer eval`: theirs are the last 100 training episodes.\n"
        ));
    }
    for (env, file) in figures {
        text.push_str(&format!("\n![Return and cost on {} over training]({file})\n", escaped(env)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::kfcpo::KfcpoConfig;

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
            evaluation: None,
            steps_per_s: 1000.0,
        }
    }

    #[test]
    fn statistics_are_over_seeds() {
        let runs = vec![run(3, 1.0, 100.0), run(1, 2.0, 100.0), run(2, 3.0, 100.0)];
        let group = Group { env: "E".into(), algo: "a".into(), cost_limit: 25.0, settings: Vec::new(), runs };
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
        let group = Group { env: "E".into(), algo: "a".into(), cost_limit: 25.0, settings: Vec::new(), runs };
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

    #[test]
    fn groups_are_told_apart_by_all_settings_but_the_seed_and_by_length() {
        let named = |name: &str, run: Run| (PathBuf::from(name), run);
        let mut damped = run(1, 1.0, 100.0);
        damped.config.section_mut::<KfcpoConfig>().damping = 0.5;
        let mut other_checkpoints = run(2, 1.0, 100.0);
        other_checkpoints.config.checkpoint.keep = 9;
        let runs = vec![
            named("a", run(1, 1.0, 100.0)),
            named("b", other_checkpoints),
            named("copy of a", run(1, 1.0, 100.0)),
            named("short", run(3, 1.0, 50.0)),
            named("damped", damped),
        ];
        let groups = grouped(runs);
        let seeds = |group: &Group| group.runs.iter().map(|run| run.config.seed).collect::<Vec<_>>();
        let mut found: Vec<(String, Vec<u64>)> = groups.iter().map(|group| (group.label(), seeds(group))).collect();
        found.sort();
        let label = |damping: f64, steps: f64| format!("kfcpo, kfcpo.damping={damping:?}, steps trained={steps:?}");
        let mut expected = [(label(0.1, 100.0), vec![1, 2]), (label(0.1, 50.0), vec![3]), (label(0.5, 100.0), vec![1])];
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_comes_from_a_run_means_nothing_in_a_path_or_a_page() {
        assert_eq!(file_name("../../x"), "______x");
        assert_eq!(file_name("SafetyPointGoal1-v0"), "SafetyPointGoal1-v0");
        assert_eq!(escaped("a|b<!--`\n"), "a\\|b&lt;!--\\` ");
    }
}
