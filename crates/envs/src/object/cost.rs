//! What the objects of a level cost, whatever the task.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::hazard::inside_hazard;
use super::kind::ObjectKind;
use super::sigwall::beyond_wall;
use crate::params::{PARAM_BODY_COSTS, PARAM_BODY_KIND};
use crate::state::{LANES, MOVING, TOUCH_COSTS};

/// `ObjectKind::Vase.code()`, as a plain constant for kernels.
const VASE: f32 = ObjectKind::Vase.code();

/// 1 where the agent touches an object that costs (buttons apart), is inside a hazard or beyond a line, or a vase that
/// costs moves; else 0.
#[cfg_attr(feature = "gpu", cube)]
pub fn object_cost(params: &[f32], state: &mut [f32], base: usize) -> f32 {
    let mut cost = state[base + TOUCH_COSTS * LANES];
    if inside_hazard(params, state, base) || beyond_wall(params, state, base) {
        cost = 1.0;
    }
    let vases = params[PARAM_BODY_KIND] == VASE && params[PARAM_BODY_COSTS] > 0.5;
    if vases && state[base + MOVING * LANES] > 0.5 {
        cost = 1.0;
    }
    cost
}
