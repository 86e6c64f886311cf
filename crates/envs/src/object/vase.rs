//! Vases: light free boxes (half size 0.1 m, 8e-6 kg) that the Point pushes over the floor.
//!
//! A struck vase tilts by some 0.01 to 0.3 rad, hops millimetres to centimetres and then rubs on none to four of
//! its corners, so it is a rigid body in three dimensions here, while the Point stays planar (its sphere and arrow
//! never leave z = 0.1). Vases at rest and out of the Point's reach cost one distance test per environment step.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::contact::{
    ACC, ACTIVE, AGENT_SLOT, ASLEEP, COUNT, FREE, FREE_BODY_FIELDS, GEOM, INDEX, MAX_BODIES, SPARE_GEOM, TOUCH,
    TOUCHES, body, box_box, floor_box, load_free_body, load_planar_body, load_static, move_free_body,
    place_upright_box, set_surface, solve, sphere_box, write_agent_force,
};

/// State fields of one vase, those of a free body.
pub const VASE_FIELDS: usize = FREE_BODY_FIELDS;
/// Height of the centre of a vase at rest, sunk into the soft floor \[m\].
pub const VASE_REST_Z: f32 = 0.1 - 4e-5;

const HALF: f32 = 0.1;
const VASE_MASS: f32 = 8e-6;
const VASE_INERTIA: f32 = VASE_MASS * 2.0 * (2.0 * HALF) * (2.0 * HALF) / 12.0;
const VASE_WEIGHT: f32 = 1.0 / VASE_MASS;
/// `body_invweight0` of the Point \[1/kg\].
const POINT_WEIGHT: f32 = 128.482_1;
const POINT_RADIUS: f32 = 0.1;
const POINT_Z: f32 = 0.1;
const ARROW_OFFSET: f32 = 0.1;
const ARROW_HALF: f32 = 0.05;

/// Horizontal reach of the Point from its origin, the arrow's far corners \[m\].
const POINT_REACH: f32 = 0.158_12;
/// Reach of a vase from its centre in any direction \[m\].
const VASE_REACH: f32 = 0.173_21;
/// What the Point can travel in an environment step, generously: 20 ms at 2 m/s \[m\].
const STEP_TRAVEL: f32 = 0.04;

/// Beyond this distance a resting vase cannot be touched within an environment step \[m\].
pub const VASE_RANGE: f32 = POINT_REACH + VASE_REACH + STEP_TRAVEL;

/// A vase rests while it is slower than this \[m/s\] ...
const REST_SPEED: f32 = 9e-5;
/// ... turns slower than this \[rad/s\], ...
const REST_SPIN: f32 = 5e-4;
/// ... leans less than this (the quaternion's x and y) ...
const REST_LEAN: f32 = 1e-5;
/// ... and stands within this of its resting height \[m\]. From there MuJoCo's vase settles with speeds below 1e-4 m/s.
const REST_HEIGHT: f32 = 6e-6;
/// Cost threshold of Safety-Gymnasium: slower vases do not count as moving \[m/s\].
const MOVING_SPEED: f32 = 1e-4;

