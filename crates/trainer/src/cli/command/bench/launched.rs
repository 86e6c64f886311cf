//! Launches of an iteration, phase by phase.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::launches::{LaunchCounter, Launched};
use crate::runner::{Phase, Runner};

/// Kernels that the text names.
const NAMED: usize = 12;

/// What one iteration launched.
pub struct Launches {
    phases: Vec<(Phase, u64)>,
    all: Launched,
    /// Steps of the rollout.
    steps: usize,
}

impl Launches {
    /// Counts one iteration.
    ///
    /// # Errors
    /// When the device fails.
    pub fn of_iteration(runner: &mut Runner) -> Result<Self> {
        let mut counter = LaunchCounter::new();
        let (mut phases, mut all): (Vec<(Phase, u64)>, Launched) = Default::default();
        runner.iterate_observed(&mut |phase| {
            let launched = counter.take();
            let total = launched.total();
            match phases.iter_mut().find(|(known, _)| *known == phase) {
                Some((_, sum)) => *sum += total,
                None => phases.push((phase, total)),
            }
            all.add(launched);
        })?;
        all.add(counter.take());
        Ok(Self { phases, all, steps: runner.config().rollout_steps })
    }

    /// Launches of a vector step: acting and stepping, not the assembly of the rollout afterwards.
    fn per_step(&self) -> f64 {
        let stepping = [Phase::Normalize, Phase::Act, Phase::Step, Phase::Rollout];
        let launches: u64 = self.phases.iter().filter(|(phase, _)| stepping.contains(phase)).map(|(_, n)| n).sum();
        launches as f64 / self.steps as f64
    }

    /// Adds the counts to a row of results.
    pub fn add_to(&self, row: &mut Value) {
        let phases: serde_json::Map<_, _> =
            self.phases.iter().map(|(phase, n)| (format!("{phase:?}").to_lowercase(), json!(n))).collect();
        let kernels: serde_json::Map<_, _> =
            self.all.kernels.iter().map(|(name, n)| (name.clone(), json!(n))).collect();
        row["launches"] = json!({
            "per_step": self.per_step(),
            "per_iteration": self.all.total(),
            "by_phase": phases,
            "by_kernel": kernels,
        });
        row["read_backs"] = json!(self.all.read_backs);
        row["replays"] = json!(self.all.replays);
    }

    /// As lines; empty where nothing is launched.
    pub fn text(&self) -> String {
        if self.all.total() == 0 {
            return String::new();
        }
        let phases: Vec<String> =
            self.phases.iter().map(|(phase, n)| format!("{} {n}", format!("{phase:?}").to_lowercase())).collect();
        let kernels: Vec<String> = self.all.kernels.iter().take(NAMED).map(|(name, n)| format!("{n} {name}")).collect();
        let replays = match self.all.replays {
            0 => String::new(),
            n => format!(" of them {n} replays of recorded graphs;"),
        };
        format!(
            "\nlaunches: {:.2} a vector step of the rollout, {} an iteration ({});{replays} {} read-backs an iteration\n  {}",
            self.per_step(),
            self.all.total(),
            phases.join(", "),
            self.all.read_backs,
            kernels.join("\n  "),
        )
    }
}
