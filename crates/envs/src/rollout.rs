//! A whole rollout in one launch (feature `gpu`): a unit owns an environment and acts, moves and rewards for T steps.
//!
//! Environments never meet and the policy stands still during a rollout, so that no unit has to wait for another. What
//! chooses the actions is a type parameter: this crate knows no network.
#![cfg(feature = "gpu")]
#![allow(missing_docs)] // of what `cube` generates for functions and traits

use burn::tensor::Tensor;
use compute::gpu::{empty_like, grid, into_tensor, is_gpu, largest_buffer, primitive, writable};
use cubecl::prelude::*;

use crate::agent::Agent;
use crate::batch::Batch;
use crate::batch::gpu::{CUBE, Sizes, base_of, envs_per_launch};
use crate::kinds::for_kind;
use crate::navigation::Navigation;
use crate::step::{KINDS, SCRATCH, TRUNCATED, end_step, in_order};
use crate::task::Task;

/// Chooses an action from an observation, within a kernel: everything is of one environment and one step.
#[cube]
pub trait Policy: 'static + Send + Sync {
    /// Reads the raw observation `obs[obs_offset..]` and writes what the policy made of it to `normalized_obs[
    /// normalized_offset..]` (as many numbers) and to `acts` the action `acts[row * A ..]`, its mean `acts[(rows + row) * A ..]` and the action's
    /// log-probability `acts[2 * rows * A + row]`, A the size of an action.
    ///
    /// `weights` is whatever the policy consists of, `noise[noise_offset..]` this step's part of the noise,
    /// `memory[env + k * num_envs]` its k-th number of environment `env`, kept from step to step.
    fn act(
        weights: &[f32],
        noise: &[f32],
        noise_offset: usize,
        obs: &mut [f32],
        obs_offset: usize,
        normalized_obs: &mut [f32],
        normalized_offset: usize,
        acts: &mut [f32],
        row: usize,
        rows: usize,
        memory: &mut [f32],
        env: usize,
        num_envs: usize,
    );
}

/// What a rollout of T steps in B environments begins with; D = observation size.
#[derive(Clone, Debug)]
pub struct RolloutPlan {
    /// `[B, D]` Raw observations to act on first; written in place if nobody else holds them.
    pub obs: Tensor<2>,
    /// `[W]` What the policy consists of.
    pub weights: Tensor<1>,
    /// `[T, K]` What the policy draws from, by step.
    pub noise: Tensor<2>,
    /// `[M, B]` Numbers the policy keeps per environment.
    pub memory: Tensor<2>,
    /// Steps of one launch; T on a GPU, fewer where a driver limits how long a program runs.
    pub steps_per_launch: usize,
}

/// What T steps of B environments gave; N = T * B rows, row `n = t * B + b`. D = observation size, A = action size.
#[derive(Clone, Debug)]
pub struct Trajectory {
    /// `[B, D]` Raw observations to act on next.
    pub obs: Tensor<2>,
    /// `[N, D]` What the policy made of the observations it acted on.
    pub normalized_obs: Tensor<2>,
    /// `[N, A]` Actions.
    pub action: Tensor<2>,
    /// `[N, A]` Their means.
    pub mean: Tensor<2>,
    /// `[N]` Their log-probabilities.
    pub log_prob: Tensor<1>,
    /// `[6 + 2 C, N]` Reward, C costs, terminated, truncated, and of the episode return, C costs, length and whether it is
    /// partial: the fields of [`crate::StepBatch`] in its order.
    pub scalars: Tensor<2>,
    /// `[N]` The bits of the kinds of cost ([`crate::CostKind`]) that the steps brought.
    pub kinds: Tensor<1>,
    /// `[C * B, D]` Raw last observations of truncated episodes: row `t / max_episode_steps * B + b` belongs to the one
    /// truncation that environment b can have had in those steps, and is arbitrary where it had none.
    pub final_obs: Tensor<2>,
    /// `[M, B]` The policy's memory.
    pub memory: Tensor<2>,
}

#[cube(launch)]
fn rollout_kernel<A: Agent, T: Task, P: Policy>(
    // sizes
    sizes: Sizes,
    first_env: usize,
    count: usize,
    first_step: usize,
    last_step: usize,
    rows: usize,
    noise_dim: usize,
    max_episode_steps: usize,
    // in
    params: &[f32],
    weights: &[f32],
    noise: &[f32],
    // out
    state_out: &mut [f32],
    scratch_out: &mut [f32],
    obs_out: &mut [f32],
    final_obs_out: &mut [f32],
    scalars_out: &mut [f32],
    normalized_obs_out: &mut [f32],
    acts_out: &mut [f32],
    memory_out: &mut [f32],
) {
    if ABSOLUTE_POS < count {
        let env = first_env + ABSOLUTE_POS;
        let base = base_of(env, sizes);
        let obs_offset = env * sizes.obs_dim;
        let scratch_base = ABSOLUTE_POS * SCRATCH;
        for step in first_step..last_step {
            let row = step * sizes.num_envs + env;
            P::act(
                weights,
                noise,
                step * noise_dim,
                obs_out,
                obs_offset,
                normalized_obs_out,
                row * sizes.obs_dim,
                acts_out,
                row,
                rows,
                memory_out,
                env,
                sizes.num_envs,
            );
            A::advance(params, state_out, base, &*acts_out, row * sizes.action_dim, scratch_out, scratch_base);
            end_step::<A, T>(
                params,
                state_out,
                base,
                env as u32,
                obs_out,
                final_obs_out,
                obs_offset,
                sizes.obs_dim,
                scalars_out,
                row,
                rows,
            );
            if scalars_out[row + TRUNCATED * rows] > 0.5 {
                // The first B rows are where every step leaves its last observation.
                let kept = ((step / max_episode_steps + 1) * sizes.num_envs + env) * sizes.obs_dim;
                for i in 0..sizes.obs_dim {
                    final_obs_out[kept + i] = final_obs_out[obs_offset + i];
                }
            }
        }
    }
}

