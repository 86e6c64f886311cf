//! `mj_solNewton`, the Car's part of the contact objective: eleven unknowns, from the sums of its four parts to a Newton step.
//!
//! Unknowns are those of `floor_contact.rs`' `Acc`: the common centre of mass c, the chassis' rotation, the wheels' spins
//! relative to it, the ball's absolute rotation. Chassis and wheels are seen by contacts as rigid bodies about c, the
//! ball as one about its own centre. With e the axle, h a hub, r the ball's centre from c, the parts' accelerations are
//!
//! ```text
//! chassis (lin, ang),  wheel (lin, ang) + spin (e x (c - h), e),  ball (lin + ang x r, ball)
//! ```
//!
//! and so their sums of gradient and Hessian (6 and 6 x 6) add to the block's 11 and 11 x 11, which is factorised by
//! `contact/factors.rs`.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::model;
use super::variants::scalar::{Sym3, V3, along, by, cross, dot, plus, times, v3};
use crate::contact::{AGENT_SLOT, OWN, OWN_LEN, PARTS_SLOT, SUM, body, matrix};

/// Slot of the left wheel.
pub(super) const LEFT_SLOT: usize = PARTS_SLOT;
/// Slot of the right wheel.
pub(super) const RIGHT_SLOT: usize = PARTS_SLOT + 1;
/// Slot of the ball.
pub(super) const BALL_SLOT: usize = PARTS_SLOT + 2;

/// Unknowns: lin 3, ang 3, left, right, ball 3.
pub(super) const SIZE: usize = 11;
// The Car's own scratch. Vectors of SIZE numbers: acceleration, forces without contacts, gradient, that of the step
// before, direction, path, inertia's part of the gradient.
pub(super) const RATE: usize = OWN;
pub(super) const FORCE: usize = OWN + SIZE;
pub(super) const GRADIENT: usize = OWN + 2 * SIZE;
pub(super) const BEFORE: usize = OWN + 3 * SIZE;
pub(super) const STEP: usize = OWN + 4 * SIZE;
pub(super) const SEARCH_PATH: usize = OWN + 5 * SIZE;
pub(super) const PULLED: usize = OWN + 6 * SIZE;
/// Chassis axes in the world: ex, ey, ez.
pub(super) const AXES: usize = OWN + 7 * SIZE;
/// e x (c - h), the same for both hubs.
pub(super) const SWEEP: usize = AXES + 9;
/// The ball's centre from c.
pub(super) const REACH: usize = SWEEP + 3;
/// Inertia without the wheels' about the axle and the ball's: xx, yy, zz, xy, xz, yz.
pub(super) const TENSOR: usize = REACH + 3;
/// Hessian, then its factors.
pub(super) const HESSIAN: usize = TENSOR + 6;
// The scratch has room for it.
const _: () = assert!(HESSIAN + SIZE * SIZE <= OWN + OWN_LEN);

const MASS_F: f32 = model::MASS as f32;
const WHEEL_SPIN_F: f32 = model::WHEEL_SPIN as f32;
const BALL_SPIN_F: f32 = model::BALL_SPIN as f32;

