//! The Racecar: four wheels on a rigid chassis, Ackermann-free steering in front, a driven rear axle; eleven degrees of freedom
//! on a soft floor.
//!
//! The whole of MuJoCo's model: velocity servo of the drive, position servo of the steering with the rod between the hinges and
//! their limits, the axle that is not round, the front wheels that rub the bumper beyond the limit (`racecar/problem.rs`). Ten
//! timesteps of 4 ms an environment step, each of four Runge-Kutta stages (`racecar/dynamics.rs`); at each the contacts of
//! the rims with the floor are solved together with the body by Newton's method (`racecar/newton.rs`). Masses and
//! lengths: `racecar/model.rs`. Where an obstacle touches it, the general contact solver takes the stage instead
//! (`racecar/contact_step.rs`, `racecar/body.rs`, `racecar/block.rs`, `racecar/rows.rs`).
//!
//! The physics is one text compiled several ways (`racecar/variants.rs`), as the Car's is.
//!
//! # Actions
//! In [-1, 1]: the drive's speed in units of 20 rad/s, the steering angle in units of 0.785 rad. The original takes the
//! numbers themselves ([`AgentModel::ACTION_SCALE`]).

#[macro_use]
mod variants;
#[cfg(target_arch = "x86_64")]
mod abreast;
mod block;
mod body;
mod contact_step;
mod floor;
mod model;
mod restore;
mod rows;
mod shape;
mod simd;

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use self::contact_step::{drive_in_contact, is_tilted};
use self::variants::scalar;
use super::reset::reset_common;
use super::{Agent, AgentFrame, AgentModel};
use crate::math::{SIXTEENTH, sin_cos, sixteenths, wrap_angle};
use crate::object::{obstacles_begin, publish_touches, touch_nothing};
use crate::sensors::PLANAR_SENSORS;
use crate::state::{AGENT_OWN, COS, LANES, SIN, YAW, Z};

/// Length of an action: drive and steering.
const ACTION_DIM: usize = 2;

// State fields of the Racecar alone.
/// Height above [`model::RADIUS`] \[m\].
const LIFT: usize = AGENT_OWN;
/// Chassis to world, quaternion w, x, y, z.
const POSE: usize = AGENT_OWN + 1;
/// Upward velocity \[m/s\].
const VZ: usize = AGENT_OWN + 5;
/// Angular velocity, chassis axes \[rad/s\].
const SPIN: usize = AGENT_OWN + 6;
/// Steering angles \[rad\] and their rates \[rad/s\].
const STEER_LEFT: usize = AGENT_OWN + 9;
const STEER_RIGHT: usize = AGENT_OWN + 10;
const STEER_LEFT_RATE: usize = AGENT_OWN + 11;
const STEER_RIGHT_RATE: usize = AGENT_OWN + 12;
/// Speeds of the front wheels and the rear axle \[rad/s\].
const LEFT: usize = AGENT_OWN + 13;
const RIGHT: usize = AGENT_OWN + 14;
const REAR: usize = AGENT_OWN + 15;
/// Cosine and sine of the rear axle's angle.
const AXLE: usize = AGENT_OWN + 16;
/// Reading of the accelerometer, chassis axes \[m/s^2\].
const ACCELEROMETER: usize = AGENT_OWN + 18;
/// Contact problems since the reset that were left unsolved: 0 unless numbers go wrong.
const UNSOLVED: usize = AGENT_OWN + 21;
/// Number of state fields of the Racecar alone.
const STATE_FIELDS: usize = 22;

/// Numbers of a car's velocities, or accelerations.
#[cfg(target_arch = "x86_64")]
const RATES: usize = 11;
// A block of courses by themselves: where the cars' part begins, and that of the sums over the stages.
#[cfg(target_arch = "x86_64")]
const COURSE_CAR: usize = (AGENT_OWN + STATE_FIELDS) * LANES;
#[cfg(target_arch = "x86_64")]
const COURSE_SUM: usize = 2 * COURSE_CAR;

/// What the accelerometer reads when the car is put down with every contact just touching.
const PUT_DOWN_X: f32 = -1.174_804_4e-4;
const PUT_DOWN_Y: f32 = -0.038_135_745;
const PUT_DOWN_Z: f32 = 9.485_334;
/// Length of the magnetic field, which points along world -y.
const FIELD: f32 = 0.5;
/// Height of the body origin at rest \[m\].
const HEIGHT: f32 = model::RADIUS as f32;
/// Accelerometer and velocimeter from the body origin \[m\].
const SITE_X_F: f32 = model::SITE_X as f32;
/// Farthest corner from the origin, 0.262 m, and what the Racecar travels in a step, generously: 40 ms at 1.5 m/s \[m\].
const REACH: f32 = 0.262 + 0.06;

