//! `mj_solNewton`'s line search: the contact objective along a path of accelerations.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::*;

pub(super) const SEARCH_STEPS: usize = 12;
/// The last slot before the agent's further parts.
pub(super) const LAST_OTHER: f32 = STATIC_SLOT as f32;
/// Stands for every body where a slot is asked for.
pub(super) const EVERY: usize = 1000;

/// Whether contact `c` involves the body in `slot`, which is every part of the agent where it is the agent's.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn concerns(scratch: &mut [f32], c: usize, slot: usize) -> bool {
    let id = slot as f32;
    let first = scratch[of(c, FIRST)];
    let second = scratch[of(c, SECOND)];
    let part = slot == AGENT_SLOT && (first > LAST_OTHER || second > LAST_OTHER);
    slot == EVERY || first == id || second == id || part
}

/// Slope and curvature at `t` along the path of an edge with violation `e + t de`, and 1 if it changed sides since 0.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn edge_along(e: f32, de: f32, t: f32) -> (f32, f32, f32) {
    let now = e + t * de;
    let on = now < 0.0;
    let slope = if on { now * de } else { 0.0f32 };
    let curvature = if on { de * de } else { 0.0f32 };
    let was = if e < 0.0 { 1.0f32 } else { 0.0f32 };
    // In numbers: SPIR-V's compiler cannot compare truth values.
    let changed = if on { 1.0 - was } else { was };
    (slope, curvature, changed)
}

/// Slope, curvature and number of changed edges of the contacts of `slot` at `t` along the path.
#[cfg_attr(feature = "gpu", cube)]
fn contacts_along(scratch: &mut [f32], scratch_base: usize, slot: usize, t: f32) -> (f32, f32, f32) {
    on_cpu!(grouped::pays(scratch, scratch_base), grouped::along(scratch, scratch_base, slot, t));
    let mut slope = 0.0f32;
    let mut curvature = 0.0f32;
    let mut changed = 0.0f32;
    let count = scratch[scratch_base + COUNT] as usize;
    for index in 0..count {
        let c = contact(scratch_base, index);
        if concerns(scratch, c, slot) {
            let stiff = scratch[of(c, STIFF)];
            let y0 = scratch[of(c, Y)];
            let d0 = scratch[of(c, DY)];
            let mut own_slope = 0.0f32;
            let mut own_curvature = 0.0f32;
            for i in 0..5 {
                let mu = scratch[of(c, MU + i)];
                let y = mu * scratch[of(c, Y + 1 + i)];
                let d = mu * scratch[of(c, DY + 1 + i)];
                let (slope_1, curvature_1, changed_1) = edge_along(y0 + y, d0 + d, t);
                let (slope_2, curvature_2, changed_2) = edge_along(y0 - y, d0 - d, t);
                own_slope += slope_1;
                own_slope += slope_2;
                own_curvature += curvature_1;
                own_curvature += curvature_2;
                changed += changed_1 + changed_2;
            }
            slope += stiff * own_slope;
            curvature += stiff * own_curvature;
        }
    }
    (slope, curvature, changed)
}

/// Step length along the paths of `slot` (or [`EVERY`]) and 1 if the full step crossed no edge. `slope_0` < 0 is the
/// objective's slope at 0; the inertia's part is affine, the contacts' part piecewise affine. Ends where the slope
/// has fallen to `tolerance` of its start, or, where the step is to be `whole`, at 1.
#[cfg_attr(feature = "gpu", cube)]
#[allow(clippy::too_many_arguments)]
pub(super) fn line_search(
    scratch: &mut [f32],
    scratch_base: usize,
    slot: usize,
    slope_0: f32,
    inertia_slope: f32,
    inertia_curvature: f32,
    tolerance: f32,
    whole: bool,
) -> (f32, f32) {
    let mut t = 1.0f32;
    let mut low = 0.0f32;
    let mut high = 1e30f32;
    let mut uncrossed = 0.0f32;
    let mut search = 0usize;
    while search < SEARCH_STEPS {
        search += 1;
        let (contact_slope, contact_curvature, changed) = contacts_along(scratch, scratch_base, slot, t);
        let slope = contact_slope + inertia_slope + t * inertia_curvature;
        if whole || slope.abs() <= -tolerance * slope_0 {
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
