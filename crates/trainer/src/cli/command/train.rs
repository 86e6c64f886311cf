//! `train`: runs the loop, feeds the logs, writes checkpoints, survives interruption; one run, or several at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Error, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::cli::common_args::{CommonArgs, ConfigSourceArgs};
use crate::cli::console::{FAILED, INTERRUPTED, diagnose, is_broken_pipe, print};
use crate::cli::interrupt;
use crate::cli::progress::Progress;
use crate::cli::progress::group::GroupProgress;
use crate::comm::{Processes, launch};
use crate::config::TrainConfig;
use crate::config::load::{Sources, resolve, resolve_resumed};
use crate::device::{DeviceChoice, SelectedDevice};
use crate::memory;
use crate::policy::source::pin_init;
use crate::run_dir::RunDir;
use crate::training::{Resources, RunPlan, Training};

mod dry_run;
mod group;
mod next;
pub mod pool;
mod several;
pub mod summary;

use group::{Group, Member, members};
use next::next_commands;
pub use summary::Summary;
use summary::text_of_all;

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
    /// Begin with the policy and the normaliser of a run, a checkpoint or an exported file, from a run also with its critics
    #[arg(long, value_name = "RUN|FILE", conflicts_with = "resume")]
    pub init_from: Option<PathBuf>,
    /// Print what would be trained, in which processes, and end
    #[arg(long)]
    pub dry_run: bool,
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

/// Trains as the arguments say. What can be trained is; what cannot is named, and the exit code says so at the end.
///
/// # Errors
///
/// When the configuration, the device, the run directory or the disk refuses.
pub fn run(args: &TrainArgs) -> Result<ExitCode> {
    let processes = launch::connect()?;
    if processes.size() > 1 {
        return several::run(args, &processes);
    }
    lead(args, &processes).map(ExitCode::from)
}

/// Trains as process 0 of these and returns the exit code.
fn lead(args: &TrainArgs, processes: &Arc<dyn Processes>) -> Result<u8> {
    several::ensure_one_run(args, processes.size())?;
    let resources = Resources { threads: args.common.apply_threads()?, device: args.common.select_device()? };
    let (plans, mut failures) = if args.resume.is_empty() {
        let config = configured(args, processes.size())?;
        ensure_fits(&config, usize::from(args.seeds.unwrap_or(1)), &resources.device)?;
        if args.dry_run {
            return dry_run::tell(&seeded(args, &config), processes.as_ref(), &resources).map(|()| 0);
        }
        (begin(args, config)?, Vec::new())
    } else {
        let Reopened { plans, failures } = reopen(args, &resources.device, processes.size())?;
        (plans, failures)
    };
    if args.dry_run && failures.is_empty() {
        let configs: Vec<TrainConfig> = plans.iter().map(|plan| plan.config.clone()).collect();
        return dry_run::tell(&configs, processes.as_ref(), &resources).map(|()| 0);
    }
    let mut runs = Vec::new();
    for plan in plans {
        let resumed = plan.resumed;
        match Training::begin_among(processes.clone(), plan, &resources) {
            Ok(run) => runs.push(run),
            Err(error) if resumed => failures.push(error),
            Err(error) => return Err(error.context(not_begun(args))),
        }
    }
    report_failures(&mut failures, runs.len())?;
    interrupt::install(interrupt::SAVING)?;
    runs.iter_mut().for_each(|run| run.shards_mut().ask(interrupt::requested));
    for run in &runs {
        run.warnings().iter().for_each(|warning| diagnose(&format!("warning: {warning}")));
        if !args.quiet {
            diagnose(&heading(run, &resources));
            run.taken().iter().for_each(|taken| diagnose(&format!("begins {taken}")));
        }
    }

    let (started, before, broken) = (Instant::now(), total_steps(&runs), failures.len());
    match runs.as_mut_slice() {
        [only] if broken == 0 => train_alone(only, args.quiet)?,
        _ => {
            let known = runs.iter().map(|run| (run.config().total_steps, run.runner().constraints()));
            let progress = GroupProgress::new(args.quiet, known);
            let (sound, failed) = pool::train(runs, workers(&resources), resources.threads, progress)?;
            runs = sound;
            failures.extend(failed);
        }
    }

    // All results stand in files before the first is printed: whoever reads stdout may be gone.
    let summaries: Vec<Summary> = runs.iter().map(|run| Summary::new(run, &resources)).collect();
    for (run, summary) in runs.iter().zip(&summaries) {
        run.dir().write_json("summary.json", summary)?;
    }
    let steps = total_steps(&runs).saturating_sub(before);
    let printed = print_all(&summaries, args.json, started.elapsed().as_secs_f64(), steps);
    for error in &failures[broken..] {
        diagnose(&format!("error: {error:#}"));
    }
    let unfinished: Vec<String> =
        runs.iter().filter(|run| !run.done()).map(|run| run.dir().path().display().to_string()).collect();
    if !unfinished.is_empty() {
        diagnose(&format!("interrupted; continue with --resume {}", unfinished.join(" ")));
    }
    let futile = report_futility(&runs);
    if !(args.quiet || args.json || futile || runs.is_empty()) && failures.is_empty() && unfinished.is_empty() {
        diagnose(&next_commands(&runs));
    }
    match printed {
        Err(error) if !is_broken_pipe(&error) => return Err(error),
        _ => {}
    }
    Ok(match (failures.is_empty() && !futile, unfinished.is_empty()) {
        (false, _) => FAILED,
        (true, false) => INTERRUPTED,
        (true, true) => 0,
    })
}

