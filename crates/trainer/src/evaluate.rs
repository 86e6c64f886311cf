//! Evaluation of a policy on fresh episodes, its normaliser frozen.

use crate::policy::Policy;
use crate::policy::exported::{PolicySnapshot, host};
use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor};
use compute::noise::{NoiseKey, Stream};
use envs::{Navigation, NavigationSpec, StepBatch, VecEnv};
use safe_rl::Normalizer;

/// One finished episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpisodeResult {
    /// Undiscounted return.
    pub ret: f64,
    /// Undiscounted cost.
    pub cost: f64,
    /// Steps.
    pub length: u64,
}

/// A policy at play: fresh episodes at once, one an environment.
pub struct Evaluator {
    policy: Policy,
    normalizer: Normalizer,
    env: Navigation,
    obs: Tensor<2>,
    seed: u64,
    stochastic: bool,
    step: u64,
}

impl Evaluator {
    /// Begins `episodes` episodes, whose layouts follow from `seed`. The policy acts with its mean, or with samples where
    /// `stochastic`; the environment clips actions to [-1, 1].
    ///
    /// # Errors
    /// When policy and environment do not fit.
    pub fn new(
        policy: &PolicySnapshot,
        env: &NavigationSpec,
        episodes: usize,
        seed: u64,
        stochastic: bool,
        device: &Device,
    ) -> Result<Self> {
        ensure!(episodes >= 1, "episodes = 0: must be at least 1");
        ensure!(
            policy.sizes[0] == env.env.obs_dim,
            "the policy expects {} observations, {} has {}",
            policy.sizes[0],
            env.env.id,
            env.env.obs_dim
        );
        let (network, normalizer) = (policy.policy(device)?, policy.normalizer(device)?);
        let mut env = Navigation::new(env.clone(), episodes, seed, device)?;
        let obs = env.reset(false);
        Ok(Self { policy: network, normalizer, env, obs, seed, stochastic, step: 0 })
    }

    /// The environments.
    pub fn env(&self) -> &Navigation {
        &self.env
    }

    /// What the policy sees now, `[episodes, obs_dim]`.
    pub fn obs(&self) -> &Tensor<2> {
        &self.obs
    }

    /// Takes one step in every environment. An episode that ends is followed by another at once.
    pub fn advance(&mut self) -> StepBatch {
        let input = self.normalizer.apply(self.obs.clone());
        let action = if self.stochastic {
            let key = NoiseKey { seed: self.seed, stream: Stream::Evaluation, step: self.step };
            self.policy.act(input, key).action
        } else {
            self.policy.forward(input)
        };
        let batch = self.env.step(action);
        self.obs = batch.obs.clone();
        self.step += 1;
        batch
    }
}

/// Runs `episodes` fresh episodes at once, one an environment, and returns them in environment order.
///
/// # Errors
/// When policy and environment do not fit, or the device fails.
pub fn evaluate(
    policy: &PolicySnapshot,
    env: &NavigationSpec,
    episodes: usize,
    seed: u64,
    stochastic: bool,
    device: &Device,
) -> Result<Vec<EpisodeResult>> {
    let mut play = Evaluator::new(policy, env, episodes, seed, stochastic, device)?;
    let mut results: Vec<Option<EpisodeResult>> = vec![None; episodes];
    while results.iter().any(Option::is_none) {
        let batch = play.advance();
        let done = host(&(batch.terminated + batch.truncated))?;
        if done.iter().any(|d| *d > 0.0) {
            let ret = host(&batch.episode_return)?;
            let cost = host(&batch.episode_costs.slice([0..1]))?;
            let length = host(&batch.episode_length)?;
            for (i, result) in results.iter_mut().enumerate().filter(|(i, r)| done[*i] > 0.0 && r.is_none()) {
                *result = Some(EpisodeResult { ret: ret[i].into(), cost: cost[i].into(), length: length[i] as u64 });
            }
        }
    }
    Ok(results.into_iter().flatten().collect())
}
