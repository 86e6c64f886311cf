//! `mj_makeConstraint`: a contact's frame, lever arms and stiffness, and what a body's motion is in it.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::vector::{Vec3, cross, vec3};
use super::*;

/// Completes the pushed contacts, those of the agent and of the bodies in slots 1 ..= `bodies`.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn complete_contacts<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, bodies: usize) {
    on_cpu!(grouped::pays(scratch, scratch_base), grouped::complete::<M>(scratch, scratch_base, bodies));
    let count = scratch[scratch_base + COUNT] as usize;
    for index in 0..count {
        complete_contact(scratch, scratch_base, contact(scratch_base, index));
    }
}

/// Completes contact `c`: tangents, lever arms, stiffness, and y from the bodies' velocities and present accelerations.
/// Apart from [`push_contact`], which a GPU's program holds once for every place that finds contacts.
#[cfg_attr(feature = "gpu", cube)]
fn complete_contact(scratch: &mut [f32], scratch_base: usize, c: usize) {
    let b1 = body(scratch_base, scratch[of(c, FIRST)] as usize);
    let b2 = body(scratch_base, scratch[of(c, SECOND)] as usize);
    let nx = scratch[of(c, FRAME)];
    let ny = scratch[of(c, FRAME + 1)];
    let nz = scratch[of(c, FRAME + 2)];
    // MuJoCo's tangents: world y, or world z where the normal is near y, made orthogonal to the normal.
    let flat = ny.abs() < 0.5;
    let along = if flat { ny } else { nz };
    let sy = if flat { 1.0f32 } else { 0.0f32 };
    let tx = -along * nx;
    let ty = sy - along * ny;
    let tz = (1.0 - sy) - along * nz;
    let scale = 1.0 / (tx * tx + ty * ty + tz * tz).sqrt();
    let tx = tx * scale;
    let ty = ty * scale;
    let tz = tz * scale;
    scratch[of(c, FRAME + 3)] = tx;
    scratch[of(c, FRAME + 4)] = ty;
    scratch[of(c, FRAME + 5)] = tz;
    scratch[of(c, FRAME + 6)] = ny * tz - nz * ty;
    scratch[of(c, FRAME + 7)] = nz * tx - nx * tz;
    scratch[of(c, FRAME + 8)] = nx * ty - ny * tx;
    for k in 0..3 {
        let point = scratch[of(c, ARM_FIRST + k)];
        scratch[of(c, ARM_FIRST + k)] = point - scratch[b1 + GEOM + k];
        scratch[of(c, ARM_SECOND + k)] = point - scratch[b2 + GEOM + k];
    }
    let gap = scratch[of(c, Y)];
    let d = impedance(gap);
    let mu = scratch[of(c, MU)];
    let torsion = scratch[of(c, MU + 1)];
    let roll = scratch[of(c, MU + 2)];
    let weight = scratch[of(c, MU + 3)];
    scratch[of(c, STIFF)] = d / ((1.0 - d) * 2.0 * mu * mu * (1.0 + mu * mu) * weight);
    scratch[of(c, MU + 1)] = mu;
    scratch[of(c, MU + 2)] = torsion;
    scratch[of(c, MU + 3)] = roll;
    scratch[of(c, MU + 4)] = roll;
    scratch[of(c, Y)] = STIFFNESS * d * gap;
    for i in 1..6 {
        scratch[of(c, Y + i)] = 0.0;
    }
    for side in 0..2usize {
        let second = side == 1;
        let b = if second { b2 } else { b1 };
        let arm = if second { ARM_SECOND } else { ARM_FIRST };
        let sign = if second { 1.0f32 } else { -1.0f32 };
        if b != body(scratch_base, STATIC_SLOT) {
            let v = vec3(
                DAMPING * scratch[b + VEL] + scratch[b + ACC],
                DAMPING * scratch[b + VEL + 1] + scratch[b + ACC + 1],
                DAMPING * scratch[b + VEL + 2] + scratch[b + ACC + 2],
            );
            let w = vec3(
                DAMPING * scratch[b + VEL + 3] + scratch[b + ACC + 3],
                DAMPING * scratch[b + VEL + 4] + scratch[b + ACC + 4],
                DAMPING * scratch[b + VEL + 5] + scratch[b + ACC + 5],
            );
            add_motion(scratch, c, Y, arm, &v, &w, sign);
        }
    }
}

/// Adds the motion of a body, linear `v` and angular `w`, whose lever arm are contact `c`'s numbers from `arm` on, seen in the
/// contact's frame, to its six numbers from number `to` on, with the sign `sign`.
#[cfg_attr(feature = "gpu", cube)]
#[inline]
pub(super) fn add_motion(scratch: &mut [f32], c: usize, to: usize, arm: usize, v: &Vec3, w: &Vec3, sign: f32) {
    let r = vec3(scratch[of(c, arm)], scratch[of(c, arm + 1)], scratch[of(c, arm + 2)]);
    let swing = cross(w, &r);
    let vx = sign * (v.x + swing.x);
    let vy = sign * (v.y + swing.y);
    let vz = sign * (v.z + swing.z);
    let wx = sign * w.x;
    let wy = sign * w.y;
    let wz = sign * w.z;
    if scratch[of(c, FRAME + 2)] == 1.0 {
        // Normal z, tangents y and -x: the floor's.
        scratch[of(c, to)] += vz;
        scratch[of(c, to + 1)] += vy;
        scratch[of(c, to + 2)] -= vx;
        scratch[of(c, to + 3)] += wz;
        scratch[of(c, to + 4)] += wy;
        scratch[of(c, to + 5)] -= wx;
    } else {
        for i in 0..3 {
            let fx = scratch[of(c, FRAME + 3 * i)];
            let fy = scratch[of(c, FRAME + 3 * i + 1)];
            let fz = scratch[of(c, FRAME + 3 * i + 2)];
            scratch[of(c, to + i)] += fx * vx + fy * vy + fz * vz;
            scratch[of(c, to + 3 + i)] += fx * wx + fy * wy + fz * wz;
        }
    }
}
