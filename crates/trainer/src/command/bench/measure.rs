//! The measurements themselves: an environment step, a policy update, a training iteration.

use anyhow::Result;
use burn::tensor::{Device, Distribution, Tensor};
use envs::{EnvSpec, VecEnv};
use safe_rl::Samples;

use super::clock::Clock;
use crate::actor::Actor;
use crate::algorithm::{self, CostEstimate, Progress};
use crate::config::TrainConfig;
use crate::error::UsageError;
use crate::launches::LaunchCounter;
use crate::runner::Runner;

/// Batches of random actions, taken in turn.
const ACTIONS: usize = 16;

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
pub fn stepping(clock: &Clock, spec: &EnvSpec, num_envs: usize) -> Result<Stepping> {
    let device = clock.device();
    let mut env = VecEnv::new(spec.clone(), num_envs, 0, device)?;
    env.reset_staggered();
    let shape = [num_envs, spec.action_dim];
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
pub fn update(clock: &Clock, spec: &EnvSpec, hidden: &[usize], batch: usize) -> Result<f64> {
    let mut config = TrainConfig { env: spec.id.clone(), ..TrainConfig::default() };
    config.policy.hidden = hidden.to_vec();
    config.kfcpo.minibatch_size = batch;
    config.kfcpo.epochs = 1;
    config.validate().map_err(|error| UsageError::new(format!("{error:#}")))?;
    let device = clock.device();
    let start = Actor::new(&config, spec.obs_dim, spec.action_dim, device)?;
    let samples = random_samples(&start, spec, batch, device);
    let mut update = algorithm::build(&config, &start)?;
    let cost = CostEstimate { rollout: config.cost_limit, episodes: config.cost_limit };
    clock.seconds_of(|| {
        // From the same policy every time: the trust region is then never used up.
        let mut actor = start.clone();
        update.update(&mut actor, &samples, cost, Progress { fraction: 0.0, iteration: 1 })?;
        Ok(())
    })
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

/// Samples as a rollout of `actor` would give them, with random observations and advantages.
fn random_samples(actor: &Actor, spec: &EnvSpec, batch: usize, device: &Device) -> Samples {
    let normal = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device);
    let obs = normal([batch, spec.obs_dim]);
    let policy = actor.distribution(obs.clone());
    let noise = normal([batch, spec.action_dim]);
    let action = policy.mean.clone() + noise * policy.log_std.clone().exp().unsqueeze();
    let log_prob = policy.log_prob(&action);
    Samples { obs, mean: policy.mean, log_prob, action, advantage: normal([2, batch]), target: normal([2, batch]) }
}
