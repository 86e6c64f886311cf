//! The policy as a kernel's type parameter: normaliser, network and noise put together, so that a whole rollout is one
//! launch on a GPU.
#![cfg(feature = "gpu")]

use burn::tensor::Tensor;
use compute::noise::NoiseKey;
use cubecl::prelude::*;
use envs::VecEnv;
use envs::rollout::{Policy as RolloutPolicy, RolloutPlan};
use kfac::gpu::forward_unit;
use safe_rl::{Normalizer, RolloutArrays, act_unit, observe_unit};

use crate::policy::Policy;
use crate::policy::rollout::Collected;

/// A Gaussian policy over normalised observations.
///
/// Its weights are `[D, clip, mean D, divisor D, shift D] [A, log_std A] [network header, theta]`, its memory the moments
/// of the observations seen, `2 D` numbers, and the network's activations.
struct GaussianMlp;

#[cube]
impl RolloutPolicy for GaussianMlp {
    fn act(
        weights: &[f32],
        noise: &[f32],
        noise_at: usize,
        obs: &mut [f32],
        obs_at: usize,
        seen: &mut [f32],
        seen_at: usize,
        acts: &mut [f32],
        row: usize,
        rows: usize,
        memory: &mut [f32],
        env: usize,
        envs: usize,
    ) {
        let dims = weights[0] as usize;
        let spread = 2 + 3 * dims;
        let actions = weights[spread] as usize;
        let network = env + 2 * dims * envs;
        observe_unit(weights, 0usize, obs, obs_at, seen, seen_at, memory, env, network, envs);
        let shape = spread + 1 + actions;
        let theta = shape + 3 + weights[shape] as usize; // two numbers and one size more than layers before it
        let mean = forward_unit(weights, shape, weights, theta, memory, network, envs);
        act_unit(weights, spread, noise, noise_at, env, memory, mean, envs, acts, row, rows);
    }
}

/// `steps` steps of every environment under `policy`, by the noise of `key` and its successors; records the observations'
/// moments and leaves the next observations in `obs` `[B, D]`.
///
/// `None` where the device has no such kernel or cannot hold the arrays: nothing has happened then.
pub fn collect(
    env: &mut dyn VecEnv,
    obs: &mut Tensor<2>,
    normalizer: &mut Normalizer,
    policy: &Policy,
    key: NoiseKey,
    steps: usize,
    steps_per_launch: usize,
) -> Option<Collected> {
    let (envs, obs_dim, device) = (env.num_envs(), env.spec().obs_dim, obs.device());
    let horizon = env.spec().max_episode_steps;
    let memory = 2 * obs_dim + policy.spec().num_nodes();
    let env = env.navigation()?;
    if !env.has_rollout(steps, memory) {
        return None;
    }
    normalizer.begin(obs);
    let [mean, divisor, shift] = normalizer.unit_parts();
    let constants = |values: &[f32]| Tensor::<1>::from_floats(values, &device);
    let parts = vec![
        constants(&[obs_dim as f32, normalizer.config().clip as f32]),
        mean,
        divisor,
        shift,
        constants(&[policy.action_dim() as f32]),
        policy.log_std().clone(),
        policy.spec().header(&device),
        policy.network().theta().clone(),
    ];
    let noise = key.unit_keys(steps, &device);
    debug_assert_eq!(noise.dims(), [steps, compute::noise::gpu::KEY_PARTS]);
    let plan = RolloutPlan {
        obs: std::mem::replace(obs, Tensor::empty([1, 1], &device)),
        weights: Tensor::cat(parts, 0),
        noise,
        memory: Tensor::zeros([memory, envs], &device),
        steps_per_launch,
    };
    let done = env.rollout::<GaussianMlp>(plan)?;
    let moments = done.memory.slice([0..2 * obs_dim]).sum_dim(1).reshape([2 * obs_dim]);
    let moment = |at: usize| moments.clone().narrow(0, at * obs_dim, obs_dim);
    normalizer.record(moment(0), moment(1), steps * envs);
    *obs = done.obs.clone();
    let arrays = RolloutArrays {
        steps,
        obs: done.normalized_obs,
        last_obs: done.obs,
        action: done.action,
        mean: done.mean,
        log_std: policy.log_std().clone(),
        log_prob: done.log_prob,
        scalars: done.scalars,
        final_obs: done.final_obs,
        horizon,
    };
    Some(Collected { arrays, kinds: done.kinds })
}
