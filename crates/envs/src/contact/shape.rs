//! `mjc_SphereSphere`, `mjc_PlaneBox`, `mjc_SphereBox`: points, normals and gaps as MuJoCo 2.3.3 finds them.
//!
//! Shapes are geom records in the scratch: position 3, world-from-shape rotation 9 (row by row), half sizes 3.
//! Every collider pushes its contacts into the scratch with the material set by [`set_surface`].

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::*;

const AXIS: usize = TEMPORARY;
const CENTRE: usize = TEMPORARY + 3;

/// The box `geom` of body `slot` against the floor z = 0: its corners below the floor.
#[cfg_attr(feature = "gpu", cube)]
pub fn floor_box(scratch: &mut [f32], scratch_base: usize, geom: usize, slot: usize) {
    on_cpu!(grouped::in_use(), grouped::floor_box(scratch, scratch_base, geom, slot));
    let x = scratch[geom];
    let y = scratch[geom + 1];
    let z = scratch[geom + 2];
    for corner in 0..8usize {
        let hx = if corner & 1 == 0 { -scratch[geom + 12] } else { scratch[geom + 12] };
        let hy = if corner & 2 == 0 { -scratch[geom + 13] } else { scratch[geom + 13] };
        let hz = if corner & 4 == 0 { -scratch[geom + 14] } else { scratch[geom + 14] };
        let down = scratch[geom + 9] * hx + scratch[geom + 10] * hy + scratch[geom + 11] * hz;
        let gap = z + down;
        if gap < 0.0 && down < 0.0 {
            let px = x + scratch[geom + 3] * hx + scratch[geom + 4] * hy + scratch[geom + 5] * hz;
            let py = y + scratch[geom + 6] * hx + scratch[geom + 7] * hy + scratch[geom + 8] * hz;
            push_contact(scratch, scratch_base, STATIC_SLOT, slot, 0.0, 0.0, 1.0, px, py, 0.5 * gap, gap);
        }
    }
}

/// The ball of body `a` against the ball of body `b`: centres and radii \[m\]. An upright cylinder beside a ball or
/// another cylinder touches like a ball at one height. `fraction` is the part of the penetration on a's side of the
/// contact point: MuJoCo puts it at 1/2 between balls, and at `radius_a / (radius_a + radius_b)` with a cylinder (its
/// general convex collider).
#[cfg_attr(feature = "gpu", cube)]
pub fn ball_ball(
    scratch: &mut [f32],
    scratch_base: usize,
    a: usize,
    ax: f32,
    ay: f32,
    az: f32,
    radius_a: f32,
    b: usize,
    bx: f32,
    by: f32,
    bz: f32,
    radius_b: f32,
    fraction: f32,
) {
    let dx = bx - ax;
    let dy = by - ay;
    let dz = bz - az;
    let squared = dx * dx + dy * dy + dz * dz;
    let reach = radius_a + radius_b;
    if squared < reach * reach && squared > 0.0 {
        let distance = squared.sqrt();
        let nx = dx / distance;
        let ny = dy / distance;
        let nz = dz / distance;
        let gap = distance - reach;
        let out = radius_a + fraction * gap;
        push_contact(scratch, scratch_base, a, b, nx, ny, nz, ax + out * nx, ay + out * ny, az + out * nz, gap);
    }
}

/// The sphere of radius `radius` at the position of `ball`'s geom against the box `geom` of body `slot`.
#[cfg_attr(feature = "gpu", cube)]
pub fn sphere_box(
    scratch: &mut [f32],
    scratch_base: usize,
    ball: usize,
    x: f32,
    y: f32,
    z: f32,
    radius: f32,
    slot: usize,
    geom: usize,
) {
    let dx = x - scratch[geom];
    let dy = y - scratch[geom + 1];
    let dz = z - scratch[geom + 2];
    // Centre and nearest point of the box, box frame.
    let mut inside = 0usize;
    let mut room = 1e30f32;
    let mut room_axis = 0usize;
    let mut away = 0.0f32;
    for k in 0..3 {
        let centre = scratch[geom + 3 + k] * dx + scratch[geom + 6 + k] * dy + scratch[geom + 9 + k] * dz;
        let half = scratch[geom + 12 + k];
        let near = centre.max(-half).min(half);
        scratch[scratch_base + CENTRE + k] = centre;
        scratch[scratch_base + AXIS + k] = near - centre;
        away += (near - centre) * (near - centre);
        if near == centre {
            inside += 1;
        }
        if half - centre.abs() < room {
            room = half - centre.abs();
            room_axis = k;
        }
    }
    if away < radius * radius {
        let mut gap = away.sqrt() - radius;
        let mut reach = 0.5 * (away.sqrt() + radius);
        let mut scale = 1.0 / away.sqrt().max(1e-20);
        if inside == 3 {
            // Centre inside the box: out through the nearest face.
            for k in 0..3 {
                scratch[scratch_base + AXIS + k] = 0.0;
            }
            scratch[scratch_base + AXIS + room_axis] =
                if scratch[scratch_base + CENTRE + room_axis] > 0.0 { -1.0f32 } else { 1.0f32 };
            scale = 1.0;
            gap = -radius;
            reach = 0.5 * (radius - room);
        }
        let ax = scale * scratch[scratch_base + AXIS];
        let ay = scale * scratch[scratch_base + AXIS + 1];
        let az = scale * scratch[scratch_base + AXIS + 2];
        let nx = scratch[geom + 3] * ax + scratch[geom + 4] * ay + scratch[geom + 5] * az;
        let ny = scratch[geom + 6] * ax + scratch[geom + 7] * ay + scratch[geom + 8] * az;
        let nz = scratch[geom + 9] * ax + scratch[geom + 10] * ay + scratch[geom + 11] * az;
        push_contact(
            scratch,
            scratch_base,
            ball,
            slot,
            nx,
            ny,
            nz,
            x + reach * nx,
            y + reach * ny,
            z + reach * nz,
            gap,
        );
    }
}
