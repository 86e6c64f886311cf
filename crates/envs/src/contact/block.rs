//! `mj_solNewton`, one body's part: gradient and Hessian of the contact objective, a free body's Newton direction.
//!
//! A contact's edges are `y_0 +- mu_i y_i`, so its penalty's Hessian in y has the arrow shape (0,0), (0,i), (i,i).
//! In a body's motion (linear acceleration, angular acceleration) that is three 3 x 3 blocks: with the contact's
//! stiffness `K = F' G F` in world axes and the lever arm r they are K, `[r] K` and `[r] K [r]'`. The letters of the
//! locals: x, y, z linear, p, q, r angular.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

mod free;

use super::solver::{arm_of, side_of};
use super::vector::{cross, vec3};
use super::*;
pub(super) use free::{free_direction, start_free};

/// Scratch offset of one body's sums: gradient 6, then the Hessian's lower triangle in rows of 6 ([`matrix`]).
pub(crate) const SUM: usize = TEMPORARY;
const MATRIX: usize = SUM + 6;

/// Offset of the sums' Hessian in (row, column <= row), linear before angular.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn matrix(scratch_base: usize, row: usize, column: usize) -> usize {
    scratch_base + MATRIX + 6 * row + column
}

/// A pair of edges `normal +- side`: the sum and difference of their violations (<= 0), then of their on-switches.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn edge_pair(normal: f32, side: f32) -> (f32, f32, f32, f32) {
    let plus = (normal + side).min(0.0);
    let minus = (normal - side).min(0.0);
    let on_plus = if plus < 0.0 { 1.0f32 } else { 0.0f32 };
    let on_minus = if minus < 0.0 { 1.0f32 } else { 0.0f32 };
    (plus + minus, plus - minus, on_plus + on_minus, on_plus - on_minus)
}

/// Inverse of the symmetric matrix [xx xy xz; xy yy yz; xz yz zz], as xx, yy, zz, xy, xz, yz.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn inverse(xx: f32, yy: f32, zz: f32, xy: f32, xz: f32, yz: f32) -> (f32, f32, f32, f32, f32, f32) {
    let cx = yy * zz - yz * yz;
    let cy = xz * yz - xy * zz;
    let cz = xy * yz - xz * yy;
    let scale = 1.0 / (xx * cx + xy * cy + xz * cz);
    (
        scale * cx,
        scale * (xx * zz - xz * xz),
        scale * (xx * yy - xy * xy),
        scale * cy,
        scale * cz,
        scale * (xy * xz - xx * yz),
    )
}

