//! Circle: drive along a circle about the origin, fast and anticlockwise; beyond the walls it costs.
//!
//! Reward: `0.1 (v . t) / (1 + |r - 1.5|)`, t the direction anticlockwise about the origin, r the distance from it.
//! Source: safety-gymnasium 1.0.0, `tasks/safe_navigation/circle`.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::Task;
use crate::level::{GROUP_SIZE, PARAM_GROUP, PARAM_WALLS, WALL_DISTANCE};
use crate::state::{LANES, VX, VY, X, Y};

const REWARD_FACTOR: f32 = 0.1;

/// Whether the agent is beyond a wall: left or right, with four of them also above or below.
#[cfg_attr(feature = "gpu", cube)]
pub fn outside(params: &[f32], state: &mut [f32], base: usize) -> bool {
    let walls = params[PARAM_WALLS];
    let beyond_x = walls > 1.0 && state[base + X * LANES].abs() > WALL_DISTANCE;
    let beyond_y = walls > 3.0 && state[base + Y * LANES].abs() > WALL_DISTANCE;
    beyond_x || beyond_y
}

/// The Circle task.
pub struct Circle;

#[cfg_attr(feature = "gpu", cube)]
impl Task for Circle {
    fn reset(_params: &[f32], _state: &mut [f32], _base: usize, _env: u32) {}

    fn reward(params: &[f32], state: &mut [f32], base: usize) -> f32 {
        let x = state[base + X * LANES];
        let y = state[base + Y * LANES];
        let along = state[base + VY * LANES] * x - state[base + VX * LANES] * y;
        let radius = (x * x + y * y).sqrt();
        let away = (radius - params[PARAM_GROUP + GROUP_SIZE]).abs();
        REWARD_FACTOR * (along / radius.max(1e-12f32)) / (1.0 + away)
    }

    fn finish_step(_params: &[f32], _state: &mut [f32], _base: usize, _env: u32) -> bool {
        true
    }
}
