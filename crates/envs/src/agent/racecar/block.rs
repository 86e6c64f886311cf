//! `mj_solNewton`, the Racecar's part of the contact objective: eleven unknowns, from the sums of its four parts to a Newton step.
//!
//! Unknowns: the body origin's acceleration and the chassis' (world axes), left hinge and wheel, right hinge and wheel, rear
//! axle, as in `problem.rs`. Every part is seen by contacts as a rigid body about the body origin, whose motion is the
//! chassis' plus multiples of constant twists. What only the front wheels feel (the rod between their hinges, the hinges'
//! limits, the bumper) are rows over their four unknowns (`rows.rs`).

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::model;
use super::rows::{pushing, write_rows};
use super::variants::scalar::{Problem, Sym3, V3, along, by, cross, dot, minus, plus, scaled, times, v3};
use crate::contact::{AGENT_SLOT, OWN, OWN_LEN, PARTS_SLOT, SUM, body, matrix};

/// Slot of the left front wheel; the right one's and the rear axle's follow.
pub(super) const LEFT_SLOT: usize = PARTS_SLOT;
/// Slot of the right front wheel.
pub(super) const RIGHT_SLOT: usize = PARTS_SLOT + 1;
/// Slot of the rear axle with its wheels.
pub(super) const REAR_SLOT: usize = PARTS_SLOT + 2;

/// Unknowns: lin 3, ang 3, left hinge, left wheel, right hinge, right wheel, rear axle.
pub(super) const SIZE: usize = 11;
/// The first unknown that is not the chassis'.
pub(super) const HINGES: usize = 6;
// The Racecar's own scratch. Vectors of SIZE numbers: acceleration, forces without constraints, gradient, that of the step
// before, direction, path, inertia's and rows' part of the gradient.
pub(super) const RATE: usize = OWN;
pub(super) const FORCE: usize = OWN + SIZE;
pub(super) const GRADIENT: usize = OWN + 2 * SIZE;
pub(super) const BEFORE: usize = OWN + 3 * SIZE;
pub(super) const STEP: usize = OWN + 4 * SIZE;
pub(super) const SEARCH_PATH: usize = OWN + 5 * SIZE;
pub(super) const PULLED: usize = OWN + 6 * SIZE;
/// Chassis axes in the world: ex, ey, ez.
pub(super) const AXES: usize = OWN + 7 * SIZE;
/// Motion of their part at the body origin for unit rates of the five unknowns behind the chassis': 3 linear, 3 angular numbers each.
const TWISTS: usize = AXES + 9;
/// Centres of the front wheels from the body origin, and their axles: left 6, right 6.
pub(super) const HUBS: usize = TWISTS + 30;
/// Mass times the place of the centre of mass from the body origin.
const MOMENT: usize = HUBS + 12;
/// Inertia about the body origin: xx, yy, zz, xy, xz, yz.
const TENSOR: usize = MOMENT + 3;
/// The hinges' columns of the inertia matrix: left lin 3, ang 3, right lin 3, ang 3.
const COLUMNS: usize = TENSOR + 6;
/// Rows of what only the front wheels feel: four factors, offset, weight, 1 where both signs count.
pub(super) const ROWS: usize = COLUMNS + 12;
pub(super) const ROW: usize = 7;
/// The rod, two limits, ten edges of a wheel that rubs the bumper.
pub(super) const ROW_COUNT: usize = 13;
/// Hessian, then its factors.
pub(super) const HESSIAN: usize = ROWS + ROW * ROW_COUNT;
// The scratch has room for it.
const _: () = assert!(HESSIAN + SIZE * SIZE <= OWN + OWN_LEN);

const MASS_F: f32 = model::MASS as f32;
const WHEEL_SPIN_F: f32 = model::WHEEL_SPIN as f32;
const STEER_SPIN_F: f32 = model::STEER_SPIN as f32;
const AXLE_SPIN_F: f32 = model::AXLE_SPIN as f32;

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

