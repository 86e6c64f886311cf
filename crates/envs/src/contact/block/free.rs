//! `mj_solNewton`, the part of a free body: how its sums start, and its Newton direction.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::super::*;
use super::{SUM, clear_sums, inverse, matrix, write_direction, write_six};

/// Starts the sums with the inertia's part of the free body in `slot`: gradient `M (a - a_free)` and Hessian M.
#[cfg_attr(feature = "gpu", cube)]
pub(in crate::contact) fn start_free(scratch: &mut [f32], scratch_base: usize, slot: usize) {
    let b = body(scratch_base, slot);
    let mass = scratch[b + MASS];
    let ixx = scratch[b + INERTIA];
    let iyy = scratch[b + INERTIA + 1];
    let izz = scratch[b + INERTIA + 2];
    let ixy = scratch[b + INERTIA + 3];
    let ixz = scratch[b + INERTIA + 4];
    let iyz = scratch[b + INERTIA + 5];
    let lx = scratch[b + ACC] - scratch[b + FREE];
    let ly = scratch[b + ACC + 1] - scratch[b + FREE + 1];
    let lz = scratch[b + ACC + 2] - scratch[b + FREE + 2];
    let wx = scratch[b + ACC + 3] - scratch[b + FREE + 3];
    let wy = scratch[b + ACC + 4] - scratch[b + FREE + 4];
    let wz = scratch[b + ACC + 5] - scratch[b + FREE + 5];
    let x = mass * lx;
    let y = mass * ly;
    let z = mass * lz;
    let p = ixx * wx + ixy * wy + ixz * wz;
    let q = ixy * wx + iyy * wy + iyz * wz;
    let r = ixz * wx + iyz * wy + izz * wz;
    clear_sums(scratch, scratch_base);
    write_six(scratch, scratch_base + SUM, x, y, z, p, q, r);
    write_six(scratch, b + PULL, x, y, z, p, q, r);
    scratch[matrix(scratch_base, 0, 0)] = mass;
    scratch[matrix(scratch_base, 1, 1)] = mass;
    scratch[matrix(scratch_base, 2, 2)] = mass;
    scratch[matrix(scratch_base, 3, 3)] = ixx;
    scratch[matrix(scratch_base, 4, 4)] = iyy;
    scratch[matrix(scratch_base, 5, 5)] = izz;
    scratch[matrix(scratch_base, 4, 3)] = ixy;
    scratch[matrix(scratch_base, 5, 3)] = ixz;
    scratch[matrix(scratch_base, 5, 4)] = iyz;
}

/// Newton direction of the free body in `slot` from the sums: writes gradient and direction to its record. Returns the
/// slope along the direction, and the product of the **previous** gradient with the new direction (for conjugate
/// directions).
#[cfg_attr(feature = "gpu", cube)]
pub(in crate::contact) fn free_direction(scratch: &mut [f32], scratch_base: usize, slot: usize) -> (f32, f32) {
    let b = body(scratch_base, slot);
    let gx = scratch[scratch_base + SUM];
    let gy = scratch[scratch_base + SUM + 1];
    let gz = scratch[scratch_base + SUM + 2];
    let gp = scratch[scratch_base + SUM + 3];
    let gq = scratch[scratch_base + SUM + 4];
    let gr = scratch[scratch_base + SUM + 5];
    let axx = scratch[matrix(scratch_base, 0, 0)];
    let ayy = scratch[matrix(scratch_base, 1, 1)];
    let azz = scratch[matrix(scratch_base, 2, 2)];
    let axy = scratch[matrix(scratch_base, 1, 0)];
    let axz = scratch[matrix(scratch_base, 2, 0)];
    let ayz = scratch[matrix(scratch_base, 2, 1)];
    let bpx = scratch[matrix(scratch_base, 3, 0)];
    let bpy = scratch[matrix(scratch_base, 3, 1)];
    let bpz = scratch[matrix(scratch_base, 3, 2)];
    let bqx = scratch[matrix(scratch_base, 4, 0)];
    let bqy = scratch[matrix(scratch_base, 4, 1)];
    let bqz = scratch[matrix(scratch_base, 4, 2)];
    let brx = scratch[matrix(scratch_base, 5, 0)];
    let bry = scratch[matrix(scratch_base, 5, 1)];
    let brz = scratch[matrix(scratch_base, 5, 2)];
    let cpp = scratch[matrix(scratch_base, 3, 3)];
    let cqq = scratch[matrix(scratch_base, 4, 4)];
    let crr = scratch[matrix(scratch_base, 5, 5)];
    let cpq = scratch[matrix(scratch_base, 4, 3)];
    let cpr = scratch[matrix(scratch_base, 5, 3)];
    let cqr = scratch[matrix(scratch_base, 5, 4)];
    // The linear part eliminated: P = B A^-1, S = C - P B'.
    let (vxx, vyy, vzz, vxy, vxz, vyz) = inverse(axx, ayy, azz, axy, axz, ayz);
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
    let dp = spp * hp + spq * hq + spr * hr;
    let dq = spq * hp + sqq * hq + sqr * hr;
    let dr = spr * hp + sqr * hq + srr * hr;
    let hx = gx + bpx * dp + bqx * dq + brx * dr;
    let hy = gy + bpy * dp + bqy * dq + bry * dr;
    let hz = gz + bpz * dp + bqz * dq + brz * dr;
    let dx = -(vxx * hx + vxy * hy + vxz * hz);
    let dy = -(vxy * hx + vyy * hy + vyz * hz);
    let dz = -(vxz * hx + vyz * hy + vzz * hz);
    write_direction(scratch, scratch_base, b, dx, dy, dz, dp, dq, dr)
}
