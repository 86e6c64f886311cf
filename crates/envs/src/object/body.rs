//! `mj_setConst` and `mj_resetData` of free objects: vases, gremlins and the push box, rigid bodies with six degrees of freedom.
//!
//! A struck vase tilts by some 0.01 to 0.3 rad, hops millimetres to centimetres and then rubs on none to four of its
//! corners, so free objects are bodies in three dimensions, while the Point stays planar. One at rest and out of the
//! agent's reach costs one distance test a step.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::gremlin::{GREMLIN_HOME, GREMLIN_HOME_QUAT, forget_touch, is_quiet};
use crate::math::{TAU, sin_cos};
use crate::object::ObjectKind;
use crate::params::{
    DRAWN, PARAM_BODIES, PARAM_BODY_FIELDS, PARAM_BODY_FIRST, PARAM_BODY_HALF, PARAM_BODY_KIND, PARAM_BODY_REST_Z,
    PARAM_LAYOUT_BODIES, POSE,
};
use crate::rng::draw;
use crate::state::{LANES, LAYOUT};

const GREMLIN: f32 = ObjectKind::Gremlin.code();

/// Sides of the push box's corner columns, in half-widths of the box.
pub const COLUMN: f32 = 0.5;

/// What the mechanics of a free object need to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BodyModel {
    /// Mass \[kg\].
    pub mass: f32,
    /// Moment of inertia about a horizontal axis through the centre \[kg m^2\].
    pub moment: f32,
    /// Moment of inertia about the vertical axis through the centre \[kg m^2\].
    pub spin_moment: f32,
    /// Distance from the centre to the farthest corner \[m\].
    pub reach: f32,
    /// Height of the centre at rest, sunk into the soft floor \[m\].
    pub rest_z: f32,
}

impl BodyModel {
    /// The model of a free object of half-width `size` \[m\]. Source: safety-gymnasium 1.0.0, `assets/free_geoms`,
    /// `assets/mocaps`, `world.py` (the push box's columns).
    pub fn of(kind: ObjectKind, size: f32) -> Self {
        let size = f64::from(size);
        let cube = |density: f64| density * 8.0 * size.powi(3);
        let model = |mass: f64, moment: f64, spin_moment: f64, reach: f64, corners: f64| Self {
            mass: mass as f32,
            moment: moment as f32,
            spin_moment: spin_moment as f32,
            reach: reach as f32,
            rest_z: (size - sinking(corners)) as f32,
        };
        if kind == ObjectKind::PushBox {
            // The cube and its four corner columns (half sides size/2, size/2, size) weigh the same.
            let part = cube(if size > 0.15 { 0.001 } else { 0.0005 });
            let square = part * size * size;
            let reach = size * (2.0 * 1.5f64.powi(2) + 1.0).sqrt();
            model(2.0 * part, square * 25.0 / 12.0, square * 17.0 / 6.0, reach, 20.0)
        } else {
            let mass = cube(0.001);
            let moment = mass * size * size * 2.0 / 3.0;
            // A gremlin hovers; its layout puts it on the floor.
            let corners = if kind == ObjectKind::Gremlin { f64::INFINITY } else { 4.0 };
            model(mass, moment, moment, size * 3.0f64.sqrt(), corners)
        }
    }
}

/// How deep a free object sinks when `corners` of its corners carry it \[m\]: the ten edges of each contact push with
/// `k d r / R`, `R = 4 (1 - d) / d / m`, and together they carry m g.
fn sinking(corners: f64) -> f64 {
    const STIFFNESS: f64 = 1.0 / (0.95 * 0.95 * 0.02 * 0.02);
    const IMPEDANCE: f64 = 0.900_19;
    4.0 * 9.81 * (1.0 - IMPEDANCE) / (10.0 * corners * STIFFNESS * IMPEDANCE * IMPEDANCE)
}

/// A free object rests while it is slower than this \[m/s\] ...
const REST_SPEED: f32 = 9e-5;
/// ... turns slower than this \[rad/s\], ...
const REST_SPIN: f32 = 5e-4;
/// ... leans less than this (the quaternion's x and y) ...
const REST_LEAN: f32 = 1e-5;
/// ... and stands within this of its resting height \[m\]. From there MuJoCo's vase settles with speeds below 1e-4 m/s.
const REST_HEIGHT: f32 = 6e-6;
/// Cost threshold of Safety-Gymnasium: slower vases do not count as moving \[m/s\].
const MOVING_SPEED: f32 = 1e-4;

/// Whether the body at `state[at + field * LANES]` stands still at the height `rest_z` (see the `REST_` constants).
#[cfg_attr(feature = "gpu", cube)]
#[inline]
fn at_rest(state: &mut [f32], at: usize, rest_z: f32) -> bool {
    let z = state[at + 2 * LANES] - rest_z;
    let lean_x = state[at + 4 * LANES];
    let lean_y = state[at + 5 * LANES];
    let vx = state[at + 7 * LANES];
    let vy = state[at + 8 * LANES];
    let vz = state[at + 9 * LANES];
    let wx = state[at + 10 * LANES];
    let wy = state[at + 11 * LANES];
    let wz = state[at + 12 * LANES];
    vx * vx + vy * vy + vz * vz < REST_SPEED * REST_SPEED
        && wx * wx + wy * wy + wz * wz < REST_SPIN * REST_SPIN
        && lean_x.abs() < REST_LEAN
        && lean_y.abs() < REST_LEAN
        && z.abs() < REST_HEIGHT
}

