//! `mj_sensorVel` and `mj_sensorAcc`: the twelve numbers every agent senses first, accelerometer, velocimeter, gyro, magnetometer.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::state::{COS, LANES, OMEGA, SIN, VX, VY};

/// What [`planar_sensors`] writes, with lengths.
pub const PLANAR_SENSORS: &[(&str, usize)] =
    &[("accelerometer", 3), ("velocimeter", 3), ("gyro", 3), ("magnetometer", 3)];

/// Standard gravity as the original's accelerometer reads it at rest \[m/s^2\].
const GRAVITY: f32 = 9.81;
/// Length of the magnetic field, which points along world -y.
const FIELD: f32 = 0.5;

/// Sensors of an agent that stays level: `acc_x`, `acc_y` is the acceleration of the body origin
/// in the agent frame \[m/s^2\]; velocity, yaw rate and yaw come from the state.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn planar_sensors(state: &mut [f32], base: usize, acc_x: f32, acc_y: f32, obs: &mut [f32], obs_offset: usize) {
    let cos = state[base + COS * LANES];
    let sin = state[base + SIN * LANES];
    let vx = state[base + VX * LANES];
    let vy = state[base + VY * LANES];
    obs[obs_offset] = acc_x;
    obs[obs_offset + 1] = acc_y;
    obs[obs_offset + 2] = GRAVITY;
    obs[obs_offset + 3] = cos * vx + sin * vy;
    obs[obs_offset + 4] = cos * vy - sin * vx;
    obs[obs_offset + 5] = 0.0;
    obs[obs_offset + 6] = 0.0;
    obs[obs_offset + 7] = 0.0;
    obs[obs_offset + 8] = state[base + OMEGA * LANES];
    obs[obs_offset + 9] = sin * -FIELD;
    obs[obs_offset + 10] = cos * -FIELD;
    obs[obs_offset + 11] = 0.0;
}
