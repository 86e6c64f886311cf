//! `mj_solNewton` of the agent and one free body that touch: the exact Newton step of both.
//!
//! The Hessian of both is `[A C; C' B]`: A the agent's, B the body's, C what the contacts between them couple. The agent is
//! eliminated: with its own step `s = -A^-1 g_a` and its answers `W = -A^-1 C`,
//!
//! ```text
//! (B + C' W) d_b = -(g_b + C' s),   d_a = s + W d_b
//! ```
//!
//! so that the body's 6 x 6 keeps its solver and the agent its own, whatever its size. Block steps alone, made into
//! conjugate directions, take two to three times as many steps: a push is the coupling of the two.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::solver::{arm_of, side_of};
use super::vector::{Vec3, cross, dot, vec3};
use super::*;

/// Where the agent's coupling with motion `motion` of the free body lies: the generalised forces on it per acceleration of
/// the body along (0 to 2) or about (3 to 5) a world axis.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn coupling_of(scratch_base: usize, motion: usize) -> usize {
    scratch_base + COUPLING + motion * MOST_UNKNOWNS
}

/// Where the agent's answer to motion `motion` of the free body lies: its acceleration per acceleration of the body.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn answer_of(scratch_base: usize, motion: usize) -> usize {
    scratch_base + COUPLING + (6 + motion) * MOST_UNKNOWNS
}

/// Where the agent's own step lies, and then its whole step.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn own_step(scratch_base: usize) -> usize {
    scratch_base + COUPLING + 12 * MOST_UNKNOWNS
}

/// Forgets the couplings.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn clear_couplings(scratch: &mut [f32], scratch_base: usize) {
    for k in 0..6 * MOST_UNKNOWNS {
        scratch[scratch_base + COUPLING + k] = 0.0;
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn read_axis(scratch: &mut [f32], c: usize, axis: usize) -> Vec3 {
    let at = FRAME + 3 * axis;
    vec3(scratch[of(c, at)], scratch[of(c, at + 1)], scratch[of(c, at + 2)])
}

/// Of the edges `y_0 +- mu y_i`: stiffness of y_0, of y_i, and what couples them, per stiffness of an edge.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn edges_on(normal: f32, side: f32, mu: f32) -> Vec3 {
    let plus = if normal + side < 0.0 { 1.0f32 } else { 0.0f32 };
    let minus = if normal - side < 0.0 { 1.0f32 } else { 0.0f32 };
    vec3(plus + minus, mu * mu * (plus + minus), mu * (plus - minus))
}

