//! `sweep`: trains environments x algorithms x seeds x settings as a file says, and goes on where it was stopped.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use crate::cli::command::train::pool::pools;
use crate::cli::console::{FAILED, INTERRUPTED, diagnose, is_broken_pipe, print};
use crate::cli::interrupt;
use crate::cli::progress::status_line::{count, duration};
use crate::cli::progress::sweep::SweepProgress;
use crate::comm::launch;
use crate::device::{DeviceChoice, SelectedDevice, select_device};
use crate::memory;
use crate::training::Resources;

mod estimate;
mod file;
mod plan;
mod stand;
mod work;

use estimate::{Speeds, together};
use file::SweepFile;
use plan::PlannedRun;
use stand::{Stand, stands};
use work::{Outcome, Work};

/// Arguments of `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// What to train: JSON or TOML with envs, algos, seeds, settings, variants and eval
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Directory of all runs [default: the file's `out`, else runs/NAME-OF-THE-FILE]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Runs trained at once, a thread each [default: all cores; 1 on a GPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub jobs: Option<u16>,
    /// List the runs, how far they are and what they will take; train nothing
    #[arg(long)]
    pub dry_run: bool,
    /// No progress on stderr
    #[arg(long)]
    pub quiet: bool,
    /// Print one JSON object a run
    #[arg(long)]
    pub json: bool,
    /// Device: auto, cpu, wgpu, vulkan, cuda or cuda:N [auto: the best GPU compiled in and present, else cpu]
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
}

/// Trains what the file says and is not finished yet; what fails is named at the end, and the exit code says so.
///
/// # Errors
///
/// When the file, the device or the memory refuses, or runs were begun under another configuration.
pub fn run(args: &SweepArgs) -> Result<ExitCode> {
    launch::ensure_one("a sweep")?;
    let file = SweepFile::read(&args.file)?;
    let out = args.out.clone().or_else(|| file.out.clone()).unwrap_or_else(|| {
        let stem = args.file.file_stem().unwrap_or_default();
        PathBuf::from("runs").join(stem)
    });
    let runs = plan::runs(&file, &args.file, &out)?;
    let stands = stands(&runs, file.eval)?;
    let device = select_device(args.device)?;
    device.warning.iter().for_each(|warning| diagnose(&format!("warning: {warning}")));
    let jobs = jobs(args, &device);
    ensure_fits(&runs, jobs, &device)?;
    if args.dry_run {
        dry_run(args, &runs, &stands, jobs, &device)?;
        return Ok(ExitCode::SUCCESS);
    }

    let left = runs.iter().zip(&stands).map(|(run, stand)| (run, *stand));
    let left: Vec<(&PlannedRun, Stand)> = left.filter(|(_, stand)| *stand != Stand::Finished).collect();
    let before = runs.len() - left.len();
    interrupt::install(interrupt::SAVING)?;
    let steps = left.iter().map(|(run, stand)| stand.steps_left(run.config.total_steps)).sum();
    if !args.quiet {
        diagnose(&format!(
            "{} runs in {}, {before} of them finished; {} steps to train, {jobs} runs at once on {}",
            runs.len(),
            out.display(),
            count(steps as f64),
            device.name()
        ));
    }
    let threads = threads(jobs, &device);
    let pools = pools(jobs, jobs * threads)?;
    let progress = SweepProgress::new(args.quiet, jobs, left.len(), steps);
    let work = Work { runs: left, resources: Resources { device, threads }, eval: file.eval, json: args.json };
    conclude(args, work.on(&pools, progress)?, before, runs.len())
}

