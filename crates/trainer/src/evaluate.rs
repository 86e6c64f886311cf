//! Evaluation of a policy on fresh episodes, its normaliser frozen.

use crate::actor::Actor;
use crate::policy_snapshot::{PolicySnapshot, host};
use anyhow::{Result, ensure};
use burn::tensor::Device;
use envs::{EnvSpec, VecEnv};
use safe_rl::NoiseKey;

/// Noise stream of stochastic evaluation; training uses others.
const EVALUATION_STREAM: u32 = 0x4556_414c;

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

/// Runs `episodes` fresh episodes at once, one an environment, and returns them in environment order.
///
/// Deterministic evaluation acts with the policy's mean; the environment clips actions to [-1, 1].
///
/// # Errors
/// When policy and environment do not fit, or the device fails.
pub fn evaluate(
    policy: &PolicySnapshot,
    env: &EnvSpec,
    episodes: usize,
    seed: u64,
    stochastic: bool,
    device: &Device,
) -> Result<Vec<EpisodeResult>> {
    ensure!(episodes >= 1, "episodes = 0: must be at least 1");
    ensure!(
        policy.sizes[0] == env.obs_dim,
        "the policy expects {} observations, {} has {}",
        policy.sizes[0],
        env.id,
        env.obs_dim
    );
    let actor: Actor = policy.actor(device)?;
    let normalizer = policy.normalizer(device)?;
    let mut vec_env = VecEnv::new(env.clone(), episodes, seed, device)?;
    let mut obs = vec_env.reset();
    let mut results: Vec<Option<EpisodeResult>> = vec![None; episodes];
    let mut step = 0;
    while results.iter().any(Option::is_none) {
        let input = normalizer.apply(obs);
        let action = if stochastic {
            actor.act(input, NoiseKey { seed, stream: EVALUATION_STREAM, step }).action
        } else {
            actor.mean.forward(input)
        };
        let batch = vec_env.step(action);
        let done = host(&(batch.terminated + batch.truncated))?;
        if done.iter().any(|d| *d > 0.0) {
            let ret = host(&batch.episode_return)?;
            let cost = host(&batch.episode_cost)?;
            let length = host(&batch.episode_length)?;
            for (i, result) in results.iter_mut().enumerate().filter(|(i, r)| done[*i] > 0.0 && r.is_none()) {
                *result = Some(EpisodeResult { ret: ret[i].into(), cost: cost[i].into(), length: length[i] as u64 });
            }
        }
        obs = batch.obs;
        step += 1;
    }
    Ok(results.into_iter().flatten().collect())
}
