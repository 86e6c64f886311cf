//! The measurements themselves: an environment step, a policy update, a training iteration.

use anyhow::Result;
use burn::tensor::{Device, Distribution, Tensor};
use envs::{Navigation, NavigationSpec, VecEnv};
use kfac::FisherKind;
use kfac::benchmark::PolicyUpdate;
use safe_rl::Samples;

use super::FLOAT;
use super::clock::Clock;
use super::table::Part;
use super::work::Work;
use crate::algorithm::kfcpo::KfcpoConfig;
use crate::algorithm::{self, Context, CostEstimate, Progress, ReturnEstimate, Setup};
use crate::cli::launches::LaunchCounter;
use crate::comm::Alone;
use crate::config::TrainConfig;
use crate::error::UsageError;
use crate::policy::Policy;
use crate::runner::Runner;

/// Batches of random actions, taken in turn.
const ACTIONS: usize = 16;
/// Times that a part of an update is measured; the least counts.
const PART_REPEATS: usize = 30;

/// Environments stepped under random actions.
pub struct Stepping {
    /// Seconds of a step of all.
    pub seconds: f64,
    /// What they take on the device.
    pub bytes: usize,
    /// Kernels that one step launches; none on the CPU backend.
    pub launches: u64,
}

/// Times a step of `num_envs` environments.
///
/// # Errors
/// When the device does not hold so many.
pub fn stepping(clock: &Clock, spec: &NavigationSpec, num_envs: usize) -> Result<Stepping> {
    let device = clock.device();
    let mut env = Navigation::new(spec.clone(), num_envs, 0, device)?;
    env.reset(true);
    let shape = [num_envs, spec.env.action_dim];
    let actions: Vec<Tensor<2>> =
        (0..ACTIONS).map(|_| Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)).collect();
    let mut next = actions.iter().cycle();
    let seconds = clock.seconds_of(|| {
        if let Some(action) = next.next() {
            env.step(action.clone());
        }
        Ok(())
    })?;
    let mut counter = LaunchCounter::new();
    env.step(actions[0].clone());
    Ok(Stepping { seconds, bytes: env.bytes(), launches: counter.take().total() })
}

/// Seconds of one complete KFCPO update of a policy with these hidden layers on a batch of random samples.
///
/// # Errors
/// When the sizes are not usable.
pub fn update(clock: &Clock, spec: &NavigationSpec, hidden: &[usize], batch: usize, fisher: FisherKind) -> Result<f64> {
    let mut config = TrainConfig { env: spec.clone().into(), ..TrainConfig::default() };
    config.policy.hidden = hidden.to_vec();
    *config.section_mut() = KfcpoConfig { minibatch_size: batch, epochs: 1, fisher, ..KfcpoConfig::default() };
    config.validate().map_err(|error| UsageError::new(format!("{error:#}")))?;
    let device = clock.device();
    let start = Policy::new(&config.policy, spec.env.obs_dim, spec.env.action_dim, config.seed, device)?;
    let samples = random_samples(&start, spec, batch, device);
    let horizon = spec.env.max_episode_steps;
    let constraints = config.cost_limit.of(&spec.env.constraints)?;
    let mut update = algorithm::build(&Setup { config: &config, policy: &start, constraints: &constraints, horizon })?;
    let costs: Vec<CostEstimate> =
        constraints.iter().map(|c| CostEstimate { rollout: c.limit, episodes: c.limit }).collect();
    let progress = Progress { fraction: 0.0, iteration: 1 };
    let earned = ReturnEstimate::unknown(device);
    clock.seconds_of(|| {
        // From the same policy every time: the trust region is then never used up.
        let mut policy = start.clone();
        update.update(&mut policy, &samples, &Context { costs: &costs, earned: &earned, progress, comm: &Alone })?;
        Ok(())
    })
}

/// The parts of one K-FAC update of a network of these sizes, each timed by itself.
///
/// # Errors
/// When the sizes are not usable or the device fails.
pub fn update_parts(clock: &Clock, sizes: &[usize], batch: usize, kind: FisherKind) -> Result<Vec<Part>> {
    let mut update = PolicyUpdate::new(sizes, batch, kind, clock.device())?;
    let (seconds, operations) = (update.parts(PART_REPEATS)?, update.operations());
    let numbers = batch as f64 * sizes[0] as f64;
    let parts = [
        ("forward", seconds.forward, operations.forward),
        ("statistics", seconds.statistics, operations.statistics()),
        ("inverse", seconds.inverse, operations.inverse),
        ("precondition", seconds.precondition, operations.precondition),
        ("jacobian", seconds.jacobian, operations.jacobian),
        ("divergence", seconds.divergence, operations.divergence),
    ];
    let needed = parts.into_iter().filter(|(_, _, operations)| *operations > 0.0);
    let part = |(name, seconds, operations)| {
        // All but the middle two read the observations.
        let bytes = if name == "inverse" || name == "precondition" { 0.0 } else { numbers * FLOAT };
        Part::new(name, seconds, Work { operations, bytes, calls: 1.0 })
    };
    Ok(needed.map(part).collect())
}

/// A training loop that runs.
pub struct Iterating {
    /// The loop, warm.
    pub runner: Runner,
    /// Seconds of an iteration.
    pub seconds: f64,
    /// Share of them spent in rollouts.
    pub rollout_share: f64,
}

/// Times iterations of training as `config` says, without end.
///
/// # Errors
/// When the configuration or the device is not usable.
pub fn training(clock: &Clock, config: &TrainConfig) -> Result<Iterating> {
    let config = TrainConfig { total_steps: u64::MAX, ..config.clone() };
    config.validate().map_err(|error| UsageError::new(format!("{error:#}")))?;
    let mut runner = Runner::new(config, clock.device().clone())?;
    let (mut rollout_s, mut update_s) = (0.0, 0.0);
    let seconds = clock.seconds_of(|| {
        let report = runner.iterate()?;
        rollout_s += report.rollout_s;
        update_s += report.update_s;
        Ok(())
    })?;
    Ok(Iterating { runner, seconds, rollout_share: rollout_s / (rollout_s + update_s) })
}

/// Samples as a rollout of `policy` would give them, with random observations and advantages.
fn random_samples(policy: &Policy, spec: &NavigationSpec, batch: usize, device: &Device) -> Samples {
    let normal = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device);
    let obs = normal([batch, spec.env.obs_dim]);
    let policy = policy.distribution(obs.clone());
    let noise = normal([batch, spec.env.action_dim]);
    let action = policy.mean.clone() + noise * policy.log_std.clone().exp().unsqueeze();
    let log_prob = policy.log_prob(&action);
    Samples { obs, mean: policy.mean, log_prob, action, advantage: normal([2, batch]), target: normal([2, batch]) }
}