/// Says what became of the runs.
fn conclude(args: &SweepArgs, outcome: Outcome, before: usize, runs: usize) -> Result<ExitCode> {
    let Outcome { finished, stopped, failures, mut unprinted } = outcome;
    let waiting = runs - before - finished - stopped - failures.len();
    if !args.json && unprinted.is_none() {
        let parts = [(finished, "finished"), (before, "were finished before"), (failures.len(), "failed")];
        let told = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let told: Vec<String> = told.collect();
        unprinted = print(&format!("{runs} runs: {}", told.join(", "))).err();
    }
    for (name, error) in &failures {
        diagnose(&format!("failed: {name}: {error:#}"));
    }
    if stopped + waiting > 0 {
        diagnose(&format!(
            "interrupted: {stopped} runs stopped on their way, {waiting} not begun; the same command goes on"
        ));
    }
    match unprinted {
        Some(error) if !is_broken_pipe(&error) => return Err(error),
        _ => {}
    }
    Ok(match (failures.is_empty(), stopped + waiting == 0) {
        (false, _) => ExitCode::from(FAILED),
        (true, false) => ExitCode::from(INTERRUPTED),
        (true, true) => ExitCode::SUCCESS,
    })
}

/// Lists the runs.
fn dry_run(
    args: &SweepArgs,
    runs: &[PlannedRun],
    stands: &[Stand],
    jobs: usize,
    device: &SelectedDevice,
) -> Result<()> {
    let pool = pools(1, threads(jobs, device))?.pop().context("no thread")?;
    let speeds = Speeds::of(runs, stands, &pool, device)?;
    let seconds: Vec<f64> = runs.iter().zip(stands).map(|(run, stand)| speeds.seconds_left(run, *stand)).collect();
    for ((run, stand), seconds) in runs.iter().zip(stands).zip(&seconds) {
        let total = run.config.total_steps;
        let done = total - stand.steps_left(total);
        if args.json {
            let state = match stand {
                Stand::Finished => "finished",
                Stand::Unevaluated => "not evaluated",
                Stand::Unfinished(_) => "not finished",
            };
            let (name, dir) = (run.name(), run.dir.display().to_string());
            let object = json!({
                "run": name, "run_dir": dir, "state": state, "steps": done, "total_steps": total, "seconds_left": seconds,
            });
            print(&object.to_string())?;
        } else {
            let state = match stand {
                Stand::Finished => "finished".to_owned(),
                Stand::Unevaluated => "to be evaluated".to_owned(),
                Stand::Unfinished(0) => format!("{} steps, about {}", count(total as f64), duration(*seconds)),
                Stand::Unfinished(_) => {
                    let (done, total) = (count(done as f64), count(total as f64));
                    format!("{done} of {total} steps done, about {} left", duration(*seconds))
                }
            };
            print(&format!("{}: {state}", run.name()))?;
        }
    }
    if !args.json {
        let left = stands.iter().filter(|stand| **stand != Stand::Finished).count();
        let all = duration(together(&seconds, jobs));
        print(&format!("{} runs, {left} not finished; {jobs} at once: about {all}", runs.len()))?;
    }
    Ok(())
}

/// Runs at once: one per core, or one on a GPU, which takes one run's work after another's.
fn jobs(args: &SweepArgs, device: &SelectedDevice) -> usize {
    let own = if device.choice == DeviceChoice::Cpu { cores() } else { 1 };
    args.jobs.map_or(own, usize::from)
}

/// Threads of one run.
fn threads(jobs: usize, device: &SelectedDevice) -> usize {
    if device.choice == DeviceChoice::Cpu { 1 } else { (cores() / jobs).max(1) }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Refuses runs that memory cannot hold at once.
fn ensure_fits(runs: &[PlannedRun], jobs: usize, device: &SelectedDevice) -> Result<()> {
    let (mut largest, mut num_envs): (f64, usize) = (0.0, 0);
    for run in runs {
        largest = largest.max(memory::of_training(&run.config, &run.config.env.spec()?.env));
        num_envs = num_envs.max(run.config.num_envs);
    }
    let at_once = jobs.min(runs.len());
    let (bytes, envs) = (at_once as f64 * largest, (at_once * num_envs) as f64);
    Ok(memory::ensure_fits_on(device, &format!("{at_once} runs at once"), bytes, envs)?)
}
