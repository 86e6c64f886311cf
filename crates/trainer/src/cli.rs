//! The command line: arguments, exit codes, and where each verb goes.
//!
//! Results go to stdout, progress and diagnostics to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage,
//! 130 interrupted after saving.

use std::io::{self, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::checkpoint::Selector;
use crate::command;
use crate::config::load::Sources;
use crate::device::DeviceChoice;
use crate::error::UsageError;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
/// Exit code of an interrupted run: 128 + SIGINT, as shells report it.
pub const INTERRUPTED: u8 = 130;

/// Trains policies that earn reward and stay under a cost limit.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
#[command(after_help = "Without a verb, `train` is meant: `trainer` alone trains KFCPO on SafetyPointGoal1-v0.")]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    train: TrainArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train a policy and write a run directory
    Train(TrainArgs),
    /// Evaluate a saved policy on fresh episodes, its normaliser frozen
    Eval(EvalArgs),
    /// Replay recorded Safety-Gymnasium trajectories through the simulator and print the errors
    Parity(ParityArgs),
    /// Write a policy for use elsewhere
    Export(ExportArgs),
    /// Play episodes of a saved policy into an HTML page or a GIF
    Record(RecordArgs),
    /// Measure speed on this machine
    Bench(BenchArgs),
    /// Compare runs: tables, figures, statistics
    Report(ReportArgs),
    /// List the environments
    Envs(ListArgs),
    /// List the algorithms
    Algos(ListArgs),
    /// Print the resolved configuration
    Config(ConfigArgs),
}

/// Options every computing verb has.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// Device: auto, cpu, wgpu, vulkan, cuda or cuda:N [auto: the best GPU compiled in and present, else cpu]
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// CPU threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub threads: Option<u16>,
}

impl CommonArgs {
    /// Sizes the process-wide thread pool, which the CPU backend uses too, and returns its size.
    ///
    /// # Errors
    ///
    /// When the pool cannot be started.
    pub fn apply_threads(&self) -> Result<usize> {
        if let Some(threads) = self.threads {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into());
            pool.build_global().context("cannot start the thread pool")?;
        }
        Ok(rayon::current_num_threads())
    }
}

/// Options that shape the configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigSourceArgs {
    /// Environment id, such as SafetyPointGoal1-v0 or PointGoal1
    #[arg(long, value_name = "ID")]
    pub env: Option<String>,
    /// Algorithm name
    #[arg(long, value_name = "NAME")]
    pub algo: Option<String>,
    /// Seed of every random stream of the run
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Environment steps after which training ends (1000000, 1_000_000, 1M and 1e6 are the same)
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub total_steps: Option<u64>,
    /// Environments stepped at once
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub num_envs: Option<u64>,
    /// Limit on the undiscounted episodic cost
    #[arg(long, value_name = "X")]
    pub cost_limit: Option<f64>,
    /// Built-in configuration to start from
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// JSON file of settings, complete or partial
    #[arg(long, value_name = "FILE.json")]
    pub config: Option<PathBuf>,
    /// Any setting, by its path in the configuration; may be repeated
    #[arg(long, value_name = "key.path=value")]
    pub set: Vec<String>,
}

impl ConfigSourceArgs {
    /// The arguments as configuration sources.
    pub fn sources(&self) -> Sources {
        let flags = [
            ("--env", "env", self.env.as_ref().map(|v| json!(v))),
            ("--algo", "algo", self.algo.as_ref().map(|v| json!(v))),
            ("--seed", "seed", self.seed.map(Value::from)),
            ("--total-steps", "total_steps", self.total_steps.map(Value::from)),
            ("--num-envs", "num_envs", self.num_envs.map(Value::from)),
            ("--cost-limit", "cost_limit", self.cost_limit.map(Value::from)),
        ];
        let given = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?)));
        Sources {
            preset: self.preset.clone(),
            file: self.config.clone(),
            sets: self.set.clone(),
            flags: given.collect(),
        }
    }
}

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

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Run directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Fresh episodes to run
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub episodes: u32,
    /// Seed of the episodes; unlike training's, so that they are fresh
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub seed: u64,
    /// Sample actions instead of taking the mean
    #[arg(long)]
    pub stochastic: bool,
    /// Which checkpoint: latest, best or its number of steps
    #[arg(long, value_name = "WHICH", default_value = "latest")]
    pub checkpoint: Selector,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Device and threads.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Arguments of `parity`.
#[derive(Debug, Args)]
pub struct ParityArgs {
    /// Recorded trajectories
    #[arg(value_name = "FILE.npz", required = true)]
    pub files: Vec<PathBuf>,
    /// Print one JSON object a file
    #[arg(long)]
    pub json: bool,
    /// Device and threads.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// File format of an exported policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Arrays and metadata, described in the README
    Safetensors,
    /// Not available yet
    Onnx,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Run directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// File format
    #[arg(long, value_enum, default_value_t = ExportFormat::Safetensors)]
    pub format: ExportFormat,
    /// File to write [default: RUN/policy.safetensors]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Which checkpoint: latest, best or its number of steps
    #[arg(long, value_name = "WHICH", default_value = "latest")]
    pub checkpoint: Selector,
}