/// Offset of the Hessian's element in (row, column).
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn element(scratch_base: usize, row: usize, column: usize) -> usize {
    scratch_base + HESSIAN + SIZE * row + column
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn read3(scratch: &mut [f32], at: usize) -> V3 {
    v3(scratch[at], scratch[at + 1], scratch[at + 2])
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn write3(scratch: &mut [f32], at: usize, v: V3) {
    scratch[at] = v.x;
    scratch[at + 1] = v.y;
    scratch[at + 2] = v.z;
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn read_tensor(scratch: &mut [f32], at: usize) -> Sym3 {
    Sym3 {
        xx: scratch[at],
        yy: scratch[at + 1],
        zz: scratch[at + 2],
        xy: scratch[at + 3],
        xz: scratch[at + 4],
        yz: scratch[at + 5],
    }
}

/// Turns the block's vector at `from` into the motions of the four parts, at `field` of their records.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn spread_parts(scratch: &mut [f32], scratch_base: usize, from: usize, field: usize) {
    let lin = read3(scratch, from);
    let ang = read3(scratch, from + 3);
    let left = scratch[from + 6];
    let right = scratch[from + 7];
    let ball = read3(scratch, from + 8);
    let ex = read3(scratch, scratch_base + AXES);
    let sweep = read3(scratch, scratch_base + SWEEP);
    let reach = read3(scratch, scratch_base + REACH);
    write3(scratch, body(scratch_base, AGENT_SLOT) + field, lin);
    write3(scratch, body(scratch_base, AGENT_SLOT) + field + 3, ang);
    write3(scratch, body(scratch_base, LEFT_SLOT) + field, along(lin, left, sweep));
    write3(scratch, body(scratch_base, LEFT_SLOT) + field + 3, along(ang, left, ex));
    write3(scratch, body(scratch_base, RIGHT_SLOT) + field, along(lin, right, sweep));
    write3(scratch, body(scratch_base, RIGHT_SLOT) + field + 3, along(ang, right, ex));
    write3(scratch, body(scratch_base, BALL_SLOT) + field, plus(lin, cross(ang, reach)));
    write3(scratch, body(scratch_base, BALL_SLOT) + field + 3, ball);
}

/// M times the block's vector at `from`, to `to`.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn times_inertia(scratch: &mut [f32], scratch_base: usize, from: usize, to: usize) {
    let lin = read3(scratch, from);
    let ang = read3(scratch, from + 3);
    let ball = read3(scratch, from + 8);
    let ex = read3(scratch, scratch_base + AXES);
    let tensor = read_tensor(scratch, scratch_base + TENSOR);
    let spin = dot(ex, ang);
    let left = (scratch[from + 6] + spin) * WHEEL_SPIN_F;
    let right = (scratch[from + 7] + spin) * WHEEL_SPIN_F;
    write3(scratch, to, by(lin, MASS_F));
    write3(scratch, to + 3, along(times(tensor, ang), left + right, ex));
    scratch[to + 6] = left;
    scratch[to + 7] = right;
    write3(scratch, to + 8, by(ball, BALL_SPIN_F));
}

/// Adds the sums of a part that turns with the chassis: gradient and Hessian of the first six unknowns.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn add_rigid(scratch: &mut [f32], scratch_base: usize) {
    for i in 0..6usize {
        scratch[scratch_base + GRADIENT + i] += scratch[scratch_base + SUM + i];
        for j in 0..(i + 1) {
            scratch[element(scratch_base, i, j)] += scratch[matrix(scratch_base, i, j)];
        }
    }
}

/// Adds the sums of a wheel to its spin's row, `row`.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn add_spin(scratch: &mut [f32], scratch_base: usize, row: usize) {
    let mut own = 0.0f32;
    let mut gradient = 0.0f32;
    for i in 0..6usize {
        let mut pull = 0.0f32;
        for j in 0..6usize {
            let high = if i > j { i } else { j };
            let low = if i > j { j } else { i };
            pull += scratch[matrix(scratch_base, high, low)] * spin_motion(scratch, scratch_base, j);
        }
        scratch[element(scratch_base, row, i)] += pull;
        own += pull * spin_motion(scratch, scratch_base, i);
        gradient += scratch[scratch_base + SUM + i] * spin_motion(scratch, scratch_base, i);
    }
    scratch[element(scratch_base, row, row)] += own;
    scratch[scratch_base + GRADIENT + row] += gradient;
}

/// Number `k` of a wheel's motion about c at unit spin.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn spin_motion(scratch: &mut [f32], scratch_base: usize, k: usize) -> f32 {
    let at = if k < 3 { SWEEP + k } else { AXES + k - 3 };
    scratch[scratch_base + at]
}