/// Loads the problem `p`: inertia, forces, twists and rows.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn load_problem(scratch: &mut [f32], scratch_base: usize, p: Problem) {
    let twists = scratch_base + TWISTS;
    write3(scratch, twists, p.left.steer);
    write3(scratch, twists + 3, p.ez);
    write3(scratch, twists + 6, p.left.spin);
    write3(scratch, twists + 9, p.left.axle);
    write3(scratch, twists + 12, p.right.steer);
    write3(scratch, twists + 15, p.ez);
    write3(scratch, twists + 18, p.right.spin);
    write3(scratch, twists + 21, p.right.axle);
    write3(scratch, twists + 24, p.rear);
    write3(scratch, twists + 27, p.axle);
    write3(scratch, scratch_base + MOMENT, p.moment);
    scratch[scratch_base + TENSOR] = p.inertia.xx;
    scratch[scratch_base + TENSOR + 1] = p.inertia.yy;
    scratch[scratch_base + TENSOR + 2] = p.inertia.zz;
    scratch[scratch_base + TENSOR + 3] = p.inertia.xy;
    scratch[scratch_base + TENSOR + 4] = p.inertia.xz;
    scratch[scratch_base + TENSOR + 5] = p.inertia.yz;
    write3(scratch, scratch_base + COLUMNS, p.left.mass_lin);
    write3(scratch, scratch_base + COLUMNS + 3, p.left.mass_ang);
    write3(scratch, scratch_base + COLUMNS + 6, p.right.mass_lin);
    write3(scratch, scratch_base + COLUMNS + 9, p.right.mass_ang);
    write3(scratch, scratch_base + FORCE, p.force.lin);
    write3(scratch, scratch_base + FORCE + 3, p.force.ang);
    scratch[scratch_base + FORCE + 6] = p.force.steer_left;
    scratch[scratch_base + FORCE + 7] = p.force.left;
    scratch[scratch_base + FORCE + 8] = p.force.steer_right;
    scratch[scratch_base + FORCE + 9] = p.force.right;
    scratch[scratch_base + FORCE + 10] = p.force.rear;
    write_rows(scratch, scratch_base, p);
}

/// Turns the block's vector at `from` into the motions of the four parts, at `field` of their records.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn spread_parts(scratch: &mut [f32], scratch_base: usize, from: usize, field: usize) {
    for k in 0..6usize {
        let rigid = scratch[from + k];
        let twist = scratch_base + TWISTS + k;
        scratch[body(scratch_base, AGENT_SLOT) + field + k] = rigid;
        scratch[body(scratch_base, LEFT_SLOT) + field + k] =
            rigid + scratch[from + 6] * scratch[twist] + scratch[from + 7] * scratch[twist + 6];
        scratch[body(scratch_base, RIGHT_SLOT) + field + k] =
            rigid + scratch[from + 8] * scratch[twist + 12] + scratch[from + 9] * scratch[twist + 18];
        scratch[body(scratch_base, REAR_SLOT) + field + k] = rigid + scratch[from + 10] * scratch[twist + 24];
    }
}

/// M times the block's vector at `from`, to `to`.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn times_inertia(scratch: &mut [f32], scratch_base: usize, from: usize, to: usize) {
    let lin = read3(scratch, from);
    let ang = read3(scratch, from + 3);
    let moment = read3(scratch, scratch_base + MOMENT);
    let tensor = read_tensor(scratch, scratch_base + TENSOR);
    let left_lin = read3(scratch, scratch_base + COLUMNS);
    let left_ang = read3(scratch, scratch_base + COLUMNS + 3);
    let right_lin = read3(scratch, scratch_base + COLUMNS + 6);
    let right_ang = read3(scratch, scratch_base + COLUMNS + 9);
    let left_axle = read3(scratch, scratch_base + TWISTS + 9);
    let right_axle = read3(scratch, scratch_base + TWISTS + 21);
    let axle = read3(scratch, scratch_base + TWISTS + 27);
    let steer_left = scratch[from + 6];
    let left = scratch[from + 7];
    let steer_right = scratch[from + 8];
    let right = scratch[from + 9];
    let rear = scratch[from + 10];
    let hinges = plus(scaled(left_lin, steer_left), scaled(right_lin, steer_right));
    write3(scratch, to, plus(minus(by(lin, MASS_F), cross(moment, ang)), hinges));
    let turned = plus(cross(moment, lin), times(tensor, ang));
    let steered = along(along(turned, steer_left, left_ang), steer_right, right_ang);
    let rolled = along(along(steered, left * WHEEL_SPIN_F, left_axle), right * WHEEL_SPIN_F, right_axle);
    write3(scratch, to + 3, along(rolled, rear * AXLE_SPIN_F, axle));
    scratch[to + 6] = dot(left_lin, lin) + dot(left_ang, ang) + steer_left * STEER_SPIN_F;
    scratch[to + 7] = (dot(left_axle, ang) + left) * WHEEL_SPIN_F;
    scratch[to + 8] = dot(right_lin, lin) + dot(right_ang, ang) + steer_right * STEER_SPIN_F;
    scratch[to + 9] = (dot(right_axle, ang) + right) * WHEEL_SPIN_F;
    scratch[to + 10] = (dot(axle, ang) + rear) * AXLE_SPIN_F;
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