/// Arguments of `record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Run directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// File to write, .html or .gif [default: RUN/replay.html]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Episodes to record; in a GIF one after another
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub episodes: u32,
    /// Seed of the episodes; the default and the same number of episodes give those that `eval` plays
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub seed: u64,
    /// Sample actions instead of taking the mean
    #[arg(long)]
    pub stochastic: bool,
    /// Which checkpoint: latest, best or its number of steps
    #[arg(long, value_name = "WHICH", default_value = "latest")]
    pub checkpoint: Selector,
    /// Record the first N steps of each episode only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Width of a GIF in pixels [default: 360]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u16).range(120..=2000))]
    pub size: Option<u16>,
    /// Environment steps from one picture of a GIF to the next, 25 pictures a second [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub every: Option<u32>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Device and threads.
    #[command(flatten)]
    pub common: CommonArgs,
}

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
    /// Widths of the hidden layers
    #[arg(long, value_name = "W,W", value_delimiter = ',', default_value = "64,64")]
    pub hidden: Vec<usize>,
    /// Fisher matrix of the K-FAC update
    #[arg(long, value_name = "KIND", value_enum, default_value = "exact")]
    pub fisher: BenchFisher,
    /// Where `scale` writes its figures and numbers
    #[arg(long, value_name = "DIR", default_value = "scaling")]
    pub out: PathBuf,
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

/// Arguments of the listing verbs.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Options that shape the configuration.
    #[command(flatten)]
    pub config: ConfigSourceArgs,
    /// On one line instead of indented
    #[arg(long)]
    pub json: bool,
}

/// A count typed as `20000`, `20_000`, `20k` or `2e4`.
fn parse_count(text: &str) -> Result<u64, String> {
    const WRONG: &str = "expected a whole number, for example 20000, 20_000, 20k or 2e4";
    let digits = text.replace('_', "");
    if let Ok(count) = digits.parse() {
        return Ok(count);
    }
    let (digits, unit) = match digits.char_indices().last() {
        Some((at, 'k' | 'K')) => (&digits[..at], 1e3),
        Some((at, 'M')) => (&digits[..at], 1e6),
        _ => (digits.as_str(), 1.0),
    };
    let number: f64 = digits.parse().map_err(|_| WRONG.to_owned())?;
    let number = number * unit;
    // Beyond 9e15 a double no longer holds every whole number.
    if number.fract() == 0.0 && (0.0..9e15).contains(&number) { Ok(number as u64) } else { Err(WRONG.to_owned()) }
}

/// Parses the process's arguments, does what they say and returns the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse(); // exits with 2 after a usage message
    report_panics();
    // A panic is a bug, but even then scripts get the documented exit code.
    let done = catch_unwind(AssertUnwindSafe(|| run(cli))).unwrap_or(Ok(ExitCode::from(FAILED)));
    done.unwrap_or_else(|error| {
        if is_broken_pipe(&error) {
            return ExitCode::SUCCESS; // the reader of stdout (`| head`) has seen enough
        }
        diagnose(&format!("error: {error:#}"));
        let usage = error.chain().any(|cause| cause.is::<UsageError>());
        ExitCode::from(if usage { WRONG_USAGE } else { FAILED })
    })
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.verb {
        None => command::train::run(&cli.train),
        Some(Verb::Train(args)) => command::train::run(&args),
        Some(Verb::Eval(args)) => command::eval::run(&args),
        Some(Verb::Parity(args)) => command::parity::run(&args),
        Some(Verb::Export(args)) => command::export::run(&args),
        Some(Verb::Record(args)) => command::record::run(&args),
        Some(Verb::Bench(args)) => command::bench::run(&args),
        Some(Verb::Report(args)) => command::report::run(&args),
        Some(Verb::Envs(args)) => command::list::envs(&args),
        Some(Verb::Algos(args)) => command::list::algos(&args),
        Some(Verb::Config(args)) => command::config::run(&args),
    }
}

/// Says what a panic means to the user; with RUST_BACKTRACE set, Rust's own report follows.
fn report_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        diagnose(&format!("error: internal error, please report it: {info}"));
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            default(info);
        }
    }));
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<StdoutError>());
    cause.is_some_and(|StdoutError(error)| error.kind() == ErrorKind::BrokenPipe)
}

#[derive(Debug)]
struct StdoutError(io::Error);

impl std::fmt::Display for StdoutError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot write to stdout: {}", self.0)
    }
}

impl std::error::Error for StdoutError {}

/// Prints a result on stdout, with a line end.
///
/// # Errors
///
/// When stdout does not take it: unlike `println!`, which panics.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.map_err(|error| StdoutError(error).into())
}

/// Prints a diagnostic on stderr. That stderr is closed is no reason to stop, let alone to panic.
pub fn diagnose(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn train_is_the_default_verb() {
        let with = Cli::try_parse_from(["trainer", "train", "--env", "PointGoal1", "--seed", "3"]).unwrap();
        let without = Cli::try_parse_from(["trainer", "--env", "PointGoal1", "--seed", "3"]).unwrap();
        let Some(Verb::Train(args)) = with.verb else { panic!("no train") };
        assert!(without.verb.is_none());
        assert_eq!(args.config.sources().flags, without.train.config.sources().flags);
        assert!(Cli::try_parse_from(["trainer"]).unwrap().verb.is_none());
        assert!(Cli::try_parse_from(["trainer", "trian"]).is_err());
    }

    #[test]
    fn counts_may_be_written_as_floats() {
        assert_eq!(parse_count("20_000"), Ok(20_000));
        assert_eq!(parse_count("1e6"), Ok(1_000_000));
        assert_eq!(parse_count("400k"), Ok(400_000));
        assert_eq!(parse_count("2.5M"), Ok(2_500_000));
        for wrong in ["", "-1", "2.5", "1e30", "many", "k", "2.5e", "\u{e9}"] {
            assert!(parse_count(wrong).is_err(), "{wrong}");
        }
    }
}
