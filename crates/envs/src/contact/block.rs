//! One body's share of the contact objective: gradient, Hessian and Newton direction.
//!
//! A contact's edges are `y_0 +- mu_i y_i`, so its penalty's Hessian in y has the arrow shape (0,0), (0,i), (i,i).
//! In a body's motion (linear acceleration, angular acceleration) that is three 3 x 3 blocks: with the contact's
//! stiffness `K = F' G F` in world axes and the lever arm r they are K, `[r] K` and `[r] K [r]'`. The letters of the
//! locals: x, y, z linear, p, q, r angular.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::solver::{arm_of, side_of};
use super::vector::{cross, vec3};
use super::*;

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
fn inverse(xx: f32, yy: f32, zz: f32, xy: f32, xz: f32, yz: f32) -> (f32, f32, f32, f32, f32, f32) {
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

/// Newton direction of the body in `slot`, all others held: writes its gradient, direction and inertia's part of the
/// gradient to its record. Returns the slope along the direction, and the product of the **previous** gradient with
/// the new direction (for conjugate directions).
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn block_direction(scratch: &mut [f32], s0: usize, slot: usize) -> (f32, f32) {
    let b = body(s0, slot);
    let planar = slot == AGENT_SLOT;
    let count = scratch[s0 + COUNT] as usize;
    let mass = scratch[b + MASS];
    // Inertia: a planar body has its mass times com offset (mx, my) and yaw inertia, a free one a tensor.
    let mx = if planar { scratch[b + INERTIA] } else { 0.0f32 };
    let my = if planar { scratch[b + INERTIA + 1] } else { 0.0f32 };
    let ixx = if planar { 0.0f32 } else { scratch[b + INERTIA] };
    let iyy = if planar { 0.0f32 } else { scratch[b + INERTIA + 1] };
    let izz = scratch[b + INERTIA + 2];
    let ixy = scratch[b + INERTIA + 3];
    let ixz = scratch[b + INERTIA + 4];
    let iyz = scratch[b + INERTIA + 5];
    // Gradient M (a - a_free) and Hessian M.
    let lx = scratch[b + ACC] - scratch[b + FREE];
    let ly = scratch[b + ACC + 1] - scratch[b + FREE + 1];
    let lz = scratch[b + ACC + 2] - scratch[b + FREE + 2];
    let wx = scratch[b + ACC + 3] - scratch[b + FREE + 3];
    let wy = scratch[b + ACC + 4] - scratch[b + FREE + 4];
    let wz = scratch[b + ACC + 5] - scratch[b + FREE + 5];
    let inertia_x = mass * lx - my * wz;
    let inertia_y = mass * ly + mx * wz;
    let inertia_z = mass * lz;
    let inertia_p = ixx * wx + ixy * wy + ixz * wz;
    let inertia_q = ixy * wx + iyy * wy + iyz * wz;
    let inertia_r = ixz * wx + iyz * wy + izz * wz + mx * ly - my * lx;
    let mut gx = inertia_x;
    let mut gy = inertia_y;
    let mut gz = inertia_z;
    let mut gp = inertia_p;
    let mut gq = inertia_q;
    let mut gr = inertia_r;
    let mut axx = mass;
    let mut ayy = mass;
    let mut azz = mass;
    let mut axy = 0.0f32;
    let mut axz = 0.0f32;
    let mut ayz = 0.0f32;
    // Rows: angular p, q, r; columns: linear x, y, z.
    let mut bpx = 0.0f32;
    let mut bpy = 0.0f32;
    let mut bpz = 0.0f32;
    let mut bqx = 0.0f32;
    let mut bqy = 0.0f32;
    let mut bqz = 0.0f32;
    let mut brx = -my;
    let mut bry = mx;
    let mut brz = 0.0f32;
    let mut cpp = ixx;
    let mut cqq = iyy;
    let mut crr = izz;
    let mut cpq = ixy;
    let mut cpr = ixz;
    let mut cqr = iyz;
    for index in 0..count {
        let c = contact(s0, index);
        let side = side_of(scratch, c, slot);
        if side != 0.0 {
            let arm = arm_of(c, side);
            let r = vec3(scratch[arm], scratch[arm + 1], scratch[arm + 2]);
            let n = vec3(scratch[c + FRAME], scratch[c + FRAME + 1], scratch[c + FRAME + 2]);
            let u = vec3(scratch[c + FRAME + 3], scratch[c + FRAME + 4], scratch[c + FRAME + 5]);
            let v = vec3(scratch[c + FRAME + 6], scratch[c + FRAME + 7], scratch[c + FRAME + 8]);
            let stiff = scratch[c + STIFF];
            let y0 = scratch[c + Y];
            let mu = scratch[c + MU];
            let twist = scratch[c + MU + 2];
            let roll = scratch[c + MU + 3];
            let (sum_1, diff_1, on_1, odd_1) = edge_pair(y0, mu * scratch[c + Y + 1]);
            let (sum_2, diff_2, on_2, odd_2) = edge_pair(y0, mu * scratch[c + Y + 2]);
            let (sum_3, diff_3, on_3, odd_3) = edge_pair(y0, twist * scratch[c + Y + 3]);
            let (sum_4, diff_4, on_4, odd_4) = edge_pair(y0, roll * scratch[c + Y + 4]);
            let (sum_5, diff_5, on_5, odd_5) = edge_pair(y0, roll * scratch[c + Y + 5]);
            // Gradient: a force at the contact point and a couple.
            let push = stiff * side;
            let f0 = push * (sum_1 + sum_2 + sum_3 + sum_4 + sum_5);
            let f1 = push * mu * diff_1;
            let f2 = push * mu * diff_2;
            let t0 = push * twist * diff_3;
            let t1 = push * roll * diff_4;
            let t2 = push * roll * diff_5;
            let f =
                vec3(f0 * n.x + f1 * u.x + f2 * v.x, f0 * n.y + f1 * u.y + f2 * v.y, f0 * n.z + f1 * u.z + f2 * v.z);
            let moment = cross(&r, &f);
            gx += f.x;
            gy += f.y;
            gz += f.z;
            gp += moment.x + t0 * n.x + t1 * u.x + t2 * v.x;
            gq += moment.y + t0 * n.y + t1 * u.y + t2 * v.y;
            gr += moment.z + t0 * n.z + t1 * u.z + t2 * v.z;
            // K = n q' + q n' + k1 u u' + k2 v v'.
            let k0 = 0.5 * stiff * (on_1 + on_2 + on_3 + on_4 + on_5);
            let q1 = stiff * mu * odd_1;
            let q2 = stiff * mu * odd_2;
            let k1 = stiff * mu * mu * on_1;
            let k2 = stiff * mu * mu * on_2;
            let q =
                vec3(k0 * n.x + q1 * u.x + q2 * v.x, k0 * n.y + q1 * u.y + q2 * v.y, k0 * n.z + q1 * u.z + q2 * v.z);
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
            // [r] K, column by column; h is the cross term of the normal with torsion and roll, k3 to k5 their squares.
            let twist_1 = stiff * twist * odd_3;
            let roll_1 = stiff * roll * odd_4;
            let roll_2 = stiff * roll * odd_5;
            let k3 = stiff * twist * twist * on_3;
            let k4 = stiff * roll * roll * on_4;
            let k5 = stiff * roll * roll * on_5;
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
            cpp += k3 * n.x * n.x + k4 * u.x * u.x + k5 * v.x * v.x;
            cpp += r.y * mpz - r.z * mpy + 2.0 * h.x * j.x;
            cqq += k3 * n.y * n.y + k4 * u.y * u.y + k5 * v.y * v.y;
            cqq += r.z * mqx - r.x * mqz + 2.0 * h.y * j.y;
            crr += k3 * n.z * n.z + k4 * u.z * u.z + k5 * v.z * v.z;
            crr += r.x * mry - r.y * mrx + 2.0 * h.z * j.z;
            cpq += k3 * n.x * n.y + k4 * u.x * u.y + k5 * v.x * v.y;
            cpq += r.z * mpx - r.x * mpz + h.x * j.y + h.y * j.x;
            cpr += k3 * n.x * n.z + k4 * u.x * u.z + k5 * v.x * v.z;
            cpr += r.x * mpy - r.y * mpx + h.x * j.z + h.z * j.x;
            cqr += k3 * n.y * n.z + k4 * u.y * u.z + k5 * v.y * v.z;
            cqr += r.x * mqy - r.y * mqx + h.y * j.z + h.z * j.y;
        }
    }
    // Direction: the linear part eliminated (free body), or the planar body's three unknowns.
    let mut dx = -gx;
    let mut dy = -gy;
    let mut dz = 0.0f32;
    let mut dp = 0.0f32;
    let mut dq = 0.0f32;
    let mut dr = -gr;
    if planar {
        let (pxx, pyy, pzz, pxy, pxz, pyz) = inverse(axx, ayy, crr, axy, brx, bry);
        // Not copies of dx, dy, dr: in a kernel a tuple of mutable variables keeps their places, not their values.
        let x = -gx;
        let y = -gy;
        let r = -gr;
        dx = pxx * x + pxy * y + pxz * r;
        dy = pxy * x + pyy * y + pyz * r;
        dr = pxz * x + pyz * y + pzz * r;
        gz = 0.0;
        gp = 0.0;
        gq = 0.0;
    } else {
        let (vxx, vyy, vzz, vxy, vxz, vyz) = inverse(axx, ayy, azz, axy, axz, ayz);
        // P = B A^-1, S = C - P B'.
        let ppx = bpx * vxx + bpy * vxy + bpz * vxz;
        let ppy = bpx * vxy + bpy * vyy + bpz * vyz;
        let ppz = bpx * vxz + bpy * vyz + bpz * vzz;
        let pqx = bqx * vxx + bqy * vxy + bqz * vxz;
        let pqy = bqx * vxy + bqy * vyy + bqz * vyz;
        let pqz = bqx * vxz + bqy * vyz + bqz * vzz;
        let prx = brx * vxx + bry * vxy + brz * vxz;
        let pry = brx * vxy + bry * vyy + brz * vyz;
        let prz = brx * vxz + bry * vyz + brz * vzz;
        let (spp, sqq, srr, spq, spr, sqr) = inverse(
            cpp - (ppx * bpx + ppy * bpy + ppz * bpz),
            cqq - (pqx * bqx + pqy * bqy + pqz * bqz),
            crr - (prx * brx + pry * bry + prz * brz),
            cpq - (ppx * bqx + ppy * bqy + ppz * bqz),
            cpr - (ppx * brx + ppy * bry + ppz * brz),
            cqr - (pqx * brx + pqy * bry + pqz * brz),
        );
        let hp = ppx * gx + ppy * gy + ppz * gz - gp;
        let hq = pqx * gx + pqy * gy + pqz * gz - gq;
        let hr = prx * gx + pry * gy + prz * gz - gr;
        dp = spp * hp + spq * hq + spr * hr;
        dq = spq * hp + sqq * hq + sqr * hr;
        dr = spr * hp + sqr * hq + srr * hr;
        let hx = gx + bpx * dp + bqx * dq + brx * dr;
        let hy = gy + bpy * dp + bqy * dq + bry * dr;
        let hz = gz + bpz * dp + bqz * dq + brz * dr;
        dx = -(vxx * hx + vxy * hy + vxz * hz);
        dy = -(vxy * hx + vyy * hy + vyz * hz);
        dz = -(vxz * hx + vyz * hy + vzz * hz);
    }
    let b_grad = b + GRAD;
    let previous = scratch[b_grad] * dx
        + scratch[b_grad + 1] * dy
        + scratch[b_grad + 2] * dz
        + scratch[b_grad + 3] * dp
        + scratch[b_grad + 4] * dq
        + scratch[b_grad + 5] * dr;
    write_six(scratch, b + GRAD, gx, gy, gz, gp, gq, gr);
    write_six(scratch, b + DIRECTION, dx, dy, dz, dp, dq, dr);
    write_six(scratch, b + PULL, inertia_x, inertia_y, inertia_z, inertia_p, inertia_q, inertia_r);
    let slope = gx * dx + gy * dy + gz * dz + gp * dp + gq * dq + gr * dr;
    (slope, previous)
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn write_six(scratch: &mut [f32], to: usize, x: f32, y: f32, z: f32, p: f32, q: f32, r: f32) {
    scratch[to] = x;
    scratch[to + 1] = y;
    scratch[to + 2] = z;
    scratch[to + 3] = p;
    scratch[to + 4] = q;
    scratch[to + 5] = r;
}