/// Names the runs that cannot be continued; the others are. If there are none, that is all there is to say.
fn report_failures(failures: &mut Vec<Error>, runs: usize) -> Result<()> {
    if runs == 0 && failures.len() == 1 {
        return Err(failures.remove(0));
    }
    for error in failures.iter() {
        diagnose(&format!("error: {error:#}"));
    }
    ensure!(runs > 0, "none of {} runs can be continued", failures.len());
    Ok(())
}

/// Names the finished runs that have learned nothing; returns whether there are any.
fn report_futility(runs: &[Training]) -> bool {
    let finished = runs.iter().filter(|run| run.done());
    let futile: Vec<(&Training, String)> = finished.filter_map(|run| Some((run, run.futility()?))).collect();
    for (run, why) in &futile {
        diagnose(&format!("error: {} has learned nothing: {why}", run.dir().path().display()));
    }
    !futile.is_empty()
}

fn print_all(summaries: &[Summary], json: bool, wall_s: f64, steps: u64) -> Result<()> {
    for summary in summaries {
        print(&if json { serde_json::to_string(summary)? } else { summary.text() })?;
    }
    if summaries.len() > 1 && !json {
        print(&text_of_all(summaries, wall_s, steps))?;
    }
    Ok(())
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
    let shards = run.shards().local();
    let mut progress = Progress::new(quiet, run.config().total_steps, run.runner().constraints());
    let mut advance = || -> Result<()> {
        while !run.done() {
            run.advance()?;
            let stop = interrupt::requested() || run.shards().any_asked();
            if let Some(record) = run.last() {
                progress.show(&record, stop || run.done());
            }
            if stop {
                break;
            }
        }
        Ok(())
    };
    // Inside the thread pool: a parallel call from outside would hand over to a worker and wait for it. Shards that wait for
    // one another must leave the workers free, since all call from outside but for one.
    let trained = if shards == 1 { rayon::scope(|_| advance()) } else { advance() };
    progress.finish();
    trained?;
    run.close()
}

fn heading(run: &Training, resources: &Resources) -> String {
    let config = run.config();
    let shards = match (config.shards, run.shards().processes()) {
        (1, _) => String::new(),
        (shards, 1) => format!(" in {shards} shards"),
        (shards, processes) => format!(" in {shards} shards, {processes} processes"),
    };
    format!(
        "{} on {}, seed {}, {} environments{shards}, device {}{}, {} threads -> {}",
        config.algo,
        config.env,
        config.seed,
        config.num_envs,
        resources.device.name(),
        vectors(resources),
        resources.threads,
        run.dir().path().display()
    )
}

/// What tells processors of one kind from another: how many float32 a vector of this one holds.
fn vectors(resources: &Resources) -> String {
    let is_cpu = resources.device.choice == DeviceChoice::Cpu;
    if is_cpu { format!(" (vectors of {})", kfac::vector_lanes()) } else { String::new() }
}

/// The configuration of new runs, of the first seed, for so many processes.
fn configured(args: &TrainArgs, processes: usize) -> Result<TrainConfig> {
    let mut sources = args.config.sources();
    sources.flags.extend(args.init_from.as_ref().map(|path| ("--init-from", "init_from", json!(path))));
    let mut config = resolve(&sources)?;
    pin_init(&mut config)?;
    several::share_out(&mut config, processes)?;
    Ok(config)
}

