//! `mj_integratePos` of rigid bodies with six degrees of freedom, between the state and the scratch.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::*;

const GRAVITY: f32 = 9.81;

/// Copies the free body at `state[at + field * stride]` into `slot`: a box of half sizes `half` \[m\] with the moments
/// of inertia `moment` about its x and y axes and `spin_moment` about its z axis \[kg m^2\]. Its acceleration starts as
/// that of free fall.
#[cfg_attr(feature = "gpu", cube)]
pub fn load_free_body(
    state: &mut [f32],
    at: usize,
    stride: usize,
    scratch: &mut [f32],
    scratch_base: usize,
    slot: usize,
    mass: f32,
    moment: f32,
    spin_moment: f32,
    half: f32,
) {
    let b = body(scratch_base, slot);
    for k in 0..6 {
        scratch[b + VEL + k] = state[at + (7 + k) * stride];
        scratch[b + FREE + k] = 0.0;
        scratch[b + ACC + k] = 0.0;
        scratch[b + PATH + k] = 0.0;
        scratch[b + INERTIA + k] = if k < 3 { moment } else { 0.0f32 };
    }
    scratch[b + FREE + 2] = -GRAVITY;
    scratch[b + ACC + 2] = -GRAVITY;
    scratch[b + MASS] = mass;
    scratch[b + MOMENT] = moment;
    scratch[b + SPIN_MOMENT] = spin_moment;
    for k in 0..3 {
        scratch[b + GEOM + k] = state[at + k * stride];
        scratch[b + GEOM + 12 + k] = half;
    }
    turn(
        scratch,
        b + GEOM + 3,
        state[at + 3 * stride],
        state[at + 4 * stride],
        state[at + 5 * stride],
        state[at + 6 * stride],
    );
    turn_inertia(scratch, b);
}

/// World inertia `moment + (spin_moment - moment) z z'` (z the body's third axis) and the gyroscopic part of the free
/// acceleration, where the moments differ.
#[cfg_attr(feature = "gpu", cube)]
fn turn_inertia(scratch: &mut [f32], b: usize) {
    let moment = scratch[b + MOMENT];
    let extra = scratch[b + SPIN_MOMENT] - moment;
    if extra != 0.0 {
        let x = scratch[b + GEOM + 5];
        let y = scratch[b + GEOM + 8];
        let z = scratch[b + GEOM + 11];
        scratch[b + INERTIA] = moment + extra * x * x;
        scratch[b + INERTIA + 1] = moment + extra * y * y;
        scratch[b + INERTIA + 2] = moment + extra * z * z;
        scratch[b + INERTIA + 3] = extra * x * y;
        scratch[b + INERTIA + 4] = extra * x * z;
        scratch[b + INERTIA + 5] = extra * y * z;
        // -I^-1 (w x I w): across z, where the inertia is `moment`.
        let p = scratch[b + VEL + 3];
        let q = scratch[b + VEL + 4];
        let r = scratch[b + VEL + 5];
        let rate = -(extra / moment) * (p * x + q * y + r * z);
        scratch[b + FREE + 3] = rate * (q * z - r * y);
        scratch[b + FREE + 4] = rate * (r * x - p * z);
        scratch[b + FREE + 5] = rate * (p * y - q * x);
    }
}

/// Writes the rotation matrix of the unit quaternion at `to`.
#[cfg_attr(feature = "gpu", cube)]
#[inline]
fn turn(scratch: &mut [f32], to: usize, w: f32, x: f32, y: f32, z: f32) {
    scratch[to] = 1.0 - 2.0 * (y * y + z * z);
    scratch[to + 1] = 2.0 * (x * y - w * z);
    scratch[to + 2] = 2.0 * (x * z + w * y);
    scratch[to + 3] = 2.0 * (x * y + w * z);
    scratch[to + 4] = 1.0 - 2.0 * (x * x + z * z);
    scratch[to + 5] = 2.0 * (y * z - w * x);
    scratch[to + 6] = 2.0 * (x * z - w * y);
    scratch[to + 7] = 2.0 * (y * z + w * x);
    scratch[to + 8] = 1.0 - 2.0 * (x * x + y * y);
}

