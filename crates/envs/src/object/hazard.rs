//! Hazards: discs on the floor; the agent's origin inside one costs.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::lanes::{Lane, row};
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

/// [`inside_hazard`] of every environment of a block, as 0 or 1.
#[inline(always)]
pub(super) fn inside_hazard_lanes(params: &[f32], state: &[f32]) -> Lane {
    let (x, y) = (row(state, X), row(state, Y));
    let mut inside = [0.0f32; LANES];
    for group in params[PARAM_GROUP..].chunks_exact(GROUP_ROW).take(params[PARAM_GROUPS] as usize) {
        if group[GROUP_KIND] != HAZARD || group[GROUP_CONSTRAINED] <= 0.5 {
            continue;
        }
        let reach = square(group[GROUP_SIZE]);
        let (first, fields) = (group[GROUP_OFFSET] as usize, group[GROUP_FIELDS] as usize);
        for i in 0..group[GROUP_COUNT] as usize {
            let (hazard_x, hazard_y) = (row(state, first + i * fields), row(state, first + i * fields + 1));
            for lane in 0..LANES {
                let near = square(x[lane] - hazard_x[lane]) + square(y[lane] - hazard_y[lane]) < reach;
                inside[lane] = if near { 1.0 } else { inside[lane] };
            }
        }
    }
    inside
}