/// The configuration for every seed.
fn seeded(args: &TrainArgs, config: &TrainConfig) -> Vec<TrainConfig> {
    let seeds = 0..u64::from(args.seeds.unwrap_or(1));
    seeds.map(|offset| TrainConfig { seed: config.seed.wrapping_add(offset), ..config.clone() }).collect()
}

/// New runs: one, or one a seed.
fn begin(args: &TrainArgs, config: TrainConfig) -> Result<Vec<RunPlan>> {
    let plan = |dir, config| RunPlan { dir, config, checkpoint: None, resumed: false };
    if args.seeds.is_none() {
        return Ok(vec![plan(RunDir::create(args.out.as_deref(), &config)?, config)]);
    }
    let configs = seeded(args, &config);
    let seeds: Vec<u64> = configs.iter().map(|config| config.seed).collect();
    let group = args.out.as_deref().map(|out| Group::create(out, &config, &seeds)).transpose()?;
    let run = |config: TrainConfig| {
        let out = group.as_ref().map(|group| group.run(config.seed));
        Ok(plan(RunDir::create(out.as_deref(), &config)?, config))
    };
    configs.into_iter().map(run).collect::<Result<_>>().with_context(|| not_begun(args))
}

/// What to do about runs of which one could not begin.
fn not_begun(args: &TrainArgs) -> String {
    match &args.out {
        Some(out) => format!("nothing was trained; --resume {} begins again", out.display()),
        None => "nothing was trained".to_owned(),
    }
}

/// Refuses runs that memory cannot hold.
fn ensure_fits(config: &TrainConfig, runs: usize, device: &SelectedDevice) -> Result<()> {
    let bytes = runs as f64 * memory::of_training(config, &config.env.env_spec()?);
    let what = format!("{} environments of {}, rollouts of {}", config.num_envs, config.env, config.rollout_steps);
    let what = if runs == 1 { what } else { format!("{runs} runs of {what}") };
    Ok(memory::ensure_fits_on(device, &what, bytes, (runs * config.num_envs) as f64)?)
}

/// Runs that are to be continued, and why others cannot.
#[derive(Default)]
struct Reopened {
    plans: Vec<RunPlan>,
    failures: Vec<Error>,
}

fn reopen(args: &TrainArgs, device: &SelectedDevice, processes: usize) -> Result<Reopened> {
    let sources = args.config.sources();
    let mut reopened = Reopened::default();
    let (mut bytes, mut num_envs) = (0.0, 0);
    for path in &args.resume {
        for member in members(path)? {
            match member.and_then(|member| reopen_one(member, &sources)) {
                Ok(plan) => {
                    several::ensure_shared(&plan.config, processes)?;
                    bytes += memory::of_training(&plan.config, &plan.config.env.env_spec()?);
                    num_envs += plan.config.num_envs;
                    reopened.plans.push(plan);
                }
                Err(error) => reopened.failures.push(error),
            }
        }
    }
    memory::ensure_fits_on(device, "what is to be continued", bytes, num_envs as f64)?;
    Ok(reopened)
}

fn reopen_one(member: Member, sources: &Sources) -> Result<RunPlan> {
    match member {
        Member::Begun(path) => {
            let (plan, warnings) = continued(&path, sources)?;
            warnings.iter().for_each(|warning| diagnose(&format!("warning: {warning}")));
            Ok(plan)
        }
        Member::Missing(path, config) => {
            diagnose(&format!("warning: {} had not begun: starting it", path.display()));
            let config = resolve_resumed(&config, sources)?;
            Ok(RunPlan { dir: RunDir::create(Some(&path), &config)?, config, checkpoint: None, resumed: false })
        }
    }
}

/// A run's configuration and its newest readable checkpoint, if it has one; also warnings.
///
/// # Errors
///
/// When it is no run, is being trained, cannot be read or would become another run.
pub fn continued(path: &Path, sources: &Sources) -> Result<(RunPlan, Vec<String>)> {
    let dir = RunDir::open_for_training(path)?;
    let (saved, warning) = dir.config()?;
    let config = resolve_resumed(&saved, sources)?;
    let store = dir.checkpoints().of_run(saved);
    let (checkpoint, mut warnings) = if store.steps().is_empty() {
        (None, vec![format!("{} has no checkpoint yet: starting from the beginning", path.display())])
    } else {
        let (checkpoint, mut warnings) = store.load_newest_readable()?;
        if !warnings.is_empty() {
            warnings.push(format!("continuing from the checkpoint at {} steps", checkpoint.steps));
        }
        (Some(checkpoint), warnings)
    };
    warnings.extend(warning);
    Ok((RunPlan { dir, config, checkpoint, resumed: true }, warnings))
}
