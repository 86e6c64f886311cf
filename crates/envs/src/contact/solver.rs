//! Newton's method on the contact objective, one body at a time.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::*;

// Temporaries, in the room that starts at [`TERM`].
const ROWS: usize = TERM + 17;
const GRAD: usize = ROWS + 18;
const STEP: usize = GRAD + 6;
const HESS: usize = STEP + 6;
const CROSS: usize = HESS + 21;
/// Slope and curvature of the objective along a step, and how many edges changed sides.
const SEARCH: usize = CROSS + 6;

const NEWTON_STEPS: usize = 20;
const SEARCH_STEPS: usize = 12;
const SWEEPS: usize = 8;
/// A block is solved when its Newton decrement is below mass * this \[(m/s^2)^2\]: 2e-6 m/s in a substep.
const DECREMENT: f32 = 1e-6;
/// Sweeps end when no body's acceleration moved by more than the root of this \[(m/s^2)^2\].
const SWEEP_MOVE: f32 = 1e-4;

/// Derivatives of a contact's penalty in its six y: gradient (6), then the Hessian's nonzero entries
/// (0,0), (0,i), (i,i), at [`TERM`].
#[cfg_attr(feature = "gpu", cube)]
#[inline]
fn edge_terms(scratch: &mut [f32], s0: usize, c: usize) {
    let t = s0 + TERM;
    let stiff = scratch[c + STIFF];
    let y0 = scratch[c + Y];
    let mut normal = 0.0f32;
    let mut curvature = 0.0f32;
    for i in 0..5 {
        let mu = scratch[c + MU + i];
        let side = mu * scratch[c + Y + 1 + i];
        let plus = (y0 + side).min(0.0);
        let minus = (y0 - side).min(0.0);
        let on_plus = if plus < 0.0 { stiff } else { 0.0f32 };
        let on_minus = if minus < 0.0 { stiff } else { 0.0f32 };
        normal += plus + minus;
        curvature += on_plus + on_minus;
        scratch[t + 1 + i] = stiff * mu * (plus - minus);
        scratch[t + 7 + i] = mu * (on_plus - on_minus);
        scratch[t + 12 + i] = mu * mu * (on_plus + on_minus);
    }
    scratch[t] = stiff * normal;
    scratch[t + 6] = curvature;
}

