//! `ccdMPRPenetration`, which `mjc_Convex` calls: Minkowski portal refinement, how deep and where convex shapes overlap.
//!
//! The differences "point of a minus point of b" form a convex set that holds the origin where the shapes overlap. A
//! portal is a triangle of extreme points of that set through which the ray from its centre to the origin leaves.
//! It is moved outwards until the surface is at most [`TOLERANCE`] beyond it; the origin's way to it is the
//! penetration.
//!
//! A portal's point is six floats: the difference v, and the midpoint of its two witnesses relative to a's centre.
//! Everything is a difference or relative to a shape's centre, so that float32 resolves contacts of a micrometre metres
//! away from the world's origin. p is the portal's place in the scratch, v0 the centre, v1 to v3 the triangle.
//!
//! # References
//! Snethen, "XenoCollide: Complex Collision Made Simple", Game Programming Gems 7, 2008; libccd 2.1, `mpr.c`, whose
//! order of tests decides ties and is kept; MuJoCo 2.3.3, `engine_collision_convex.c` (support points).

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::convex::{CYLINDER, HULL, SPHERE};
use super::hull::farthest;
use super::vector::{Vec3, cross, dot, minus, read_vec3, unit, vec3, write_vec3};

/// Offset of the centre's point: the difference of the geoms' centres, and minus half of it.
pub(super) const CENTRE: usize = 0;
const POINT: usize = 6;
const ONE: usize = POINT;
const TWO: usize = 2 * POINT;
const THREE: usize = 3 * POINT;
/// Offset of the point found last, which may replace one of the others.
const NEW: usize = 4 * POINT;
/// Offset of the portal's unit normal, away from the centre.
const NORMAL: usize = 5 * POINT;
/// Offset of the nearest point found so far.
const NEAR: usize = NORMAL + 3;
/// Offset of the two shapes' support points, each relative to its centre.
const FAR: usize = NEAR + 3;

// Stages of the search: what the next support point is for. From `ON_PORTAL` on the search has ended.
const FIRST_POINT: usize = 0;
const SECOND_POINT: usize = 1;
const THIRD_POINT: usize = 2;
const REFINE: usize = 3;
/// The portal lies on the surface and the origin within.
pub(super) const ON_PORTAL: usize = 4;
/// The origin lies between the centre and point 1.
pub(super) const ON_SEGMENT: usize = 5;
const APART: usize = 6;

/// MuJoCo's `mpr_tolerance` \[m\].
const TOLERANCE: f32 = 1e-6;
/// MuJoCo's `mpr_iterations`, counted once the origin is inside.
const ITERATIONS: usize = 50;
/// Bound on all support points: the rest of the search has none in libccd, and rounding could make it cycle.
const MOST_POINTS: usize = 150;
/// Below this squared area \[m^4\] the centre, the first support point and the origin lie on one line: three times
/// the rounding of float32 (libccd: 2.2e-16, for float64).
const LINE: f32 = 1e-15;
/// The origin counts as within a side of the portal down to this volume \[m^3\]: the rounding of what is coplanar by
/// symmetry.
const COPLANAR: f32 = 1e-9;
/// A direction this near to a cylinder's axis has no side: the cap's centre is the farthest point.
const AXIAL: f32 = 1e-9;

/// -1, 0 or 1.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn sign(x: f32) -> f32 {
    let positive = if x > 0.0 { 1.0f32 } else { 0.0f32 };
    if x < 0.0 { -1.0f32 } else { positive }
}

