//! `mjc_PlaneCylinder`, `mjc_PlaneSphere`, `mjc_PlaneBox` of the Car, as records of the contact solver.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::block::{BALL_SLOT, LEFT_SLOT, RIGHT_SLOT};
use super::body::CarBody;
use super::model;
use super::shape::{BALL_INVERSE, CHASSIS_INVERSE, WHEEL_INVERSE};
use super::variants::scalar::{Contact, Frame, Problem};
use crate::contact::{
    AGENT_SLOT, ContactBody, GEOM, SPARE_GEOM, STATIC_SLOT, TEMPORARY, body, floor_box, push_contact, set_surface,
};

const TORSION_F: f32 = model::TORSION as f32;
const ROLLING_F: f32 = model::ROLLING as f32;
/// Boxes of the chassis.
const BOXES: usize = 5;
/// Cosine of the tilt below which no box of the chassis reaches the floor: 26 degrees; the front bumper would at 30.
const UPRIGHT: f32 = 0.9;

/// Whether the car in frame `f` is so tilted that its chassis may touch the floor.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn overturned(f: Frame) -> bool {
    f.ez.z < UPRIGHT
}

/// Keeps the gap of a floor contact and its point, relative to the position of its part's record, for [`push_floor`].
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn note_floor(scratch: &mut [f32], at: usize, c: Contact, x: f32, y: f32, z: f32) {
    scratch[at] = x;
    scratch[at + 1] = y;
    scratch[at + 2] = z;
    // A gap of exactly 0 is a contact here.
    scratch[at + 3] = if c.weight > 0.0 { c.gap.min(-1e-12f32) } else { 0.0f32 };
}

/// Pushes the contacts of the loaded car with the floor: those of its floor problem `p`, and the chassis' where the car is
/// tilted.
#[cfg_attr(feature = "gpu", cube)]
pub fn push_floor(scratch: &mut [f32], scratch_base: usize, f: Frame, p: Problem) {
    let note = scratch_base + TEMPORARY;
    note_floor(scratch, note, p.a, p.a.x, p.a.y, p.a.z);
    note_floor(scratch, note + 4, p.b, p.b.x, p.b.y, p.b.z);
    note_floor(scratch, note + 8, p.c, p.c.x, p.c.y, p.c.z);
    note_floor(scratch, note + 12, p.d, p.d.x, p.d.y, p.d.z);
    note_floor(scratch, note + 16, p.e, 0.0, 0.0, -p.e.lever);
    for k in 0..5usize {
        let slot = if k < 2 { LEFT_SLOT } else { RIGHT_SLOT };
        let slot = if k < 4 { slot } else { BALL_SLOT };
        let weight = if k < 4 { WHEEL_INVERSE } else { BALL_INVERSE };
        let b = body(scratch_base, slot);
        let at = note + 4 * k;
        let x = scratch[b + GEOM] + scratch[at];
        let y = scratch[b + GEOM + 1] + scratch[at + 1];
        let z = scratch[b + GEOM + 2] + scratch[at + 2];
        let gap = scratch[at + 3];
        set_surface(scratch, scratch_base, 1.0, TORSION_F, ROLLING_F, weight);
        push_contact(scratch, scratch_base, STATIC_SLOT, slot, 0.0, 0.0, 1.0, x, y, z, gap);
    }
    if overturned(f) {
        set_surface(scratch, scratch_base, 1.0, TORSION_F, ROLLING_F, CHASSIS_INVERSE);
        for geom in 0..BOXES {
            CarBody::place_geom(scratch, scratch_base, geom, scratch_base + SPARE_GEOM);
            floor_box(scratch, scratch_base, scratch_base + SPARE_GEOM, AGENT_SLOT);
        }
    }
}
