//! Circle: drive along a circle about the origin, fast and anticlockwise; beyond the walls it costs.
//!
//! Reward: `0.1 (v . t) / (1 + |r - 1.5|)`, t the direction anticlockwise about the origin, r the distance from it.
//! Source: safety-gymnasium 1.0.0, `tasks/safe_navigation/circle`.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::{Task, TaskModel};
use crate::object::{ObjectGroup, ObjectKind, object_costs};
use crate::params::{GROUP_SIZE, PARAM_GROUP};
use crate::state::{LANES, VX, VY, X, Y};

const REWARD_FACTOR: f32 = 0.1;

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

    fn costs(params: &[f32], state: &mut [f32], base: usize) -> u32 {
        object_costs(params, state, base)
    }

    fn update(_params: &[f32], _state: &mut [f32], _base: usize, _env: u32) -> bool {
        true
    }

    fn sees(_state: &mut [f32], _base: usize, _kind: f32) -> bool {
        true
    }
}

impl TaskModel for Circle {
    fn check(groups: &[ObjectGroup]) -> Result<(), String> {
        match groups.first() {
            Some(ObjectGroup { kind: ObjectKind::Circle, count: 1, .. }) => Ok(()),
            _ => Err("Circle needs one circle as its first group".to_owned()),
        }
    }
}
