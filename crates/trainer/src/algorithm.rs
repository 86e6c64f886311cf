//! The algorithms: each composes `kfac` and `safe-rl` into one actor update behind the same interface.
//!
//! A new algorithm is one file here and one row of [`ALGORITHMS`].

use crate::config::TrainConfig;
use crate::error::UsageError;
use crate::policy::Actor;
use anyhow::Result;
use compute::State;
use safe_rl::Samples;

mod kfcpo;
mod pending;
mod ppo;

pub use pending::Pending;

/// The cost of the policy that gathered the batch.
#[derive(Clone, Copy, Debug)]
pub struct CostEstimate {
    /// Horizon times the mean step cost of the rollout: what KFCPO steers by.
    pub rollout: f64,
    /// Mean cost of the last 100 finished episodes, NaN before the first: what OmniSafe's multiplier steers by.
    pub episodes: f64,
}

/// Where an update stands in the run.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Share of the run's environment steps done, 0 to 1.
    pub fraction: f64,
    /// Iterations done before this one.
    pub iteration: u64,
}

/// Named numbers of one update, for the logs.
pub type Metrics = Vec<(&'static str, f64)>;

/// Updates the actor from one batch; the critics are trained apart from it, alike for every algorithm.
pub trait Algorithm: Send {
    /// One iteration's actor update. Its numbers are left on the device, to be read with others.
    ///
    /// # Errors
    /// When the device cannot be read. Numerical trouble is counted in the metrics instead.
    fn update(&mut self, actor: &mut Actor, samples: &Samples, cost: CostEstimate, at: Progress) -> Result<Pending>;

    /// Adds everything a resume needs to a checkpoint.
    ///
    /// # Errors
    /// When the device cannot be read.
    fn save(&self, state: &mut State) -> Result<()>;

    /// Takes its state from a checkpoint.
    ///
    /// # Errors
    /// When an entry is missing or of another shape.
    fn load(&mut self, state: &State, actor: &Actor) -> Result<()>;
}

/// A row of the algorithm table.
pub struct AlgorithmInfo {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for `trainer algos`.
    pub summary: &'static str,
    build: fn(&TrainConfig, &Actor) -> Result<Box<dyn Algorithm>>,
}

/// Every algorithm, in the order `trainer algos` prints them.
pub const ALGORITHMS: &[AlgorithmInfo] = &[
    AlgorithmInfo {
        name: "kfcpo",
        summary: "K-FAC natural gradients of reward and cost, margin-aware blend, projection, minibatch KL rollback",
        build: |config, actor| Ok(Box::new(kfcpo::Kfcpo::new(config, actor)?)),
    },
    AlgorithmInfo {
        name: "ppo",
        summary: "PPO with a clipped surrogate; ignores cost (the unconstrained yardstick)",
        build: |config, actor| Ok(Box::new(ppo::Ppo::unconstrained(config, actor)?)),
    },
    AlgorithmInfo {
        name: "ppo-lag",
        summary: "PPO on (A_r - lambda A_c) / (1 + lambda), lambda learned by Adam (OmniSafe's PPOLag)",
        build: |config, actor| Ok(Box::new(ppo::Ppo::lagrangian(config, actor)?)),
    },
];

/// Finds an algorithm by name, ignoring case, `-` and `_`.
///
/// # Errors
/// An unknown name; the error lists the valid ones.
pub fn find(name: &str) -> Result<&'static AlgorithmInfo> {
    let plain = |s: &str| s.to_lowercase().replace(['-', '_'], "");
    ALGORITHMS.iter().find(|a| plain(a.name) == plain(name)).ok_or_else(|| {
        let names: Vec<_> = ALGORITHMS.iter().map(|a| a.name).collect();
        UsageError::new(format!("unknown algorithm `{name}`; there are {}", names.join(", "))).into()
    })
}

/// Builds the configured algorithm for an actor.
///
/// # Errors
/// An unknown algorithm name.
pub fn build(config: &TrainConfig, actor: &Actor) -> Result<Box<dyn Algorithm>> {
    (find(&config.algo)?.build)(config, actor)
}
