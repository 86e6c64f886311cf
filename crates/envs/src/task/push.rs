//! Push: bring the box to the goal; the goal then moves elsewhere and the episode goes on.
//!
//! Reward: the decrease of the distance from agent to box and of that from box to goal, plus 1 in the step that brings
//! the box within the goal's radius. The distances are three-dimensional, whatever the original's comments say.
//! Source: safety-gymnasium 1.0.0, `tasks/safe_navigation/push`.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::goal::{GOAL_REWARD, single_goal_first};
use super::{Task, TaskModel};
use crate::layout::resample;
use crate::math::square;
use crate::object::{ObjectGroup, ObjectKind, object_costs};
use crate::params::{GROUP_OFFSET, GROUP_SIZE, PARAM_BODY_FIRST, PARAM_CONTINUE, PARAM_GROUP};
use crate::state::{LANES, LAYOUT, TASK, X, Y, Z};

/// The goal is the first object group of every level of this task.
const GOAL_GROUP: usize = 0;
/// Height of the goal's centre \[m\].
const GOAL_Z: f32 = 0.16;
/// Task field: distance from agent to box at the last reward \[m\].
pub const LAST_TO_BOX: usize = TASK;
/// Task field: distance from box to goal at the last reward \[m\].
pub const LAST_TO_GOAL: usize = TASK + 1;

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn to_box(params: &[f32], state: &mut [f32], base: usize) -> f32 {
    let at = base + (params[PARAM_BODY_FIRST] as usize) * LANES;
    let x = state[at] - state[base + X * LANES];
    let y = state[at + LANES] - state[base + Y * LANES];
    let z = state[at + 2 * LANES] - state[base + Z * LANES];
    (square(x) + square(y) + square(z)).sqrt()
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn to_goal(params: &[f32], state: &mut [f32], base: usize) -> f32 {
    let at = base + (params[PARAM_BODY_FIRST] as usize) * LANES;
    let goal = base + (params[PARAM_GROUP + GROUP_OFFSET] as usize) * LANES;
    let x = state[at] - state[goal];
    let y = state[at + LANES] - state[goal + LANES];
    let z = state[at + 2 * LANES] - GOAL_Z;
    (square(x) + square(y) + square(z)).sqrt()
}

/// Stores the present distances, which the next reward compares with.
#[cfg_attr(feature = "gpu", cube)]
fn update_distances(params: &[f32], state: &mut [f32], base: usize) {
    let near = to_box(params, state, base);
    let far = to_goal(params, state, base);
    state[base + LAST_TO_BOX * LANES] = near;
    state[base + LAST_TO_GOAL * LANES] = far;
}

/// The Push task.
pub struct Push;

#[cfg_attr(feature = "gpu", cube)]
impl Task for Push {
    fn reset(params: &[f32], state: &mut [f32], base: usize, env: u32) {
        if state[base + LAYOUT * LANES] == 0.0 {
            resample(params, state, base, env, GOAL_GROUP);
        }
        update_distances(params, state, base);
    }

    fn reward(params: &[f32], state: &mut [f32], base: usize) -> f32 {
        let before_box = state[base + LAST_TO_BOX * LANES];
        let before_goal = state[base + LAST_TO_GOAL * LANES];
        update_distances(params, state, base);
        let near = state[base + LAST_TO_BOX * LANES];
        let far = state[base + LAST_TO_GOAL * LANES];
        // The original's gate on the first term (distance > 0 * size) is always open.
        let nearer = (before_box - near) + (before_goal - far);
        if far <= params[PARAM_GROUP + GROUP_SIZE] { nearer + GOAL_REWARD } else { nearer }
    }

    fn costs(params: &[f32], state: &mut [f32], base: usize) -> u32 {
        object_costs(params, state, base)
    }

    fn update(params: &[f32], state: &mut [f32], base: usize, env: u32) -> bool {
        let mut alive = true;
        if state[base + LAST_TO_GOAL * LANES] <= params[PARAM_GROUP + GROUP_SIZE] {
            alive = false;
            if params[PARAM_CONTINUE] > 0.5 {
                alive = resample(params, state, base, env, GOAL_GROUP);
            }
            update_distances(params, state, base);
        }
        alive
    }

    fn sees(_state: &mut [f32], _base: usize, _kind: f32) -> bool {
        true
    }
}

impl TaskModel for Push {
    fn check(groups: &[ObjectGroup]) -> Result<(), String> {
        single_goal_first(groups)?;
        let boxes: usize =
            groups.iter().filter(|group| group.kind == ObjectKind::PushBox).map(|group| group.count).sum();
        if boxes == 1 { Ok(()) } else { Err(format!("Push needs exactly 1 push_box, there are {boxes}")) }
    }

    fn restore(params: &[f32], state: &mut [f32], base: usize) {
        update_distances(params, state, base);
    }
}