/// Whether the free object at `at` stands still, or, a gremlin, only drifts along its circle.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn is_idle(params: &[f32], state: &mut [f32], at: usize) -> bool {
    let mut idle = false;
    if params[PARAM_BODY_KIND] == GREMLIN {
        idle = is_quiet(state, at);
    } else {
        idle = at_rest(state, at, params[PARAM_BODY_REST_Z]);
    }
    idle
}

/// Whether [`is_idle`] holds of every free object; gremlins that have come to it forget that they were touched.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn come_to_rest(params: &[f32], state: &mut [f32], base: usize) -> bool {
    let count = params[PARAM_BODIES] as usize;
    let fields = params[PARAM_BODY_FIELDS] as usize;
    let gremlins = params[PARAM_BODY_KIND] == GREMLIN;
    let mut at = base + (params[PARAM_BODY_FIRST] as usize) * LANES;
    let mut idle = true;
    for _ in 0..count {
        if is_idle(params, state, at) {
            if gremlins {
                forget_touch(state, at);
            }
        } else {
            idle = false;
        }
        at += fields * LANES;
    }
    idle
}

/// Gives every free object of a fresh layout a yaw, drawn where the layout does not say, and puts it at rest; a gremlin remembers where it began.
#[cfg_attr(feature = "gpu", cube)]
pub fn settle_bodies(params: &[f32], state: &mut [f32], base: usize, env: u32) {
    let count = params[PARAM_BODIES] as usize;
    let fields = params[PARAM_BODY_FIELDS] as usize;
    let gremlins = params[PARAM_BODY_KIND] == GREMLIN;
    let height = if gremlins { params[PARAM_BODY_HALF] } else { params[PARAM_BODY_REST_Z] };
    let mut at = base + (params[PARAM_BODY_FIRST] as usize) * LANES;
    let layout = state[base + LAYOUT * LANES] as usize;
    for i in 0..count {
        let mut half = draw(params, state, base, env) * (TAU * 0.5);
        if layout > 0 {
            let given = params[layout + (params[PARAM_LAYOUT_BODIES] as usize) + i * POSE + 2];
            if given < DRAWN {
                half = given * 0.5;
            }
        }
        let (sin, cos) = sin_cos(half);
        state[at + 2 * LANES] = height;
        state[at + 3 * LANES] = cos;
        state[at + 4 * LANES] = 0.0;
        state[at + 5 * LANES] = 0.0;
        state[at + 6 * LANES] = sin;
        for field in 7..13usize {
            state[at + field * LANES] = 0.0;
        }
        if gremlins {
            state[at + GREMLIN_HOME * LANES] = state[at];
            state[at + (GREMLIN_HOME + 1) * LANES] = state[at + LANES];
            state[at + GREMLIN_HOME_QUAT * LANES] = cos;
            state[at + (GREMLIN_HOME_QUAT + 1) * LANES] = sin;
        }
        at += fields * LANES;
    }
}

/// 1 if any free object moves at 1e-4 m/s or faster (Safety-Gymnasium's cost of displaced vases), else 0.
#[cfg_attr(feature = "gpu", cube)]
pub fn bodies_moving(params: &[f32], state: &mut [f32], base: usize) -> u32 {
    let count = params[PARAM_BODIES] as usize;
    let fields = params[PARAM_BODY_FIELDS] as usize;
    let mut at = base + (params[PARAM_BODY_FIRST] as usize) * LANES;
    let mut moving = 0u32;
    for _ in 0..count {
        let vx = state[at + 7 * LANES];
        let vy = state[at + 8 * LANES];
        let vz = state[at + 9 * LANES];
        if vx * vx + vy * vy + vz * vz >= MOVING_SPEED * MOVING_SPEED {
            moving = 1u32;
        }
        at += fields * LANES;
    }
    moving
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masses_and_inertias_are_those_of_the_compiled_models() {
        let near = |a: f32, b: f32| assert!((a / b - 1.0).abs() < 1e-3, "{a} {b}");
        let vase = BodyModel::of(ObjectKind::Vase, 0.1);
        near(vase.mass, 8e-6);
        near(vase.moment, 5.333e-8);
        near(0.1 - vase.rest_z, 4.36e-5);
        let point = BodyModel::of(ObjectKind::PushBox, 0.2);
        near(point.mass, 1.28e-4);
        near(point.spin_moment, 7.253e-6);
        let car = BodyModel::of(ObjectKind::PushBox, 0.125);
        near(car.mass, 1.5625e-5);
    }
}