/// 1 where `slot` is contact `c`'s second body, -1 where its first, 0 where neither.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn side_of(scratch: &[f32], c: usize, slot: usize) -> f32 {
    let id = slot as f32;
    let second = if scratch[c + SECOND] == id {
        1.0f32
    } else {
        0.0f32
    };
    if scratch[c + FIRST] == id {
        -1.0f32
    } else {
        second
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn arm_of(c: usize, side: f32) -> usize {
    if side < 0.0 {
        c + ARM_FIRST
    } else {
        c + ARM_SECOND
    }
}

/// Adds `side` times the penalty's gradient and its Hessian in the motion of the body with the lever arm at `arm`,
/// from the terms of [`edge_terms`]. The second-order terms of torsion and roll (below 1e-3 of the slides') are
/// left out of the Hessian, which leaves the minimum where it is.
#[cfg_attr(feature = "gpu", cube)]
#[inline]
fn add_contact(scratch: &mut [f32], s0: usize, c: usize, arm: usize, side: f32) {
    let t = s0 + TERM;
    let j = s0 + ROWS;
    let rx = scratch[arm];
    let ry = scratch[arm + 1];
    let rz = scratch[arm + 2];
    for i in 0..3 {
        let fx = scratch[c + FRAME + 3 * i];
        let fy = scratch[c + FRAME + 3 * i + 1];
        let fz = scratch[c + FRAME + 3 * i + 2];
        scratch[j + 6 * i] = fx;
        scratch[j + 6 * i + 1] = fy;
        scratch[j + 6 * i + 2] = fz;
        scratch[j + 6 * i + 3] = ry * fz - rz * fy;
        scratch[j + 6 * i + 4] = rz * fx - rx * fz;
        scratch[j + 6 * i + 5] = rx * fy - ry * fx;
    }
    let half = 0.5 * scratch[t + 6];
    for k in 0..6 {
        let j0 = scratch[j + k];
        let j1 = scratch[j + 6 + k];
        let j2 = scratch[j + 12 + k];
        scratch[s0 + GRAD + k] +=
            side * (scratch[t] * j0 + scratch[t + 1] * j1 + scratch[t + 2] * j2);
        scratch[s0 + CROSS + k] = half * j0 + scratch[t + 7] * j1 + scratch[t + 8] * j2;
    }
    for k in 0..3 {
        let f0 = scratch[j + k];
        let f1 = scratch[j + 6 + k];
        let f2 = scratch[j + 12 + k];
        scratch[s0 + GRAD + 3 + k] +=
            side * (scratch[t + 3] * f0 + scratch[t + 4] * f1 + scratch[t + 5] * f2);
        scratch[s0 + CROSS + 3 + k] +=
            scratch[t + 9] * f0 + scratch[t + 10] * f1 + scratch[t + 11] * f2;
    }
    let w1 = scratch[t + 12];
    let w2 = scratch[t + 13];
    let mut h = s0 + HESS;
    for row in 0..6 {
        let a0 = scratch[j + row];
        let a1 = w1 * scratch[j + 6 + row];
        let a2 = w2 * scratch[j + 12 + row];
        let ap = scratch[s0 + CROSS + row];
        for col in 0..(row + 1) {
            let p = scratch[s0 + CROSS + col];
            let b0 = scratch[j + col];
            scratch[h + col] +=
                a0 * p + ap * b0 + a1 * scratch[j + 6 + col] + a2 * scratch[j + 12 + col];
        }
        h += row + 1;
    }
}

/// Solves `H x = -g` in place of [`STEP`] by Cholesky; H packed row by row (lower half), `n` unknowns.
#[cfg_attr(feature = "gpu", cube)]
fn newton_direction(scratch: &mut [f32], s0: usize, n: usize) {
    let h = s0 + HESS;
    let x = s0 + STEP;
    for i in 0..n {
        let hi = h + i * (i + 1) / 2;
        for j in 0..(i + 1) {
            let hj = h + j * (j + 1) / 2;
            let mut sum = scratch[hi + j];
            for k in 0..j {
                sum -= scratch[hi + k] * scratch[hj + k];
            }
            // The diagonal holds the reciprocal of the factor's.
            scratch[hi + j] = if i == j {
                1.0 / sum.max(1e-30).sqrt()
            } else {
                sum * scratch[hj + j]
            };
        }
        let mut sum = -scratch[s0 + GRAD + i];
        for k in 0..i {
            sum -= scratch[hi + k] * scratch[x + k];
        }
        scratch[x + i] = sum * scratch[hi + i];
    }
    for back in 0..n {
        let i = n - 1 - back;
        let mut sum = scratch[x + i];
        for k in (i + 1)..n {
            sum -= scratch[h + k * (k + 1) / 2 + i] * scratch[x + k];
        }
        scratch[x + i] = sum * scratch[h + i * (i + 1) / 2 + i];
    }
}

/// Starts gradient and Hessian of body `slot` with its inertia: `M (a - a_free)` and M.
#[cfg_attr(feature = "gpu", cube)]
fn start_body(scratch: &mut [f32], s0: usize, b: usize) {
    for k in 0..21 {
        scratch[s0 + HESS + k] = 0.0;
    }
    let mass = scratch[b + MASS];
    let xx = scratch[b + INERTIA];
    let yy = scratch[b + INERTIA + 1];
    let zz = scratch[b + INERTIA + 2];
    let xy = scratch[b + INERTIA + 3];
    let xz = scratch[b + INERTIA + 4];
    let yz = scratch[b + INERTIA + 5];
    scratch[s0 + HESS] = mass;
    scratch[s0 + HESS + 2] = mass;
    scratch[s0 + HESS + 5] = mass;
    scratch[s0 + HESS + 9] = xx;
    scratch[s0 + HESS + 13] = xy;
    scratch[s0 + HESS + 14] = yy;
    scratch[s0 + HESS + 18] = xz;
    scratch[s0 + HESS + 19] = yz;
    scratch[s0 + HESS + 20] = zz;
    for k in 0..3 {
        scratch[s0 + GRAD + k] = mass * (scratch[b + ACC + k] - scratch[b + FREE + k]);
    }
    let ax = scratch[b + ACC + 3] - scratch[b + FREE + 3];
    let ay = scratch[b + ACC + 4] - scratch[b + FREE + 4];
    let az = scratch[b + ACC + 5] - scratch[b + FREE + 5];
    scratch[s0 + GRAD + 3] = xx * ax + xy * ay + xz * az;
    scratch[s0 + GRAD + 4] = xy * ax + yy * ay + yz * az;
    scratch[s0 + GRAD + 5] = xz * ax + yz * ay + zz * az;
}

/// Adds the planar agent's inertia to its reduced gradient and Hessian (x, y, yaw), after the contacts' part.
#[cfg_attr(feature = "gpu", cube)]
fn reduce_to_agent(scratch: &mut [f32], s0: usize, b: usize) {
    let mass = scratch[b + MASS];
    let mx = scratch[b + MASS + 1];
    let my = scratch[b + MASS + 2];
    let inertia = scratch[b + MASS + 3];
    let ax = scratch[b + ACC] - scratch[b + FREE];
    let ay = scratch[b + ACC + 1] - scratch[b + FREE + 1];
    let aw = scratch[b + ACC + 5] - scratch[b + FREE + 5];
    let h = s0 + HESS;
    // Packed entries (0,0) (1,0) (1,1) (5,0) (5,1) (5,5) move to the first six places.
    scratch[h] += mass;
    scratch[h + 2] += mass;
    scratch[h + 3] = scratch[h + 15] - my;
    scratch[h + 4] = scratch[h + 16] + mx;
    scratch[h + 5] = scratch[h + 20] + inertia;
    let g = s0 + GRAD;
    scratch[g] += mass * ax - my * aw;
    scratch[g + 1] += mass * ay + mx * aw;
    scratch[g + 2] = scratch[g + 5] - my * ax + mx * ay + inertia * aw;
}

/// Slope, curvature and changed edges of the contacts of `slot` at `t` along the step, at [`SEARCH`].
#[cfg_attr(feature = "gpu", cube)]
fn search_terms(scratch: &mut [f32], s0: usize, slot: usize, t: f32) {
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
                let ys = mu * scratch[c + Y + 1 + i];
                let ds = mu * scratch[c + DY + 1 + i];
                let e = y0 + ys;
                let de = d0 + ds;
                let now = e + t * de;
                if now < 0.0 {
                    slope += stiff * now * de;
                    curvature += stiff * de * de;
                }
                if (now < 0.0) != (e < 0.0) {
                    changed += 1.0;
                }
                let e = y0 - ys;
                let de = d0 - ds;
                let now = e + t * de;
                if now < 0.0 {
                    slope += stiff * now * de;
                    curvature += stiff * de * de;
                }
                if (now < 0.0) != (e < 0.0) {
                    changed += 1.0;
                }
            }
        }
    }
    scratch[s0 + SEARCH] = slope;
    scratch[s0 + SEARCH + 1] = curvature;
    scratch[s0 + SEARCH + 2] = changed;
}

