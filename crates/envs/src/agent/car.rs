//! The Car: a free chassis on two hinge wheels and a ball, eleven degrees of freedom on a soft floor.
//!
//! The whole of MuJoCo's model, not a kinematic stand-in: the car rocks, hops and slips, and its
//! sensors show it. Ten substeps of 4 ms an environment step; at each the floor contacts (two rims a
//! wheel and the ball) are solved together with the body by Newton's method (`car/contact.rs`,
//! `car/newton.rs`, `car/dynamics.rs`). Masses and lengths: `car/model.rs`. Where an obstacle touches it, the
//! general contact solver takes the substep instead (`car/among.rs`, `car/body.rs`, `car/block.rs`).
//!
//! The physics is one text read several ways (`car/reading.rs`): over one environment, and over vector
//! registers of environments (`Car::drive_block`); both give the same bits.
//!
//! # Measured against the original
//! From the recorded state of 7,000 steps in which nothing but the floor was touched, one step in float32:
//! position off by 2e-7 m at most, yaw by 1e-6 rad, velocities by 1e-6 m/s, the accelerometer by 4e-5
//! m/s^2 (99th percentile; 1e-4 at most). In float64 velocities agree to 1e-10: the rounding of MuJoCo
//! itself. Only the first step after a reset may differ: there the gaps are zero, and the
//! original's rounding decides which wheels touch.
//!
//! From single substeps in contact with boxes, pillars and buttons, or overturned on the floor, given the original's
//! contacts (99th percentile of 445): velocity off by 2.4e-6 m/s, angular velocity by 2.5e-5 rad/s, wheel speeds by
//! 8e-5 rad/s, the box's velocity by 9e-5 m/s.

#[macro_use]
mod reading;
mod among;
mod block;
mod body;
mod floor;
mod lanes;
mod model;
mod restore;
mod shape;
mod wide;

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use self::among::{drive_among, leans};
use self::reading::scalar;
#[cfg(target_arch = "x86_64")]
use self::reading::{avx2, avx512};
use super::Agent;
use crate::lidar::Ego;
use crate::math::{sin_cos, sixteenths, wrap_angle};
use crate::object::{obstacles_begin, publish_touches, touch_nothing};
use crate::state::{AGENT_OWN, COS, DX, DY, LANES, OMEGA, SIN, VX, VY, YAW, Z};

/// Length of an action: left and right motor.
pub const ACTION_DIM: usize = 2;
/// Length of the agent's part of an observation.
pub const SENSOR_DIM: usize = 24;
/// The Car's sensors in observation order.
pub const SENSORS: &[(&str, usize)] = &[
    ("accelerometer", 3),
    ("velocimeter", 3),
    ("gyro", 3),
    ("magnetometer", 3),
    ("ballangvel_rear", 3),
    ("ballquat_rear", 9),
];

// State fields of the Car alone.
/// Height above [`model::NOMINAL_HEIGHT`] \[m\].
const LIFT: usize = AGENT_OWN;
/// Chassis to world, quaternion w, x, y, z.
const POSE: usize = AGENT_OWN + 1;
/// Upward velocity \[m/s\].
const VZ: usize = AGENT_OWN + 5;
/// Angular velocity, chassis axes \[rad/s\].
const SPIN: usize = AGENT_OWN + 6;
/// Wheel speeds \[rad/s\].
const LEFT: usize = AGENT_OWN + 9;
const RIGHT: usize = AGENT_OWN + 10;
/// Angular velocity of the ball relative to the chassis, chassis axes \[rad/s\].
const BALL: usize = AGENT_OWN + 11;
/// Ball to chassis, quaternion w, x, y, z.
const BALL_POSE: usize = AGENT_OWN + 14;
/// Reading of the accelerometer, chassis axes \[m/s^2\].
const FELT: usize = AGENT_OWN + 18;
/// Substeps since the reset whose contacts were left unsolved: 0 unless numbers go wrong.
pub const UNSOLVED: usize = AGENT_OWN + 21;
/// Number of state fields of the Car alone.
pub const STATE_FIELDS: usize = 22;

/// What the accelerometer reads when the car is put down with every contact just touching.
const PUT_DOWN_Y: f32 = -0.013_394_113;
const PUT_DOWN_Z: f32 = 9.528_943;
/// Length of the magnetic field, which points along world -y.
const FIELD: f32 = 0.5;
/// Height of the body origin at rest \[m\].
const HEIGHT: f32 = model::NOMINAL_HEIGHT as f32;
/// Farthest corner of a wheel from the origin, 0.216 m, and what the Car travels in a step, generously: 40 ms at 1.5
/// m/s \[m\].
const REACH: f32 = 0.216 + 0.04;
/// Radians in a sixteenth of a turn.
const SIXTEENTH: f32 = core::f32::consts::TAU / 16.0;

