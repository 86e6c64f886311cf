//! Newton's method on the contact objective, one body at a time.
//!
//! A contact's edges are `y_0 +- mu_i y_i`, so its penalty's Hessian in y has the arrow shape (0,0), (0,i), (i,i).
//! In a body's motion (linear acceleration, angular acceleration) that is three 3 x 3 blocks: with the contact's
//! stiffness `K = F' G F` in world axes and the lever arm r they are K, `[r] K` and `[r] K [r]'`.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::vector::{cross, dot, vec3};
use super::*;

const NEWTON_STEPS: usize = 20;
const SEARCH_STEPS: usize = 12;
const SWEEPS: usize = 30;
/// A block is solved when its Newton decrement is below mass * this \[(m/s^2)^2\]: 2e-6 m/s in a substep.
const DECREMENT: f32 = 1e-6;
/// Sweeps end when no acceleration moved by more than the root of this \[(m/s^2)^2\]: 1e-4 m/s in a substep.
const SWEEP_MOVE: f32 = 2.5e-3;
/// Squared lever arm at which a change of angular acceleration counts as linear \[m^2\].
const LEVER: f32 = 0.02;

/// 1 where `slot` is contact `c`'s second body, -1 where its first, 0 where neither.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn side_of(scratch: &mut [f32], c: usize, slot: usize) -> f32 {
    let id = slot as f32;
    let second = if scratch[c + SECOND] == id { 1.0f32 } else { 0.0f32 };
    if scratch[c + FIRST] == id { -1.0f32 } else { second }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn arm_of(c: usize, side: f32) -> usize {
    if side < 0.0 { c + ARM_FIRST } else { c + ARM_SECOND }
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

/// Slope and curvature at `t` along a step of an edge with violation `e + t de`, and 1 if it changed sides since 0.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn edge_along(e: f32, de: f32, t: f32) -> (f32, f32, f32) {
    let now = e + t * de;
    let on = now < 0.0;
    let slope = if on { now * de } else { 0.0f32 };
    let curvature = if on { de * de } else { 0.0f32 };
    let changed = if on != (e < 0.0) { 1.0f32 } else { 0.0f32 };
    (slope, curvature, changed)
}

