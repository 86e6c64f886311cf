//! `mjc_Convex`: where two convex shapes touch, as MuJoCo 2.3.3's general convex collider finds it.
//!
//! MuJoCo sends every pair with a cylinder here: sphere-cylinder, cylinder-cylinder, cylinder-box. A portal
//! ([`find_portal`]) gives depth, normal and point; where a surface is round, the normal there replaces the portal's.
//!
//! # References
//! MuJoCo 2.3.3, `engine_collision_convex.c`.

#[cfg(test)]
mod tests;

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::portal::{CENTRE, ON_PORTAL, ON_SEGMENT, find_portal, midpoint_on_ray, nearest_on_portal};
use super::vector::{Vec3, dot, minus, read_vec3, unit, vec3, write_vec3};
use super::*;

const PORTAL: usize = TEMPORARY;

/// Kind of a sphere: sizes are its radius, 0, 0.
pub const SPHERE: usize = 0;
/// Kind of a box: sizes are its half sizes.
#[cfg_attr(not(test), allow(dead_code))]
pub const BOX: usize = 1;
/// Kind of a cylinder about its z axis: sizes are its radius, its half height, 0.
pub const CYLINDER: usize = 2;
/// Kind of the Racecar's trunk (`hull.rs`): sizes are those of a box that reaches as far.
pub const HULL: usize = 3;

/// A contact on the outer twentieth of a cylinder's half height is on its cap.
const WALL: f32 = 0.95;
/// A contact is on the wall where the cap is farther than this fraction of the distance to the wall.
const CAP_SHARE: f32 = 0.25;

/// Outward unit normal of the round surface of the geom at `from` (relative to its centre); zero where the geom is flat
/// there: a box, or a cylinder near its caps.
#[cfg_attr(feature = "gpu", cube)]
fn round_normal(scratch: &mut [f32], geom: usize, kind: usize, from: &Vec3) -> Vec3 {
    // A sphere's normal lies along `from`, a cylinder's along its part across the axis.
    let mut x = from.x;
    let mut y = from.y;
    let mut z = from.z;
    let mut along = 0.0f32;
    if kind == CYLINDER {
        let axis = vec3(scratch[geom + 5], scratch[geom + 8], scratch[geom + 11]);
        along = dot(from, &axis);
        x -= along * axis.x;
        y -= along * axis.y;
        z -= along * axis.z;
    }
    let side = vec3(x, y, z);
    let height = scratch[geom + 13];
    let to_cap = (height - along.abs()).abs();
    let to_wall = (scratch[geom + 12] - dot(&side, &side).sqrt()).abs();
    let on_wall = kind == CYLINDER && along.abs() <= WALL * height && to_cap >= CAP_SHARE * to_wall;
    let keep = if on_wall || kind == SPHERE { 1.0f32 } else { 0.0f32 };
    let n = unit(&side);
    vec3(keep * n.x, keep * n.y, keep * n.z)
}

/// Whether the ball of radius `reach` at `offset` from the geom's centre may touch it: for a cylinder, whether it
/// reaches the wall and a cap.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn in_reach(scratch: &mut [f32], geom: usize, kind: usize, offset: &Vec3, reach: f32) -> bool {
    let axis = vec3(scratch[geom + 5], scratch[geom + 8], scratch[geom + 11]);
    let z = dot(offset, &axis).abs();
    let across = dot(offset, offset) - z * z;
    let wall = scratch[geom + 12] + reach;
    kind != CYLINDER || (z < scratch[geom + 13] + reach && across < wall * wall)
}

/// Radius \[m\] of the ball about the geom's centre that holds it, and a micrometre for rounding.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn bound(scratch: &mut [f32], geom: usize) -> f32 {
    let size = read_vec3(scratch, geom + 12);
    dot(&size, &size).sqrt() + 1e-6f32
}

/// Pushes the contact, if any, of geom `ga` of body `a` with geom `gb` of body `b`: one point, midway through the
/// penetration, with the normal from a to b. The kinds are [`SPHERE`], [`BOX`], [`CYLINDER`] or [`HULL`].
///
/// The order matters: MuJoCo's first geom is the one of the lower type (sphere, cylinder, box, hull), and of the lower id
/// among equals. Where a whole line or face touches, the point on it depends on the order and on ties.
#[cfg_attr(feature = "gpu", cube)]
pub fn convex_convex(
    scratch: &mut [f32],
    scratch_base: usize,
    a: usize,
    ga: usize,
    kind_a: usize,
    b: usize,
    gb: usize,
    kind_b: usize,
) {
    let p = scratch_base + PORTAL;
    let x = scratch[ga] - scratch[gb];
    let y = scratch[ga + 1] - scratch[gb + 1];
    let z = scratch[ga + 2] - scratch[gb + 2];
    let offset = vec3(x, y, z);
    let middle = vec3(-0.5f32 * x, -0.5f32 * y, -0.5f32 * z);
    write_vec3(scratch, p + CENTRE, &offset);
    write_vec3(scratch, p + CENTRE + 3, &middle);
    let bound_a = bound(scratch, ga);
    let bound_b = bound(scratch, gb);
    let reach = bound_a + bound_b;
    // Balls about the shapes first, as MuJoCo does, so that most pairs end here; then each cylinder against the
    // other's ball.
    if dot(&offset, &offset) < reach * reach
        && in_reach(scratch, ga, kind_a, &offset, bound_b)
        && in_reach(scratch, gb, kind_b, &offset, bound_a)
    {
        let found = find_portal(scratch, p, ga, kind_a, gb, kind_b);
        if found == ON_PORTAL || found == ON_SEGMENT {
            let segment = found == ON_SEGMENT;
            let away = nearest_on_portal(scratch, p, segment);
            let middle = midpoint_on_ray(scratch, p, segment);
            let depth = dot(&away, &away).sqrt();
            let from_b = vec3(middle.x + offset.x, middle.y + offset.y, middle.z + offset.z);
            let na = round_normal(scratch, ga, kind_a, &middle);
            let nb = round_normal(scratch, gb, kind_b, &from_b);
            // Both round: between the two normals.
            let round = minus(&na, &nb);
            let flat = if dot(&round, &round) > 0.0 { 0.0f32 } else { 1.0f32 };
            let normal = vec3(flat * away.x + round.x, flat * away.y + round.y, flat * away.z + round.z);
            let n = unit(&normal);
            let px = scratch[ga] + middle.x;
            let py = scratch[ga + 1] + middle.y;
            let pz = scratch[ga + 2] + middle.z;
            push_contact(scratch, scratch_base, a, b, n.x, n.y, n.z, px, py, pz, -depth);
        }
    }
}