/// Writes the farthest point of the geom in direction d, relative to its centre, at `to`. Across a direction an edge or
/// a face is reached in its middle.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn support(scratch: &mut [f32], to: usize, geom: usize, kind: usize, d: &Vec3) {
    let size = scratch[geom + 12];
    if kind == SPHERE {
        scratch[to] = size * d.x;
        scratch[to + 1] = size * d.y;
        scratch[to + 2] = size * d.z;
    } else {
        // Along the geom's axes: its matrix's columns.
        let dx = scratch[geom + 3] * d.x + scratch[geom + 6] * d.y + scratch[geom + 9] * d.z;
        let dy = scratch[geom + 4] * d.x + scratch[geom + 7] * d.y + scratch[geom + 10] * d.z;
        let dz = scratch[geom + 5] * d.x + scratch[geom + 8] * d.y + scratch[geom + 11] * d.z;
        let mut x = sign(dx) * size;
        let mut y = sign(dy) * scratch[geom + 13];
        let mut z = sign(dz) * scratch[geom + 14];
        if kind == CYLINDER {
            let across = (dx * dx + dy * dy).sqrt();
            let scale = if across > AXIAL { size / across } else { 0.0f32 };
            x = dx * scale;
            y = dy * scale;
            z = sign(dz) * scratch[geom + 13];
        }
        if kind == HULL {
            let far = farthest(dx, dy, dz);
            x = far.x;
            y = far.y;
            z = far.z;
        }
        for k in 0..3 {
            let row = geom + 3 + 3 * k;
            scratch[to + k] = scratch[row] * x + scratch[row + 1] * y + scratch[row + 2] * z;
        }
    }
}

/// Writes the extreme point in direction d at [`NEW`].
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn find_extreme(scratch: &mut [f32], p: usize, ga: usize, kind_a: usize, gb: usize, kind_b: usize, d: &Vec3) {
    // One place for both shapes: a kernel holds what is called twice twice.
    for shape in 0..2usize {
        let geom = if shape == 0 { ga } else { gb };
        let kind = if shape == 0 { kind_a } else { kind_b };
        let way = if shape == 0 { 1.0f32 } else { -1.0f32 };
        let outward = vec3(way * d.x, way * d.y, way * d.z);
        support(scratch, p + FAR + 3 * shape, geom, kind, &outward);
    }
    for k in 0..3 {
        let far_a = scratch[p + FAR + k];
        let v = scratch[p + CENTRE + k] + (far_a - scratch[p + FAR + 3 + k]);
        scratch[p + NEW + k] = v;
        scratch[p + NEW + 3 + k] = far_a - 0.5 * v;
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn copy_point(scratch: &mut [f32], to: usize, from: usize) {
    for k in 0..POINT {
        scratch[to + k] = scratch[from + k];
    }
}

/// Direction of the next support point: towards the origin, off the line to it, out of the plane (centre, 1, 2), out of
/// the portal.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn direction(scratch: &mut [f32], p: usize, stage: usize) -> Vec3 {
    let v0 = read_vec3(scratch, p + CENTRE);
    let mut x = -v0.x;
    let mut y = -v0.y;
    let mut z = -v0.z;
    if stage == SECOND_POINT {
        let v1 = read_vec3(scratch, p + ONE);
        let n = cross(&v0, &v1);
        x = n.x;
        y = n.y;
        z = n.z;
    }
    if stage == THIRD_POINT || stage == REFINE {
        let first = if stage == REFINE { p + ONE } else { p + CENTRE };
        let u = read_vec3(scratch, first);
        let v = read_vec3(scratch, first + POINT);
        let w = read_vec3(scratch, first + 2 * POINT);
        let left = minus(&v, &u);
        let right = minus(&w, &u);
        let n = cross(&left, &right);
        x = n.x;
        y = n.y;
        z = n.z;
    }
    let d = vec3(x, y, z);
    unit(&d)
}

/// Takes the new point into a portal that is not complete. Returns the stage after it.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn discover(scratch: &mut [f32], p: usize, stage: usize) -> usize {
    let v0 = read_vec3(scratch, p + CENTRE);
    let v1 = read_vec3(scratch, p + ONE);
    let v2 = read_vec3(scratch, p + TWO);
    let new = read_vec3(scratch, p + NEW);
    let mut next = stage;
    if stage == FIRST_POINT {
        copy_point(scratch, p + ONE, p + NEW);
        let off_line = cross(&v0, &new);
        next = SECOND_POINT;
        if dot(&off_line, &off_line) < LINE {
            next = ON_SEGMENT;
        }
    } else if stage == SECOND_POINT {
        // (centre, 1, 2) turns its front to the origin.
        let left = minus(&v1, &v0);
        let right = minus(&new, &v0);
        let n = cross(&left, &right);
        let mut to = p + TWO;
        if dot(&n, &v0) > 0.0 {
            copy_point(scratch, p + TWO, p + ONE);
            to = p + ONE;
        }
        copy_point(scratch, to, p + NEW);
        next = THIRD_POINT;
    } else {
        // The ray to the origin must pass inside of (1, 3, centre) and (3, 2, centre).
        let side_13 = cross(&v1, &new);
        let side_32 = cross(&new, &v2);
        let mut to = p + THREE;
        if dot(&side_13, &v0) < -COPLANAR {
            to = p + TWO;
        } else if dot(&side_32, &v0) < -COPLANAR {
            to = p + ONE;
        } else {
            next = REFINE;
        }
        copy_point(scratch, to, p + NEW);
    }
    next
}

