//! The algorithms: each composes `kfac` and `safe-rl` into one update of the policy behind the same interface.
//!
//! A new algorithm is one file here, with its own section of the configuration, and one row of [`ALGORITHMS`].

use crate::comm::Comm;
use crate::config::{Constraint, SectionInfo, TrainConfig};
use crate::error::UsageError;
use crate::policy::Policy;
use crate::protocol::ProtocolInfo;
use anyhow::Result;
use burn::tensor::{Device, Int, Tensor};
use compute::State;
use compute::noise::NoiseKey;
use kfac::InitialWeights;
use safe_rl::{Normalizer, Samples, minibatches_of_a_part};

pub mod cpo;
pub mod crpo;
pub mod cup;
pub mod first_order;
pub mod focops;
pub mod ipo;
pub mod kfcpo;
pub mod lagrangian;
pub mod npg;
pub mod p3o;
pub mod pcpo;
pub mod pcrpo;
pub mod ppo;
mod protocols;
pub mod second_order;
pub mod trpo;
mod update;

pub use update::{Metrics, Number, Update, UpdateReport, numbered};

/// The cost, by one constraint, of the policy that gathered the batch: of its deployed actions where those are measured
/// ([`DeployedConfig`](crate::config::DeployedConfig)), else of the sampled ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostEstimate {
    /// Horizon times the mean step cost of the rollout, corrected by what the deployed actions have cost more on average: what
    /// KFCPO steers by.
    pub rollout: f64,
    /// Cost of the last 100 episodes, NaN where none is known: what OmniSafe's algorithms steer by. How it is estimated says
    /// [`CostSignal`](crate::config::CostSignal).
    pub episodes: f64,
}

impl CostEstimate {
    /// The mean over finished episodes; before any has ended, the horizon estimate stands in.
    pub fn of_episodes(self) -> f64 {
        if self.episodes.is_nan() { self.rollout } else { self.episodes }
    }
}

/// What the policy that gathered the batch earns.
#[derive(Clone, Debug)]
pub struct ReturnEstimate {
    /// Horizon times the mean step reward of the rollout, of the same actions as [`CostEstimate::rollout`].
    pub rollout: f64,
    /// What the reward's advantages were divided by, `[1]`.
    pub advantage_scale: Tensor<1>,
}

impl ReturnEstimate {
    /// Nothing is known of the return: prices stay unbounded.
    pub fn unknown(device: &Device) -> Self {
        Self { rollout: f64::NAN, advantage_scale: Tensor::ones([1], device) }
    }
}

/// Where an update stands in the run.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Fraction of the run's schedules done, 0 to 1: that of its environment steps, unless the run was given another length
    /// ([`crate::schedule`]).
    pub fraction: f64,
    /// Iterations done before this one.
    pub iteration: u64,
}

/// What an update is told besides its batch.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// One estimate per constraint, in their order.
    pub costs: &'a [CostEstimate],
    /// What is earned.
    pub earned: &'a ReturnEstimate,
    /// Where the run stands.
    pub progress: Progress,
    /// The shards that train together; an update sees the samples of one, and takes its means over all.
    pub comm: &'a dyn Comm,
}

impl Context<'_> {
    /// A shuffled cut of this shard's `n` samples into its shares of minibatches that have at least `size` samples in all shards
    /// together: [`safe_rl::minibatches_of_a_part`].
    pub fn minibatches(&self, n: usize, size: usize, key: NoiseKey, device: &Device) -> Vec<Tensor<1, Int>> {
        let key = NoiseKey { seed: self.comm.own_seed(key.seed), ..key };
        minibatches_of_a_part(n, self.comm.size(), size, key, device)
    }
}

/// Updates the policy from one batch; the critics are trained apart from it, alike for every algorithm.
pub trait Algorithm: Send {
    /// One iteration's update of the policy from samples whose row 0 of the advantages is the reward's and whose others are
    /// the constraints'.
    ///
    /// # Errors
    /// When the device cannot be read. Numerical trouble is counted in the [`Update`] instead.
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update>;

