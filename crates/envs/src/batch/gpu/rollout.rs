//! A whole rollout in one launch: a unit owns an environment and acts, moves and judges for T steps.
//!
//! Environments never meet and the policy stands still during a rollout, so that no unit has to wait for another. What
//! chooses the actions is a type parameter: this crate knows no network.

#![allow(missing_docs)] // of what `cube` makes beside functions and traits

use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::super::Batch;
use super::{empty_like, grid, largest_buffer, primitive, together, writable};
use crate::agent::Agent;
use crate::kinds::for_kind;
use crate::state::LANES;
use crate::step::{SCALARS, SCRATCH, TRUNCATED, end_step};
use crate::task::Task;

/// Chooses an action from an observation, within a kernel: everything is of one environment and one step.
#[cube]
pub trait Policy: 'static + Send + Sync {
    /// Reads the raw observation `obs[obs_at..]` and writes what the policy made of it to `seen[seen_at..]` (as many
    /// numbers) and to `acts` the action `acts[row * A ..]`, its mean `acts[(rows + row) * A ..]` and the action's
    /// log-probability `acts[2 * rows * A + row]`, A the size of an action.
    ///
    /// `weights` is whatever the policy consists of, `noise[noise_at..]` this step's part of the noise,
    /// `memory[env + k * envs]` its k-th number of environment `env`, kept from step to step.
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
    /// `[M, B]` Numbers the policy keeps of an environment.
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
    pub seen: Tensor<2>,
    /// `[N, A]` Actions.
    pub action: Tensor<2>,
    /// `[N, A]` Their means.
    pub mean: Tensor<2>,
    /// `[N]` Their log-probabilities.
    pub log_prob: Tensor<1>,
    /// `[8, N]` Reward, cost, terminated, truncated, and of the episode return, cost, length and whether it is partial: the
    /// fields of [`crate::StepBatch`] in its order.
    pub scalars: Tensor<2>,
    /// `[C * B, D]` Raw last observations of truncated episodes: row `t / max_episode_steps * B + b` belongs to the one
    /// truncation that environment b can have had in those steps, and is arbitrary where it had none.
    pub final_obs: Tensor<2>,
    /// `[M, B]` The policy's memory.
    pub memory: Tensor<2>,
}

#[cube(launch)]
fn rollout_kernel<A: Agent, T: Task, P: Policy>(
    params: &[f32],
    weights: &[f32],
    noise: &[f32],
    state: &mut [f32],
    scratch: &mut [f32],
    obs: &mut [f32],
    final_obs: &mut [f32],
    scalars: &mut [f32],
    seen: &mut [f32],
    acts: &mut [f32],
    memory: &mut [f32],
    first_env: usize,
    count: usize,
    num_envs: usize,
    first_step: usize,
    last_step: usize,
    rows: usize,
    noise_dim: usize,
    state_dim: usize,
    obs_dim: usize,
    action_dim: usize,
    horizon: usize,
) {
    if ABSOLUTE_POS < count {
        let env = first_env + ABSOLUTE_POS;
        let base = (env / LANES) * (state_dim * LANES) + env % LANES;
        let obs_at = env * obs_dim;
        for step in first_step..last_step {
            let row = step * num_envs + env;
            let seen_at = row * obs_dim;
            P::act(
                weights,
                noise,
                step * noise_dim,
                obs,
                obs_at,
                seen,
                seen_at,
                acts,
                row,
                rows,
                memory,
                env,
                num_envs,
            );
            A::advance(params, state, base, acts, row * action_dim, scratch, ABSOLUTE_POS * SCRATCH);
            end_step::<A, T>(params, state, base, env as u32, obs, final_obs, obs_at, obs_dim, scalars, row, rows);
            if scalars[row + TRUNCATED * rows] > 0.5 {
                // The first B rows are where every step leaves its last observation.
                let kept = ((step / horizon + 1) * num_envs + env) * obs_dim;
                for i in 0..obs_dim {
                    final_obs[kept + i] = final_obs[obs_at + i];
                }
            }
        }
    }
}