/// Chooses the vases that this environment step must simulate: those that move, those in the Point's reach, and
/// those in reach of one of them. Returns how many (0 in the common case); their slots stand in the scratch.
///
/// `first` is the state field of the first of `count` vases; field f of the environment lies at
/// `state[base + f * stride]`. At most [`MAX_BODIES`] vases are simulated, the rest stand still for this step.
#[cfg_attr(feature = "gpu", cube)]
pub fn vases_begin(
    state: &mut [f32],
    base: usize,
    stride: usize,
    first: usize,
    count: usize,
    agent_x: f32,
    agent_y: f32,
    scratch: &mut [f32],
    s0: usize,
) -> u32 {
    let near = VASE_RANGE;
    let mut active = 0usize;
    for i in 0..count {
        let at = base + (first + VASE_FIELDS * i) * stride;
        let dx = state[at] - agent_x;
        let dy = state[at + stride] - agent_y;
        let resting = at_rest(state, at, stride);
        if (dx * dx + dy * dy < near * near || !resting) && active < MAX_BODIES {
            active += 1;
            load_free_body(state, at, stride, scratch, s0, active, VASE_MASS, VASE_INERTIA, HALF, i, resting);
        }
    }
    // Bystanders: a vase that an active one may hit. One pass is enough for 20 ms.
    if active > 0 && count > 1 {
        let chosen = active;
        for i in 0..count {
            let at = base + (first + VASE_FIELDS * i) * stride;
            let mut known = false;
            let mut close = false;
            for slot in 1..(chosen + 1) {
                let b = body(s0, slot);
                let dx = state[at] - scratch[b + GEOM];
                let dy = state[at + stride] - scratch[b + GEOM + 1];
                let gap = 2.0 * VASE_REACH + STEP_TRAVEL;
                if scratch[b + INDEX] == i as f32 {
                    known = true;
                }
                if dx * dx + dy * dy < gap * gap {
                    close = true;
                }
            }
            if close && !known && active < MAX_BODIES {
                active += 1;
                let resting = at_rest(state, at, stride);
                load_free_body(state, at, stride, scratch, s0, active, VASE_MASS, VASE_INERTIA, HALF, i, resting);
            }
        }
    }
    scratch[s0 + ACTIVE] = active as f32;
    if active > 0 {
        load_static(scratch, s0);
    }
    active as u32
}

/// Whether the vase at `at` stands still (see the `REST_` constants).
#[cfg_attr(feature = "gpu", cube)]
#[inline]
fn at_rest(state: &mut [f32], at: usize, stride: usize) -> bool {
    let z = state[at + 2 * stride] - VASE_REST_Z;
    let lean_x = state[at + 4 * stride];
    let lean_y = state[at + 5 * stride];
    let vx = state[at + 7 * stride];
    let vy = state[at + 8 * stride];
    let vz = state[at + 9 * stride];
    let wx = state[at + 10 * stride];
    let wy = state[at + 11 * stride];
    let wz = state[at + 12 * stride];
    vx * vx + vy * vy + vz * vz < REST_SPEED * REST_SPEED
        && wx * wx + wy * wy + wz * wz < REST_SPIN * REST_SPIN
        && lean_x.abs() < REST_LEAN
        && lean_y.abs() < REST_LEAN
        && z.abs() < REST_HEIGHT
}

