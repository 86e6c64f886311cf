//! Hazards: discs on the floor; the agent's origin inside one costs.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::math::square;
use crate::params::{
    GROUP_CONSTRAINED, GROUP_COUNT, GROUP_FIELDS, GROUP_KIND, GROUP_OFFSET, GROUP_ROW, GROUP_SIZE, PARAM_GROUP,
    PARAM_GROUPS,
};
use crate::state::{LANES, X, Y};

/// `ObjectKind::Hazard.code()`, as a plain constant for kernels.
const HAZARD: f32 = crate::object::ObjectKind::Hazard.code();

/// Whether the agent's origin is inside a hazard that costs.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn inside_hazard(params: &[f32], state: &mut [f32], base: usize) -> bool {
    let x = state[base + X * LANES];
    let y = state[base + Y * LANES];
    let groups = params[PARAM_GROUPS] as usize;
    let mut inside = false;
    for g in 0..groups {
        let row = PARAM_GROUP + g * GROUP_ROW;
        if params[row + GROUP_KIND] == HAZARD && params[row + GROUP_CONSTRAINED] > 0.5 {
            let count = params[row + GROUP_COUNT] as usize;
            let fields = params[row + GROUP_FIELDS] as usize;
            let reach = square(params[row + GROUP_SIZE]);
            let mut at = base + (params[row + GROUP_OFFSET] as usize) * LANES;
            for _ in 0..count {
                if square(x - state[at]) + square(y - state[at + LANES]) < reach {
                    inside = true;
                }
                at += fields * LANES;
            }
        }
    }
    inside
}