/// Replaces one of the portal's points by the new one, so that the ray to the origin still passes.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn expand(scratch: &mut [f32], p: usize) {
    let v0 = read_vec3(scratch, p + CENTRE);
    let v1 = read_vec3(scratch, p + ONE);
    let v2 = read_vec3(scratch, p + TWO);
    let v3 = read_vec3(scratch, p + THREE);
    let new = read_vec3(scratch, p + NEW);
    let side = cross(&new, &v0);
    let left = dot(&v1, &side) > 0.0;
    let mut to = p + ONE;
    if left && dot(&v2, &side) <= 0.0 {
        to = p + THREE;
    }
    if !left && dot(&v3, &side) > 0.0 {
        to = p + TWO;
    }
    copy_point(scratch, to, p + NEW);
}

/// Searches the portal at `p`, where the caller has set [`CENTRE`]'s point, of geoms `ga` and `gb`. Returns
/// [`ON_PORTAL`] with the portal and its normal, [`ON_SEGMENT`] with point 1, or another number where the shapes
/// are apart.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn find_portal(scratch: &mut [f32], p: usize, ga: usize, kind_a: usize, gb: usize, kind_b: usize) -> usize {
    // `FIRST_POINT`.
    let mut stage = 0usize;
    let mut points = 0usize;
    // Refinements since the origin was found inside, plus one; 0 before.
    let mut inside = 0usize;
    while stage < ON_PORTAL {
        let d = direction(scratch, p, stage);
        find_extreme(scratch, p, ga, kind_a, gb, kind_b, &d);
        points += 1;
        let new = read_vec3(scratch, p + NEW);
        let height = dot(&new, &d);
        if stage == REFINE {
            let v1 = read_vec3(scratch, p + ONE);
            let v2 = read_vec3(scratch, p + TWO);
            let v3 = read_vec3(scratch, p + THREE);
            let h1 = dot(&v1, &d);
            if inside > 0 || h1 >= 0.0 {
                inside += 1;
            }
            let gain = (height - h1).min(height - dot(&v2, &d)).min(height - dot(&v3, &d));
            if gain <= TOLERANCE || inside > ITERATIONS + 1 || points >= MOST_POINTS {
                write_vec3(scratch, p + NORMAL, &d);
                stage = APART;
                if inside > 0 {
                    stage = ON_PORTAL;
                }
            } else if inside == 0 && height < 0.0 {
                stage = APART;
            } else {
                expand(scratch, p);
            }
        } else if height <= 0.0 || points >= MOST_POINTS {
            stage = APART;
        } else {
            stage = discover(scratch, p, stage);
        }
    }
    stage
}