/// Slope, curvature and number of changed edges of the contacts of `slot` at `t` along the step.
#[cfg_attr(feature = "gpu", cube)]
fn contacts_along(scratch: &mut [f32], s0: usize, slot: usize, t: f32) -> (f32, f32, f32) {
    let mut slope = 0.0f32;
    let mut curvature = 0.0f32;
    let mut changed = 0.0f32;
    let count = scratch[s0 + COUNT] as usize;
    for index in 0..count {
        let c = contact(s0, index);
        if side_of(scratch, c, slot) != 0.0 {
            let stiff = scratch[c + STIFF];
            let y0 = scratch[c + Y];
            let d0 = scratch[c + DY];
            for i in 0..5 {
                let mu = scratch[c + MU + i];
                let y = mu * scratch[c + Y + 1 + i];
                let d = mu * scratch[c + DY + 1 + i];
                let (slope_1, curvature_1, changed_1) = edge_along(y0 + y, d0 + d, t);
                let (slope_2, curvature_2, changed_2) = edge_along(y0 - y, d0 - d, t);
                slope += stiff * (slope_1 + slope_2);
                curvature += stiff * (curvature_1 + curvature_2);
                changed += changed_1 + changed_2;
            }
        }
    }
    (slope, curvature, changed)
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

/// Minimises the objective over the acceleration of the body in `slot`, all others held. Returns the squared
/// change of its acceleration \[(m/s^2)^2\].
#[cfg_attr(feature = "gpu", cube)]
fn solve_block(scratch: &mut [f32], s0: usize, slot: usize) -> f32 {
    let b = body(s0, slot);
    let planar = slot == AGENT_SLOT;
    let count = scratch[s0 + COUNT] as usize;
    let mass = scratch[b + MASS];
    let limit = DECREMENT * mass;
    // Inertia: a planar body has its mass times com offset (mx, my) and yaw inertia, a free one a tensor.
    let mx = if planar { scratch[b + INERTIA] } else { 0.0f32 };
    let my = if planar { scratch[b + INERTIA + 1] } else { 0.0f32 };
    let ixx = if planar { 0.0f32 } else { scratch[b + INERTIA] };
    let iyy = if planar { 0.0f32 } else { scratch[b + INERTIA + 1] };
    let izz = scratch[b + INERTIA + 2];
    let ixy = scratch[b + INERTIA + 3];
    let ixz = scratch[b + INERTIA + 4];
    let iyz = scratch[b + INERTIA + 5];
    let mut total = 0.0f32;
    let mut round = 0usize;
    while round < NEWTON_STEPS {
        round += 1;
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
                let f = vec3(
                    f0 * n.x + f1 * u.x + f2 * v.x,
                    f0 * n.y + f1 * u.y + f2 * v.y,
                    f0 * n.z + f1 * u.z + f2 * v.z,
                );
                let moment = cross(r, f);
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
                // [r] K, column by column, and the cross term of the normal with torsion and roll; the squares of
                // torsion and roll (below 1e-3 of the slides') are left out, which leaves the minimum in place.
                let twist_1 = stiff * twist * odd_3;
                let roll_1 = stiff * roll * odd_4;
                let roll_2 = stiff * roll * odd_5;
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
                let j = cross(r, n);
                cpp += r.y * mpz - r.z * mpy + 2.0 * h.x * j.x;
                cqq += r.z * mqx - r.x * mqz + 2.0 * h.y * j.y;
                crr += r.x * mry - r.y * mrx + 2.0 * h.z * j.z;
                cpq += r.z * mpx - r.x * mpz + h.x * j.y + h.y * j.x;
                cpr += r.x * mpy - r.y * mpx + h.x * j.z + h.z * j.x;
                cqr += r.x * mqy - r.y * mqx + h.y * j.z + h.z * j.y;
            }
        }
        // Direction: the linear part eliminated (free body), or the planar body's three unknowns.
        let mut dx = 0.0f32;
        let mut dy = 0.0f32;
        let mut dz = 0.0f32;
        let mut dp = 0.0f32;
        let mut dq = 0.0f32;
        let mut dr = 0.0f32;
        if planar {
            let (pxx, pyy, pzz, pxy, pxz, pyz) = inverse(axx, ayy, crr, axy, brx, bry);
            dx = -(pxx * gx + pxy * gy + pxz * gr);
            dy = -(pxy * gx + pyy * gy + pyz * gr);
            dr = -(pxz * gx + pyz * gy + pzz * gr);
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
        let slope_0 = gx * dx + gy * dy + gz * dz + gp * dp + gq * dq + gr * dr;
        if -slope_0 < limit {
            round = NEWTON_STEPS;
        } else {
            for index in 0..count {
                let c = contact(s0, index);
                let side = side_of(scratch, c, slot);
                if side != 0.0 {
                    let arm = arm_of(c, side);
                    let r = vec3(scratch[arm], scratch[arm + 1], scratch[arm + 2]);
                    let turn = vec3(side * dp, side * dq, side * dr);
                    let lift = cross(turn, r);
                    let shift = vec3(side * dx + lift.x, side * dy + lift.y, side * dz + lift.z);
                    for i in 0..3 {
                        let f = vec3(
                            scratch[c + FRAME + 3 * i],
                            scratch[c + FRAME + 3 * i + 1],
                            scratch[c + FRAME + 3 * i + 2],
                        );
                        scratch[c + DY + i] = dot(f, shift);
                        scratch[c + DY + 3 + i] = dot(f, turn);
                    }
                }
            }
            // Along the step the inertia's part of the slope is affine, the contacts' part piecewise affine.
            let inertia_slope = inertia_x * dx
                + inertia_y * dy
                + inertia_z * dz
                + inertia_p * dp
                + inertia_q * dq
                + inertia_r * dr;
            let inertia_curvature = mass * (dx * dx + dy * dy + dz * dz)
                + ixx * dp * dp
                + iyy * dq * dq
                + izz * dr * dr
                + 2.0 * (ixy * dp * dq + ixz * dp * dr + iyz * dq * dr + dr * (mx * dy - my * dx));
            let mut t = 1.0f32;
            let mut low = 0.0f32;
            let mut high = 1e30f32;
            let mut solved = false;
            let mut search = 0usize;
            while search < SEARCH_STEPS {
                search += 1;
                let (slope, curvature, changed) = contacts_along(scratch, s0, slot, t);
                let slope = slope + inertia_slope + t * inertia_curvature;
                if slope.abs() <= -0.1f32 * slope_0 {
                    // All edges on their old sides: the objective is quadratic and the full step solved it.
                    solved = changed == 0.0 && search == 1;
                    search = SEARCH_STEPS;
                } else {
                    if slope > 0.0 {
                        high = t;
                    } else {
                        low = t;
                    }
                    let next = t - slope / (curvature + inertia_curvature);
                    let middle = if high < 1e29 { 0.5 * (low + high) } else { 2.0 * low };
                    t = if next > low && next < high { next } else { middle };
                }
            }
            if solved {
                round = NEWTON_STEPS;
            }
            scratch[b + ACC] += t * dx;
            scratch[b + ACC + 1] += t * dy;
            scratch[b + ACC + 2] += t * dz;
            scratch[b + ACC + 3] += t * dp;
            scratch[b + ACC + 4] += t * dq;
            scratch[b + ACC + 5] += t * dr;
            total += t * t * (dx * dx + dy * dy + dz * dz + LEVER * (dp * dp + dq * dq + dr * dr));
            for index in 0..count {
                let c = contact(s0, index);
                if side_of(scratch, c, slot) != 0.0 {
                    for i in 0..6 {
                        scratch[c + Y + i] += t * scratch[c + DY + i];
                    }
                }
            }
        }
    }
    total
}

/// Finds the accelerations of the agent and of the bodies in slots 1 ..= `bodies` under the pushed contacts, from
/// the accelerations in the slots. Bodies without contact are left alone.
#[cfg_attr(feature = "gpu", cube)]
pub fn solve(scratch: &mut [f32], s0: usize, bodies: usize) {
    let mut sweep = 0usize;
    while sweep < SWEEPS {
        sweep += 1;
        // What the first block of a sweep does not see yet: the moves of the blocks after it.
        let mut unseen = 0.0f32;
        let mut blocks = 0usize;
        for turn in 0..(bodies + 1) {
            // The agent last: the vases follow it more than it follows them.
            let slot = if turn < bodies { turn + 1 } else { AGENT_SLOT };
            if scratch[body(s0, slot) + TOUCHES] > 0.0 {
                let moved = solve_block(scratch, s0, slot);
                if blocks > 0 {
                    unseen = unseen.max(moved);
                }
                blocks += 1;
            }
        }
        if unseen < SWEEP_MOVE {
            sweep = SWEEPS;
        }
    }
}