/// Whether every array of such a rollout fits a buffer.
pub(super) fn fits(batch: &Batch, steps: usize, memory: usize) -> bool {
    let probe = primitive(Tensor::<1>::from_floats([0.0], &batch.device));
    let (n, rows) = (batch.num_envs, steps * batch.num_envs);
    let acts = rows * (2 * batch.action_dim + 1);
    let finals = (chunks(batch, steps) + 1) * n * batch.obs_dim;
    let largest = (rows * batch.obs_dim).max(acts).max(rows * SCALARS).max(finals).max(memory * n);
    steps > 0 && largest as u64 <= largest_buffer(&probe)
}

/// Stretches of steps in which an environment is truncated once at most.
fn chunks(batch: &Batch, steps: usize) -> usize {
    steps.div_ceil(batch.horizon)
}

pub(super) fn run<P: Policy>(batch: &Batch, state: Tensor<3>, plan: RolloutPlan) -> (Tensor<3>, Trajectory) {
    let RolloutPlan { obs, weights, noise, memory, steps_per_launch } = plan;
    let (n, [steps, noise_dim]) = (batch.num_envs, noise.dims());
    let (rows, obs_dim, action_dim) = (steps * n, batch.obs_dim, batch.action_dim);
    let state = writable(state);
    let (obs, memory) = (writable(obs), writable(memory));
    let (weights, noise) = (primitive(weights), primitive(noise));
    let params = primitive(Tensor::<1>::from_floats(batch.params.as_slice(), &batch.device));
    let chunks = chunks(batch, steps);
    let final_obs = empty_like(&state, [(chunks + 1) * n, obs_dim]);
    let scalars = empty_like(&state, [SCALARS, rows]);
    let seen = empty_like(&state, [rows, obs_dim]);
    let acts = empty_like(&state, [2 * action_dim + 1, rows]);
    let together = together(&state, n);
    let scratch = empty_like(&state, [together, SCRATCH]);
    let launch = for_kind!(batch.agent, batch.task, rollout_kernel::launch, P);
    let steps_per_launch = steps_per_launch.clamp(1, steps);
    for first_env in (0..n).step_by(together) {
        let envs = together.min(n - first_env);
        for first_step in (0..steps).step_by(steps_per_launch) {
            let (count, dim) = grid(envs, &state);
            launch(
                &state.client,
                count,
                dim,
                params.clone().into_buffer_arg(),
                weights.clone().into_buffer_arg(),
                noise.clone().into_buffer_arg(),
                state.clone().into_buffer_arg(),
                scratch.clone().into_buffer_arg(),
                obs.clone().into_buffer_arg(),
                final_obs.clone().into_buffer_arg(),
                scalars.clone().into_buffer_arg(),
                seen.clone().into_buffer_arg(),
                acts.clone().into_buffer_arg(),
                memory.clone().into_buffer_arg(),
                first_env,
                envs,
                n,
                first_step,
                (first_step + steps_per_launch).min(steps),
                rows,
                noise_dim,
                batch.state_dim,
                obs_dim,
                action_dim,
                batch.horizon,
            );
        }
    }
    let acts = Tensor::<2>::from_primitive::<CubeBackend>(acts).reshape([rows * (2 * action_dim + 1)]);
    let part = |at: usize| acts.clone().slice([at * rows * action_dim..(at + 1) * rows * action_dim]);
    let trajectory = Trajectory {
        obs: Tensor::from_primitive::<CubeBackend>(obs),
        seen: Tensor::from_primitive::<CubeBackend>(seen),
        action: part(0).reshape([rows, action_dim]),
        mean: part(1).reshape([rows, action_dim]),
        log_prob: acts.clone().slice([2 * rows * action_dim..rows * (2 * action_dim + 1)]),
        scalars: Tensor::from_primitive::<CubeBackend>(scalars),
        final_obs: Tensor::<2>::from_primitive::<CubeBackend>(final_obs).slice([n..(chunks + 1) * n]),
        memory: Tensor::from_primitive::<CubeBackend>(memory),
    };
    (Tensor::from_primitive::<CubeBackend>(state), trajectory)
}
