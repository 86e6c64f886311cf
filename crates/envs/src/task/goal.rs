//! Goal: reach the goal; it then moves elsewhere and the episode goes on.
//!
//! Reward: the decrease of the distance to the goal, plus 1 in the step that reaches it.
//! Source: safety-gymnasium 1.0.0, `tasks/safe_navigation/goal`.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::{Task, TaskModel};
use crate::layout::resample;
use crate::math::square;
use crate::object::{ObjectGroup, ObjectKind, object_costs};
use crate::params::{GROUP_OFFSET, GROUP_SIZE, PARAM_CONTINUE, PARAM_GROUP};
use crate::state::{DX, DY, LANES, LAYOUT, X, Y};

/// The goal is the first object group of every level of this task.
const GOAL_GROUP: usize = 0;
/// Reward for reaching a goal.
pub(super) const GOAL_REWARD: f32 = 1.0;

/// Decrease of the agent's distance to the object at `goal` in this step \[m\].
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn progress(state: &mut [f32], base: usize, goal: usize) -> f32 {
    let x = state[goal] - state[base + X * LANES];
    let y = state[goal + LANES] - state[base + Y * LANES];
    let dx = state[base + DX * LANES];
    let dy = state[base + DY * LANES];
    let (before_x, before_y) = (x + dx, y + dy);
    let distance = (x * x + y * y).sqrt();
    let before = (before_x * before_x + before_y * before_y).sqrt();
    // d0 - d1 = (d0^2 - d1^2) / (d0 + d1): the plain difference loses four digits of a step of
    // millimetres against distances of metres.
    let gain = (before_x + x) * dx + (before_y + y) * dy;
    gain / (before + distance).max(1e-12f32)
}

/// Whether the agent's origin is within the goal's radius.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn reached(params: &[f32], state: &mut [f32], base: usize) -> bool {
    let goal = base + (params[PARAM_GROUP + GROUP_OFFSET] as usize) * LANES;
    let x = state[goal] - state[base + X * LANES];
    let y = state[goal + LANES] - state[base + Y * LANES];
    (square(x) + square(y)).sqrt() <= params[PARAM_GROUP + GROUP_SIZE]
}

/// The first group must be a goal alone.
pub(super) fn single_goal_first(groups: &[ObjectGroup]) -> Result<(), String> {
    match groups.first() {
        Some(ObjectGroup { kind: ObjectKind::Goal, count: 1, .. }) => Ok(()),
        _ => Err("its first group must be one goal".to_owned()),
    }
}

/// The Goal task.
pub struct Goal;

#[cfg_attr(feature = "gpu", cube)]
impl Task for Goal {
    fn reset(params: &[f32], state: &mut [f32], base: usize, env: u32) {
        // The original draws the goal a second time after the layout; a goal that finds no place
        // in 10000 tries stays where the layout put it. A fixed layout says where the goal is.
        if state[base + LAYOUT * LANES] == 0.0 {
            resample(params, state, base, env, GOAL_GROUP);
        }
    }

    fn reward(params: &[f32], state: &mut [f32], base: usize) -> f32 {
        let goal = base + (params[PARAM_GROUP + GROUP_OFFSET] as usize) * LANES;
        let nearer = progress(state, base, goal);
        if reached(params, state, base) { nearer + GOAL_REWARD } else { nearer }
    }

    fn costs(params: &[f32], state: &mut [f32], base: usize) -> u32 {
        object_costs(params, state, base)
    }

    fn update(params: &[f32], state: &mut [f32], base: usize, env: u32) -> bool {
        let mut alive = true;
        if reached(params, state, base) {
            alive = false;
            if params[PARAM_CONTINUE] > 0.5 {
                alive = resample(params, state, base, env, GOAL_GROUP);
            }
        }
        alive
    }

    fn sees(_state: &mut [f32], _base: usize, _kind: f32) -> bool {
        true
    }
}

impl TaskModel for Goal {
    fn check(groups: &[ObjectGroup]) -> Result<(), String> {
        single_goal_first(groups)
    }
}
