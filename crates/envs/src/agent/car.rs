//! The Car: a free chassis on two hinge wheels and a ball, eleven degrees of freedom on a soft floor.
//!
//! The whole of MuJoCo's model, not a kinematic stand-in: the car rocks, hops and slips, and its
//! sensors show it. Ten substeps of 4 ms an environment step; at each the floor contacts (two rims a
//! wheel and the ball) are solved together with the body by Newton's method (`car/floor_contact.rs`,
//! `car/newton.rs`, `car/dynamics.rs`). Masses and lengths: `car/model.rs`. Where an obstacle touches it, the
//! general contact solver takes the substep instead (`car/contact_step.rs`, `car/body.rs`, `car/block.rs`).
//!
//! The physics is one text compiled several ways (`car/variants.rs`): over one environment, and over vector
//! registers of environments (`Car::drive_block`); all give the same bits.
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
pub(super) mod variants;
#[cfg(target_arch = "x86_64")]
mod abreast;
mod block;
mod body;
mod contact_step;
mod floor;
pub(super) mod model;
#[cfg(target_arch = "x86_64")]
pub(super) mod register;
mod restore;
mod shape;
mod simd;

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use self::block::write3;
use self::contact_step::{drive_in_contact, is_tilted};
use self::variants::scalar;
use super::reset::reset_common;
use super::{Agent, AgentFrame, AgentModel};
use crate::math::{SIXTEENTH, sin_cos, sixteenths, wrap_angle};
use crate::object::{ObjectGroup, ObjectKind, obstacles_begin, publish_touches, touch_nothing};
use crate::state::{AGENT_OWN, COS, LANES, SIN, YAW, Z};

/// Length of an action: left and right motor.
const ACTION_DIM: usize = 2;
/// The Car's sensors in observation order.
const SENSORS: &[(&str, usize)] = &[
    ("accelerometer", 3),
    ("velocimeter", 3),
    ("gyro", 3),
    ("magnetometer", 3),
    ("ballangvel_rear", 3),
    ("ballquat_rear", 9),
];

/// Numbers of those sensors.
const OWN_SENSES: usize = 24;
const _: () =
    assert!(SENSORS[0].1 + SENSORS[1].1 + SENSORS[2].1 + SENSORS[3].1 + SENSORS[4].1 + SENSORS[5].1 == OWN_SENSES);

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
const ACCELEROMETER: usize = AGENT_OWN + 18;
/// Substeps since the reset whose contacts were left unsolved: 0 unless numbers go wrong.
const UNSOLVED: usize = AGENT_OWN + 21;
/// Number of state fields of the Car alone.
const STATE_FIELDS: usize = 22;

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
/// Half-width and clearance of the box that the Car pushes \[m\].
const PUSH_BOX: f32 = 0.125;

/// The yaw follows from the heading, the height from the lift.
#[cfg_attr(feature = "gpu", cube)]
fn publish(state: &mut [f32], base: usize) {
    let turn = sixteenths(state[base + SIN * LANES], state[base + COS * LANES]);
    state[base + YAW * LANES] = wrap_angle(turn * SIXTEENTH);
    state[base + Z * LANES] = HEIGHT + state[base + LIFT * LANES];
}

/// The Car agent.
pub struct Car;

impl AgentModel for Car {
    const ACTION_DIM: usize = ACTION_DIM;
    const SENSORS: &'static [(&'static str, usize)] = SENSORS;
    const STATE_FIELDS: usize = STATE_FIELDS;
    const SUBSTEP: f32 = 0.004;
    const STEP_SECONDS: f32 = 0.04;
    // Position, quaternion, two wheels, the ball's quaternion.
    const COORDINATES: (usize, usize) = (13, 11);
    const STARTS_TOUCHING: bool = true;

    fn group(group: ObjectGroup) -> ObjectGroup {
        if group.kind == ObjectKind::PushBox {
            ObjectGroup { size: PUSH_BOX, keepout: PUSH_BOX, ..group }
        } else {
            group
        }
    }

    fn restore(state: &mut [f32], base: usize, qpos: &[f64], qvel: &[f64]) {
        restore::restore(state, base, qpos, qvel);
    }
}

#[cfg_attr(feature = "gpu", cube)]
impl Agent for Car {
    fn reset(state: &mut [f32], base: usize, yaw: f32) {
        reset_common(state, base, yaw, HEIGHT);
        let (half_sin, half_cos) = sin_cos(yaw * 0.5);
        for field in AGENT_OWN..AGENT_OWN + STATE_FIELDS {
            state[base + field * LANES] = 0.0;
        }
        state[base + POSE * LANES] = half_cos;
        state[base + (POSE + 3) * LANES] = half_sin;
        state[base + BALL_POSE * LANES] = 1.0;
        state[base + (ACCELEROMETER + 1) * LANES] = PUT_DOWN_Y;
        state[base + (ACCELEROMETER + 2) * LANES] = PUT_DOWN_Z;
    }

    fn advance(
        params: &[f32],
        state: &mut [f32],
        base: usize,
        action: &[f32],
        action_offset: usize,
        scratch: &mut [f32],
        scratch_base: usize,
    ) {
        let met = obstacles_begin(params, state, base, REACH, scratch, scratch_base) > 0;
        let near = met || is_tilted(state, base);
        let left = action[action_offset];
        let right = action[action_offset + 1];
        drive_in_contact(left, right, near, params, state, base, scratch, scratch_base);
        if met {
            publish_touches(params, state, base, scratch, scratch_base);
        } else {
            touch_nothing(state, base);
        }
        publish(state, base);
    }

    fn observe(state: &mut [f32], base: usize, obs: &mut [f32], obs_offset: usize) {
        let s = scalar::senses(0.0f32, state, base);
        write3(obs, obs_offset, s.accelerometer);
        write3(obs, obs_offset + 3, s.velocimeter);
        write3(obs, obs_offset + 6, s.gyro);
        write3(obs, obs_offset + 9, s.magnetometer);
        write3(obs, obs_offset + 12, s.ball);
        write3(obs, obs_offset + 15, scalar::v3(s.rear.ex.x, s.rear.ey.x, s.rear.ez.x));
        write3(obs, obs_offset + 18, scalar::v3(s.rear.ex.y, s.rear.ey.y, s.rear.ez.y));
        write3(obs, obs_offset + 21, scalar::v3(s.rear.ex.z, s.rear.ey.z, s.rear.ez.z));
    }

    fn frame(state: &mut [f32], base: usize) -> AgentFrame {
        let sight = scalar::sight(0.0f32, state, base);
        AgentFrame { xx: sight.x.x, xy: sight.x.y, x0: sight.x.z, yx: sight.y.x, yy: sight.y.y, y0: sight.y.z }
    }
}

#[cfg(test)]
mod contact_step_tests;
#[cfg(test)]
mod tests;