/// Adds the sums of the ball.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn add_ball(scratch: &mut [f32], scratch_base: usize) {
    let r = read3(scratch, scratch_base + REACH);
    let force = read3(scratch, scratch_base + SUM);
    let moment = cross(r, force);
    let axx = scratch[matrix(scratch_base, 0, 0)];
    let ayy = scratch[matrix(scratch_base, 1, 1)];
    let azz = scratch[matrix(scratch_base, 2, 2)];
    let axy = scratch[matrix(scratch_base, 1, 0)];
    let axz = scratch[matrix(scratch_base, 2, 0)];
    let ayz = scratch[matrix(scratch_base, 2, 1)];
    // P = [r] A, column by column; P [r]', row by row.
    let px = cross(r, v3(axx, axy, axz));
    let py = cross(r, v3(axy, ayy, ayz));
    let pz = cross(r, v3(axz, ayz, azz));
    let qx = cross(r, v3(px.x, py.x, pz.x));
    let qy = cross(r, v3(px.y, py.y, pz.y));
    let qz = cross(r, v3(px.z, py.z, pz.z));
    scratch[scratch_base + GRADIENT + 3] += moment.x;
    scratch[scratch_base + GRADIENT + 4] += moment.y;
    scratch[scratch_base + GRADIENT + 5] += moment.z;
    scratch[element(scratch_base, 3, 0)] += px.x;
    scratch[element(scratch_base, 3, 1)] += py.x;
    scratch[element(scratch_base, 3, 2)] += pz.x;
    scratch[element(scratch_base, 4, 0)] += px.y;
    scratch[element(scratch_base, 4, 1)] += py.y;
    scratch[element(scratch_base, 4, 2)] += pz.y;
    scratch[element(scratch_base, 5, 0)] += px.z;
    scratch[element(scratch_base, 5, 1)] += py.z;
    scratch[element(scratch_base, 5, 2)] += pz.z;
    scratch[element(scratch_base, 3, 3)] += qx.x;
    scratch[element(scratch_base, 4, 3)] += qy.x;
    scratch[element(scratch_base, 4, 4)] += qy.y;
    scratch[element(scratch_base, 5, 3)] += qz.x;
    scratch[element(scratch_base, 5, 4)] += qz.y;
    scratch[element(scratch_base, 5, 5)] += qz.z;
    for i in 0..3usize {
        scratch[scratch_base + GRADIENT + i] += scratch[scratch_base + SUM + i];
        scratch[scratch_base + GRADIENT + 8 + i] += scratch[scratch_base + SUM + 3 + i];
        let b = v3(
            scratch[matrix(scratch_base, 3 + i, 0)],
            scratch[matrix(scratch_base, 3 + i, 1)],
            scratch[matrix(scratch_base, 3 + i, 2)],
        );
        let turned = cross(r, b);
        scratch[element(scratch_base, 8 + i, 0)] += b.x;
        scratch[element(scratch_base, 8 + i, 1)] += b.y;
        scratch[element(scratch_base, 8 + i, 2)] += b.z;
        scratch[element(scratch_base, 8 + i, 3)] += turned.x;
        scratch[element(scratch_base, 8 + i, 4)] += turned.y;
        scratch[element(scratch_base, 8 + i, 5)] += turned.z;
        for j in 0..(i + 1) {
            scratch[element(scratch_base, i, j)] += scratch[matrix(scratch_base, i, j)];
            scratch[element(scratch_base, 8 + i, 8 + j)] += scratch[matrix(scratch_base, 3 + i, 3 + j)];
        }
    }
}

/// Starts gradient and Hessian with the inertia's part, `M a - force` and M.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn start_block(scratch: &mut [f32], scratch_base: usize) {
    times_inertia(scratch, scratch_base, scratch_base + RATE, scratch_base + PULLED);
    for k in 0..SIZE {
        let pull = scratch[scratch_base + PULLED + k] - scratch[scratch_base + FORCE + k];
        scratch[scratch_base + PULLED + k] = pull;
        scratch[scratch_base + BEFORE + k] = scratch[scratch_base + GRADIENT + k];
        scratch[scratch_base + GRADIENT + k] = pull;
    }
    for k in 0..SIZE * SIZE {
        scratch[scratch_base + HESSIAN + k] = 0.0;
    }
    // Wheels held relative to the chassis turn with it: their axle inertia joins the chassis'.
    for i in 0..3usize {
        let axle = scratch[scratch_base + AXES + i] * WHEEL_SPIN_F;
        scratch[element(scratch_base, i, i)] = MASS_F;
        scratch[element(scratch_base, 8 + i, 8 + i)] = BALL_SPIN_F;
        scratch[element(scratch_base, 6, 3 + i)] = axle;
        scratch[element(scratch_base, 7, 3 + i)] = axle;
        for j in 0..(i + 1) {
            scratch[element(scratch_base, 3 + i, 3 + j)] = 2.0 * axle * scratch[scratch_base + AXES + j];
        }
    }
    scratch[element(scratch_base, 3, 3)] += scratch[scratch_base + TENSOR];
    scratch[element(scratch_base, 4, 4)] += scratch[scratch_base + TENSOR + 1];
    scratch[element(scratch_base, 5, 5)] += scratch[scratch_base + TENSOR + 2];
    scratch[element(scratch_base, 4, 3)] += scratch[scratch_base + TENSOR + 3];
    scratch[element(scratch_base, 5, 3)] += scratch[scratch_base + TENSOR + 4];
    scratch[element(scratch_base, 5, 4)] += scratch[scratch_base + TENSOR + 5];
    scratch[element(scratch_base, 6, 6)] = WHEEL_SPIN_F;
    scratch[element(scratch_base, 7, 7)] = WHEEL_SPIN_F;
}