/// One substep of the active vases against the floor, the Point and each other.
///
/// The agent is given by its pose (x, y \[m\], cos and sin of the yaw) and velocity (world frame) before the update,
/// its smooth generalised force (motor, damping and bias: `M a = force`), and its inertia `mass`, `mass_com` =
/// mass times the com's offset along body x, `inertia` about the origin. The constraint force on it (x, y \[N\], yaw
/// \[N m\]) is left at scratch `s0 +` [`crate::contact::AGENT_FORCE`], and 1 at `s0 +` [`TOUCH`] where it touches a vase. With
/// `step` > 0 \[s\] the vases move on by one semi-implicit Euler step; with 0 nothing moves (the forward pass for
/// sensors and contact flags).
#[cfg_attr(feature = "gpu", cube)]
pub fn vases_substep(
    state: &mut [f32],
    base: usize,
    stride: usize,
    first: usize,
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
    mass: f32,
    mass_com: f32,
    inertia: f32,
    step: f32,
    scratch: &mut [f32],
    s0: usize,
) {
    let active = scratch[s0 + ACTIVE] as usize;
    let a = body(s0, AGENT_SLOT);
    load_planar_body(
        scratch, s0, x, y, POINT_Z, cos, sin, vx, vy, omega, force_x, force_y, torque, mass, mass_com, inertia,
    );
    let arrow = s0 + SPARE_GEOM;
    let arrow_x = x + ARROW_OFFSET * cos;
    let arrow_y = y + ARROW_OFFSET * sin;
    place_upright_box(scratch, arrow, arrow_x, arrow_y, POINT_Z, cos, sin, ARROW_HALF, ARROW_HALF, ARROW_HALF);
    scratch[s0 + COUNT] = 0.0;
    for slot in 1..(active + 1) {
        scratch[body(s0, slot) + TOUCHES] = 0.0;
    }

    // Pairs in MuJoCo's order: the Point (slot 0) with each vase, then the vases. One call of the box collider serves
    // all: a GPU inlines every call, and the collider is most of its program.
    let mut linked = false;
    for slot in 0..(active + 1) {
        for other in (slot + 1)..(active + 1) {
            let b = body(s0, slot);
            let c = body(s0, other);
            let agent = slot == AGENT_SLOT;
            let dx = scratch[c + GEOM] - scratch[b + GEOM];
            let dy = scratch[c + GEOM + 1] - scratch[b + GEOM + 1];
            let near = if agent { POINT_REACH + VASE_REACH } else { 2.0 * VASE_REACH };
            if dx * dx + dy * dy < near * near {
                if agent {
                    set_surface(scratch, s0, 1.0, 0.01, 0.01, POINT_WEIGHT + VASE_WEIGHT);
                    sphere_box(scratch, s0, AGENT_SLOT, x, y, POINT_Z, POINT_RADIUS, other, c + GEOM);
                }
                let weight = if agent { POINT_WEIGHT + VASE_WEIGHT } else { 2.0 * VASE_WEIGHT };
                set_surface(scratch, s0, 1.0, 0.005, 0.0001, weight);
                // The lower vase first: the order decides ties between the boxes' faces.
                let swap = !agent && scratch[b + INDEX] > scratch[c + INDEX];
                let own = if agent { arrow } else { b + GEOM };
                let first = if swap { other } else { slot };
                let first_geom = if swap { c + GEOM } else { own };
                let second = if swap { slot } else { other };
                let second_geom = if swap { own } else { c + GEOM };
                let before = scratch[s0 + COUNT];
                box_box(scratch, s0, first, first_geom, second, second_geom);
                if !agent && scratch[s0 + COUNT] > before {
                    linked = true;
                }
            }
        }
    }
    scratch[s0 + TOUCH] = if scratch[a + TOUCHES] > 0.0 { 1.0f32 } else { 0.0f32 };
    // A sleeping vase that nothing touches keeps asleep; others feel the floor.
    set_surface(scratch, s0, 1.0, 0.005, 0.0001, VASE_WEIGHT);
    for slot in 1..(active + 1) {
        let b = body(s0, slot);
        if scratch[b + TOUCHES] > 0.0 {
            scratch[b + ASLEEP] = 0.0;
        }
        if scratch[b + ASLEEP] == 0.0 {
            floor_box(scratch, s0, b + GEOM, slot);
            if scratch[b + TOUCHES] == 0.0 {
                for k in 0..6 {
                    scratch[b + ACC + k] = scratch[b + FREE + k];
                }
            }
        }
    }

    solve(scratch, s0, active, linked);

    write_agent_force(scratch, s0);
    if step > 0.0 {
        for slot in 1..(active + 1) {
            if scratch[body(s0, slot) + ASLEEP] == 0.0 {
                let index = scratch[body(s0, slot) + INDEX] as usize;
                let at = base + (first + VASE_FIELDS * index) * stride;
                move_free_body(state, at, stride, scratch, s0, slot, step);
            }
        }
    }
}

/// 1 if any of the vases moves at 1e-4 m/s or faster (Safety-Gymnasium's cost of displaced vases), else 0.
#[cfg_attr(feature = "gpu", cube)]
pub fn vases_moving(state: &mut [f32], base: usize, stride: usize, first: usize, count: usize) -> u32 {
    let mut moving = 0u32;
    for i in 0..count {
        let at = base + (first + VASE_FIELDS * i) * stride;
        let vx = state[at + 7 * stride];
        let vy = state[at + 8 * stride];
        let vz = state[at + 9 * stride];
        if vx * vx + vy * vy + vz * vz >= MOVING_SPEED * MOVING_SPEED {
            moving = 1u32;
        }
    }
    moving
}