/// Adds to the sums what the contacts of `slot` put into the gradient and the Hessian of its body's motion.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn accumulate<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, slot: usize) {
    on_cpu!(grouped::pays(scratch, scratch_base), grouped::accumulate::<M>(scratch, scratch_base, slot));
    let count = scratch[scratch_base + COUNT] as usize;
    let mut gx = scratch[scratch_base + SUM];
    let mut gy = scratch[scratch_base + SUM + 1];
    let mut gz = scratch[scratch_base + SUM + 2];
    let mut gp = scratch[scratch_base + SUM + 3];
    let mut gq = scratch[scratch_base + SUM + 4];
    let mut gr = scratch[scratch_base + SUM + 5];
    let mut axx = scratch[matrix(scratch_base, 0, 0)];
    let mut ayy = scratch[matrix(scratch_base, 1, 1)];
    let mut azz = scratch[matrix(scratch_base, 2, 2)];
    let mut axy = scratch[matrix(scratch_base, 1, 0)];
    let mut axz = scratch[matrix(scratch_base, 2, 0)];
    let mut ayz = scratch[matrix(scratch_base, 2, 1)];
    // Rows: angular p, q, r; columns: linear x, y, z.
    let mut bpx = scratch[matrix(scratch_base, 3, 0)];
    let mut bpy = scratch[matrix(scratch_base, 3, 1)];
    let mut bpz = scratch[matrix(scratch_base, 3, 2)];
    let mut bqx = scratch[matrix(scratch_base, 4, 0)];
    let mut bqy = scratch[matrix(scratch_base, 4, 1)];
    let mut bqz = scratch[matrix(scratch_base, 4, 2)];
    let mut brx = scratch[matrix(scratch_base, 5, 0)];
    let mut bry = scratch[matrix(scratch_base, 5, 1)];
    let mut brz = scratch[matrix(scratch_base, 5, 2)];
    let mut cpp = scratch[matrix(scratch_base, 3, 3)];
    let mut cqq = scratch[matrix(scratch_base, 4, 4)];
    let mut crr = scratch[matrix(scratch_base, 5, 5)];
    let mut cpq = scratch[matrix(scratch_base, 4, 3)];
    let mut cpr = scratch[matrix(scratch_base, 5, 3)];
    let mut cqr = scratch[matrix(scratch_base, 5, 4)];
    for index in 0..count {
        let c = contact(scratch_base, index);
        let side = side_of(scratch, c, slot);
        if side != 0.0 {
            let arm = arm_of(side);
            let r = vec3(scratch[of(c, arm)], scratch[of(c, arm + 1)], scratch[of(c, arm + 2)]);
            let upright = scratch[of(c, FRAME + 2)] == 1.0;
            let stiff = scratch[of(c, STIFF)];
            let y0 = scratch[of(c, Y)];
            let mu = scratch[of(c, MU)];
            let twist = scratch[of(c, MU + 2)];
            let roll = scratch[of(c, MU + 3)];
            let (sum_1, diff_1, on_1, odd_1) = edge_pair(y0, mu * scratch[of(c, Y + 1)]);
            let (sum_2, diff_2, on_2, odd_2) = edge_pair(y0, mu * scratch[of(c, Y + 2)]);
            let (sum_3, diff_3, on_3, odd_3) = edge_pair(y0, twist * scratch[of(c, Y + 3)]);
            let (sum_4, diff_4, on_4, odd_4) = edge_pair(y0, roll * scratch[of(c, Y + 4)]);
            let (sum_5, diff_5, on_5, odd_5) = edge_pair(y0, roll * scratch[of(c, Y + 5)]);
            // A force at the contact point and a couple, in the contact's frame.
            let push = stiff * side;
            let f0 = push * (sum_1 + sum_2 + sum_3 + sum_4 + sum_5);
            let f1 = push * mu * diff_1;
            let f2 = push * mu * diff_2;
            let t0 = push * twist * diff_3;
            let t1 = push * roll * diff_4;
            let t2 = push * roll * diff_5;
            // K = n q' + q n' + k1 u u' + k2 v v'; k3 to k5 and the ones before: torsion and roll, and what couples them
            // with the normal.
            let k0 = 0.5 * stiff * (on_1 + on_2 + on_3 + on_4 + on_5);
            let q1 = stiff * mu * odd_1;
            let q2 = stiff * mu * odd_2;
            let k1 = stiff * mu * mu * on_1;
            let k2 = stiff * mu * mu * on_2;
            let twist_1 = stiff * twist * odd_3;
            let roll_1 = stiff * roll * odd_4;
            let roll_2 = stiff * roll * odd_5;
            let k3 = stiff * twist * twist * on_3;
            let k4 = stiff * roll * roll * on_4;
            let k5 = stiff * roll * roll * on_5;
            if upright {
                // n = z, u = y, v = -x: most contacts are with the floor, and most of the products below are zero.
                gx -= f2;
                gy += f1;
                gz += f0;
                gp += (r.y * f0 - r.z * f1) - t2;
                gq += (r.x * -f0 - r.z * f2) + t1;
                gr += (r.x * f1 + r.y * f2) + t0;
                let kzz = 2.0 * k0;
                let kxz = -q2;
                axx += k2;
                ayy += k1;
                azz += kzz;
                axz += kxz;
                ayz += q1;
                let mpx = r.y * kxz;
                let mpy = r.y * q1 - r.z * k1;
                let mpz = r.y * kzz - r.z * q1;
                let mqx = r.z * k2 - r.x * kxz;
                let mqy = -r.x * q1;
                let mqz = r.z * kxz - r.x * kzz;
                let mrx = -r.y * k2;
                let mry = r.x * k1;
                let mrz = r.x * q1 - r.y * kxz;
                bpx += mpx;
                bpy += mpy;
                bpz += mpz - roll_2;
                bqx += mqx;
                bqy += mqy;
                bqz += mqz + roll_1;
                brx += mrx;
                bry += mry;
                brz += mrz + twist_1;
                cpp += k5 + (r.y * mpz - r.z * mpy - 2.0 * roll_2 * r.y);
                cqq += k4 + (r.z * mqx - r.x * mqz - 2.0 * roll_1 * r.x);
                crr += k3 + (r.x * mry - r.y * mrx);
                cpq += r.z * mpx - r.x * mpz + roll_2 * r.x + roll_1 * r.y;
                cpr += r.x * mpy - r.y * mpx + twist_1 * r.y;
                cqr += r.x * mqy - r.y * mqx - twist_1 * r.x;
            } else {
                let n = vec3(scratch[of(c, FRAME)], scratch[of(c, FRAME + 1)], scratch[of(c, FRAME + 2)]);
                let u = vec3(scratch[of(c, FRAME + 3)], scratch[of(c, FRAME + 4)], scratch[of(c, FRAME + 5)]);
                let v = vec3(scratch[of(c, FRAME + 6)], scratch[of(c, FRAME + 7)], scratch[of(c, FRAME + 8)]);
                let f = vec3(
                    f0 * n.x + f1 * u.x + f2 * v.x,
                    f0 * n.y + f1 * u.y + f2 * v.y,
                    f0 * n.z + f1 * u.z + f2 * v.z,
                );
                let moment = cross(&r, &f);
                gx += f.x;
                gy += f.y;
                gz += f.z;
                gp += moment.x + (t0 * n.x + t1 * u.x + t2 * v.x);
                gq += moment.y + (t0 * n.y + t1 * u.y + t2 * v.y);
                gr += moment.z + (t0 * n.z + t1 * u.z + t2 * v.z);
                let q = vec3(
                    k0 * n.x + q1 * u.x + q2 * v.x,
                    k0 * n.y + q1 * u.y + q2 * v.y,
                    k0 * n.z + q1 * u.z + q2 * v.z,
                );
                let kxx = 2.0 * n.x * q.x + k1 * u.x * u.x + k2 * v.x * v.x;
                let kyy = 2.0 * n.y * q.y + k1 * u.y * u.y + k2 * v.y * v.y;
                let kzz = 2.0 * n.z * q.z + k1 * u.z * u.z + k2 * v.z * v.z;
                let kxy = n.x * q.y + n.y * q.x + k1 * u.x * u.y + k2 * v.x * v.y;
                let kxz = n.x * q.z + n.z * q.x + k1 * u.x * u.z + k2 * v.x * v.z;
                let kyz = n.y * q.z + n.z * q.y + k1 * u.y * u.z + k2 * v.y * v.z;
                axx += kxx;
                ayy += kyy;
                azz += kzz;
                axy += kxy;
                axz += kxz;
                ayz += kyz;
                // [r] K, column by column.
                let h = vec3(
                    twist_1 * n.x + roll_1 * u.x + roll_2 * v.x,
                    twist_1 * n.y + roll_1 * u.y + roll_2 * v.y,
                    twist_1 * n.z + roll_1 * u.z + roll_2 * v.z,
                );
                let mpx = r.y * kxz - r.z * kxy;
                let mpy = r.y * kyz - r.z * kyy;
                let mpz = r.y * kzz - r.z * kyz;
                let mqx = r.z * kxx - r.x * kxz;
                let mqy = r.z * kxy - r.x * kyz;
                let mqz = r.z * kxz - r.x * kzz;
                let mrx = r.x * kxy - r.y * kxx;
                let mry = r.x * kyy - r.y * kxy;
                let mrz = r.x * kyz - r.y * kxz;
                bpx += mpx + h.x * n.x;
                bpy += mpy + h.x * n.y;
                bpz += mpz + h.x * n.z;
                bqx += mqx + h.y * n.x;
                bqy += mqy + h.y * n.y;
                bqz += mqz + h.y * n.z;
                brx += mrx + h.z * n.x;
                bry += mry + h.z * n.y;
                brz += mrz + h.z * n.z;
                let j = cross(&r, &n);
                cpp += (k3 * n.x * n.x + k4 * u.x * u.x + k5 * v.x * v.x) + (r.y * mpz - r.z * mpy + 2.0 * h.x * j.x);
                cqq += (k3 * n.y * n.y + k4 * u.y * u.y + k5 * v.y * v.y) + (r.z * mqx - r.x * mqz + 2.0 * h.y * j.y);
                crr += (k3 * n.z * n.z + k4 * u.z * u.z + k5 * v.z * v.z) + (r.x * mry - r.y * mrx + 2.0 * h.z * j.z);
                cpq += (k3 * n.x * n.y + k4 * u.x * u.y + k5 * v.x * v.y)
                    + (r.z * mpx - r.x * mpz + h.x * j.y + h.y * j.x);
                cpr += (k3 * n.x * n.z + k4 * u.x * u.z + k5 * v.x * v.z)
                    + (r.x * mpy - r.y * mpx + h.x * j.z + h.z * j.x);
                cqr += (k3 * n.y * n.z + k4 * u.y * u.z + k5 * v.y * v.z)
                    + (r.x * mqy - r.y * mqx + h.y * j.z + h.z * j.y);
            }
        }
    }
    write_six(scratch, scratch_base + SUM, gx, gy, gz, gp, gq, gr);
    scratch[matrix(scratch_base, 0, 0)] = axx;
    scratch[matrix(scratch_base, 1, 1)] = ayy;
    scratch[matrix(scratch_base, 2, 2)] = azz;
    scratch[matrix(scratch_base, 1, 0)] = axy;
    scratch[matrix(scratch_base, 2, 0)] = axz;
    scratch[matrix(scratch_base, 2, 1)] = ayz;
    scratch[matrix(scratch_base, 3, 0)] = bpx;
    scratch[matrix(scratch_base, 3, 1)] = bpy;
    scratch[matrix(scratch_base, 3, 2)] = bpz;
    scratch[matrix(scratch_base, 4, 0)] = bqx;
    scratch[matrix(scratch_base, 4, 1)] = bqy;
    scratch[matrix(scratch_base, 4, 2)] = bqz;
    scratch[matrix(scratch_base, 5, 0)] = brx;
    scratch[matrix(scratch_base, 5, 1)] = bry;
    scratch[matrix(scratch_base, 5, 2)] = brz;
    scratch[matrix(scratch_base, 3, 3)] = cpp;
    scratch[matrix(scratch_base, 4, 4)] = cqq;
    scratch[matrix(scratch_base, 5, 5)] = crr;
    scratch[matrix(scratch_base, 4, 3)] = cpq;
    scratch[matrix(scratch_base, 5, 3)] = cpr;
    scratch[matrix(scratch_base, 5, 4)] = cqr;
}

