//! The twelve numbers every agent senses first: accelerometer, velocimeter, gyro, magnetometer.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::state::{COS, LANES, OMEGA, SIN, VX, VY};

/// Numbers [`planar_sensors`] writes.
pub const PLANAR_SENSORS: usize = 12;

/// Standard gravity as the original's accelerometer reads it at rest \[m/s^2\].
const GRAVITY: f32 = 9.81;
/// Length of the magnetic field, which points along world -y.
const FIELD: f32 = 0.5;

/// Sensors of an agent that stays level: `acc_x`, `acc_y` is the acceleration of the body origin
/// in the agent frame \[m/s^2\]; velocity, yaw rate and yaw come from the state.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn planar_sensors(state: &mut [f32], base: usize, acc_x: f32, acc_y: f32, obs: &mut [f32], at: usize) {
    let cos = state[base + COS * LANES];
    let sin = state[base + SIN * LANES];
    let vx = state[base + VX * LANES];
    let vy = state[base + VY * LANES];
    obs[at] = acc_x;
    obs[at + 1] = acc_y;
    obs[at + 2] = GRAVITY;
    obs[at + 3] = cos * vx + sin * vy;
    obs[at + 4] = cos * vy - sin * vx;
    obs[at + 5] = 0.0;
    obs[at + 6] = 0.0;
    obs[at + 7] = 0.0;
    obs[at + 8] = state[base + OMEGA * LANES];
    obs[at + 9] = sin * -FIELD;
    obs[at + 10] = cos * -FIELD;
    obs[at + 11] = 0.0;
}
