//! Minimises the contact objective: Newton steps body by body, conjugate directions where movable bodies touch.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::block::block_direction;
use super::*;

const NEWTON_STEPS: usize = 20;
const CONJUGATE_STEPS: usize = 60;
const SEARCH_STEPS: usize = 12;
const SWEEPS: usize = 8;
/// A block is solved when its Newton decrement is below mass * this \[(m/s^2)^2\]: 2e-6 m/s in a substep.
const DECREMENT: f32 = 1e-6;
/// The same where bodies are solved together: 2e-5 m/s in a substep.
const JOINT_DECREMENT: f32 = 1e-4;
/// Sweeps end when no acceleration moved by more than the root of this \[(m/s^2)^2\]: 1e-4 m/s in a substep.
const SWEEP_MOVE: f32 = 2.5e-3;
/// Squared lever arm at which a change of angular acceleration counts as linear \[m^2\].
const LEVER: f32 = 0.02;
/// Stands for every body where a slot is asked for.
const EVERY: usize = 1000;

/// 1 where `slot` is contact `c`'s second body, -1 where its first, 0 where neither.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn side_of(scratch: &mut [f32], c: usize, slot: usize) -> f32 {
    let id = slot as f32;
    let second = if scratch[c + SECOND] == id { 1.0f32 } else { 0.0f32 };
    if scratch[c + FIRST] == id { -1.0f32 } else { second }
}

/// Where the lever arm of the body on `side` of contact `c` lies.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn arm_of(c: usize, side: f32) -> usize {
    if side < 0.0 { c + ARM_FIRST } else { c + ARM_SECOND }
}

/// Slope and curvature at `t` along the path of an edge with violation `e + t de`, and 1 if it changed sides since 0.
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