/// Zeroes the sums.
#[cfg_attr(feature = "gpu", cube)]
#[inline]
pub(crate) fn clear_sums(scratch: &mut [f32], scratch_base: usize) {
    for k in 0..42 {
        scratch[scratch_base + SUM + k] = 0.0;
    }
}

/// Writes the sums' gradient and the direction (dx, dy, dz, dp, dq, dr) to the record at `b`; returns what
/// [`free_direction`] does.
#[cfg_attr(feature = "gpu", cube)]
pub(crate) fn write_direction(
    scratch: &mut [f32],
    scratch_base: usize,
    b: usize,
    dx: f32,
    dy: f32,
    dz: f32,
    dp: f32,
    dq: f32,
    dr: f32,
) -> (f32, f32) {
    let old = b + GRAD;
    let new = scratch_base + SUM;
    let previous = scratch[old] * dx
        + scratch[old + 1] * dy
        + scratch[old + 2] * dz
        + scratch[old + 3] * dp
        + scratch[old + 4] * dq
        + scratch[old + 5] * dr;
    let slope = scratch[new] * dx
        + scratch[new + 1] * dy
        + scratch[new + 2] * dz
        + scratch[new + 3] * dp
        + scratch[new + 4] * dq
        + scratch[new + 5] * dr;
    for k in 0..6 {
        scratch[b + GRAD + k] = scratch[scratch_base + SUM + k];
    }
    write_six(scratch, b + DIRECTION, dx, dy, dz, dp, dq, dr);
    (slope, previous)
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn write_six(scratch: &mut [f32], to: usize, x: f32, y: f32, z: f32, p: f32, q: f32, r: f32) {
    scratch[to] = x;
    scratch[to + 1] = y;
    scratch[to + 2] = z;
    scratch[to + 3] = p;
    scratch[to + 4] = q;
    scratch[to + 5] = r;
}
