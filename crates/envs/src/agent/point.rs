//! `mj_step` of the Point: a sphere with a cube for a nose, two slide joints and a hinge, a motor along its nose
//! and a velocity servo for its yaw.
//!
//! Everything is solved in the agent's frame, where the mass matrix is constant and the (isotropic)
//! joint damping does not turn: M = [[m, 0, 0], [0, m, b], [0, b, I]] with b = m * (com offset),
//! I about the body origin. Integration is MuJoCo's semi-implicit Euler with implicit joint damping,
//! (M + h D) a = tau, v += h a, q += h v, ten times an environment step. The yaw servo is unstable
//! while unsaturated (error gain about -4 per substep), so the ten substeps are explicit: any
//! smoothing changes what the agent senses.
//!
//! Constants: safety-gymnasium 1.0.0 `assets/xmls/point.xml`, compiled by MuJoCo 2.3.3.

mod abreast;
pub(crate) mod body;
mod simd;

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use self::body::{AGENT_FORCE, PointBody, load_planar_body, write_agent_force};
use super::reset::reset_common;
use super::{Agent, AgentFrame, AgentModel};
use crate::contact::{CONTACT_TOUCH, solve_active};
use crate::math::{sin_cos, wrap_angle};
use crate::object::{obstacles_begin, obstacles_collide, obstacles_finish, publish_touches, touch_nothing};
use crate::sensors::{PLANAR_SENSORS, planar_sensors};
use crate::state::{AGENT_OWN, COS, DX, DY, LANES, OMEGA, SIN, TOUCHED, VX, VY, X, Y, YAW};

/// Length of an action: thrust, turn.
const ACTION_DIM: usize = 2;
/// State fields of the Point alone: its acceleration at the end of the step, agent frame.
const STATE_FIELDS: usize = 2;
pub(super) const ACC_X: usize = AGENT_OWN;
pub(super) const ACC_Y: usize = AGENT_OWN + 1;

pub(super) const SUBSTEPS: u32 = 10;
/// MuJoCo timestep \[s\].
const H: f64 = 0.002;
const RADIUS: f64 = 0.1;
/// Height of the body origin \[m\]: there is no vertical degree of freedom.
const HEIGHT: f32 = 0.1;
/// Farthest corner of the arrow from the origin, 0.158 m, and what the Point travels in a step, generously: 20 ms at
/// 2 m/s \[m\].
pub(super) const REACH: f32 = 0.158_12 + 0.02;
/// Density 1: sphere of radius 0.1 and cube of side 0.1 \[kg\].
const MASS: f64 = 4.0 / 3.0 * core::f64::consts::PI * RADIUS * RADIUS * RADIUS + CUBE_MASS;
const CUBE_MASS: f64 = 0.1 * 0.1 * 0.1;
/// The cube's centre lies 0.1 m ahead of the body origin: first moment m c \[kg m\].
const MOMENT: f64 = CUBE_MASS * 0.1;
/// Inertia about the body origin \[kg m^2\].
const INERTIA: f64 =
    0.4 * (MASS - CUBE_MASS) * RADIUS * RADIUS + CUBE_MASS * 2.0 * 0.1 * 0.1 / 12.0 + CUBE_MASS * 0.1 * 0.1;
const SLIDE_DAMPING: f64 = 0.01;
const HINGE_DAMPING: f64 = 0.005;

/// Motor and servo act through a gear of 0.3 and saturate at 0.05.
const GEAR: f32 = 0.3;
const FORCE_LIMIT: f32 = 0.05;

