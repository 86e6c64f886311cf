//! `bench`: measures on this machine, warm, the median of several rounds, beside what the machine could do at most.
//!
//! The peaks are measured in the same run: a matrix product for what computes, copies for what moves data. Work is counted
//! (`work.rs`), divided by the peaks and compared with the time it took: the share says what a faster program could still
//! gain at most.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};
use envs::NavigationSpec;
use kfac::FisherKind;
use serde_json::{Value, json};

use crate::cli::common_args::{CommonArgs, parse_count};
use crate::cli::console::print;
use crate::config::TrainConfig;
use crate::config::load::{Sources, env_named, resolve};
use crate::device::{DeviceChoice, SelectedDevice};
use crate::error::UsageError;
use crate::memory;
use crate::runner::{Phase, Runner};

mod clock;
mod env_operations;
mod launched;
mod measure;
mod peaks;
mod scale;
mod step_parts;
mod table;
mod work;

use clock::Clock;
use launched::Launches;
use measure::{Iterating, Stepping};
use peaks::Peaks;
use step_parts::StepParts;
use table::{Part, Table};
use work::Work;

/// What `bench` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchTarget {
    /// Environment steps a second
    Env,
    /// Milliseconds of one K-FAC policy update
    Kfac,
    /// Environment steps a second of the whole training loop
    Train,
    /// How speed follows environments, batch, width and threads: figures
    Scale,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_name = "WHAT", value_enum)]
    pub what: BenchTarget,
    /// Environment id
    #[arg(long, value_name = "ID", default_value = "SafetyPointGoal1-v0")]
    pub env: String,
    /// Environments stepped at once
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub num_envs: Option<u64>,
    /// Samples of one K-FAC update
    #[arg(long, value_name = "N", value_parser = parse_count, default_value = "4096")]
    pub batch: u64,
    /// Widths of the hidden layers [default: 64,64]
    #[arg(long, value_name = "W,W", value_delimiter = ',')]
    pub hidden: Option<Vec<usize>>,
    /// Fisher matrix of the K-FAC update
    #[arg(long, value_name = "KIND", value_enum, default_value = "exact")]
    pub fisher: BenchFisher,
    /// Where `scale` writes its figures and numbers
    #[arg(long, value_name = "DIR", default_value = "scaling")]
    pub out: PathBuf,
    /// With `env`: where the time of a step goes, on the CPU: parts, solutions by their number of contacts, who touches what
    #[arg(long)]
    pub parts: bool,
    /// With `env --parts`: take this policy's mean actions (a run, a checkpoint or an exported file) instead of random ones
    #[arg(long, value_name = "POLICY", requires = "parts")]
    pub policy: Option<PathBuf>,
    /// With `train`: any setting of a training, by its path in the configuration; may be repeated
    #[arg(long, value_name = "key.path=value")]
    pub set: Vec<String>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Device and threads.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Fisher matrices that `bench kfac` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchFisher {
    /// One backward pass per action dimension, no sampling noise
    Exact,
    /// Scores of actions drawn afresh
    Sampled,
}

/// Environments of `bench env` unless said: enough to fill every thread many times.
const DEFAULT_ENVS: u64 = 4096;
/// Hidden layers of `bench kfac` unless said.
const DEFAULT_HIDDEN: [usize; 2] = [64, 64];
/// Iterations that are taken apart: some, for so many seconds.
const TIMED_ITERATIONS: std::ops::Range<usize> = 2..40;
const TIMED_SECONDS: f64 = 3.0;
/// Bytes of a float32.
const FLOAT: f64 = 4.0;