impl Navigation {
    /// Whether [`Self::rollout`] works: the device compiles policies into its kernels, and its buffers hold `steps` steps
    /// and a policy that keeps `memory` numbers per environment.
    pub fn has_rollout(&self, steps: usize, memory: usize) -> bool {
        is_gpu(&self.batch.device) && fits(&self.batch, steps.div_ceil(self.spec.env.max_episode_steps), steps, memory)
    }

    /// Lets policy `P` act for many steps in one launch, or in launches of [`RolloutPlan::steps_per_launch`] steps; the
    /// trajectory is the same. `None` where [`Self::has_rollout`] says no: nothing has happened then.
    ///
    /// # Panics
    /// If the plan's shapes do not fit.
    pub fn rollout<P: Policy>(&mut self, plan: RolloutPlan) -> Option<Trajectory> {
        let (num_envs, obs_dim) = (self.batch.num_envs, self.batch.obs_dim);
        assert_eq!(plan.obs.dims(), [num_envs, obs_dim], "observations must be [num_envs, obs_dim]");
        let [memory, envs] = plan.memory.dims();
        assert_eq!(envs, num_envs, "the policy's memory must be [.., num_envs]");
        if !self.has_rollout(plan.noise.dims()[0], memory) {
            return None;
        }
        run::<P>(&mut self.batch, self.spec.env.max_episode_steps, plan)
    }
}

/// Whether every array of such a rollout fits a buffer.
fn fits(batch: &Batch, chunks: usize, steps: usize, memory: usize) -> bool {
    let Some(probe) = primitive(&Tensor::<1>::from_floats([0.0], &batch.device)) else { return false };
    let (n, rows) = (batch.num_envs, steps * batch.num_envs);
    let acts = rows * (2 * batch.action_dim + 1);
    let finals = (chunks + 1) * n * batch.obs_dim;
    let largest = (rows * batch.obs_dim).max(acts).max(rows * batch.scalars).max(finals).max(memory * n);
    steps > 0 && largest <= largest_buffer(&probe)
}

fn run<P: Policy>(batch: &mut Batch, max_episode_steps: usize, plan: RolloutPlan) -> Option<Trajectory> {
    let RolloutPlan { obs, weights, noise, memory, steps_per_launch } = plan;
    let (n, [steps, noise_dim]) = (batch.num_envs, noise.dims());
    let (rows, obs_dim, action_dim) = (steps * n, batch.obs_dim, batch.action_dim);
    let (obs, memory) = (writable(obs)?, writable(memory)?);
    let (weights, noise) = (primitive(&weights)?, primitive(&noise)?);
    let params = batch.device_params()?;
    let state = batch.writable_state()?;
    // Stretches of steps in which an environment is truncated once at most.
    let chunks = steps.div_ceil(max_episode_steps);
    let final_obs = empty_like(&state, [(chunks + 1) * n, obs_dim]);
    let scalars = empty_like(&state, [batch.scalars, rows]);
    let normalized_obs = empty_like(&state, [rows, obs_dim]);
    let acts = empty_like(&state, [rows * (2 * action_dim + 1)]);
    let envs_per_launch = envs_per_launch(&state, n);
    let scratch = empty_like(&state, [envs_per_launch, SCRATCH]);
    let launch = for_kind!(batch.agent, batch.task, rollout_kernel::launch, P);
    let steps_per_launch = steps_per_launch.clamp(1, steps);
    for first_env in (0..n).step_by(envs_per_launch) {
        let envs = envs_per_launch.min(n - first_env);
        for first_step in (0..steps).step_by(steps_per_launch) {
            let (count, dim) = grid(&state, envs, CUBE);
            launch(
                &state.client,
                count,
                dim,
                batch.sizes(),
                first_env,
                envs,
                first_step,
                (first_step + steps_per_launch).min(steps),
                rows,
                noise_dim,
                max_episode_steps,
                params.clone().into_buffer_arg(),
                weights.clone().into_buffer_arg(),
                noise.clone().into_buffer_arg(),
                state.clone().into_buffer_arg(),
                scratch.clone().into_buffer_arg(),
                obs.clone().into_buffer_arg(),
                final_obs.clone().into_buffer_arg(),
                scalars.clone().into_buffer_arg(),
                normalized_obs.clone().into_buffer_arg(),
                acts.clone().into_buffer_arg(),
                memory.clone().into_buffer_arg(),
            );
        }
    }
    batch.set_state(into_tensor(state));
    let scalars: Tensor<2> = into_tensor(scalars);
    let ordered = Tensor::cat(in_order(batch.scalars).map(|row| scalars.clone().narrow(0, row, 1)).collect(), 0);
    let acts: Tensor<1> = into_tensor(acts);
    let part = |i: usize| acts.clone().slice([i * rows * action_dim..(i + 1) * rows * action_dim]);
    Some(Trajectory {
        obs: into_tensor(obs),
        normalized_obs: into_tensor(normalized_obs),
        action: part(0).reshape([rows, action_dim]),
        mean: part(1).reshape([rows, action_dim]),
        log_prob: acts.clone().slice([2 * rows * action_dim..rows * (2 * action_dim + 1)]),
        kinds: scalars.clone().narrow(0, KINDS, 1).reshape([rows]),
        scalars: ordered,
        final_obs: into_tensor::<2>(final_obs).slice([n..(chunks + 1) * n]),
        memory: into_tensor(memory),
    })
}
