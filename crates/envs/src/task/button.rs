//! Button: press the button that is meant; then another (or the same) is meant and the episode goes on.
//!
//! Reward: the decrease of the distance to the button, plus 1 in a step at whose end the agent touches it. For ten steps
//! after a press, wrong buttons cost nothing and the lidar does not see buttons.
//! Source: safety-gymnasium 1.0.0, `tasks/safe_navigation/button`, `assets/geoms/buttons.py`.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::Task;
use super::goal::{GOAL_REWARD, progress};
use crate::level::{GROUP_OFFSET, GROUP_ROW, PARAM_GROUP, PARAM_SOLID_FIRST, PARAM_SOLIDS};
use crate::rng::draw;
use crate::state::{LANES, STATIC_FIELDS, TASK, TOUCH_BUTTONS};

/// Steps for which wrong buttons stay free after a press.
const DELAY: f32 = 10.0;
/// Task field: steps until wrong buttons cost again.
pub const TIMER: usize = TASK;
/// Task field: number of the button that is meant.
pub const TARGET: usize = TASK + 1;
/// The goal, which marks that button, is the second object group.
const GOAL_ROW: usize = PARAM_GROUP + GROUP_ROW;

/// Whether the agent touches button number `button`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn touches(state: &mut [f32], base: usize, button: f32) -> bool {
    let touched = state[base + TOUCH_BUTTONS * LANES] as u32;
    (touched >> (button as u32)) & 1 == 1
}

/// Whether the agent touches a button that is not meant, and buttons are watched.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn presses_wrong(state: &mut [f32], base: usize) -> bool {
    let touched = state[base + TOUCH_BUTTONS * LANES] as u32;
    let meant = 1u32 << (state[base + TARGET * LANES] as u32);
    state[base + TIMER * LANES] == 0.0 && (touched | meant) != meant
}

/// Means a new button, drawn uniformly, and moves the goal there.
#[cfg_attr(feature = "gpu", cube)]
fn choose(params: &[f32], state: &mut [f32], base: usize, env: u32) {
    let count = params[PARAM_SOLIDS];
    let button = ((draw(params, state, base, env) * count) as u32).min(count as u32 - 1);
    let from = base + (params[PARAM_SOLID_FIRST] as usize + (button as usize) * STATIC_FIELDS) * LANES;
    let goal = base + (params[GOAL_ROW + GROUP_OFFSET] as usize) * LANES;
    state[base + TARGET * LANES] = button as f32;
    state[goal] = state[from];
    state[goal + LANES] = state[from + LANES];
}

/// The Button task.
pub struct Button;

#[cfg_attr(feature = "gpu", cube)]
impl Task for Button {
    fn reset(params: &[f32], state: &mut [f32], base: usize, env: u32) {
        choose(params, state, base, env);
    }

    fn reward(params: &[f32], state: &mut [f32], base: usize) -> f32 {
        let goal = base + (params[GOAL_ROW + GROUP_OFFSET] as usize) * LANES;
        let nearer = progress(state, base, goal);
        let target = state[base + TARGET * LANES];
        if touches(state, base, target) { nearer + GOAL_REWARD } else { nearer }
    }

    fn finish_step(params: &[f32], state: &mut [f32], base: usize, env: u32) -> bool {
        let timer = state[base + TIMER * LANES];
        let target = state[base + TARGET * LANES];
        state[base + TIMER * LANES] = (timer - 1.0).max(0.0f32);
        if touches(state, base, target) {
            choose(params, state, base, env);
            state[base + TIMER * LANES] = DELAY;
        }
        true
    }
}
