//! Sigwalls: lines on the floor that nothing stops at; being beyond one costs.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::params::{PARAM_WALL_DISTANCE, PARAM_WALLS};
use crate::state::{LANES, X, Y};

/// Whether the agent's origin is beyond a line: left or right, with four of them also above or below.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn beyond_wall(params: &[f32], state: &mut [f32], base: usize) -> bool {
    let walls = params[PARAM_WALLS];
    let distance = params[PARAM_WALL_DISTANCE];
    let beyond_x = walls > 1.0 && state[base + X * LANES].abs() > distance;
    let beyond_y = walls > 3.0 && state[base + Y * LANES].abs() > distance;
    beyond_x || beyond_y
}
