//! `mjc_PlaneCylinder` of the Racecar, as records of the contact solver; of a trunk that is tilted, a box's corners.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::block::{LEFT_SLOT, REAR_SLOT, RIGHT_SLOT};
use super::body::RacecarBody;
use super::model;
use super::variants::scalar::{Contact, Frame, Problem};
use crate::agent::car::model::{ROLLING, TORSION};
use crate::contact::{
    AGENT_SLOT, ContactBody, GEOM, SPARE_GEOM, STATIC_SLOT, body, floor_box, push_contact, set_surface,
};

const TORSION_F: f32 = TORSION as f32;
const ROLLING_F: f32 = ROLLING as f32;
const FRONT_INVERSE_F: f32 = model::FRONT_INVERSE as f32;
const REAR_INVERSE_F: f32 = model::REAR_INVERSE as f32;
const TRUNK_INVERSE_F: f32 = model::TRUNK_INVERSE as f32;
/// Cosine of the tilt below which the trunk, 2 cm above the floor, may reach it: 4 degrees.
const LEVEL: f32 = 0.9976;
/// Half sizes of the box that stands for the trunk there \[m\]: within its outline, whose corners are rounded.
const TRUNK_X: f32 = 0.19;
const TRUNK_Y: f32 = 0.08;

/// Whether the car in frame `f` is so tilted that its trunk may touch the floor.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn overturned(f: Frame) -> bool {
    f.ez.z < LEVEL
}

/// Pushes the contact `c` of the part in `slot`.
#[cfg_attr(feature = "gpu", cube)]
fn push_rim(scratch: &mut [f32], scratch_base: usize, slot: usize, c: Contact, inverse: f32) {
    let origin = body(scratch_base, slot) + GEOM;
    let x = scratch[origin] + c.x;
    let y = scratch[origin + 1] + c.y;
    let z = scratch[origin + 2] + c.z;
    // A gap of exactly 0 is a contact here.
    let gap = if c.weight > 0.0 { c.gap.min(-1e-12f32) } else { 0.0f32 };
    set_surface(scratch, scratch_base, 1.0, TORSION_F, ROLLING_F, inverse);
    push_contact(scratch, scratch_base, STATIC_SLOT, slot, 0.0, 0.0, 1.0, x, y, z, gap);
}

/// Pushes the contacts of the loaded car with the floor: those of its problem `p`, and the trunk's where the car is tilted.
#[cfg_attr(feature = "gpu", cube)]
pub fn push_floor(scratch: &mut [f32], scratch_base: usize, f: Frame, p: Problem) {
    push_rim(scratch, scratch_base, LEFT_SLOT, p.left.outer, FRONT_INVERSE_F);
    push_rim(scratch, scratch_base, LEFT_SLOT, p.left.inner, FRONT_INVERSE_F);
    push_rim(scratch, scratch_base, RIGHT_SLOT, p.right.inner, FRONT_INVERSE_F);
    push_rim(scratch, scratch_base, RIGHT_SLOT, p.right.outer, FRONT_INVERSE_F);
    push_rim(scratch, scratch_base, REAR_SLOT, p.a, REAR_INVERSE_F);
    push_rim(scratch, scratch_base, REAR_SLOT, p.b, REAR_INVERSE_F);
    push_rim(scratch, scratch_base, REAR_SLOT, p.c, REAR_INVERSE_F);
    push_rim(scratch, scratch_base, REAR_SLOT, p.d, REAR_INVERSE_F);
    if overturned(f) {
        set_surface(scratch, scratch_base, 1.0, TORSION_F, ROLLING_F, TRUNK_INVERSE_F);
        RacecarBody::place_geom(scratch, scratch_base, 1, scratch_base + SPARE_GEOM);
        scratch[scratch_base + SPARE_GEOM + 12] = TRUNK_X;
        scratch[scratch_base + SPARE_GEOM + 13] = TRUNK_Y;
        floor_box(scratch, scratch_base, scratch_base + SPARE_GEOM, AGENT_SLOT);
    }
}
