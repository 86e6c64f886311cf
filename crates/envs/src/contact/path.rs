//! `mj_solPrimal`'s search directions: the path of every body and contact, and a step along it.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::rows::add_motion;
use super::search::concerns;
use super::solver::{LEVER, arm_of, parts_of, side_of, slot_of};
use super::vector::vec3;
use super::*;

/// Zeroes the path's part in the contacts of `slot`.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn clear_paths(scratch: &mut [f32], scratch_base: usize, slot: usize) {
    on_cpu!(grouped::pays(scratch, scratch_base), grouped::clear_paths(scratch, scratch_base, slot));
    let count = scratch[scratch_base + COUNT] as usize;
    for index in 0..count {
        let c = contact(scratch_base, index);
        if concerns(scratch, c, slot) {
            for i in 0..6 {
                scratch[of(c, DY + i)] = 0.0;
            }
        }
    }
}

/// Adds the path of the body in `slot` to the paths of its contacts.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn spread_path<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, slot: usize) {
    on_cpu!(grouped::pays(scratch, scratch_base), grouped::spread_path::<M>(scratch, scratch_base, slot));
    let parts = parts_of::<M>(slot);
    let count = scratch[scratch_base + COUNT] as usize;
    for part in 0..parts {
        let own = slot_of::<M>(slot, part);
        let path = body(scratch_base, own) + PATH;
        for index in 0..count {
            let c = contact(scratch_base, index);
            let side = side_of(scratch, c, own);
            if side != 0.0 {
                let v = vec3(scratch[path], scratch[path + 1], scratch[path + 2]);
                let w = vec3(scratch[path + 3], scratch[path + 4], scratch[path + 5]);
                add_motion(scratch, c, DY, arm_of(side), &v, &w, side);
            }
        }
    }
}

/// Makes the path of the body in `slot`: its direction plus `beta` times its previous path. Returns the slope along it.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn take_path<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, slot: usize, beta: f32) -> f32 {
    let mut slope = 0.0f32;
    if slot == AGENT_SLOT {
        slope += M::take_path(scratch, scratch_base, beta);
    } else {
        slope += path_of_record(scratch, body(scratch_base, slot), beta);
    }
    slope
}

/// [`take_path`] of a body whose motion is its record's, at `b`.
#[cfg_attr(feature = "gpu", cube)]
pub(crate) fn path_of_record(scratch: &mut [f32], b: usize, beta: f32) -> f32 {
    let mut slope = 0.0f32;
    for k in 0..6 {
        let d = scratch[b + DIRECTION + k] + beta * scratch[b + PATH + k];
        scratch[b + PATH + k] = d;
        slope += scratch[b + GRAD + k] * d;
    }
    slope
}

/// Moves the body in `slot` by `t` along its path. Returns the squared change \[(m/s^2)^2\].
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn advance_body<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, slot: usize, t: f32) -> f32 {
    let mut moved = 0.0f32;
    if slot == AGENT_SLOT {
        moved += M::advance(scratch, scratch_base, t);
    } else {
        moved += advance_record(scratch, body(scratch_base, slot), t);
    }
    moved
}

/// [`advance_body`] of a body whose motion is its record's, at `b`.
#[cfg_attr(feature = "gpu", cube)]
pub(crate) fn advance_record(scratch: &mut [f32], b: usize, t: f32) -> f32 {
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
pub(super) fn advance_contacts(scratch: &mut [f32], scratch_base: usize, slot: usize, t: f32) {
    on_cpu!(grouped::pays(scratch, scratch_base), grouped::advance(scratch, scratch_base, slot, t));
    let count = scratch[scratch_base + COUNT] as usize;
    for index in 0..count {
        let c = contact(scratch_base, index);
        if concerns(scratch, c, slot) {
            for i in 0..6 {
                scratch[of(c, Y + i)] += t * scratch[of(c, DY + i)];
            }
        }
    }
}
