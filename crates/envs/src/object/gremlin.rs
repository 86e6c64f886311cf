//! `mj_instantiateEquality` (weld) of gremlins: light boxes that hover along a circle and cost when touched.
//!
//! A gremlin is a free box welded to a mocap body that runs along a circle about the gremlin's first place, z 0.1 m above
//! it. MuJoCo's weld is six soft rows (solref 0.02, 1.5): always active, so they add a quadratic to the objective of
//! [`crate::contact`], and the gremlin solves like a body of another mass under another free acceleration. While
//! nothing touches it, it does not turn, and its three coordinates follow one linear recurrence.
//!
//! Source: safety-gymnasium 1.0.0 `assets/mocaps/gremlins.py`, MuJoCo 2.3.3 `engine_core_constraint.c` (weld). The
//! recurrence reproduces recorded gremlins to 1e-9 m a step.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::contact::{FREE, GEOM, INERTIA, MASS, VEL, body};
use crate::math::sin_cos;
use crate::params::{
    PARAM_BODIES, PARAM_BODY_FIELDS, PARAM_BODY_FIRST, PARAM_BODY_MASS, PARAM_BODY_MOMENT, PARAM_STAGES, PARAM_SUBSTEP,
};
use crate::state::{AGE, FREE_OBJECT_FIELDS, LANES};

/// Field of a gremlin: x, y of its first place \[m\].
pub const GREMLIN_HOME: usize = FREE_OBJECT_FIELDS;
/// Field of a gremlin: w and z of its first quaternion.
pub const GREMLIN_HOME_QUAT: usize = FREE_OBJECT_FIELDS + 2;

/// Radius of the mocap's circle \[m\].
const TRAVEL: f32 = 0.35;
/// Height at which the mocap holds the gremlin's centre \[m\].
const HEIGHT: f32 = 0.2;
const GRAVITY: f32 = 9.81;
/// Damping and stiffness of the weld's reference acceleration: 2 / (0.95 * 0.02), 0.95 / (0.95 * 0.02 * 1.5)^2.
const DAMPING: f32 = 2.0 / (0.95 * 0.02);
const STIFFNESS: f32 = 0.95 / (0.95 * 0.95 * 0.02 * 0.02 * 1.5 * 1.5);
/// d / (1 - d) at the impedance d = 0.95 of a millimetre and more; the weld lags by centimetres.
const GRIP: f32 = 19.0;
/// The weld's rotation rows measure half angles, and MuJoCo regularises them like the others, by the inverse *mass*:
/// their stiffness in units of the mass.
const TURN_GRIP: f32 = GRIP * 0.25;

/// A gremlin turned by less than this (quaternion) and slower than [`QUIET_SPIN`] counts as never touched.
const QUIET_TURN: f32 = 2e-6;
/// See [`QUIET_TURN`] \[rad/s\].
const QUIET_SPIN: f32 = 1e-4;

/// Acceleration of a coordinate that is welded to `target` and meets nothing.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn drift_acceleration(place: f32, velocity: f32, target: f32, gravity: f32) -> f32 {
    let pull = -DAMPING * velocity - STIFFNESS * (place - target);
    (gravity + GRIP * pull) * (1.0f32 / (1.0f32 + GRIP))
}

/// Velocity of a coordinate after a substep of `step` \[s\], welded to `target`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn drift(place: f32, velocity: f32, target: f32, gravity: f32, step: f32) -> f32 {
    velocity + step * drift_acceleration(place, velocity, target, gravity)
}

/// Place and velocity of a coordinate after a timestep of `step` \[s\] in four stages, MuJoCo's Runge-Kutta, welded to
/// `target`, which stays where it is within the timestep.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn drift_stages(place: f32, velocity: f32, target: f32, gravity: f32, step: f32) -> (f32, f32) {
    let half = 0.5 * step;
    let a1 = drift_acceleration(place, velocity, target, gravity);
    let v2 = velocity + half * a1;
    let a2 = drift_acceleration(place + half * velocity, v2, target, gravity);
    let v3 = velocity + half * a2;
    let a3 = drift_acceleration(place + half * v2, v3, target, gravity);
    let v4 = velocity + step * a3;
    let a4 = drift_acceleration(place + step * v3, v4, target, gravity);
    // In the order of `obstacles_stage`, whose bits these are.
    let (sixth, third) = (1.0f32 / 6.0f32, 1.0f32 / 3.0f32);
    let rate = sixth * velocity + third * v2 + third * v3 + sixth * v4;
    let acceleration = sixth * a1 + third * a2 + third * a3 + sixth * a4;
    (place + step * rate, velocity + step * acceleration)
}

/// Offset x, y of the mocap from a gremlin's first place in substep `substep` of the step after `age` steps \[m\].
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn orbit(age: f32, substep: f32, step: f32) -> (f32, f32) {
    // MuJoCo sets the target from the time before each substep.
    let (sin, cos) = sin_cos((age * 10.0 + substep) * step);
    (TRAVEL * sin, TRAVEL * cos)
}

/// Height to which the mocap pulls coordinate `k`, 0 for x and y, and gravity along it.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn mocap_pull(k: usize) -> (f32, f32) {
    let height = if k == 2 { HEIGHT } else { 0.0f32 };
    let gravity = if k == 2 { -GRAVITY } else { 0.0f32 };
    (height, gravity)
}

