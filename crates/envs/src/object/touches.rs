//! What a step found the agent to touch, and whether free objects move: from the scratch to the state.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::body::{bodies_moving, come_to_rest};
use crate::contact::{CONTACT_TOUCH, TOUCH_BUTTONS, TOUCH_COSTS};
use crate::object::ObjectKind;
use crate::params::PARAM_BODY_KIND;
use crate::state::{
    IDLE, LANES, MOVING, TOUCH, TOUCH_BUTTONS as TOUCH_BUTTONS_FIELD, TOUCH_COSTS as TOUCH_COSTS_FIELD, TOUCHED,
};

const VASE: f32 = ObjectKind::Vase.code();

/// Notes in the state that the agent touched nothing and every free object rests.
#[cfg_attr(feature = "gpu", cube)]
pub fn touch_nothing(state: &mut [f32], base: usize) {
    state[base + TOUCH * LANES] = 0.0;
    state[base + TOUCH_COSTS_FIELD * LANES] = 0.0;
    state[base + TOUCH_BUTTONS_FIELD * LANES] = 0.0;
    state[base + TOUCHED * LANES] = 0.0;
    state[base + MOVING * LANES] = 0.0;
    state[base + IDLE * LANES] = 1.0;
}

/// Notes in the state what the last `obstacles_collide` found, and whether free objects move. `TOUCHED`, which looks
/// back at all substeps, is the agent's.
#[cfg_attr(feature = "gpu", cube)]
pub fn publish_touches(params: &[f32], state: &mut [f32], base: usize, scratch: &mut [f32], scratch_base: usize) {
    state[base + TOUCH * LANES] = scratch[scratch_base + CONTACT_TOUCH];
    state[base + TOUCH_COSTS_FIELD * LANES] = scratch[scratch_base + TOUCH_COSTS];
    state[base + TOUCH_BUTTONS_FIELD * LANES] = scratch[scratch_base + TOUCH_BUTTONS];
    let vases = params[PARAM_BODY_KIND] == VASE;
    state[base + MOVING * LANES] = if vases && bodies_moving(params, state, base) > 0 { 1.0f32 } else { 0.0f32 };
    state[base + IDLE * LANES] = if come_to_rest(params, state, base) { 1.0f32 } else { 0.0f32 };
}
