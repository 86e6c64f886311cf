//! `train`: runs the loop, feeds the logs, writes checkpoints, survives interruption; one run, or several at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::cli::common_args::{CommonArgs, ConfigSourceArgs};
use crate::cli::console::{INTERRUPTED, diagnose, print};
use crate::cli::interrupt;
use crate::cli::progress::Progress;
use crate::cli::progress::group::GroupProgress;
use crate::config::TrainConfig;
use crate::config::load::{Sources, resolve, resolve_resumed};
use crate::device::DeviceChoice;
use crate::run_dir::{RunDir, claim};
use crate::training::{Resources, RunPlan, Training};

mod pool;
mod summary;

use summary::{Summary, text_of_all};

/// Arguments of `train`.
#[derive(Debug, Clone, Args)]
pub struct TrainArgs {
    /// Options that shape the configuration.
    #[command(flatten)]
    pub config: ConfigSourceArgs,
    /// Train N runs at once, of seeds --seed, --seed + 1, ...; with --out each in a directory seedN below it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000), conflicts_with = "resume")]
    pub seeds: Option<u16>,
    /// Run directory to create [default: runs/ENV-ALGO-seedN-TIME]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Continue the run in this directory; several, or a directory of runs, are continued at once
    #[arg(long, value_name = "RUN", num_args = 1..)]
    pub resume: Vec<PathBuf>,
    /// No progress on stderr
    #[arg(long)]
    pub quiet: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Device and threads.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Trains as the arguments say.
///
/// # Errors
///
/// When the configuration, the device, the run directory or the disk refuses.
pub fn run(args: &TrainArgs) -> Result<ExitCode> {
    let plan = if args.resume.is_empty() { begin(args)? } else { reopen(args)? };
    let resources = Resources { threads: args.common.apply_threads()?, device: args.common.select_device()? };
    let begun: Result<Vec<Training>> = plan.into_iter().map(|run| Training::begin(run, &resources)).collect();
    let mut runs = begun?;
    interrupt::install()?;
    if !args.quiet {
        runs.iter().for_each(|run| diagnose(&heading(run, &resources)));
    }

    let (started, before) = (Instant::now(), total_steps(&runs));
    match runs.as_mut_slice() {
        [only] => train_alone(only, args.quiet)?,
        _ => {
            let progress = GroupProgress::new(args.quiet, runs.iter().map(|run| run.config().total_steps).collect());
            runs = pool::train(runs, workers(&resources), resources.threads, progress)?;
        }
    }

    let summaries: Vec<Summary> = runs.iter().map(|run| Summary::new(run, &resources)).collect();
    for (run, summary) in runs.iter().zip(&summaries) {
        run.dir().write_json("summary.json", summary)?;
        print(&if args.json { serde_json::to_string(summary)? } else { summary.text() })?;
    }
    if runs.len() > 1 && !args.json {
        print(&text_of_all(&summaries, started.elapsed().as_secs_f64(), total_steps(&runs) - before))?;
    }
    let unfinished: Vec<String> =
        runs.iter().filter(|run| !run.done()).map(|run| run.dir().path().display().to_string()).collect();
    if unfinished.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    diagnose(&format!("interrupted; continue with --resume {}", unfinished.join(" ")));
    Ok(ExitCode::from(INTERRUPTED))
}

/// Runs that advance at the same time: one per thread on the CPU; a GPU takes one run's work after another's.
fn workers(resources: &Resources) -> usize {
    if resources.device.choice == DeviceChoice::Cpu { resources.threads } else { 1 }
}

fn total_steps(runs: &[Training]) -> u64 {
    runs.iter().map(|run| run.runner().steps()).sum()
}

/// Iterates until the run is done or the process is asked to stop. A checkpoint stands at the end of either.
fn train_alone(run: &mut Training, quiet: bool) -> Result<()> {
    let mut progress = Progress::new(quiet, run.config().total_steps, run.config().cost_limit.first());
    // Inside the thread pool: a parallel call from outside would hand over to a worker and wait for it.
    let trained = rayon::scope(|_| -> Result<()> {
        while !run.done() {
            run.advance()?;
            let stop = interrupt::requested();
            if let Some(record) = run.last() {
                progress.show(&record, stop || run.done());
            }
            if stop {
                break;
            }
        }
        Ok(())
    });
    progress.finish();
    trained?;
    run.close()
}

fn heading(run: &Training, resources: &Resources) -> String {
    let config = run.config();
    format!(
        "{} on {}, seed {}, {} environments, device {}, {} threads -> {}",
        config.algo,
        config.env,
        config.seed,
        config.num_envs,
        resources.device.name(),
        resources.threads,
        run.dir().path().display()
    )
}

/// New runs: one, or one a seed.
fn begin(args: &TrainArgs) -> Result<Vec<RunPlan>> {
    let config = resolve(&args.config.sources())?;
    // A device that is not there must not leave an empty run behind.
    args.common.select_device()?;
    let plan = |dir, config| RunPlan { dir, config, checkpoint: None, resumed: false };
    let create = |out: Option<&Path>, config: &TrainConfig| RunDir::create(out, &config.env, &config.algo, config.seed);
    let Some(seeds) = args.seeds else {
        return Ok(vec![plan(create(args.out.as_deref(), &config)?, config)]);
    };
    let parent = args.out.as_deref().map(claim).transpose()?;
    let run = |offset| {
        let config = TrainConfig { seed: config.seed.wrapping_add(offset), ..config.clone() };
        let out = parent.as_ref().map(|parent| parent.join(format!("seed{}", config.seed)));
        Ok(plan(create(out.as_deref(), &config)?, config))
    };
    (0..u64::from(seeds)).map(run).collect()
}

/// Runs that are to be continued.
fn reopen(args: &TrainArgs) -> Result<Vec<RunPlan>> {
    let sources = args.config.sources();
    let paths: Result<Vec<Vec<PathBuf>>> = args.resume.iter().map(|path| runs_in(path)).collect();
    paths?.concat().iter().map(|path| reopen_one(path, &sources)).collect()
}

/// `path` itself, or where it is no run the runs right below it, as `--seeds` leaves them.
fn runs_in(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.join("config.json").is_file() && path.is_dir() {
        let entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
        let mut runs: Vec<PathBuf> =
            entries.iter().map(fs::DirEntry::path).filter(|path| path.join("config.json").is_file()).collect();
        if !runs.is_empty() {
            runs.sort();
            return Ok(runs);
        }
    }
    Ok(vec![path.to_owned()])
}

/// A run's configuration and its newest readable checkpoint, if it has one.
fn reopen_one(path: &Path, sources: &Sources) -> Result<RunPlan> {
    let dir = RunDir::open_for_training(path)?;
    let store = dir.checkpoints();
    store.remove_leftovers();
    if store.steps().is_empty() {
        diagnose(&format!("warning: {} has no checkpoint yet: starting from the beginning", path.display()));
        let config = resolve_resumed(&dir.read_json("config.json")?, sources)?;
        return Ok(RunPlan { dir, config, checkpoint: None, resumed: true });
    }
    let (checkpoint, warnings) = store.load_newest_readable()?;
    for warning in &warnings {
        diagnose(&format!("warning: {warning}"));
    }
    if !warnings.is_empty() {
        diagnose(&format!("warning: continuing from the checkpoint at {} steps", checkpoint.steps));
    }
    let config = resolve_resumed(&checkpoint.config, sources)?;
    Ok(RunPlan { dir, config, checkpoint: Some(checkpoint), resumed: true })
}
