//! One environment, one step: the order of things, for any agent and any task.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::agent::Agent;
use crate::contact::SCRATCH_LEN;
#[cfg(any(feature = "gpu", test))]
use crate::layout::sample_layout;
use crate::level::{
    ObjectKind, PARAM_BODY_COSTS, PARAM_BODY_KIND, PARAM_MAX_STEPS, PARAM_SOLID_COSTS, PARAM_SOLID_KIND,
};
use crate::lidar::observe_lidars;
use crate::math::{TAU, wrap_angle};
use crate::object::{inside_hazard, settle_bodies};
use crate::rng::draw;
use crate::state::{AGE, COST, DRAW, EPISODE, LANES, MOVING, PARTIAL, RETURN, STEPS, TASK, TOUCH_COSTS};
use crate::task::{Task, outside, presses_wrong};

/// Rows of the per-step scalars `[SCALARS, num_envs]`.
pub const SCALARS: usize = 8;
/// Row: reward of the step.
pub const REWARD: usize = 0;
/// Row: cost of the step, 0 or 1.
pub const STEP_COST: usize = 1;
/// Row: 1 where the episode ended by itself.
pub const TERMINATED: usize = 2;
/// Row: 1 where the episode reached its step limit.
pub const TRUNCATED: usize = 3;
/// Row: sum of rewards of the episode up to and including this step.
pub const EPISODE_RETURN: usize = 4;
/// Row: sum of costs of the episode up to and including this step.
pub const EPISODE_COST: usize = 5;
/// Row: steps of the episode up to and including this one.
pub const EPISODE_LENGTH: usize = 6;
/// Row: 1 where the episode began in its middle (`reset_staggered`).
pub const EPISODE_PARTIAL: usize = 7;

/// Numbers of working memory a step needs.
pub const SCRATCH: usize = SCRATCH_LEN;

const VASE: f32 = ObjectKind::Vase.code();
const BUTTON: f32 = ObjectKind::Button.code();

/// Clears the account of the episode that ended; the layout comes next.
#[cfg_attr(feature = "gpu", cube)]
pub fn begin_episode(state: &mut [f32], base: usize) {
    state[base + EPISODE * LANES] += 1.0;
    state[base + DRAW * LANES] = 0.0;
    state[base + RETURN * LANES] = 0.0;
    state[base + COST * LANES] = 0.0;
    state[base + AGE * LANES] = 0.0;
    for i in 0..4usize {
        state[base + (TASK + i) * LANES] = 0.0;
    }
}

/// What follows a fresh layout: yaws, agent and objects at rest, task. `stagger` > 0 begins the episode at a uniform
/// random step count and marks it partial.
#[cfg_attr(feature = "gpu", cube)]
pub fn settle_episode<A: Agent, T: Task>(params: &[f32], state: &mut [f32], base: usize, env: u32, stagger: f32) {
    let yaw = wrap_angle(draw(params, state, base, env) * TAU);
    A::reset(state, base, yaw);
    settle_bodies(params, state, base, env);
    T::reset(params, state, base, env);
    let phase = draw(params, state, base, env) * params[PARAM_MAX_STEPS];
    let mut steps = 0.0f32;
    if stagger > 0.5 {
        steps = (phase as u32) as f32;
    }
    state[base + STEPS * LANES] = steps;
    state[base + PARTIAL * LANES] = stagger;
}

/// Begins a new episode.
#[cfg(any(feature = "gpu", test))]
#[cfg_attr(feature = "gpu", cube)]
pub fn reset_one<A: Agent, T: Task>(params: &[f32], state: &mut [f32], base: usize, env: u32, stagger: f32) {
    begin_episode(state, base);
    sample_layout(params, state, base, env);
    settle_episode::<A, T>(params, state, base, env, stagger);
}

/// Writes the observation of the current state to `obs[at..]`.
#[cfg_attr(feature = "gpu", cube)]
pub fn observe_one<A: Agent>(params: &[f32], state: &mut [f32], base: usize, obs: &mut [f32], at: usize) {
    A::observe(state, base, obs, at);
    observe_lidars::<A>(params, state, base, obs, at);
}