/// Measures what the arguments name.
///
/// # Errors
/// When the environment, the sizes or the device are not usable.
pub fn run(args: &BenchArgs) -> Result<ExitCode> {
    let spec = env_named(&args.env)?;
    if args.parts && args.what != BenchTarget::Env {
        return Err(UsageError::new("--parts takes an environment's step apart: `bench env --parts`").into());
    }
    if !args.set.is_empty() && args.what != BenchTarget::Train {
        return Err(UsageError::new("--set changes a training's settings: `bench train --set key.path=value`").into());
    }
    let threads = args.common.apply_threads()?;
    let device = args.common.select_device()?;
    if args.parts && device.choice != DeviceChoice::Cpu {
        return Err(UsageError::new("--parts takes the CPU's step apart: add --device cpu").into());
    }
    ensure_fits(args, &spec, &device)?;
    let bench = Bench { args, spec, clock: Clock::new(device, threads) };
    // Inside the thread pool, as training is.
    let (row, text) = match args.what {
        BenchTarget::Env if args.parts => rayon::scope(|_| bench.step_parts()),
        BenchTarget::Env => rayon::scope(|_| bench.env()),
        BenchTarget::Kfac => rayon::scope(|_| bench.kfac()),
        BenchTarget::Train => rayon::scope(|_| bench.train()),
        BenchTarget::Scale => return bench.scale(),
    }?;
    print(&if args.json { row.to_string() } else { text })?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses sizes that memory cannot hold.
fn ensure_fits(args: &BenchArgs, spec: &NavigationSpec, device: &SelectedDevice) -> Result<()> {
    let mut num_envs = args.num_envs.unwrap_or(DEFAULT_ENVS);
    let (what, bytes) = match args.what {
        BenchTarget::Env => (format!("{num_envs} environments"), memory::of_envs(num_envs as f64, &spec.env)),
        BenchTarget::Kfac => {
            let bytes = memory::of_update(args.batch as f64, &spec.env, args.hidden());
            num_envs = 0;
            (format!("an update on {} samples", args.batch), bytes)
        }
        BenchTarget::Train => {
            let config = train_config(args)?;
            num_envs = config.num_envs as u64;
            (format!("{} environments", config.num_envs), memory::of_training(&config, &spec.env))
        }
        BenchTarget::Scale => return Ok(()),
    };
    Ok(memory::ensure_fits_on(device, &what, bytes, num_envs as f64)?)
}

/// The configuration that the arguments say, the environment as `--env` has it.
fn train_config(args: &BenchArgs) -> Result<TrainConfig> {
    if let Some(set) = args.set.iter().find(|set| set.split('=').next().is_some_and(is_of_env)) {
        return Err(UsageError::new(format!("--set {set}: the environment to measure is what --env names")).into());
    }
    let mut flags = vec![("--env", "env", json!(args.env))];
    flags.extend(args.num_envs.map(|num_envs| ("--num-envs", "num_envs", json!(num_envs))));
    flags.extend(args.hidden.as_ref().map(|hidden| ("--hidden", "policy.hidden", json!(hidden))));
    resolve(&Sources { sets: args.set.clone(), flags, ..Sources::default() })
}

fn is_of_env(key: &str) -> bool {
    key == "env" || key.starts_with("env.")
}

impl BenchArgs {
    fn hidden(&self) -> &[usize] {
        self.hidden.as_deref().unwrap_or(&DEFAULT_HIDDEN)
    }
}

struct Bench<'a> {
    args: &'a BenchArgs,
    spec: NavigationSpec,
    clock: Clock,
}