// Inverse of M + h D (integration) and of M (accelerometer), both constant in the agent frame.
const DAMPED_MASS: f64 = MASS + H * SLIDE_DAMPING;
const DAMPED_INERTIA: f64 = INERTIA + H * HINGE_DAMPING;
const DAMPED_DET: f64 = DAMPED_MASS * DAMPED_INERTIA - MOMENT * MOMENT;
const DAMPED_XX: f32 = (1.0 / DAMPED_MASS) as f32;
const DAMPED_YY: f32 = (DAMPED_INERTIA / DAMPED_DET) as f32;
const DAMPED_YT: f32 = (-MOMENT / DAMPED_DET) as f32;
const DAMPED_TT: f32 = (DAMPED_MASS / DAMPED_DET) as f32;
const DET: f64 = MASS * INERTIA - MOMENT * MOMENT;
const FREE_XX: f32 = (1.0 / MASS) as f32;
const FREE_YY: f32 = (INERTIA / DET) as f32;
const FREE_YT: f32 = (-MOMENT / DET) as f32;

const STEP: f32 = H as f32;
const MASS_F: f32 = MASS as f32;
const INERTIA_F: f32 = INERTIA as f32;
const MOMENT_F: f32 = MOMENT as f32;
const SLIDE_DAMPING_F: f32 = SLIDE_DAMPING as f32;
const HINGE_DAMPING_F: f32 = HINGE_DAMPING as f32;

// The gear in two parts, the first of 11 bits: products with a number of 13 bits are exact.
const GEAR_HIGH: f32 = 614.0 / 2048.0;
const GEAR_LOW: f32 = (0.3 - 614.0 / 2048.0) as f32;
const INVERSE_GEAR: f32 = (1.0 / 0.3) as f32;

/// The servo's error, `turn` - 0.3 `omega`, free of cancellation: near its zero, where the servo
/// does not saturate, a rounding of it grows fourfold per substep.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn servo_error(turn: f32, omega: f32) -> f32 {
    let coarse = (((omega * 1024.0) as i32) as f32) * (1.0f32 / 1024.0f32);
    let fine = omega - coarse;
    (turn - GEAR_HIGH * coarse) - (GEAR_HIGH * fine + GEAR_LOW * omega)
}

/// Torque of the servo and the hinge's damping \[N m\].
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn yaw_torque(error: f32, omega: f32) -> f32 {
    GEAR * error.max(-FORCE_LIMIT).min(FORCE_LIMIT) - HINGE_DAMPING_F * omega
}

/// What a substep changes, world frame; displacements count from the start of the environment step.
#[cfg_attr(feature = "gpu", derive(CubeType))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Motion {
    pub vx: f32,
    pub vy: f32,
    /// The servo's error, integrated instead of the yaw rate: its float32 grid is 16 times finer.
    pub error: f32,
    pub omega: f32,
    pub cos: f32,
    pub sin: f32,
    pub dx: f32,
    pub dy: f32,
    pub dyaw: f32,
}

/// Force along the nose under the action's thrust \[N\].
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn motor_force(thrust: f32) -> f32 {
    GEAR * thrust.max(-FORCE_LIMIT).min(FORCE_LIMIT)
}

/// Yaw rate at a servo error \[rad/s\].
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn yaw_rate(turn: f32, error: f32) -> f32 {
    (turn - error) * INVERSE_GEAR
}

/// Smooth force on the Point in its own frame: motor, Coriolis force of the nose's mass, damping.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn smooth_force(
    force: f32,
    error: f32,
    omega: f32,
    cos: f32,
    sin: f32,
    vx: f32,
    vy: f32,
) -> (f32, f32, f32) {
    let force_x = force + MOMENT_F * omega * omega - SLIDE_DAMPING_F * (cos * vx + sin * vy);
    let force_y = (cos * vy - sin * vx) * -SLIDE_DAMPING_F;
    (force_x, force_y, yaw_torque(error, omega))
}