/// Cost of the step just simulated: 1 where any rule of the level is broken, else 0.
#[cfg_attr(feature = "gpu", cube)]
pub fn cost_one(params: &[f32], state: &mut [f32], base: usize) -> f32 {
    let mut cost = state[base + TOUCH_COSTS * LANES];
    if inside_hazard(params, state, base) || outside(params, state, base) {
        cost = 1.0;
    }
    let vases = params[PARAM_BODY_KIND] == VASE && params[PARAM_BODY_COSTS] > 0.5;
    if vases && state[base + MOVING * LANES] > 0.5 {
        cost = 1.0;
    }
    let buttons = params[PARAM_SOLID_KIND] == BUTTON && params[PARAM_SOLID_COSTS] > 0.5;
    if buttons && presses_wrong(state, base) {
        cost = 1.0;
    }
    cost
}

/// Reward, cost and the episode's account after the agent has moved; whether the episode ends.
#[cfg_attr(feature = "gpu", cube)]
pub fn judge_one<T: Task>(
    params: &[f32],
    state: &mut [f32],
    base: usize,
    env: u32,
    scalars: &mut [f32],
    at: usize,
    stride: usize,
) -> bool {
    let reward = T::reward(params, state, base);
    let cost = cost_one(params, state, base);
    let alive = T::finish_step(params, state, base, env);

    let steps = state[base + STEPS * LANES] + 1.0;
    let episode_return = state[base + RETURN * LANES] + reward;
    let episode_cost = state[base + COST * LANES] + cost;
    state[base + STEPS * LANES] = steps;
    state[base + AGE * LANES] += 1.0;
    state[base + RETURN * LANES] = episode_return;
    state[base + COST * LANES] = episode_cost;

    let terminated = if alive { 0.0f32 } else { 1.0f32 };
    let truncated = if steps >= params[PARAM_MAX_STEPS] { 1.0f32 } else { 0.0f32 };
    scalars[at + REWARD * stride] = reward;
    scalars[at + STEP_COST * stride] = cost;
    scalars[at + TERMINATED * stride] = terminated;
    scalars[at + TRUNCATED * stride] = truncated;
    scalars[at + EPISODE_RETURN * stride] = episode_return;
    scalars[at + EPISODE_COST * stride] = episode_cost;
    scalars[at + EPISODE_LENGTH * stride] = steps;
    scalars[at + EPISODE_PARTIAL * stride] = state[base + PARTIAL * LANES];
    terminated + truncated > 0.5
}

/// What follows the physics of a step: reward, cost and observation and, where the episode ends, the beginning of the
/// next (same-step autoreset).
///
/// `state[base..]` is the environment in its block, `obs[obs_at..]` and `final_obs[obs_at..]` its observations after and
/// before an autoreset (equal where the episode goes on), `scalars[scalars_at + row * scalars_stride]` its row of
/// [`SCALARS`] numbers.
#[cfg(any(feature = "gpu", test))]
#[cfg_attr(feature = "gpu", cube)]
pub fn end_step<A: Agent, T: Task>(
    params: &[f32],
    state: &mut [f32],
    base: usize,
    env: u32,
    obs: &mut [f32],
    final_obs: &mut [f32],
    obs_at: usize,
    obs_dim: usize,
    scalars: &mut [f32],
    scalars_at: usize,
    scalars_stride: usize,
) {
    let done = judge_one::<T>(params, state, base, env, scalars, scalars_at, scalars_stride);
    observe_one::<A>(params, state, base, final_obs, obs_at);
    if done {
        reset_one::<A, T>(params, state, base, env, 0.0);
        observe_one::<A>(params, state, base, obs, obs_at);
    } else {
        for i in 0..obs_dim {
            obs[obs_at + i] = final_obs[obs_at + i];
        }
    }
}
