//! `mj_collideGeoms`: the geoms of two objects at their places, and their contacts.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::body::COLUMN;
use crate::contact::{
    BOX, CYLINDER, GEOM, HULL, OTHER_GEOM, SPARE_GEOM, SPHERE, ball_ball, body, box_box, convex_convex, copy_geom,
    sphere_box,
};
use crate::object::ObjectKind;
use crate::params::{PARAM_SOLID_KIND, PARAM_SOLID_RADIUS};
use crate::state::LANES;

pub(super) const PILLAR: f32 = ObjectKind::Pillar.code();
/// Half the height of a pillar \[m\].
const PILLAR_HALF_HEIGHT: f32 = 0.5;
/// Half diagonals of a cube and of a column of it, in the cube's half sizes.
const BOX_BOUND: f32 = 1.732_051;
const COLUMN_BOUND: f32 = 1.224_745;
/// Beyond all rounding of places \[m\].
pub(super) const ROOM: f32 = 1e-3;
/// Writes geom `index` of the free object in `slot` to `to`: the box itself, or a corner column of the push box.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn place_body_geom(scratch: &mut [f32], scratch_base: usize, slot: usize, index: usize, to: usize) {
    let geom = body(scratch_base, slot) + GEOM;
    copy_geom(scratch, geom, to);
    if index > 0 {
        let half = scratch[geom + 12];
        let x = if index < 3 { half } else { -half };
        let y = if index % 2 == 1 { half } else { -half };
        for k in 0..3usize {
            scratch[to + k] += scratch[geom + 3 + 3 * k] * x + scratch[geom + 4 + 3 * k] * y;
        }
        scratch[to + 12] = COLUMN * half;
        scratch[to + 13] = COLUMN * half;
    }
}

/// Squared distance between (`x`, `y`, `z`) and geom `index` of the free object in `slot`.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn apart(
    scratch: &mut [f32],
    scratch_base: usize,
    slot: usize,
    index: usize,
    x: f32,
    y: f32,
    z: f32,
) -> f32 {
    let geom = body(scratch_base, slot) + GEOM;
    let half = scratch[geom + 12];
    let dx = x - scratch[geom];
    let dy = y - scratch[geom + 1];
    let dz = z - scratch[geom + 2];
    // In the object's frame.
    let mut ahead = scratch[geom + 3] * dx + scratch[geom + 6] * dy + scratch[geom + 9] * dz;
    let mut left = scratch[geom + 4] * dx + scratch[geom + 7] * dy + scratch[geom + 10] * dz;
    let up = scratch[geom + 5] * dx + scratch[geom + 8] * dy + scratch[geom + 11] * dz;
    let mut side = half;
    if index > 0 {
        ahead -= if index < 3 { half } else { -half };
        left -= if index % 2 == 1 { half } else { -half };
        side = COLUMN * half;
    }
    let out_ahead = (ahead.abs() - side).max(0.0);
    let out_left = (left.abs() - side).max(0.0);
    let out_up = (up.abs() - half).max(0.0);
    out_ahead * out_ahead + out_left * out_left + out_up * out_up
}

/// Radius of a ball about the centre of geom `index` of a push box of half size `half` that holds it, and a little room.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn bound_of(half: f32, index: usize) -> f32 {
    let slim = half * COLUMN_BOUND + ROOM;
    if index > 0 { slim } else { half * BOX_BOUND + ROOM }
}

/// Writes the solid at `at` to `to`: an upright cylinder or a ball on the floor.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn place_solid(params: &[f32], state: &mut [f32], at: usize, scratch: &mut [f32], to: usize) {
    let radius = params[PARAM_SOLID_RADIUS];
    let pillar = params[PARAM_SOLID_KIND] == PILLAR;
    for k in 0..15usize {
        scratch[to + k] = 0.0;
    }
    scratch[to] = state[at];
    scratch[to + 1] = state[at + LANES];
    scratch[to + 2] = if pillar { PILLAR_HALF_HEIGHT } else { radius };
    scratch[to + 3] = 1.0;
    scratch[to + 7] = 1.0;
    scratch[to + 11] = 1.0;
    scratch[to + 12] = radius;
    scratch[to + 13] = PILLAR_HALF_HEIGHT;
}

/// Contacts of the geoms at [`SPARE_GEOM`] (of slot `a`) and [`OTHER_GEOM`] (of slot `b`), in MuJoCo's order of types.
/// `later` says that both are boxes of free objects, the first of the higher number: the order decides ties between
/// faces. The one place that calls the colliders: a GPU inlines every call, and they are most of its program.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn collide(
    scratch: &mut [f32],
    scratch_base: usize,
    a: usize,
    kind_a: usize,
    b: usize,
    kind_b: usize,
    later: bool,
) {
    let swap = later || kind_rank(kind_b) < kind_rank(kind_a);
    let first = if swap { b } else { a };
    let second = if swap { a } else { b };
    let ga = if swap { scratch_base + OTHER_GEOM } else { scratch_base + SPARE_GEOM };
    let gb = if swap { scratch_base + SPARE_GEOM } else { scratch_base + OTHER_GEOM };
    let ka = if swap { kind_b } else { kind_a };
    let kb = if swap { kind_a } else { kind_b };
    if ka == BOX && kb == BOX {
        box_box(scratch, scratch_base, first, ga, second, gb);
    } else if ka == SPHERE && kb == BOX {
        let x = scratch[ga];
        let y = scratch[ga + 1];
        let z = scratch[ga + 2];
        let radius = scratch[ga + 12];
        sphere_box(scratch, scratch_base, first, x, y, z, radius, second, gb);
    } else if kb == SPHERE {
        let x = scratch[ga];
        let y = scratch[ga + 1];
        let z = scratch[ga + 2];
        let radius = scratch[ga + 12];
        let bx = scratch[gb];
        let by = scratch[gb + 1];
        let bz = scratch[gb + 2];
        let radius_b = scratch[gb + 12];
        ball_ball(scratch, scratch_base, first, x, y, z, radius, second, bx, by, bz, radius_b, 0.5);
    } else {
        convex_convex(scratch, scratch_base, first, ga, ka, second, gb, kb);
    }
}

/// MuJoCo's order of shapes: sphere, cylinder, box, hull.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn kind_rank(kind: usize) -> usize {
    let round = if kind == CYLINDER { 1usize } else { 0usize };
    let flat = if kind == BOX { 2usize } else { round };
    if kind == HULL { 3usize } else { flat }
}