impl Bench<'_> {
    /// Environment steps a second under random actions.
    fn env(&self) -> Result<(Value, String)> {
        let num_envs = self.args.num_envs.unwrap_or(DEFAULT_ENVS) as usize;
        let Stepping { seconds, bytes, launches } = measure::stepping(&self.clock, &self.spec, num_envs)?;
        let steps_per_s = num_envs as f64 / seconds;
        let mut row = self.row("env");
        row["num_envs"] = json!(num_envs);
        row["steps_per_s"] = json!(steps_per_s);
        row["bytes_per_env"] = json!(bytes / num_envs);
        row["bytes"] = json!(bytes);
        row["envs_in_2_gib"] = json!((1u64 << 31) / (bytes / num_envs) as u64);
        row["launches"] = json!({ "per_step": launches });
        let launches = if launches == 0 { String::new() } else { format!("; {launches} launches a step") };
        let head = format!(
            "{}: {num_envs} environments, {} -> {steps_per_s:.0} steps/s; {} bytes an environment, {:.1} MB in all{launches}",
            self.spec.env.id,
            self.clock.machine(),
            bytes / num_envs,
            bytes as f64 / 1e6
        );
        self.finish(row, head, vec![Part::new("step", seconds, work::step(&self.spec, num_envs as f64))])
    }

    /// Where the time of an environment step goes.
    fn step_parts(&self) -> Result<(Value, String)> {
        let num_envs = self.args.num_envs.unwrap_or(DEFAULT_ENVS) as usize;
        let policy = self.args.policy.as_deref();
        let parts = StepParts::measure(&self.spec, num_envs, policy, self.clock.device(), self.clock.threads())?;
        let mut row = self.row("env");
        row["num_envs"] = json!(num_envs);
        row["policy"] = json!(policy);
        parts.add_to(&mut row);
        let actions = policy.map_or("random actions".to_owned(), |path| format!("mean actions of {}", path.display()));
        let head = format!("{}: {num_envs} environments, {actions}", self.spec.env.id);
        Ok((row, format!("{head}\n{}", parts.text())))
    }

    /// One complete KFCPO policy update on a batch of random samples.
    fn kfac(&self) -> Result<(Value, String)> {
        let batch = self.args.batch as usize;
        let (fisher, name) = match self.args.fisher {
            BenchFisher::Exact => (FisherKind::Exact, "exact"),
            BenchFisher::Sampled => (FisherKind::Sampled, "sampled"),
        };
        let seconds = measure::update(&self.clock, &self.spec, self.args.hidden(), batch, fisher)?;
        let sizes = [&[self.spec.env.obs_dim][..], self.args.hidden(), &[self.spec.env.action_dim]].concat();
        let mut row = self.row("kfac");
        row["batch"] = json!(batch);
        row["hidden"] = json!(self.args.hidden());
        row["fisher"] = json!(name);
        row["ms_per_update"] = json!(1e3 * seconds);
        let head = format!(
            "KFCPO update, {sizes:?}, {name} Fisher, batch {batch}, {} -> {:.2} ms",
            self.clock.machine(),
            1e3 * seconds
        );
        let mut parts = measure::update_parts(&self.clock, &sizes, batch, fisher)?;
        parts.push(Part::new("update", seconds, work::update(&sizes, batch as f64, fisher)?));
        self.finish(row, head, parts)
    }

    /// Environment steps a second of the training loop, and what its phases take.
    fn train(&self) -> Result<(Value, String)> {
        let config = train_config(self.args)?;
        let Iterating { mut runner, seconds, rollout_share } = measure::training(&self.clock, &config)?;
        let steps_per_s = config.batch_size() as f64 / seconds;
        let mut row = self.row("train");
        row["num_envs"] = json!(config.num_envs);
        row["algo"] = json!(config.algo);
        row["hidden"] = json!(config.policy.hidden);
        row["settings"] = json!(self.args.set);
        row["steps_per_s"] = json!(steps_per_s);
        row["rollout_share"] = json!(rollout_share);
        let head = format!(
            "{} on {}: {} environments, {} -> {steps_per_s:.0} steps/s, {:.0} % of it in rollouts",
            config.algo.to_uppercase(),
            self.spec.env.id,
            config.num_envs,
            self.clock.machine(),
            100.0 * rollout_share,
        );
        let launches = Launches::of_iteration(&mut runner)?;
        launches.add_to(&mut row);
        let head = head + &launches.text();
        let parts = self.phases(&mut runner, &config)?;
        let mut whole = Work { calls: 1.0, ..Work::default() };
        for part in &parts {
            whole.operations += part.work.operations;
            whole.bytes += part.work.bytes;
        }
        self.finish(row, head, parts.into_iter().chain([Part::new("iteration", seconds, whole)]).collect())
    }

    /// Figures of how speed follows the number of environments, the batch, the width and the threads.
    fn scale(&self) -> Result<ExitCode> {
        for row in scale::measure(&self.clock, &self.spec, &self.args.out)? {
            print(&if self.args.json { row.json().to_string() } else { row.text() })?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Mean seconds of every phase of an iteration. On a GPU each is waited for, which the loop does not do.
    fn phases(&self, runner: &mut Runner, config: &TrainConfig) -> Result<Vec<Part>> {
        let mut spent: Vec<(Phase, f64)> = Vec::new();
        let (begun, mut iterations) = (Instant::now(), 0);
        while iterations < TIMED_ITERATIONS.start
            || (iterations < TIMED_ITERATIONS.end && begun.elapsed().as_secs_f64() < TIMED_SECONDS)
        {
            iterations += 1;
            let mut since = Instant::now();
            let mut failure = None;
            runner.iterate_observed(&mut |phase| {
                failure = failure.take().or_else(|| self.clock.synchronize().err());
                let seconds = since.elapsed().as_secs_f64();
                match spent.iter_mut().find(|(known, _)| *known == phase) {
                    Some((_, sum)) => *sum += seconds,
                    None => spent.push((phase, seconds)),
                }
                since = Instant::now();
            })?;
            failure.map_or(Ok(()), Err)?;
        }
        let part = |(phase, seconds): (Phase, f64)| {
            let name = format!("{phase:?}").to_lowercase();
            Ok(Part::new(&name, seconds / iterations as f64, work::phase(phase, config, &self.spec)?))
        };
        spent.into_iter().map(part).collect()
    }

    /// Puts the parts beside the machine's peaks; the last one is the whole.
    fn finish(&self, mut row: Value, head: String, parts: Vec<Part>) -> Result<(Value, String)> {
        let peaks = Peaks::measure(&self.clock)?;
        let table = Table::new(parts, &peaks);
        peaks.add_to(&mut row);
        table.add_to(&mut row);
        Ok((row, format!("{head}\n{}\n{}", peaks.text(), table.text())))
    }

    fn row(&self, what: &str) -> Value {
        json!({
            "what": what,
            "env": self.spec.env.id,
            "device": self.clock.choice().to_string(),
            "threads": self.clock.threads(),
        })
    }
}
