//! One environment, one step: the order of things, for any agent and any task.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::agent::Agent;
use crate::contact::SCRATCH_LEN;
#[cfg(any(feature = "gpu", test))]
use crate::layout::{place_fixed, sample_layout};
use crate::lidar::observe_lidars;
use crate::math::{TAU, wrap_angle};
#[cfg(any(feature = "gpu", test))]
use crate::object::mark_hazards;
use crate::object::{cost_of, settle_bodies};
use crate::params::{
    COST_ROW, DRAWN, LAYOUT_AGENT, PARAM_COST_END, PARAM_COST_FIRST, PARAM_COST_STATE, PARAM_COSTS, PARAM_MAX_STEPS,
};
use crate::rng::draw;
use crate::state::{AGE, COST, DRAW, EPISODE, LANES, LAYOUT, PARTIAL, RETURN, STEPS, TASK};
use crate::task::Task;

/// Rows of the per-step scalars where there is one constraint; every further one adds two, its cost and its episode's.
pub const SCALARS: usize = 9;
/// Row: reward of the step.
pub const REWARD: usize = 0;
/// Row: cost of the step by the first constraint.
pub const STEP_COST: usize = 1;
/// Row: 1 where the episode ended by itself.
pub const TERMINATED: usize = 2;
/// Row: 1 where the episode reached its step limit.
pub const TRUNCATED: usize = 3;
/// Row: sum of rewards of the episode up to and including this step.
pub const EPISODE_RETURN: usize = 4;
/// Row: sum of that cost over the episode up to and including this step.
pub const EPISODE_COST: usize = 5;
/// Row: steps of the episode up to and including this one.
pub const EPISODE_LENGTH: usize = 6;
/// Row: 1 where the episode began in its middle (a staggered reset).
pub const EPISODE_PARTIAL: usize = 7;
/// Row: the bits of the kinds of cost that the step brought.
pub const KINDS: usize = 8;

/// The rows of scalars of which there are `rows` in the order of [`crate::StepBatch`]: reward, costs, terminated, truncated,
/// episode's return, costs, length, partial.
#[cfg(feature = "gpu")]
pub fn in_order(rows: usize) -> impl Iterator<Item = usize> {
    [REWARD, STEP_COST].into_iter().chain((SCALARS..rows).step_by(2)).chain([TERMINATED, TRUNCATED]).chain(
        [EPISODE_RETURN, EPISODE_COST]
            .into_iter()
            .chain((SCALARS + 1..rows).step_by(2))
            .chain([EPISODE_LENGTH, EPISODE_PARTIAL]),
    )
}

/// Numbers of working memory a step needs.
pub const SCRATCH: usize = SCRATCH_LEN;

/// Clears the account of the episode that ended; the layout comes next.
#[cfg_attr(feature = "gpu", cube)]
pub fn begin_episode(params: &[f32], state: &mut [f32], base: usize) {
    state[base + EPISODE * LANES] += 1.0;
    state[base + DRAW * LANES] = 0.0;
    state[base + RETURN * LANES] = 0.0;
    state[base + COST * LANES] = 0.0;
    state[base + AGE * LANES] = 0.0;
    for i in 0..3usize {
        state[base + (TASK + i) * LANES] = 0.0;
    }
    state[base + LAYOUT * LANES] = 0.0;
    let further = (params[PARAM_COSTS] as usize) - 1;
    for i in 0..further {
        state[base + (params[PARAM_COST_STATE] as usize + i) * LANES] = 0.0;
    }
}

/// What follows a fresh layout: yaws, agent and objects at rest, task. A `staggered` episode begins at a uniform random
/// step count and is marked partial.
#[cfg_attr(feature = "gpu", cube)]
pub fn settle_episode<A: Agent, T: Task>(params: &[f32], state: &mut [f32], base: usize, env: u32, staggered: bool) {
    let mut yaw = wrap_angle(draw(params, state, base, env) * TAU);
    let layout = state[base + LAYOUT * LANES] as usize;
    if layout > 0 {
        let given = params[layout + LAYOUT_AGENT + 2];
        if given < DRAWN {
            yaw = wrap_angle(given);
        }
    }
    A::reset(state, base, yaw);
    settle_bodies(params, state, base, env);
    T::reset(params, state, base, env);
    let phase = draw(params, state, base, env) * params[PARAM_MAX_STEPS];
    state[base + STEPS * LANES] = if staggered { (phase as u32) as f32 } else { 0.0f32 };
    state[base + PARTIAL * LANES] = if staggered { 1.0f32 } else { 0.0f32 };
}

