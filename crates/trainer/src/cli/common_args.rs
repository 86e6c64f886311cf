//! Options that several verbs share.

use std::path::PathBuf;
use std::sync::Once;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::console::diagnose;
use crate::comm::launch;
use crate::config::load::{CONSTRAINTS, Sources};
use crate::config::{Actions, Limited};
use crate::device::{DeviceChoice, SelectedDevice, select_device};
use crate::memory::address_space;

/// Address space of a thread: Rust's stack of 2 MiB and what the allocator sets aside.
const THREAD_STACK: f64 = 2.5 * 1024.0 * 1024.0;

/// Options every computing verb has.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// Device: auto, cpu, wgpu, vulkan, cuda or cuda:N [auto: the best GPU compiled in and present, else cpu]
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// CPU threads [default: all cores, shared by the processes of a run]
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
        // Also without the option: a pool that rayon starts by itself panics where a thread cannot be started.
        let threads = self.threads.map(usize::from).or_else(launch::threads).unwrap_or(0);
        // Short of address space a thread may start and then die of it before it can say so.
        let (stacks, left) = (threads as f64 * THREAD_STACK, address_space().unwrap_or(f64::INFINITY));
        ensure!(
            stacks <= left,
            "cannot start the CPU threads: {threads} need {stacks:.0} bytes of address space, {left:.0} are left; --threads N asks for fewer"
        );
        let started = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        started.context("cannot start the CPU threads; --threads N asks for fewer")?;
        Ok(rayon::current_num_threads())
    }

    /// The chosen device; warns once where `auto` passed over a GPU that does not work.
    ///
    /// # Errors
    ///
    /// As [`select_device`].
    pub fn select_device(&self) -> Result<SelectedDevice> {
        static WARNED: Once = Once::new();
        let selected = select_device(self.device)?;
        if let Some(warning) = &selected.warning {
            WARNED.call_once(|| diagnose(&format!("warning: {warning}")));
        }
        Ok(selected)
    }
}

/// Which actions a saved policy takes.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ActionArgs {
    /// Sample actions [default: the actions that the run deploys, `deployed.actions`]
    #[arg(long, conflicts_with = "mean")]
    pub stochastic: bool,
    /// Take the mean as the action
    #[arg(long)]
    pub mean: bool,
}

impl ActionArgs {
    /// The actions asked for, if any are.
    pub fn chosen(self) -> Option<Actions> {
        match (self.stochastic, self.mean) {
            (true, _) => Some(Actions::Sampled),
            (_, true) => Some(Actions::Mean),
            _ => None,
        }
    }
}

/// Options that shape the configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigSourceArgs {
    /// Environment id, such as SafetyPointGoal1-v0 or PointGoal1, or the file of a level (.json, .toml)
    #[arg(long, value_name = "ID|FILE")]
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
    /// Environments stepped at once, in all processes together
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub num_envs: Option<u64>,
    /// Limit on the undiscounted episodic cost; one per constraint, separated by commas
    #[arg(long, value_name = "X", value_delimiter = ',', value_parser = parse_finite)]
    pub cost_limit: Vec<f64>,
    /// Limit on a kind of cost, or on several together: hazards=10, hazards+vases=12; repeated, each is a constraint
    #[arg(long, value_name = "KINDS=X", conflicts_with = "cost_limit", value_parser = Limited::parse)]
    pub limit: Vec<Limited>,
    /// Built-in configuration to start from: quick, gpu, gpu-wide
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// File of settings, complete or partial (.json, .toml)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any setting, by its path in the configuration, the level's below `env`; may be repeated
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
            ("--cost-limit", "cost_limit", limits(&self.cost_limit)),
            ("--limit", CONSTRAINTS, (!self.limit.is_empty()).then(|| json!(self.limit))),
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

/// One limit as a number, several as a list, none as nothing.
fn limits(limits: &[f64]) -> Option<Value> {
    match limits {
        [] => None,
        [limit] => Some(json!(limit)),
        several => Some(json!(several)),
    }
}

/// A number that is neither NaN nor infinite, which a configuration could not hold.
pub fn parse_finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if number.is_finite() { Ok(number) } else { Err("expected a finite number".to_owned()) }
}

/// A count typed as `20000`, `20_000`, `20k` or `2e4`.
pub fn parse_count(text: &str) -> Result<u64, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