/// The point of the portal at `p` nearest to the origin (`segment`: point 1): the way out.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn nearest_on_portal(scratch: &mut [f32], p: usize, segment: bool) -> Vec3 {
    let v1 = read_vec3(scratch, p + ONE);
    let mut x = v1.x;
    let mut y = v1.y;
    let mut z = v1.z;
    if !segment {
        let v2 = read_vec3(scratch, p + TWO);
        let v3 = read_vec3(scratch, p + THREE);
        let n = read_vec3(scratch, p + NORMAL);
        let c12 = cross(&v1, &v2);
        let c23 = cross(&v2, &v3);
        let c31 = cross(&v3, &v1);
        let l1 = dot(&v1, &v1);
        let l2 = dot(&v2, &v2);
        let l3 = dot(&v3, &v3);
        if dot(&c12, &n) >= 0.0 && dot(&c23, &n) >= 0.0 && dot(&c31, &n) >= 0.0 {
            // Under the triangle: along its normal. The height is best known at the point next to the origin.
            let mut height = dot(&v1, &n);
            if l2 < l1 && l2 <= l3 {
                height = dot(&v2, &n);
            } else if l3 < l1 {
                height = dot(&v3, &n);
            }
            x = height * n.x;
            y = height * n.y;
            z = height * n.z;
        } else {
            let mut least = 1e30f32;
            for side in 0..3usize {
                let from = if side < 2 { p + ONE } else { p + TWO };
                let to = if side == 0 { p + TWO } else { p + THREE };
                let u = read_vec3(scratch, from);
                let w = read_vec3(scratch, to);
                let edge = minus(&w, &u);
                let t = (-dot(&u, &edge) / dot(&edge, &edge).max(1e-30)).clamp(0.0, 1.0);
                let q = vec3(u.x + t * edge.x, u.y + t * edge.y, u.z + t * edge.z);
                let away = dot(&q, &q);
                if away < least {
                    least = away;
                    x = q.x;
                    y = q.y;
                    z = q.z;
                }
            }
        }
    }
    vec3(x, y, z)
}

/// Where the ray from the centre to the origin passes the portal at `p` (`segment`: at point 1): the witnesses'
/// midpoint, relative to a's centre.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn midpoint_on_ray(scratch: &mut [f32], p: usize, segment: bool) -> Vec3 {
    let m1 = read_vec3(scratch, p + ONE + 3);
    let mut x = m1.x;
    let mut y = m1.y;
    let mut z = m1.z;
    if !segment {
        let v0 = read_vec3(scratch, p + CENTRE);
        let v1 = read_vec3(scratch, p + ONE);
        let v2 = read_vec3(scratch, p + TWO);
        let v3 = read_vec3(scratch, p + THREE);
        // Barycentric coordinates of the origin in (centre, 1, 2, 3), or in (1, 2, 3) where that is flat.
        let c12 = cross(&v1, &v2);
        let c32 = cross(&v3, &v2);
        let c01 = cross(&v0, &v1);
        let mut b0 = dot(&c12, &v3);
        let mut b1 = dot(&c32, &v0);
        let mut b2 = dot(&c01, &v3);
        let mut b3 = -dot(&c12, &v0);
        if b0 + b1 + b2 + b3 <= 0.0 {
            let n = read_vec3(scratch, p + NORMAL);
            let c31 = cross(&v3, &v1);
            b0 = 0.0;
            b1 = -dot(&c32, &n);
            b2 = dot(&c31, &n);
            b3 = dot(&c12, &n);
        }
        let m0 = read_vec3(scratch, p + CENTRE + 3);
        let m2 = read_vec3(scratch, p + TWO + 3);
        let m3 = read_vec3(scratch, p + THREE + 3);
        let scale = 1.0 / (b0 + b1 + b2 + b3);
        x = scale * (b0 * m0.x + b1 * m1.x + b2 * m2.x + b3 * m3.x);
        y = scale * (b0 * m0.y + b1 * m1.y + b2 * m2.y + b3 * m3.y);
        z = scale * (b0 * m0.z + b1 * m1.z + b2 * m2.z + b3 * m3.z);
    }
    vec3(x, y, z)
}