/// The yaw follows from the heading, the height from the lift.
#[cfg_attr(feature = "gpu", cube)]
fn publish(state: &mut [f32], base: usize) {
    let turn = sixteenths(state[base + SIN * LANES], state[base + COS * LANES]);
    state[base + YAW * LANES] = wrap_angle(turn * SIXTEENTH);
    state[base + Z * LANES] = HEIGHT + state[base + LIFT * LANES];
}

/// The Racecar agent.
pub struct Racecar;

impl AgentModel for Racecar {
    const ACTION_DIM: usize = ACTION_DIM;
    const ACTION_SCALE: &'static [f64] = &[model::MOST_SPEED, model::MOST_STEER];
    const SENSORS: &'static [(&'static str, usize)] = PLANAR_SENSORS;
    const STATE_FIELDS: usize = STATE_FIELDS;
    const SUBSTEP: f32 = 0.004;
    const STAGES: usize = 4;
    const STEP_SECONDS: f32 = 0.04;
    // Position, quaternion, five hinges.
    const COORDINATES: (usize, usize) = (12, 11);
    const STARTS_TOUCHING: bool = true;

    fn restore(state: &mut [f32], base: usize, qpos: &[f64], qvel: &[f64]) {
        restore::restore(state, base, qpos, qvel);
    }
}

#[cfg_attr(feature = "gpu", cube)]
impl Agent for Racecar {
    fn reset(state: &mut [f32], base: usize, yaw: f32) {
        reset_common(state, base, yaw, HEIGHT);
        let (half_sin, half_cos) = sin_cos(yaw * 0.5);
        for field in AGENT_OWN..AGENT_OWN + STATE_FIELDS {
            state[base + field * LANES] = 0.0;
        }
        state[base + POSE * LANES] = half_cos;
        state[base + (POSE + 3) * LANES] = half_sin;
        state[base + AXLE * LANES] = 1.0;
        state[base + ACCELEROMETER * LANES] = PUT_DOWN_X;
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
        let speed = action[action_offset];
        let steer = action[action_offset + 1];
        drive_in_contact(speed, steer, near, params, state, base, scratch, scratch_base);
        if met {
            publish_touches(params, state, base, scratch, scratch_base);
        } else {
            touch_nothing(state, base);
        }
        publish(state, base);
    }

    fn observe(state: &mut [f32], base: usize, obs: &mut [f32], obs_offset: usize) {
        let car = scalar::load(0.0f32, state, base);
        let chassis = scalar::frame(car.pose);
        let velocity = scalar::to_frame(chassis, car.rates.lin);
        let w = car.rates.ang;
        obs[obs_offset] = state[base + ACCELEROMETER * LANES];
        obs[obs_offset + 1] = state[base + (ACCELEROMETER + 1) * LANES];
        obs[obs_offset + 2] = state[base + (ACCELEROMETER + 2) * LANES];
        obs[obs_offset + 3] = velocity.x;
        obs[obs_offset + 4] = velocity.y + w.z * SITE_X_F;
        obs[obs_offset + 5] = velocity.z - w.y * SITE_X_F;
        obs[obs_offset + 6] = w.x;
        obs[obs_offset + 7] = w.y;
        obs[obs_offset + 8] = w.z;
        obs[obs_offset + 9] = chassis.ex.y * -FIELD;
        obs[obs_offset + 10] = chassis.ey.y * -FIELD;
        obs[obs_offset + 11] = chassis.ez.y * -FIELD;
    }

    fn frame(state: &mut [f32], base: usize) -> AgentFrame {
        let car = scalar::load(0.0f32, state, base);
        let chassis = scalar::frame(car.pose);
        let down = -(HEIGHT + car.lift);
        AgentFrame {
            xx: chassis.ex.x,
            xy: chassis.ex.y,
            x0: chassis.ex.z * down,
            yx: chassis.ey.x,
            yy: chassis.ey.y,
            y0: chassis.ey.z * down,
        }
    }
}

#[cfg(test)]
mod tests;
