//! `train`: runs the loop, feeds the logs, writes checkpoints, survives interruption.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, Session};
use crate::cli::{INTERRUPTED, TrainArgs, diagnose, print};
use crate::config::TrainConfig;
use crate::config::load::{resolve, resolve_resumed};
use crate::device::{SelectedDevice, select_device};
use crate::interrupt;
use crate::log::Record;
use crate::log::csv::CsvLog;
use crate::log::progress::Progress;
use crate::log::tensorboard::TensorBoardLog;
use crate::run_dir::{RunDir, timestamp};
use crate::runner::{IterationReport, Runner};
use safe_rl::EpisodeStatistics;

/// Finished episodes from which the running means can make a checkpoint the best.
const BEST_EPISODES: usize = 100;

/// Where and from what a run was started or continued.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Start {
    /// UTC.
    time: String,
    steps: u64,
    version: String,
    git_commit: String,
    device: String,
    threads: usize,
    command: Vec<String>,
}

/// `meta.json`: who made this run, on what.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Meta {
    #[serde(flatten)]
    start: Start,
    seed: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resumed: Vec<Start>,
}

/// Trains as the arguments say.
///
/// # Errors
///
/// When the configuration, the device, the run directory or the disk refuses.
pub fn run(args: &TrainArgs) -> Result<ExitCode> {
    let sources = args.config.sources();
    let (dir, config, checkpoint) = match &args.resume {
        Some(path) => {
            let (dir, saved, checkpoint) = reopen(path)?;
            (dir, resolve_resumed(&saved, &sources)?, checkpoint)
        }
        None => {
            let config = resolve(&sources)?;
            // A device that is not there must not leave an empty run behind.
            select_device(args.common.device)?;
            let dir = RunDir::create(args.out.as_deref(), &config.env, &config.algo, config.seed)?;
            (dir, config, None)
        }
    };
    let threads = args.common.apply_threads()?;
    let selected = select_device(args.common.device)?;
    let mut runner = Runner::new(config.clone(), selected.device.clone())?;
    let mut session = Session::default();
    if let Some(checkpoint) = &checkpoint {
        let loaded = runner.load(&checkpoint.state);
        loaded.with_context(|| format!("cannot continue the run in {}", dir.path().display()))?;
        session = checkpoint.session.clone();
    }
    record_start(&dir, &config, &selected, threads, runner.steps(), args.resume.is_some())?;
    interrupt::install()?;

    let mut training = Training {
        logs: Logs::open(&dir, &runner, args.resume.is_some())?,
        progress: Progress::new(args.quiet, config.total_steps, config.cost_limit),
        started: Instant::now(),
        former_wall_s: session.wall_s,
        saved_at: checkpoint.is_some().then(|| runner.steps()),
        session,
        dir,
        config,
    };
    if !args.quiet {
        diagnose(&training.heading(&selected, threads));
    }
    let finished = training.run(&mut runner)?;
    let summary = Summary::new(&training, &runner, &selected, threads);
    training.dir.write_json("summary.json", &summary)?;
    if args.json {
        print(&serde_json::to_string(&summary)?)?;
    } else {
        print(&summary.text())?;
    }
    if finished {
        return Ok(ExitCode::SUCCESS);
    }
    diagnose(&format!("interrupted; continue with --resume {}", training.dir.path().display()));
    Ok(ExitCode::from(INTERRUPTED))
}

/// Opens a run that is to be continued: its configuration and its newest readable checkpoint, if it has one.
fn reopen(path: &Path) -> Result<(RunDir, TrainConfig, Option<Checkpoint>)> {
    let dir = RunDir::open_for_training(path)?;
    let store = dir.checkpoints();
    store.remove_leftovers();
    if store.steps().is_empty() {
        diagnose(&format!("warning: {} has no checkpoint yet: starting from the beginning", path.display()));
        let config = dir.read_json("config.json")?;
        return Ok((dir, config, None));
    }
    let (checkpoint, warnings) = store.load_newest_readable()?;
    for warning in &warnings {
        diagnose(&format!("warning: {warning}"));
    }
    if !warnings.is_empty() {
        diagnose(&format!("warning: continuing from the checkpoint at {} steps", checkpoint.steps));
    }
    Ok((dir, checkpoint.config.clone(), Some(checkpoint)))
}

/// Writes `config.json` and `meta.json`, or adds this session to the latter.
fn record_start(
    dir: &RunDir,
    config: &TrainConfig,
    selected: &SelectedDevice,
    threads: usize,
    steps: u64,
    resumed: bool,
) -> Result<()> {
    let start = Start {
        time: timestamp(SystemTime::now()),
        steps,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_commit: env!("GIT_COMMIT").to_owned(),
        device: selected.name(),
        threads,
        command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
    };
    let former: Option<Meta> = if resumed { dir.read_json_if_present("meta.json")? } else { None };
    let meta = match former {
        None => Meta { start, seed: config.seed, resumed: Vec::new() },
        Some(mut meta) => {
            meta.resumed.push(start);
            meta
        }
    };
    dir.write_json("config.json", config)?;
    dir.write_json("meta.json", &meta)
}