/// Where the mocap pulls coordinate `k` of the gremlin at `at`, being (`out_x`, `out_y`) away from its first place.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn target(state: &mut [f32], at: usize, k: usize, out_x: f32, out_y: f32) -> f32 {
    let out = if k == 0 { out_x } else { out_y };
    let (height, _) = mocap_pull(k);
    if k == 2 { height } else { state[at + (GREMLIN_HOME + k) * LANES] + out }
}

/// Whether the gremlin at `at` was never touched, or has forgotten it: then it only drifts.
#[cfg_attr(feature = "gpu", cube)]
pub fn is_quiet(state: &mut [f32], at: usize) -> bool {
    let w = state[at + 3 * LANES] - state[at + GREMLIN_HOME_QUAT * LANES];
    let x = state[at + 4 * LANES];
    let y = state[at + 5 * LANES];
    let z = state[at + 6 * LANES] - state[at + (GREMLIN_HOME_QUAT + 1) * LANES];
    let p = state[at + 10 * LANES];
    let q = state[at + 11 * LANES];
    let r = state[at + 12 * LANES];
    w * w + x * x + y * y + z * z < QUIET_TURN * QUIET_TURN && p * p + q * q + r * r < QUIET_SPIN * QUIET_SPIN
}

/// Ten substeps of all gremlins that `busy` (bit i: gremlin i) does not name; they are quiet.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn drift_all(params: &[f32], state: &mut [f32], base: usize, busy: u32) {
    let count = params[PARAM_BODIES] as usize;
    let fields = params[PARAM_BODY_FIELDS] as usize;
    let first = base + (params[PARAM_BODY_FIRST] as usize) * LANES;
    let step = params[PARAM_SUBSTEP];
    let age = state[base + AGE * LANES];
    for substep in 0..10u32 {
        let (out_x, out_y) = orbit(age, substep as f32, step);
        let mut at = first;
        for i in 0..count {
            if (busy >> (i as u32)) & 1 == 0 {
                drift_one(state, at, out_x, out_y, step, params[PARAM_STAGES] > 1.0);
            }
            at += fields * LANES;
        }
    }
}

/// One substep of the quiet gremlin at `at`, its mocap (`out_x`, `out_y`) away from its first place.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn drift_one(state: &mut [f32], at: usize, out_x: f32, out_y: f32, step: f32, staged: bool) {
    for k in 0..3usize {
        let home = target(state, at, k, out_x, out_y);
        let (_, gravity) = mocap_pull(k);
        let place = state[at + k * LANES];
        let before = state[at + (7 + k) * LANES];
        let mut velocity = drift(place, before, home, gravity, step);
        let mut moved = place + step * velocity;
        if staged {
            let (staged_place, staged_velocity) = drift_stages(place, before, home, gravity, step);
            moved = staged_place;
            velocity = staged_velocity;
        }
        state[at + (7 + k) * LANES] = velocity;
        state[at + k * LANES] = moved;
    }
}

/// Welds the body in `slot` to its mocap for this substep: mass, inertia and free acceleration of its objective.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn weld(
    params: &[f32],
    state: &mut [f32],
    at: usize,
    scratch: &mut [f32],
    scratch_base: usize,
    slot: usize,
    out_x: f32,
    out_y: f32,
) {
    let b = body(scratch_base, slot);
    let mass = params[PARAM_BODY_MASS];
    let moment = params[PARAM_BODY_MOMENT];
    for k in 0..3usize {
        let home = target(state, at, k, out_x, out_y);
        let (_, gravity) = mocap_pull(k);
        scratch[b + FREE + k] = drift_acceleration(scratch[b + GEOM + k], scratch[b + VEL + k], home, gravity);
    }
    // Twice the vector part of the turn q h' (h the first quaternion) is the angle to take back.
    let w = state[at + 3 * LANES];
    let x = state[at + 4 * LANES];
    let y = state[at + 5 * LANES];
    let z = state[at + 6 * LANES];
    let hw = state[at + GREMLIN_HOME_QUAT * LANES];
    let hz = state[at + (GREMLIN_HOME_QUAT + 1) * LANES];
    let ex = x * hw - y * hz;
    let ey = y * hw + x * hz;
    let ez = z * hw - w * hz;
    let grip = TURN_GRIP * mass;
    let ratio = grip / (moment + grip);
    scratch[b + FREE + 3] = ratio * (-DAMPING * scratch[b + VEL + 3] - 2.0 * STIFFNESS * ex);
    scratch[b + FREE + 4] = ratio * (-DAMPING * scratch[b + VEL + 4] - 2.0 * STIFFNESS * ey);
    scratch[b + FREE + 5] = ratio * (-DAMPING * scratch[b + VEL + 5] - 2.0 * STIFFNESS * ez);
    scratch[b + MASS] = mass * (1.0f32 + GRIP);
    for k in 0..3usize {
        scratch[b + INERTIA + k] = moment + grip;
        scratch[b + INERTIA + 3 + k] = 0.0;
    }
}

/// Takes what is left of an old touch from the gremlin at `at`, which is quiet: from now on it only drifts.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn forget_touch(state: &mut [f32], at: usize) {
    state[at + 3 * LANES] = state[at + GREMLIN_HOME_QUAT * LANES];
    state[at + 4 * LANES] = 0.0;
    state[at + 5 * LANES] = 0.0;
    state[at + 6 * LANES] = state[at + (GREMLIN_HOME_QUAT + 1) * LANES];
    for k in 10..13usize {
        state[at + k * LANES] = 0.0;
    }
}