/// Semi-implicit Euler under a force in the Point's frame (constraint forces included).
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn integrate(
    turn: f32,
    force_x: f32,
    force_y: f32,
    torque: f32,
    vx: f32,
    vy: f32,
    error: f32,
    cos: f32,
    sin: f32,
    dx: f32,
    dy: f32,
    dyaw: f32,
) -> Motion {
    let ax = DAMPED_XX * force_x;
    let ay = DAMPED_YY * force_y + DAMPED_YT * torque;
    let vx = vx + STEP * (cos * ax - sin * ay);
    let vy = vy + STEP * (sin * ax + cos * ay);
    let error = error - GEAR * STEP * (DAMPED_YT * force_y + DAMPED_TT * torque);
    // Turn the frame by the small angle h omega; the step's end takes its full sine and cosine.
    let omega = yaw_rate(turn, error);
    let angle = STEP * omega;
    let z = angle * angle;
    let s = angle - angle * z * (0.166_666_67f32 - z * 0.008_333_333f32);
    let versine = z * (0.5f32 - z * 0.041_666_668f32);
    Motion {
        vx,
        vy,
        error,
        omega,
        cos: cos - (cos * versine + sin * s),
        sin: sin - (sin * versine - cos * s),
        dx: dx + STEP * vx,
        dy: dy + STEP * vy,
        dyaw: dyaw + angle,
    }
}

/// What the accelerometer reads under a force in the Point's frame: the acceleration without
/// implicit damping, as MuJoCo's forward pass computes it.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn accelerometer(force_x: f32, force_y: f32, torque: f32) -> (f32, f32) {
    (FREE_XX * force_x, FREE_YY * force_y + FREE_YT * torque)
}

/// Loads the Point where it is, world frame, under a smooth force (x, y) \[N\] and torque \[N m\] in its own: contacts are solved in
/// the world frame.
#[cfg_attr(feature = "gpu", cube)]
fn load_point(
    scratch: &mut [f32],
    scratch_base: usize,
    x: f32,
    y: f32,
    cos: f32,
    sin: f32,
    vx: f32,
    vy: f32,
    omega: f32,
    force_x: f32,
    force_y: f32,
    torque: f32,
) {
    load_planar_body(
        scratch,
        scratch_base,
        x,
        y,
        HEIGHT,
        cos,
        sin,
        vx,
        vy,
        omega,
        cos * force_x - sin * force_y,
        sin * force_x + cos * force_y,
        torque,
        MASS_F,
        MOMENT_F,
        INERTIA_F,
    );
}

/// What the contacts push the Point with, in its own frame, once `write_agent_force` has told.
#[cfg_attr(feature = "gpu", cube)]
fn contact_push(scratch: &mut [f32], scratch_base: usize, cos: f32, sin: f32) -> (f32, f32, f32) {
    let x = scratch[scratch_base + AGENT_FORCE];
    let y = scratch[scratch_base + AGENT_FORCE + 1];
    (cos * x + sin * y, cos * y - sin * x, scratch[scratch_base + AGENT_FORCE + 2])
}

/// The Point agent.
pub struct Point;

impl AgentModel for Point {
    const ACTION_DIM: usize = ACTION_DIM;
    const SENSORS: &'static [(&'static str, usize)] = PLANAR_SENSORS;
    const STATE_FIELDS: usize = STATE_FIELDS;
    const SUBSTEP: f32 = 0.002;
    const STEP_SECONDS: f32 = 0.02;
}