/// Begins a new episode.
#[cfg(any(feature = "gpu", test))]
#[cfg_attr(feature = "gpu", cube)]
pub fn reset_env<A: Agent, T: Task>(params: &[f32], state: &mut [f32], base: usize, env: u32, staggered: bool) {
    begin_episode(params, state, base);
    if !place_fixed(params, state, base, env) {
        sample_layout(params, state, base, env);
    }
    settle_episode::<A, T>(params, state, base, env, staggered);
}

/// Writes the observation of the current state to `obs[obs_offset..]`.
#[cfg_attr(feature = "gpu", cube)]
pub fn observe<A: Agent, T: Task>(params: &[f32], state: &mut [f32], base: usize, obs: &mut [f32], obs_offset: usize) {
    A::observe(state, base, obs, obs_offset);
    observe_lidars::<A, T>(params, state, base, obs, obs_offset);
}

/// Reward, cost and the episode's account after the agent has moved and hazards are marked; whether the episode ends.
#[cfg_attr(feature = "gpu", cube)]
pub fn finish_step<T: Task>(
    params: &[f32],
    state: &mut [f32],
    base: usize,
    env: u32,
    scalars: &mut [f32],
    offset: usize,
    stride: usize,
) -> bool {
    let reward = T::reward(params, state, base);
    let kinds = T::costs(params, state, base);
    let first_cost = params[PARAM_COST_FIRST] as usize;
    let cost = cost_of(params, first_cost, kinds);
    let alive = T::update(params, state, base, env);

    let steps = state[base + STEPS * LANES] + 1.0;
    let episode_return = state[base + RETURN * LANES] + reward;
    let episode_cost = state[base + COST * LANES] + cost;
    state[base + STEPS * LANES] = steps;
    state[base + AGE * LANES] += 1.0;
    state[base + RETURN * LANES] = episode_return;
    state[base + COST * LANES] = episode_cost;

    // The further constraints', and the sum of all.
    let costs = params[PARAM_COSTS] as usize;
    let mut total_cost = episode_cost;
    for c in 1..costs {
        let further = cost_of(params, first_cost + c * COST_ROW, kinds);
        let at = base + (params[PARAM_COST_STATE] as usize + c - 1) * LANES;
        let sum = state[at] + further;
        state[at] = sum;
        total_cost += sum;
        let row = SCALARS + 2 * (c - 1);
        scalars[offset + row * stride] = further;
        scalars[offset + (row + 1) * stride] = sum;
    }

    let terminated = if alive && total_cost < params[PARAM_COST_END] { 0.0f32 } else { 1.0f32 };
    let truncated = if steps >= params[PARAM_MAX_STEPS] { 1.0f32 } else { 0.0f32 };
    scalars[offset + REWARD * stride] = reward;
    scalars[offset + STEP_COST * stride] = cost;
    scalars[offset + TERMINATED * stride] = terminated;
    scalars[offset + TRUNCATED * stride] = truncated;
    scalars[offset + EPISODE_RETURN * stride] = episode_return;
    scalars[offset + EPISODE_COST * stride] = episode_cost;
    scalars[offset + EPISODE_LENGTH * stride] = steps;
    scalars[offset + EPISODE_PARTIAL * stride] = state[base + PARTIAL * LANES];
    scalars[offset + KINDS * stride] = kinds as f32;
    terminated + truncated > 0.5
}

/// What follows the physics of a step: reward, cost and observation and, where the episode ends, the beginning of the
/// next (same-step autoreset).
///
/// `state[base..]` is the environment in its block, `obs[obs_offset..]` and `final_obs[obs_offset..]` its observations after and
/// before an autoreset (equal where the episode goes on), `scalars[scalars_offset + row * scalars_stride]` its row of
/// scalars.
#[cfg(any(feature = "gpu", test))]
#[cfg_attr(feature = "gpu", cube)]
pub fn end_step<A: Agent, T: Task>(
    params: &[f32],
    state: &mut [f32],
    base: usize,
    env: u32,
    obs: &mut [f32],
    final_obs: &mut [f32],
    obs_offset: usize,
    obs_dim: usize,
    scalars: &mut [f32],
    scalars_offset: usize,
    scalars_stride: usize,
) {
    mark_hazards(params, state, base);
    let done = finish_step::<T>(params, state, base, env, scalars, scalars_offset, scalars_stride);
    observe::<A, T>(params, state, base, final_obs, obs_offset);
    if done {
        reset_env::<A, T>(params, state, base, env, false);
        observe::<A, T>(params, state, base, obs, obs_offset);
    } else {
        for i in 0..obs_dim {
            obs[obs_offset + i] = final_obs[obs_offset + i];
        }
    }
}
