//! What the objects of a level cost, whatever the task, and how kinds of cost make up the cost of a step.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;
use pulp::NullaryFnOnce;

use super::hazard::{inside_hazard, inside_hazard_lanes};
use super::kind::ObjectKind;
use super::sigwall::beyond_wall;
use crate::lanes::row_mut;
use crate::level::CostKind;
use crate::params::{COST_KINDS, COST_SUMMED, COST_WEIGHT, PARAM_BODY_COSTS, PARAM_BODY_KIND};
use crate::state::{LANES, MOVING, TOUCH_COSTS};

// Plain constants for kernels.
const VASE: f32 = ObjectKind::Vase.code();
const HAZARDS: u32 = CostKind::Hazards.bit();
const VASES_VELOCITY: u32 = CostKind::VasesVelocity.bit();
const WALLS: u32 = CostKind::Walls.bit();
const KINDS: usize = CostKind::COUNT;

/// Adds to what the agent's touches cost that it is inside a hazard; once per step, before [`object_costs`].
#[cfg_attr(feature = "gpu", cube)]
pub fn mark_hazards(params: &[f32], state: &mut [f32], base: usize) {
    if inside_hazard(params, state, base) {
        state[base + TOUCH_COSTS * LANES] += HAZARDS as f32;
    }
}

/// [`mark_hazards`] of every environment of a block.
pub(crate) struct MarkHazards<'a> {
    pub params: &'a [f32],
    pub state: &'a mut [f32],
}

impl NullaryFnOnce for MarkHazards<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let inside = inside_hazard_lanes(self.params, self.state);
        for (costs, inside) in row_mut(self.state, TOUCH_COSTS).iter_mut().zip(inside) {
            *costs += inside * HAZARDS as f32;
        }
    }
}

/// The bits of the kinds of cost that the state brings, buttons apart: the agent touches an object that costs, is inside a
/// hazard (as [`mark_hazards`] has found) or beyond a line, or a vase that costs moves.
#[cfg_attr(feature = "gpu", cube)]
pub fn object_costs(params: &[f32], state: &mut [f32], base: usize) -> u32 {
    let mut kinds = state[base + TOUCH_COSTS * LANES] as u32;
    if beyond_wall(params, state, base) {
        kinds |= WALLS;
    }
    let vases = params[PARAM_BODY_KIND] == VASE && params[PARAM_BODY_COSTS] > 0.5;
    if vases && state[base + MOVING * LANES] > 0.5 {
        kinds |= VASES_VELOCITY;
    }
    kinds
}

/// The cost that `kinds` make by the constraint whose row begins at `params[row]`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn cost_of(params: &[f32], row: usize, kinds: u32) -> f32 {
    let counted = kinds & (params[row + COST_KINDS] as u32);
    let mut cost = 0.0f32;
    if counted > 0 {
        cost = 1.0;
        if params[row + COST_SUMMED] > 0.5 {
            cost = 0.0;
            for kind in 0..KINDS {
                if (counted >> (kind as u32)) & 1 == 1 {
                    cost += params[row + COST_WEIGHT + kind];
                }
            }
        }
    }
    cost
}
