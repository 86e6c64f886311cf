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

/// What the lean of the push box in `slot` can bring its geoms nearer to an upright axis than they are to the axis at the box' own
/// height, and a little room \[m\].
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn lean_room(scratch: &mut [f32], scratch_base: usize, slot: usize) -> f32 {
    let geom = body(scratch_base, slot) + GEOM;
    let x = scratch[geom + 5];
    let y = scratch[geom + 8];
    ROOM + 4.0 * scratch[geom + 12] * (x * x + y * y).sqrt()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contact::{COUNT, SCRATCH_LEN, load_free_body, set_surface};
    use crate::rng;

    const HALF: f32 = 0.2;
    const BALL: f32 = 0.1;

    /// A push box that leans by up to 0.3 at the origin, `trial` tells how.
    fn leaning(scratch: &mut [f32], trial: u32) {
        let unit = |number: u32| 2.0 * rng::unit(rng::bits(11, number, trial, 0, 0)) - 1.0;
        let (turn, x, y) = (3.0 * unit(0), 0.15 * unit(1), 0.15 * unit(2));
        let (w, z) = ((0.5 * turn).cos(), (0.5 * turn).sin());
        let scale = 1.0 / (w * w + z * z + x * x + y * y).sqrt();
        let mut state = [0.0; 13 * LANES];
        for (field, value) in [(2, HALF), (3, w * scale), (4, x * scale), (5, y * scale), (6, z * scale)] {
            state[field * LANES] = value;
        }
        load_free_body(&mut state, 0, LANES, scratch, 0, 1, 1.0, 0.01, 0.01, HALF);
    }

    /// Whatever touches is near: what is left out would not have been touched.
    #[test]
    fn what_touches_a_push_box_is_near_it() {
        let mut scratch = vec![0.0; SCRATCH_LEN];
        let mut touching = [0; 3];
        for trial in 0..6000 {
            leaning(&mut scratch, trial);
            set_surface(&mut scratch, 0, 1.0, 0.005, 0.0001, 1.0);
            let unit = |number: u32| 2.0 * rng::unit(rng::bits(13, number, trial, 0, 0)) - 1.0;
            let (x, y, z) = (0.6 * unit(0), 0.6 * unit(1), 0.1);
            let (sin, cos) = (3.0 * unit(2)).sin_cos();
            for (which, (kind, sizes, bound)) in [
                (SPHERE, [BALL, 0.0, 0.0], BALL),
                (BOX, [0.05; 3], 0.086_602_54),
                (CYLINDER, [0.2, PILLAR_HALF_HEIGHT, 0.0], 0.2),
            ]
            .into_iter()
            .enumerate()
            {
                for geom in 0..5 {
                    place_body_geom(&mut scratch, 0, 1, geom, SPARE_GEOM);
                    let height = if kind == CYLINDER { PILLAR_HALF_HEIGHT } else { z };
                    let other = [x, y, height, cos, -sin, 0.0, sin, cos, 0.0, 0.0, 0.0, 1.0];
                    scratch[OTHER_GEOM..][..12].copy_from_slice(&other);
                    scratch[OTHER_GEOM + 12..][..3].copy_from_slice(&sizes);
                    scratch[COUNT] = 0.0;
                    let own_z = scratch[SPARE_GEOM + 2];
                    collide(&mut scratch, 0, 1, BOX, 0, kind, false);
                    if scratch[COUNT] == 0.0 {
                        continue;
                    }
                    touching[which] += 1;
                    let (reach, squared) = if kind == CYLINDER {
                        (bound + lean_room(&mut scratch, 0, 1), apart(&mut scratch, 0, 1, geom, x, y, own_z))
                    } else {
                        (bound + ROOM, apart(&mut scratch, 0, 1, geom, x, y, z))
                    };
                    assert!(squared < reach * reach, "trial {trial}, kind {kind}, geom {geom}: {squared} {reach}");
                }
            }
        }
        assert!(touching.iter().all(|count| *count > 500), "{touching:?}");
    }
}