/// Minimises the objective over the acceleration of the body in `slot`, all others held. Returns the squared
/// change of its linear acceleration.
#[cfg_attr(feature = "gpu", cube)]
fn solve_block(scratch: &mut [f32], s0: usize, slot: usize) -> f32 {
    let b = body(s0, slot);
    let planar = slot == AGENT_SLOT;
    let unknowns = if planar { 3usize } else { 6usize };
    let count = scratch[s0 + COUNT] as usize;
    let limit = DECREMENT * scratch[b + MASS];
    let mut moved = 0.0f32;
    let mut step = 0usize;
    while step < NEWTON_STEPS {
        step += 1;
        if planar {
            for k in 0..27 {
                scratch[s0 + HESS + k] = 0.0;
            }
            for k in 0..6 {
                scratch[s0 + GRAD + k] = 0.0;
            }
        } else {
            start_body(scratch, s0, b);
        }
        for index in 0..count {
            let c = contact(s0, index);
            let side = side_of(scratch, c, slot);
            if side != 0.0 {
                edge_terms(scratch, s0, c);
                add_contact(scratch, s0, c, arm_of(c, side), side);
            }
        }
        if planar {
            reduce_to_agent(scratch, s0, b);
        }
        newton_direction(scratch, s0, unknowns);
        let mut slope0 = 0.0f32;
        for k in 0..unknowns {
            slope0 += scratch[s0 + GRAD + k] * scratch[s0 + STEP + k];
        }
        if -slope0 < limit {
            step = NEWTON_STEPS;
        } else {
            if planar {
                scratch[s0 + STEP + 5] = scratch[s0 + STEP + 2];
                scratch[s0 + STEP + 2] = 0.0;
                scratch[s0 + STEP + 3] = 0.0;
                scratch[s0 + STEP + 4] = 0.0;
            }
            let mut contact_slope0 = 0.0f32;
            for index in 0..count {
                let c = contact(s0, index);
                let side = side_of(scratch, c, slot);
                if side != 0.0 {
                    for i in 0..6 {
                        scratch[c + DY + i] = 0.0;
                    }
                    add_motion(scratch, c, c + DY, arm_of(c, side), s0 + STEP, side);
                }
            }
            // Along the step the inertia's part of the slope is affine; the contacts' part is piecewise affine.
            search_terms(scratch, s0, slot, 0.0);
            contact_slope0 += scratch[s0 + SEARCH];
            let inertia_slope0 = slope0 - contact_slope0;
            let inertia_curvature = inertia_along(scratch, s0, b, planar);
            let mut t = 1.0f32;
            let mut low = 0.0f32;
            let mut high = 1e30f32;
            let mut search = 0usize;
            while search < SEARCH_STEPS {
                search += 1;
                search_terms(scratch, s0, slot, t);
                let slope = inertia_slope0 + t * inertia_curvature + scratch[s0 + SEARCH];
                if slope.abs() <= -0.1 * slope0 {
                    search = SEARCH_STEPS;
                } else {
                    if slope > 0.0 {
                        high = t;
                    } else {
                        low = t;
                    }
                    let next = t - slope / (inertia_curvature + scratch[s0 + SEARCH + 1]);
                    let bisect = if high < 1e29 {
                        0.5 * (low + high)
                    } else {
                        2.0 * low
                    };
                    t = if next > low && next < high {
                        next
                    } else {
                        bisect
                    };
                }
            }
            // Same edges on each side: the objective was quadratic along a full Newton step, which solved it.
            if scratch[s0 + SEARCH + 2] == 0.0 && t == 1.0 {
                step = NEWTON_STEPS;
            }
            for k in 0..6 {
                scratch[b + ACC + k] += t * scratch[s0 + STEP + k];
            }
            for k in 0..3 {
                let change = t * scratch[s0 + STEP + k];
                moved += change * change;
            }
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
    moved
}

/// `step' M step`.
#[cfg_attr(feature = "gpu", cube)]
fn inertia_along(scratch: &mut [f32], s0: usize, b: usize, planar: bool) -> f32 {
    let x = scratch[s0 + STEP];
    let y = scratch[s0 + STEP + 1];
    let z = scratch[s0 + STEP + 2];
    let p = scratch[s0 + STEP + 3];
    let q = scratch[s0 + STEP + 4];
    let r = scratch[s0 + STEP + 5];
    let linear = scratch[b + MASS] * (x * x + y * y + z * z);
    if planar {
        linear
            + 2.0 * r * (scratch[b + MASS + 1] * y - scratch[b + MASS + 2] * x)
            + scratch[b + MASS + 3] * r * r
    } else {
        linear
            + scratch[b + INERTIA] * p * p
            + scratch[b + INERTIA + 1] * q * q
            + scratch[b + INERTIA + 2] * r * r
            + 2.0
                * (scratch[b + INERTIA + 3] * p * q
                    + scratch[b + INERTIA + 4] * p * r
                    + scratch[b + INERTIA + 5] * q * r)
    }
}

/// Finds the accelerations of the agent and of the bodies in slots 1 ..= `bodies` under the pushed contacts, from
/// the accelerations in the slots. Bodies without contact are left alone.
#[cfg_attr(feature = "gpu", cube)]
pub fn solve(scratch: &mut [f32], s0: usize, bodies: usize) {
    let mut sweep = 0usize;
    while sweep < SWEEPS {
        sweep += 1;
        let mut moved = 0.0f32;
        let mut blocks = 0usize;
        for slot in 1..(bodies + 1) {
            if scratch[body(s0, slot) + TOUCHES] > 0.0 {
                blocks += 1;
                moved = moved.max(solve_block(scratch, s0, slot));
            }
        }
        if scratch[body(s0, AGENT_SLOT) + TOUCHES] > 0.0 {
            blocks += 1;
            moved = moved.max(solve_block(scratch, s0, AGENT_SLOT));
        }
        if blocks < 2 || moved < SWEEP_MOVE {
            sweep = SWEEPS;
        }
    }
}
