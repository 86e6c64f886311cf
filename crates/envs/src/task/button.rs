//! Button: press the target button; then another (or the same) becomes the target and the episode goes on.
//!
//! Reward: the decrease of the distance to the button, plus 1 in a step at whose end the agent touches it. For ten steps
//! after a press, wrong buttons cost nothing and the lidar does not see buttons.
//! Source: safety-gymnasium 1.0.0, `tasks/safe_navigation/button`, `assets/geoms/buttons.py`.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::goal::{GOAL_REWARD, progress};
use super::{Task, TaskModel};
use crate::object::{ObjectGroup, ObjectKind, object_costs};
use crate::params::{
    DRAWN, GROUP_OFFSET, GROUP_ROW, LAYOUT_TARGET, PARAM_CONTINUE, PARAM_GROUP, PARAM_SOLID_COSTS, PARAM_SOLID_FIRST,
    PARAM_SOLID_KIND, PARAM_SOLIDS,
};
use crate::rng::draw;
use crate::state::{LANES, LAYOUT, STATIC_FIELDS, TASK, TOUCH_BUTTONS};

/// `ObjectKind::Button.code()`, as a plain constant for kernels.
const BUTTON: f32 = ObjectKind::Button.code();
/// Steps for which wrong buttons stay free after a press.
const DELAY: f32 = 10.0;
/// Task field: steps until wrong buttons cost again.
pub const TIMER: usize = TASK;
/// Task field: number of the target button.
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

/// Whether the agent touches a button that is not the target, and buttons are watched.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn presses_wrong(state: &mut [f32], base: usize) -> bool {
    let touched = state[base + TOUCH_BUTTONS * LANES] as u32;
    let target = 1u32 << (state[base + TARGET * LANES] as u32);
    state[base + TIMER * LANES] == 0.0 && (touched | target) != target
}

/// Chooses a new target button, drawn uniformly, and moves the goal there.
#[cfg_attr(feature = "gpu", cube)]
fn choose(params: &[f32], state: &mut [f32], base: usize, env: u32) {
    let count = params[PARAM_SOLIDS];
    let button = ((draw(params, state, base, env) * count) as u32).min(count as u32 - 1);
    aim(params, state, base, button);
}

/// Makes `button` the target and moves the goal there.
#[cfg_attr(feature = "gpu", cube)]
fn aim(params: &[f32], state: &mut [f32], base: usize, button: u32) {
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
        let layout = state[base + LAYOUT * LANES] as usize;
        if layout > 0 {
            let given = params[layout + LAYOUT_TARGET];
            if given < DRAWN {
                aim(params, state, base, given as u32);
            }
        }
    }

    fn reward(params: &[f32], state: &mut [f32], base: usize) -> f32 {
        let goal = base + (params[GOAL_ROW + GROUP_OFFSET] as usize) * LANES;
        let nearer = progress(state, base, goal);
        let target = state[base + TARGET * LANES];
        if touches(state, base, target) { nearer + GOAL_REWARD } else { nearer }
    }

    fn costs(params: &[f32], state: &mut [f32], base: usize) -> u32 {
        let mut kinds = object_costs(params, state, base);
        let buttons = params[PARAM_SOLID_KIND] == BUTTON && params[PARAM_SOLID_COSTS] > 0.5;
        if buttons && presses_wrong(state, base) {
            kinds |= params[PARAM_SOLID_COSTS] as u32;
        }
        kinds
    }

    fn update(params: &[f32], state: &mut [f32], base: usize, env: u32) -> bool {
        let timer = state[base + TIMER * LANES];
        let target = state[base + TARGET * LANES];
        state[base + TIMER * LANES] = (timer - 1.0).max(0.0f32);
        let mut alive = true;
        if touches(state, base, target) {
            choose(params, state, base, env);
            state[base + TIMER * LANES] = DELAY;
            alive = params[PARAM_CONTINUE] > 0.5;
        }
        alive
    }

    fn sees(state: &mut [f32], base: usize, kind: f32) -> bool {
        kind != BUTTON || state[base + TIMER * LANES] <= 0.5
    }
}

impl TaskModel for Button {
    const HAS_TARGET: bool = true;

    fn check(groups: &[ObjectGroup]) -> Result<(), String> {
        let is = |index: usize, kind: ObjectKind| groups.get(index).is_some_and(|group| group.kind == kind);
        if is(0, ObjectKind::Button) && is(1, ObjectKind::Goal) && groups[1].count == 1 {
            Ok(())
        } else {
            Err("Button needs the group of buttons first and one goal, which marks the target button, second"
                .to_owned())
        }
    }
}