/// Slope, curvature and number of changed edges of the contacts of `slot` at `t` along the path.
#[cfg_attr(feature = "gpu", cube)]
fn contacts_along(scratch: &mut [f32], s0: usize, slot: usize, t: f32) -> (f32, f32, f32) {
    let mut slope = 0.0f32;
    let mut curvature = 0.0f32;
    let mut changed = 0.0f32;
    let count = scratch[s0 + COUNT] as usize;
    for index in 0..count {
        let c = contact(s0, index);
        if slot == EVERY || side_of(scratch, c, slot) != 0.0 {
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

/// Slope and curvature of the inertia's part of the objective along the path of the body at `b`.
#[cfg_attr(feature = "gpu", cube)]
fn inertia_along(scratch: &mut [f32], b: usize, planar: bool) -> (f32, f32) {
    let mut slope = 0.0f32;
    for k in 0..6 {
        slope += scratch[b + PULL + k] * scratch[b + PATH + k];
    }
    let x = scratch[b + PATH];
    let y = scratch[b + PATH + 1];
    let z = scratch[b + PATH + 2];
    let p = scratch[b + PATH + 3];
    let q = scratch[b + PATH + 4];
    let r = scratch[b + PATH + 5];
    let i0 = scratch[b + INERTIA];
    let i1 = scratch[b + INERTIA + 1];
    let turning = if planar {
        2.0 * r * (i0 * y - i1 * x)
    } else {
        i0 * p * p
            + i1 * q * q
            + 2.0
                * (scratch[b + INERTIA + 3] * p * q
                    + scratch[b + INERTIA + 4] * p * r
                    + scratch[b + INERTIA + 5] * q * r)
    };
    let linear = scratch[b + MASS] * (x * x + y * y + z * z);
    (slope, linear + turning + scratch[b + INERTIA + 2] * r * r)
}

/// Zeroes the path's part in the contacts of `slot`.
#[cfg_attr(feature = "gpu", cube)]
fn clear_paths(scratch: &mut [f32], s0: usize, slot: usize) {
    let count = scratch[s0 + COUNT] as usize;
    for index in 0..count {
        let c = contact(s0, index);
        if slot == EVERY || side_of(scratch, c, slot) != 0.0 {
            for i in 0..6 {
                scratch[c + DY + i] = 0.0;
            }
        }
    }
}

/// Adds the path of the body in `slot` to the paths of its contacts.
#[cfg_attr(feature = "gpu", cube)]
fn spread_path(scratch: &mut [f32], s0: usize, slot: usize) {
    let path = body(s0, slot) + PATH;
    let count = scratch[s0 + COUNT] as usize;
    for index in 0..count {
        let c = contact(s0, index);
        let side = side_of(scratch, c, slot);
        if side != 0.0 {
            add_motion(scratch, c, c + DY, arm_of(c, side), path, side);
        }
    }
}

/// Step length along the paths of `slot` (or [`EVERY`]) and 1 if the full step crossed no edge. `slope_0` < 0 is the
/// objective's slope at 0; the inertia's part is affine, the contacts' part piecewise affine. Ends where the slope
/// has fallen to `tolerance` of its start.
#[cfg_attr(feature = "gpu", cube)]
fn line_search(
    scratch: &mut [f32],
    s0: usize,
    slot: usize,
    slope_0: f32,
    inertia_slope: f32,
    inertia_curvature: f32,
    tolerance: f32,
) -> (f32, f32) {
    let mut t = 1.0f32;
    let mut low = 0.0f32;
    let mut high = 1e30f32;
    let mut uncrossed = 0.0f32;
    let mut search = 0usize;
    while search < SEARCH_STEPS {
        search += 1;
        let (contact_slope, contact_curvature, changed) = contacts_along(scratch, s0, slot, t);
        let slope = contact_slope + inertia_slope + t * inertia_curvature;
        if slope.abs() <= -tolerance * slope_0 {
            if changed == 0.0 && search == 1 {
                uncrossed = 1.0;
            }
            search = SEARCH_STEPS;
        } else {
            if slope > 0.0 {
                high = t;
            } else {
                low = t;
            }
            let next = t - slope / (contact_curvature + inertia_curvature);
            let middle = if high < 1e29 { 0.5 * (low + high) } else { 2.0 * low };
            t = if next > low && next < high { next } else { middle };
        }
    }
    (t, uncrossed)
}

/// Moves the body in `slot` by `t` along its path. Returns the squared change \[(m/s^2)^2\].
#[cfg_attr(feature = "gpu", cube)]
fn advance_body(scratch: &mut [f32], s0: usize, slot: usize, t: f32) -> f32 {
    let b = body(s0, slot);
    let mut linear = 0.0f32;
    let mut angular = 0.0f32;
    for k in 0..3 {
        let d = t * scratch[b + PATH + k];
        let w = t * scratch[b + PATH + 3 + k];
        scratch[b + ACC + k] += d;
        scratch[b + ACC + 3 + k] += w;
        linear += d * d;
        angular += w * w;
    }
    linear + LEVER * angular
}

/// Moves the contacts of `slot` (or [`EVERY`]) by `t` along their paths.
#[cfg_attr(feature = "gpu", cube)]
fn advance_contacts(scratch: &mut [f32], s0: usize, slot: usize, t: f32) {
    let count = scratch[s0 + COUNT] as usize;
    for index in 0..count {
        let c = contact(s0, index);
        if slot == EVERY || side_of(scratch, c, slot) != 0.0 {
            for i in 0..6 {
                scratch[c + Y + i] += t * scratch[c + DY + i];
            }
        }
    }
}

/// Minimises the objective over the acceleration of the body in `slot`, all others held. Returns the squared
/// change of its acceleration \[(m/s^2)^2\].
#[cfg_attr(feature = "gpu", cube)]
fn solve_block(scratch: &mut [f32], s0: usize, slot: usize) -> f32 {
    let b = body(s0, slot);
    let mut moved = 0.0f32;
    let mut step = 0usize;
    while step < NEWTON_STEPS {
        step += 1;
        let (slope_0, _) = block_direction(scratch, s0, slot);
        if -slope_0 < DECREMENT * scratch[b + MASS] {
            step = NEWTON_STEPS;
        } else {
            for k in 0..6 {
                scratch[b + PATH + k] = scratch[b + DIRECTION + k];
            }
            clear_paths(scratch, s0, slot);
            spread_path(scratch, s0, slot);
            let (slope, curvature) = inertia_along(scratch, b, slot == AGENT_SLOT);
            let (t, uncrossed) = line_search(scratch, s0, slot, slope_0, slope, curvature, 0.1);
            moved += advance_body(scratch, s0, slot, t);
            advance_contacts(scratch, s0, slot, t);
            // All edges on their old sides: the objective was quadratic and the full step solved it.
            if uncrossed > 0.0 {
                step = NEWTON_STEPS;
            }
        }
    }
    moved
}

/// Minimises over all touching bodies at once by conjugate directions, each body's Newton direction as the
/// preconditioned gradient: where light bodies push each other, block descent needs hundreds of sweeps.
#[cfg_attr(feature = "gpu", cube)]
fn solve_together(scratch: &mut [f32], s0: usize, bodies: usize) {
    let mut previous_slope = 0.0f32;
    let mut step = 0usize;
    while step < CONJUGATE_STEPS {
        let mut slope = 0.0f32;
        let mut mixed = 0.0f32;
        let mut worst = 0.0f32;
        for slot in 0..(bodies + 1) {
            let b = body(s0, slot);
            if scratch[b + TOUCHES] > 0.0 {
                let (own, previous) = block_direction(scratch, s0, slot);
                slope += own;
                mixed += previous;
                worst = worst.max(-own / scratch[b + MASS]);
            }
        }
        // Polak-Ribiere, with a restart where it turns negative.
        let mut keep = 0.0f32;
        if step > 0 {
            keep = ((slope - mixed) / previous_slope).max(0.0);
        }
        previous_slope = slope;
        step += 1;
        if worst < JOINT_DECREMENT {
            step = CONJUGATE_STEPS;
        } else {
            let mut slope_0 = 0.0f32;
            let mut inertia_slope = 0.0f32;
            let mut inertia_curvature = 0.0f32;
            clear_paths(scratch, s0, EVERY);
            for slot in 0..(bodies + 1) {
                let b = body(s0, slot);
                if scratch[b + TOUCHES] > 0.0 {
                    for k in 0..6 {
                        let d = scratch[b + DIRECTION + k] + keep * scratch[b + PATH + k];
                        scratch[b + PATH + k] = d;
                        slope_0 += scratch[b + GRAD + k] * d;
                    }
                    spread_path(scratch, s0, slot);
                    let (along, curvature) = inertia_along(scratch, b, slot == AGENT_SLOT);
                    inertia_slope += along;
                    inertia_curvature += curvature;
                }
            }
            if slope_0 < 0.0 {
                let (t, _) = line_search(scratch, s0, EVERY, slope_0, inertia_slope, inertia_curvature, 0.01);
                for slot in 0..(bodies + 1) {
                    if scratch[body(s0, slot) + TOUCHES] > 0.0 {
                        advance_body(scratch, s0, slot, t);
                    }
                }
                advance_contacts(scratch, s0, EVERY, t);
            } else {
                // Not a descent path (rounding): begin afresh from the plain directions.
                for slot in 0..(bodies + 1) {
                    let b = body(s0, slot);
                    for k in 0..6 {
                        scratch[b + PATH + k] = 0.0;
                    }
                }
            }
        }
    }
}

/// Finds the accelerations of the agent and of the bodies in slots 1 ..= `bodies` under the pushed contacts, from
/// the accelerations in the slots. Bodies without contact are left alone. `linked` says that two of the bodies touch
/// each other.
#[cfg_attr(feature = "gpu", cube)]
pub fn solve(scratch: &mut [f32], s0: usize, bodies: usize, linked: bool) {
    let count = scratch[s0 + COUNT] as usize;
    for index in 0..count {
        complete_contact(scratch, s0, contact(s0, index));
    }
    if linked {
        solve_together(scratch, s0, bodies);
    } else {
        let mut sweep = 0usize;
        while sweep < SWEEPS {
            sweep += 1;
            // What the first block of a sweep does not see yet: the moves of the blocks after it.
            let mut unseen = 0.0f32;
            let mut blocks = 0usize;
            for turn in 0..(bodies + 1) {
                // The agent last: the bodies follow it more than it follows them.
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
}