/// The sinks of an iteration's numbers.
struct Logs {
    csv: CsvLog,
    tensorboard: TensorBoardLog,
}

impl Logs {
    fn open(dir: &RunDir, runner: &Runner, resumed: bool) -> Result<Self> {
        Ok(Self {
            csv: CsvLog::open(&dir.metrics(), runner.iteration())?,
            tensorboard: TensorBoardLog::create(dir.path(), resumed.then(|| runner.steps()))?,
        })
    }

    fn append(&mut self, record: &Record) -> Result<()> {
        self.csv.append(record)?;
        self.tensorboard.append(record)
    }
}

/// A run in progress, apart from the runner.
struct Training {
    dir: RunDir,
    config: TrainConfig,
    session: Session,
    logs: Logs,
    progress: Progress,
    started: Instant,
    former_wall_s: f64,
    saved_at: Option<u64>,
}

impl Training {
    /// Iterates until the run is done (true) or asked to stop (false). A checkpoint stands at the end of either.
    fn run(&mut self, runner: &mut Runner) -> Result<bool> {
        while !runner.done() {
            let report = runner.iterate()?;
            self.session.wall_s = self.wall_s();
            let samples = self.config.batch_size() as u64;
            let record = Record { report: &report, samples, wall_s: self.session.wall_s };
            self.logs.append(&record)?;
            let stop = interrupt::requested();
            let last = stop || runner.done();
            self.progress.show(&record, last);
            if last || self.is_checkpoint_due(runner.steps()) {
                self.save(runner, Some(&report))?;
            }
            if stop && !runner.done() {
                self.progress.finish();
                return Ok(false);
            }
        }
        self.progress.finish();
        if self.saved_at.is_none() {
            self.save(runner, None)?;
        }
        Ok(true)
    }

    fn wall_s(&self) -> f64 {
        self.former_wall_s + self.started.elapsed().as_secs_f64()
    }

    fn is_checkpoint_due(&self, steps: u64) -> bool {
        let interval = self.config.checkpoint.interval_steps;
        steps / interval > self.saved_at.unwrap_or(0) / interval
    }

    fn save(&mut self, runner: &Runner, report: Option<&IterationReport>) -> Result<()> {
        let best = report.and_then(|report| self.better_return(report));
        self.session.best_return = best.or(self.session.best_return);
        let checkpoint = Checkpoint {
            config: self.config.clone(),
            steps: runner.steps(),
            session: self.session.clone(),
            state: runner.save()?,
        };
        let store = self.dir.checkpoints();
        store.save(&checkpoint, best.is_some(), self.config.checkpoint.keep)?;
        self.saved_at = Some(checkpoint.steps);
        Ok(())
    }

    /// The mean return, if it is feasible over a full window of episodes and higher than any such before.
    fn better_return(&self, report: &IterationReport) -> Option<f64> {
        let recent = report.recent.filter(|recent| recent.episodes >= BEST_EPISODES)?;
        let feasible = recent.cost_mean <= self.config.cost_limit;
        let better = self.session.best_return.is_none_or(|best| recent.return_mean > best);
        (feasible && better).then_some(recent.return_mean)
    }

    fn heading(&self, selected: &SelectedDevice, threads: usize) -> String {
        let config = &self.config;
        format!(
            "{} on {}, seed {}, {} environments, device {}, {threads} threads -> {}",
            config.algo,
            config.env,
            config.seed,
            config.num_envs,
            selected.name(),
            self.dir.path().display()
        )
    }
}

/// `summary.json` and `--json`; return and cost are over the last 100 finished episodes (null before the first).
#[derive(Debug, Clone, Serialize)]
struct Summary {
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
    fn new(training: &Training, runner: &Runner, selected: &SelectedDevice, threads: usize) -> Self {
        let totals = runner.totals();
        let recent = |of: fn(&EpisodeStatistics) -> f64| runner.recent().as_ref().map_or(f64::NAN, of);
        let config = &training.config;
        let wall_s = training.session.wall_s;
        Self {
            env: config.env.clone(),
            algo: config.algo.clone(),
            seed: config.seed,
            device: selected.name(),
            threads,
            num_envs: config.num_envs,
            steps: runner.steps(),
            wall_s,
            steps_per_s: runner.steps() as f64 / wall_s.max(1e-9),
            rollout_s: totals.rollout_s,
            update_s: totals.update_s,
            return_mean: recent(|r| r.return_mean),
            return_std: recent(|r| r.return_std),
            cost_mean: recent(|r| r.cost_mean),
            cost_std: recent(|r| r.cost_std),
            episodes: runner.finished_episodes(),
            cost_limit: config.cost_limit,
            accepted: totals.accepted as u64,
            rollbacks: totals.rollbacks as u64,
            kl_mean: totals.kl_sum / totals.updates,
            kl_max: totals.kl_max,
            run_dir: training.dir.path().display().to_string(),
        }
    }

    fn text(&self) -> String {
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