#[cfg_attr(feature = "gpu", cube)]
impl Agent for Point {
    fn reset(state: &mut [f32], base: usize, yaw: f32) {
        reset_common(state, base, yaw, HEIGHT);
        state[base + ACC_X * LANES] = 0.0;
        state[base + ACC_Y * LANES] = 0.0;
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
        let force = motor_force(action[action_offset]);
        let turn = action[action_offset + 1].max(-1.0f32).min(1.0f32);
        let start_x = state[base + X * LANES];
        let start_y = state[base + Y * LANES];
        let mut vx = state[base + VX * LANES];
        let mut vy = state[base + VY * LANES];
        let mut omega = state[base + OMEGA * LANES];
        let mut error = servo_error(turn, omega);
        let mut cos = state[base + COS * LANES];
        let mut sin = state[base + SIN * LANES];
        // Displacements are summed apart and added once: one rounding a step, not ten.
        let mut dx = 0.0f32;
        let mut dy = 0.0f32;
        let mut dyaw = 0.0f32;
        let mut touched = 0.0f32;

        let obstacles = obstacles_begin(params, state, base, REACH, scratch, scratch_base);

        let mut acc_x = 0.0f32;
        let mut acc_y = 0.0f32;
        // The last pass moves nothing: MuJoCo ends a step with a forward pass, so sensors and contact
        // flags are those of the new state.
        for pass in 0..SUBSTEPS + 1 {
            let moves = pass < SUBSTEPS;
            if !moves {
                let yaw = wrap_angle(state[base + YAW * LANES] + dyaw);
                let (new_sin, new_cos) = sin_cos(yaw);
                state[base + YAW * LANES] = yaw;
                sin = new_sin;
                cos = new_cos;
            }
            let (smooth_x, smooth_y, smooth_torque) = smooth_force(force, error, omega, cos, sin, vx, vy);
            let mut force_x = smooth_x;
            let mut force_y = smooth_y;
            let mut torque = smooth_torque;
            if obstacles > 0 {
                load_point(
                    scratch,
                    scratch_base,
                    start_x + dx,
                    start_y + dy,
                    cos,
                    sin,
                    vx,
                    vy,
                    omega,
                    force_x,
                    force_y,
                    torque,
                );
                // The forward pass at the end sees the mocap bodies where the last substep put them.
                let substep = if moves { pass } else { SUBSTEPS - 1 };
                obstacles_collide::<PointBody>(params, state, base, substep as f32, scratch, scratch_base);
                solve_active::<PointBody>(scratch, scratch_base);
                write_agent_force(scratch, scratch_base);
                if moves {
                    obstacles_finish(params, state, base, STEP, scratch, scratch_base);
                }
                let (push_x, push_y, push_torque) = contact_push(scratch, scratch_base, cos, sin);
                force_x += push_x;
                force_y += push_y;
                torque += push_torque;
                touched = touched.max(scratch[scratch_base + CONTACT_TOUCH]);
            }
            if moves {
                let next = integrate(turn, force_x, force_y, torque, vx, vy, error, cos, sin, dx, dy, dyaw);
                vx = next.vx;
                vy = next.vy;
                error = next.error;
                cos = next.cos;
                sin = next.sin;
                dx = next.dx;
                dy = next.dy;
                dyaw = next.dyaw;
                omega = next.omega;
            } else {
                let (forward, left) = accelerometer(force_x, force_y, torque);
                acc_x = forward;
                acc_y = left;
            }
            spent!(AgentMotion);
        }

        state[base + X * LANES] = start_x + dx;
        state[base + Y * LANES] = start_y + dy;
        state[base + COS * LANES] = cos;
        state[base + SIN * LANES] = sin;
        state[base + VX * LANES] = vx;
        state[base + VY * LANES] = vy;
        state[base + OMEGA * LANES] = omega;
        state[base + DX * LANES] = dx;
        state[base + DY * LANES] = dy;
        if obstacles > 0 {
            publish_touches(params, state, base, scratch, scratch_base);
        } else {
            touch_nothing(state, base);
        }
        state[base + TOUCHED * LANES] = touched;
        state[base + ACC_X * LANES] = acc_x;
        state[base + ACC_Y * LANES] = acc_y;
    }

    fn observe(state: &mut [f32], base: usize, obs: &mut [f32], obs_offset: usize) {
        let acc_x = state[base + ACC_X * LANES];
        let acc_y = state[base + ACC_Y * LANES];
        planar_sensors(state, base, acc_x, acc_y, obs, obs_offset);
    }

    fn frame(state: &mut [f32], base: usize) -> AgentFrame {
        let cos = state[base + COS * LANES];
        let sin = state[base + SIN * LANES];
        AgentFrame { xx: cos, xy: sin, x0: 0.0f32, yx: -sin, yy: cos, y0: 0.0f32 }
    }
}