/// The yaw follows from the heading, the height from the lift.
#[cfg_attr(feature = "gpu", cube)]
fn publish(state: &mut [f32], base: usize) {
    let turn = sixteenths(state[base + SIN * LANES], state[base + COS * LANES]);
    state[base + YAW * LANES] = wrap_angle(turn * SIXTEENTH);
    state[base + Z * LANES] = HEIGHT + state[base + LIFT * LANES];
}

/// The Car agent.
pub struct Car;

#[cfg_attr(feature = "gpu", cube)]
impl Agent for Car {
    fn reset(state: &mut [f32], base: usize, yaw: f32) {
        let (sin, cos) = sin_cos(yaw);
        let (half_sin, half_cos) = sin_cos(yaw * 0.5);
        for field in AGENT_OWN..AGENT_OWN + STATE_FIELDS {
            state[base + field * LANES] = 0.0;
        }
        state[base + POSE * LANES] = half_cos;
        state[base + (POSE + 3) * LANES] = half_sin;
        state[base + BALL_POSE * LANES] = 1.0;
        state[base + (FELT + 1) * LANES] = PUT_DOWN_Y;
        state[base + (FELT + 2) * LANES] = PUT_DOWN_Z;
        state[base + YAW * LANES] = yaw;
        state[base + SIN * LANES] = sin;
        state[base + COS * LANES] = cos;
        state[base + VX * LANES] = 0.0;
        state[base + VY * LANES] = 0.0;
        state[base + OMEGA * LANES] = 0.0;
        state[base + DX * LANES] = 0.0;
        state[base + DY * LANES] = 0.0;
        state[base + Z * LANES] = HEIGHT;
        touch_nothing(state, base);
    }

    fn advance(
        params: &[f32],
        state: &mut [f32],
        base: usize,
        u0: f32,
        u1: f32,
        scratch: &mut [f32],
        scratch_at: usize,
    ) {
        let met = obstacles_begin(params, state, base, REACH, scratch, scratch_at) > 0;
        let near = met || leans(state, base);
        drive_among(u0, u1, near, params, state, base, scratch, scratch_at);
        if met {
            publish_touches(params, state, base, scratch, scratch_at);
        } else {
            touch_nothing(state, base);
        }
        publish(state, base);
    }

    fn observe(state: &mut [f32], base: usize, obs: &mut [f32], at: usize) {
        let car = scalar::load(0.0f32, state, base);
        let chassis = scalar::frame(car.pose);
        let rear = scalar::frame(car.ball_pose);
        let velocity = scalar::to_frame(chassis, car.velocity);
        let ball = scalar::to_frame(rear, car.ball);
        obs[at] = state[base + FELT * LANES];
        obs[at + 1] = state[base + (FELT + 1) * LANES];
        obs[at + 2] = state[base + (FELT + 2) * LANES];
        obs[at + 3] = velocity.x;
        obs[at + 4] = velocity.y;
        obs[at + 5] = velocity.z;
        obs[at + 6] = car.omega.x;
        obs[at + 7] = car.omega.y;
        obs[at + 8] = car.omega.z;
        obs[at + 9] = chassis.ex.y * -FIELD;
        obs[at + 10] = chassis.ey.y * -FIELD;
        obs[at + 11] = chassis.ez.y * -FIELD;
        obs[at + 12] = ball.x;
        obs[at + 13] = ball.y;
        obs[at + 14] = ball.z;
        obs[at + 15] = rear.ex.x;
        obs[at + 16] = rear.ey.x;
        obs[at + 17] = rear.ez.x;
        obs[at + 18] = rear.ex.y;
        obs[at + 19] = rear.ey.y;
        obs[at + 20] = rear.ez.y;
        obs[at + 21] = rear.ex.z;
        obs[at + 22] = rear.ey.z;
        obs[at + 23] = rear.ez.z;
    }

    fn ego(state: &mut [f32], base: usize) -> Ego {
        let car = scalar::load(0.0f32, state, base);
        let chassis = scalar::frame(car.pose);
        let down = -(HEIGHT + car.lift);
        Ego {
            xx: chassis.ex.x,
            xy: chassis.ex.y,
            x0: chassis.ex.z * down,
            yx: chassis.ey.x,
            yy: chassis.ey.y,
            y0: chassis.ey.z * down,
        }
    }
}

/// Whether the machine has vectors for it.
#[cfg(target_arch = "x86_64")]
fn advance_wide(state: &mut [f32], action: &[f32]) -> bool {
    let mut rows = [0.0; 2 * LANES];
    for (lane, command) in action.chunks_exact(ACTION_DIM).enumerate() {
        rows[lane] = command[0];
        rows[LANES + lane] = command[1];
    }
    if let Some(simd) = pulp::x86::V4::try_new() {
        simd.vectorize(avx512::Drive { simd, state, action: &rows });
        true
    } else if let Some(simd) = pulp::x86::V3::try_new() {
        simd.vectorize(avx2::Drive { simd, state, action: &rows });
        true
    } else {
        false
    }
}

#[cfg(test)]
mod contact_tests;
#[cfg(test)]
mod tests;