/// Adds to the couplings what the contacts between the agent's `part`, whose slot is `own`, and the body in `slot` put there.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn couple<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, part: usize, own: usize, slot: usize) {
    on_cpu!(grouped::pays(scratch, scratch_base), grouped::couple::<M>(scratch, scratch_base, part, own, slot));
    let count = scratch[scratch_base + COUNT] as usize;
    for index in 0..count {
        let c = contact(scratch_base, index);
        let side = side_of(scratch, c, own);
        let other = side_of(scratch, c, slot);
        // One pushes where the other is pushed: the product of the sides is -1.
        if side * other < 0.0 {
            let arm = arm_of(side);
            let arm_other = arm_of(other);
            let r = vec3(scratch[of(c, arm)], scratch[of(c, arm + 1)], scratch[of(c, arm + 2)]);
            let q = vec3(scratch[of(c, arm_other)], scratch[of(c, arm_other + 1)], scratch[of(c, arm_other + 2)]);
            let n = read_axis(scratch, c, 0);
            let u = read_axis(scratch, c, 1);
            let v = read_axis(scratch, c, 2);
            let y0 = scratch[of(c, Y)];
            let mu = scratch[of(c, MU)];
            let twist = scratch[of(c, MU + 2)];
            let roll = scratch[of(c, MU + 3)];
            let e1 = edges_on(y0, mu * scratch[of(c, Y + 1)], mu);
            let e2 = edges_on(y0, mu * scratch[of(c, Y + 2)], mu);
            let e3 = edges_on(y0, twist * scratch[of(c, Y + 3)], twist);
            let e4 = edges_on(y0, roll * scratch[of(c, Y + 4)], roll);
            let e5 = edges_on(y0, roll * scratch[of(c, Y + 5)], roll);
            let on = e1.x + e2.x + e3.x + e4.x + e5.x;
            let stiff = -scratch[of(c, STIFF)];
            if on > 0.0 {
                for motion in 0..6usize {
                    let turns = motion > 2;
                    let axis = if turns { motion - 3 } else { motion };
                    let x = if axis == 0 { 1.0f32 } else { 0.0f32 };
                    let y = if axis == 1 { 1.0f32 } else { 0.0f32 };
                    let z = if axis == 2 { 1.0f32 } else { 0.0f32 };
                    let unit = vec3(x, y, z);
                    let swing = cross(&unit, &q);
                    let turn = if turns { 1.0f32 } else { 0.0f32 };
                    let slide = 1.0 - turn;
                    let w = vec3(slide * x + turn * swing.x, slide * y + turn * swing.y, slide * z + turn * swing.z);
                    // In the contact's frame: motions, then forces.
                    let m0 = dot(&n, &w);
                    let m1 = dot(&u, &w);
                    let m2 = dot(&v, &w);
                    let m3 = turn * dot(&n, &unit);
                    let m4 = turn * dot(&u, &unit);
                    let m5 = turn * dot(&v, &unit);
                    let f0 = stiff * (on * m0 + e1.z * m1 + e2.z * m2 + e3.z * m3 + e4.z * m4 + e5.z * m5);
                    let f1 = stiff * (e1.z * m0 + e1.y * m1);
                    let f2 = stiff * (e2.z * m0 + e2.y * m2);
                    let t0 = stiff * (e3.z * m0 + e3.y * m3);
                    let t1 = stiff * (e4.z * m0 + e4.y * m4);
                    let t2 = stiff * (e5.z * m0 + e5.y * m5);
                    let f = vec3(
                        f0 * n.x + f1 * u.x + f2 * v.x,
                        f0 * n.y + f1 * u.y + f2 * v.y,
                        f0 * n.z + f1 * u.z + f2 * v.z,
                    );
                    let moment = cross(&r, &f);
                    M::add_coupling(
                        scratch,
                        scratch_base,
                        part,
                        motion,
                        f.x,
                        f.y,
                        f.z,
                        moment.x + (t0 * n.x + t1 * u.x + t2 * v.x),
                        moment.y + (t0 * n.y + t1 * u.y + t2 * v.y),
                        moment.z + (t0 * n.z + t1 * u.z + t2 * v.z),
                    );
                }
            }
        }
    }
}

/// Takes the agent's part out of the body's sums.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn reduce<M: ContactBody>(scratch: &mut [f32], scratch_base: usize) {
    let unknowns = M::unknowns();
    for row in 0..6usize {
        let c = coupling_of(scratch_base, row);
        let mut gradient = 0.0f32;
        for k in 0..unknowns {
            gradient += scratch[c + k] * scratch[own_step(scratch_base) + k];
        }
        scratch[scratch_base + SUM + row] += gradient;
        for column in 0..(row + 1) {
            let w = answer_of(scratch_base, column);
            let mut sum = 0.0f32;
            for k in 0..unknowns {
                sum += scratch[c + k] * scratch[w + k];
            }
            scratch[matrix(scratch_base, row, column)] += sum;
        }
    }
}

/// Lets the agent follow the direction of the body in `slot`.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn join<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, slot: usize) {
    let unknowns = M::unknowns();
    for motion in 0..6usize {
        let along = scratch[body(scratch_base, slot) + DIRECTION + motion];
        let w = answer_of(scratch_base, motion);
        for k in 0..unknowns {
            scratch[own_step(scratch_base) + k] += scratch[w + k] * along;
        }
    }
    M::follow(scratch, scratch_base);
}