/// Adds the sums of a part to the row of an unknown that moves it; `coupled` says that the unknown before moves it too.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn add_twist(scratch: &mut [f32], scratch_base: usize, row: usize, coupled: bool) {
    let twist = scratch_base + TWISTS + 6 * (row - HINGES);
    let mut own = 0.0f32;
    let mut mixed = 0.0f32;
    let mut gradient = 0.0f32;
    for i in 0..6usize {
        let mut pull = 0.0f32;
        for j in 0..6usize {
            let high = if i > j { i } else { j };
            let low = if i > j { j } else { i };
            pull += scratch[matrix(scratch_base, high, low)] * scratch[twist + j];
        }
        scratch[element(scratch_base, row, i)] += pull;
        own += pull * scratch[twist + i];
        if coupled {
            mixed += pull * scratch[twist + i - 6];
        }
        gradient += scratch[scratch_base + SUM + i] * scratch[twist + i];
    }
    scratch[element(scratch_base, row, row)] += own;
    scratch[element(scratch_base, row, row - 1)] += mixed;
    scratch[scratch_base + GRADIENT + row] += gradient;
}

/// Starts gradient and Hessian with the inertia's part, `M a - force` and M, and the rows'.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn start_block(scratch: &mut [f32], scratch_base: usize) {
    times_inertia(scratch, scratch_base, scratch_base + RATE, scratch_base + PULLED);
    for k in 0..SIZE * SIZE {
        scratch[scratch_base + HESSIAN + k] = 0.0;
    }
    let moment = read3(scratch, scratch_base + MOMENT);
    scratch[element(scratch_base, 3, 1)] = -moment.z;
    scratch[element(scratch_base, 3, 2)] = moment.y;
    scratch[element(scratch_base, 4, 0)] = moment.z;
    scratch[element(scratch_base, 4, 2)] = -moment.x;
    scratch[element(scratch_base, 5, 0)] = -moment.y;
    scratch[element(scratch_base, 5, 1)] = moment.x;
    for i in 0..3usize {
        scratch[element(scratch_base, i, i)] = MASS_F;
        scratch[element(scratch_base, 3 + i, 3 + i)] = scratch[scratch_base + TENSOR + i];
        scratch[element(scratch_base, 6, i)] = scratch[scratch_base + COLUMNS + i];
        scratch[element(scratch_base, 6, 3 + i)] = scratch[scratch_base + COLUMNS + 3 + i];
        scratch[element(scratch_base, 8, i)] = scratch[scratch_base + COLUMNS + 6 + i];
        scratch[element(scratch_base, 8, 3 + i)] = scratch[scratch_base + COLUMNS + 9 + i];
        scratch[element(scratch_base, 7, 3 + i)] = scratch[scratch_base + TWISTS + 9 + i] * WHEEL_SPIN_F;
        scratch[element(scratch_base, 9, 3 + i)] = scratch[scratch_base + TWISTS + 21 + i] * WHEEL_SPIN_F;
        scratch[element(scratch_base, 10, 3 + i)] = scratch[scratch_base + TWISTS + 27 + i] * AXLE_SPIN_F;
    }
    scratch[element(scratch_base, 4, 3)] = scratch[scratch_base + TENSOR + 3];
    scratch[element(scratch_base, 5, 3)] = scratch[scratch_base + TENSOR + 4];
    scratch[element(scratch_base, 5, 4)] = scratch[scratch_base + TENSOR + 5];
    scratch[element(scratch_base, 6, 6)] = STEER_SPIN_F;
    scratch[element(scratch_base, 7, 7)] = WHEEL_SPIN_F;
    scratch[element(scratch_base, 8, 8)] = STEER_SPIN_F;
    scratch[element(scratch_base, 9, 9)] = WHEEL_SPIN_F;
    scratch[element(scratch_base, 10, 10)] = AXLE_SPIN_F;
    for row in 0..ROW_COUNT {
        let (weight, violation) = pushing(scratch, scratch_base, row);
        let at = scratch_base + ROWS + ROW * row;
        for i in 0..4usize {
            let factor = weight * scratch[at + i];
            scratch[scratch_base + PULLED + HINGES + i] += factor * violation;
            for j in 0..(i + 1) {
                scratch[element(scratch_base, HINGES + i, HINGES + j)] += factor * scratch[at + j];
            }
        }
    }
    for k in 0..SIZE {
        let pull = scratch[scratch_base + PULLED + k] - scratch[scratch_base + FORCE + k];
        scratch[scratch_base + PULLED + k] = pull;
        scratch[scratch_base + BEFORE + k] = scratch[scratch_base + GRADIENT + k];
        scratch[scratch_base + GRADIENT + k] = pull;
    }
}

/// Adds the force `force` and the couple `couple` about the body origin on a part, whose motion the unknown `row` is, to the
/// coupling at `scratch[at..]`.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn couple_twist(scratch: &mut [f32], scratch_base: usize, at: usize, row: usize, force: V3, couple: V3) {
    let twist = scratch_base + TWISTS + 6 * (row - HINGES);
    let lin = read3(scratch, twist);
    let ang = read3(scratch, twist + 3);
    scratch[at + row] += dot(lin, force) + dot(ang, couple);
}