    /// Parameters `[P + A]` of the policy that is to be deployed, where it is another than the one that gathers the batches: it is
    /// measured, saved and exported.
    fn deployed(&self) -> Option<Tensor<1>> {
        None
    }

    /// Told after an update when the statistics that normalise observations have changed: parameters that are kept of former policies,
    /// of `policy`'s shape, must go on as the functions they were ([`Policy::renormalized`]). The current policy is left as it is.
    fn normalizer_changed(&mut self, _policy: &Policy, _former: &Normalizer, _now: &Normalizer) {}

    /// GAE lambdas of the advantages of reward and costs, where the algorithm has its own; those of the critics' targets stay
    /// the run's.
    fn gae_lambdas(&self) -> [Option<f64>; 2] {
        [None; 2]
    }

    /// Everything that a continuation needs besides the policy; nothing, unless said otherwise.
    ///
    /// # Errors
    /// When the device cannot be read.
    fn state(&self) -> Result<State> {
        Ok(State::new())
    }

    /// Takes what [`Self::state`] gave.
    ///
    /// # Errors
    /// When an entry is missing or of another shape.
    fn load_state(&mut self, _state: &State) -> Result<()> {
        Ok(())
    }

    /// Takes from what [`Self::state`] gave in another run, of the same algorithm and the same policy's shape, what is of use
    /// in this one, its task or limits being others; returns whether there was anything.
    ///
    /// # Errors
    /// When an entry is missing or of another shape.
    fn start_from(&mut self, _state: &State) -> Result<bool> {
        Ok(false)
    }
}

/// What an algorithm is built from.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// Every setting; an algorithm reads its own section by [`TrainConfig::section`].
    pub config: &'a TrainConfig,
    /// The policy that it will update.
    pub policy: &'a Policy,
    /// What is limited; one row of the advantages each, behind the reward's.
    pub constraints: &'a [Constraint],
    /// Steps of the longest episode.
    pub horizon: usize,
}

/// A row of the algorithm table.
pub struct AlgorithmInfo {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for `trainer algos`.
    pub summary: &'static str,
    /// The sections of the configuration that it reads.
    pub sections: &'static [SectionInfo],
    /// What is done to the environments for it, where anything is.
    pub protocol: Option<ProtocolInfo>,
    /// How the first weights of policy and critics are drawn unless a setting says so: the first-order methods learn far faster
    /// from uniform ones, as OmniSafe draws them; the others gain nothing by them (experiments AA to AF of the log).
    pub weights: InitialWeights,
    /// Makes it.
    pub build: fn(&Setup) -> Result<Box<dyn Algorithm>>,
}

/// Every algorithm, in the order `trainer algos` prints them.
pub const ALGORITHMS: &[AlgorithmInfo] = &[
    kfcpo::INFO,
    ppo::INFO,
    ppo::LAGRANGIAN,
    ppo::PID,
    trpo::INFO,
    trpo::LAGRANGIAN,
    trpo::PID,
    npg::INFO,
    npg::LAGRANGIAN,
    cpo::INFO,
    pcpo::INFO,
    focops::INFO,
    cup::INFO,
    p3o::INFO,
    ipo::INFO,
    crpo::INFO,
    pcrpo::INFO,
    protocols::PPO_SAUTE,
    protocols::TRPO_SAUTE,
    protocols::PPO_SIMMER,
    protocols::TRPO_SIMMER,
    protocols::PPO_EARLY_TERMINATED,
    protocols::TRPO_EARLY_TERMINATED,
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

/// Builds the configured algorithm.
///
/// # Errors
/// An unknown algorithm name, or a setting out of range.
pub fn build(setup: &Setup) -> Result<Box<dyn Algorithm>> {
    (find(&setup.config.algo)?.build)(setup)
}