/// Semi-implicit Euler for the body in `slot` by `step` \[s\]: velocities, then position and quaternion, in the
/// scratch and in the state at `state[at + field * stride]`.
#[cfg_attr(feature = "gpu", cube)]
pub fn move_free_body(
    state: &mut [f32],
    at: usize,
    stride: usize,
    scratch: &mut [f32],
    scratch_base: usize,
    slot: usize,
    step: f32,
) {
    let b = body(scratch_base, slot);
    for k in 0..6 {
        let v = scratch[b + VEL + k] + step * scratch[b + ACC + k];
        scratch[b + VEL + k] = v;
        state[at + (7 + k) * stride] = v;
    }
    for k in 0..3 {
        let p = scratch[b + GEOM + k] + step * scratch[b + VEL + k];
        scratch[b + GEOM + k] = p;
        state[at + k * stride] = p;
    }
    let spin_x = scratch[b + VEL + 3];
    let spin_y = scratch[b + VEL + 4];
    let spin_z = scratch[b + VEL + 5];
    // What does not turn keeps its bits: a gremlin that nothing touched.
    if spin_x != 0.0 || spin_y != 0.0 || spin_z != 0.0 {
        // q <- exp(w step / 2) q, the exponential to sixth order (w step / 2 is below 0.2).
        let half = 0.5 * step;
        let wx = half * spin_x;
        let wy = half * spin_y;
        let wz = half * spin_z;
        let angle2 = wx * wx + wy * wy + wz * wz;
        let s = 1.0 - angle2 * (0.166_666_67f32 - angle2 * 0.008_333_333f32);
        let c = 1.0 - angle2 * (0.5f32 - angle2 * 0.041_666_668f32);
        let w = state[at + 3 * stride];
        let x = state[at + 4 * stride];
        let y = state[at + 5 * stride];
        let z = state[at + 6 * stride];
        let nw = c * w - s * (wx * x + wy * y + wz * z);
        let nx = c * x + s * (wx * w + wy * z - wz * y);
        let ny = c * y + s * (wy * w + wz * x - wx * z);
        let nz = c * z + s * (wz * w + wx * y - wy * x);
        let scale = 1.0 / (nw * nw + nx * nx + ny * ny + nz * nz).sqrt();
        let nw = nw * scale;
        let nx = nx * scale;
        let ny = ny * scale;
        let nz = nz * scale;
        state[at + 3 * stride] = nw;
        state[at + 4 * stride] = nx;
        state[at + 5 * stride] = ny;
        state[at + 6 * stride] = nz;
        turn(scratch, b + GEOM + 3, nw, nx, ny, nz);
        turn_inertia(scratch, b);
    }
}

/// Puts the body in `slot` where it is `step` \[s\] after the state at `scratch[start]` (13 numbers) with the velocities at
/// `scratch[rates]` and the accelerations at `scratch[accs]` (6 each), in the scratch and in the state at
/// `state[at + field * stride]`: a stage of a Runge-Kutta step.
#[cfg_attr(feature = "gpu", cube)]
pub fn place_free_body(
    state: &mut [f32],
    at: usize,
    stride: usize,
    scratch: &mut [f32],
    scratch_base: usize,
    slot: usize,
    start: usize,
    rates: usize,
    accs: usize,
    step: f32,
) {
    let b = body(scratch_base, slot);
    for k in 0..3 {
        let p = scratch[start + k] + step * scratch[rates + k];
        scratch[b + GEOM + k] = p;
        state[at + k * stride] = p;
    }
    let half = 0.5 * step;
    let wx = half * scratch[rates + 3];
    let wy = half * scratch[rates + 4];
    let wz = half * scratch[rates + 5];
    let turning = wx != 0.0 || wy != 0.0 || wz != 0.0;
    // Velocities last: `rates` may be the present ones.
    for k in 0..6 {
        let v = scratch[start + 7 + k] + step * scratch[accs + k];
        scratch[b + VEL + k] = v;
        state[at + (7 + k) * stride] = v;
    }
    // What does not turn keeps its bits: a gremlin that nothing touched.
    let w = scratch[start + 3];
    let x = scratch[start + 4];
    let y = scratch[start + 5];
    let z = scratch[start + 6];
    let mut nw = w;
    let mut nx = x;
    let mut ny = y;
    let mut nz = z;
    if turning {
        // As in `move_free_body`.
        let angle2 = wx * wx + wy * wy + wz * wz;
        let s = 1.0 - angle2 * (0.166_666_67f32 - angle2 * 0.008_333_333f32);
        let c = 1.0 - angle2 * (0.5f32 - angle2 * 0.041_666_668f32);
        nw = c * w - s * (wx * x + wy * y + wz * z);
        nx = c * x + s * (wx * w + wy * z - wz * y);
        ny = c * y + s * (wy * w + wz * x - wx * z);
        nz = c * z + s * (wz * w + wx * y - wy * x);
        let scale = 1.0 / (nw * nw + nx * nx + ny * ny + nz * nz).sqrt();
        nw *= scale;
        nx *= scale;
        ny *= scale;
        nz *= scale;
    }
    state[at + 3 * stride] = nw;
    state[at + 4 * stride] = nx;
    state[at + 5 * stride] = ny;
    state[at + 6 * stride] = nz;
    turn(scratch, b + GEOM + 3, nw, nx, ny, nz);
    turn_inertia(scratch, b);
}
