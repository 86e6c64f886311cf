//! `mj_Euler` and `mj_RungeKutta` of the free objects that a step simulates.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::obstacles::{obstacles_begin, obstacles_collide};
use super::touches::{publish_touches, touch_nothing};
use crate::contact::{
    ACC, ACTIVE, AGENT_SLOT, ASLEEP, INDEX, MOST_TOGETHER, Nobody, STAGED, STAGED_LEN, TOUCHES, VEL, body,
    move_free_body, place_free_body, scratch_of, solve_each, with_scratch,
};
use crate::lanes::Place;
use crate::params::{PARAM_BODY_FIELDS, PARAM_BODY_FIRST, PARAM_STAGES, PARAM_SUBSTEP};
use crate::state::{LANES, TOUCHED};

/// The reach of an agent that is nowhere near \[m\].
const OUT_OF_REACH: f32 = -1.0;

/// Moves the active free objects on by `step` \[s\] under their accelerations.
#[cfg_attr(feature = "gpu", cube)]
pub fn obstacles_finish(
    params: &[f32],
    state: &mut [f32],
    base: usize,
    step: f32,
    scratch: &mut [f32],
    scratch_base: usize,
) {
    let active = scratch[scratch_base + ACTIVE] as usize;
    let fields = params[PARAM_BODY_FIELDS] as usize;
    let first = base + (params[PARAM_BODY_FIRST] as usize) * LANES;
    for slot in 1..(active + 1) {
        if scratch[body(scratch_base, slot) + ASLEEP] == 0.0 {
            let index = scratch[body(scratch_base, slot) + INDEX] as usize;
            move_free_body(state, first + index * fields * LANES, LANES, scratch, scratch_base, slot, step);
        }
    }
    spent!(ObjectMotion);
}

/// Moves the active free objects on by the stage `stage` of a timestep of `step` \[s\] in four, MuJoCo's Runge-Kutta: to
/// where the next stage looks at them, after the last to where the timestep leaves them.
#[cfg_attr(feature = "gpu", cube)]
pub fn obstacles_stage(
    params: &[f32],
    state: &mut [f32],
    base: usize,
    stage: u32,
    step: f32,
    scratch: &mut [f32],
    scratch_base: usize,
) {
    let active = scratch[scratch_base + ACTIVE] as usize;
    let fields = params[PARAM_BODY_FIELDS] as usize;
    let first = base + (params[PARAM_BODY_FIRST] as usize) * LANES;
    let share = if stage == 1 || stage == 2 { 1.0f32 / 3.0f32 } else { 1.0f32 / 6.0f32 };
    for slot in 1..(active + 1) {
        let b = body(scratch_base, slot);
        let at = first + (scratch[b + INDEX] as usize) * fields * LANES;
        let start = scratch_base + STAGED + (slot - 1) * STAGED_LEN;
        if stage == 0 {
            for k in 0..13usize {
                scratch[start + k] = state[at + k * LANES];
            }
            for k in 13..STAGED_LEN {
                scratch[start + k] = 0.0;
            }
        }
        if scratch[b + ASLEEP] == 0.0 {
            for k in 0..6usize {
                scratch[start + 13 + k] += share * scratch[b + VEL + k];
                scratch[start + 19 + k] += share * scratch[b + ACC + k];
            }
            let last = stage == 3;
            let rates = if last { start + 13 } else { b + VEL };
            let accs = if last { start + 19 } else { b + ACC };
            let reach = if stage < 2 { 0.5 * step } else { step };
            place_free_body(state, at, LANES, scratch, scratch_base, slot, start, rates, accs, reach);
        }
    }
}

/// Chooses the free objects that a step must simulate where the agent meets none of them; whether there are any.
pub fn objects_begin(params: &[f32], state: &mut [f32], base: usize, scratch: &mut [f32], scratch_base: usize) -> bool {
    let any = obstacles_begin(params, state, base, OUT_OF_REACH, scratch, scratch_base) > 0;
    // Of an agent that was there before.
    scratch[body(scratch_base, AGENT_SLOT) + TOUCHES] = 0.0;
    any
}

/// Moves the free objects of the environments at `places`, whose agents meet none of them in this step.
pub fn advance_objects(params: &[f32], state: &mut [f32], places: &[Place]) {
    for places in places.chunks(MOST_TOGETHER) {
        advance_together(params, state, places);
    }
}

/// [`advance_objects`] of [`MOST_TOGETHER`] environments at most.
fn advance_together(params: &[f32], state: &mut [f32], places: &[Place]) {
    with_scratch(|scratch| {
        let mut all = [(0, 0); MOST_TOGETHER];
        let mut count = 0;
        for (k, place) in places.iter().enumerate() {
            if objects_begin(params, state, place.base, scratch, scratch_of(k)) {
                all[count] = (place.base, scratch_of(k));
                count += 1;
            } else {
                touch_nothing(state, place.base);
            }
        }
        let (all, stages, step) = (&all[..count], params[PARAM_STAGES] as u32, params[PARAM_SUBSTEP]);
        for round in 0..10 * stages {
            for &(lane, base) in all {
                obstacles_collide::<Nobody>(params, state, lane, (round / stages) as f32, scratch, base);
            }
            solve_each::<Nobody>(scratch, all.iter().map(|(_, base)| *base));
            for &(lane, base) in all {
                if stages > 1 {
                    obstacles_stage(params, state, lane, round % stages, step, scratch, base);
                } else {
                    obstacles_finish(params, state, lane, step, scratch, base);
                }
            }
        }
        for &(lane, base) in all {
            publish_touches(params, state, lane, scratch, base);
            state[lane + TOUCHED * LANES] = 0.0;
        }
    });
}
