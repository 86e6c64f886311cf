//! `mj_kinematics` of shapes turned about the vertical and of what stands still, written into the scratch.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::*;

/// Fills the slot of what never moves.
#[cfg_attr(feature = "gpu", cube)]
pub fn load_static(scratch: &mut [f32], scratch_base: usize) {
    let fixed = body(scratch_base, STATIC_SLOT);
    for k in 0..BODY_LEN {
        scratch[fixed + k] = 0.0;
    }
}

/// Copies the 15 numbers of the geom at `from` to `to`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn copy_geom(scratch: &mut [f32], from: usize, to: usize) {
    on_cpu!(grouped::in_use(), grouped::copy_geom(scratch, from, to));
    for k in 0..15usize {
        scratch[to + k] = scratch[from + k];
    }
}

/// Writes a geom at `geom`: centre (x, y, z), turned by the yaw about z, half sizes.
#[cfg_attr(feature = "gpu", cube)]
pub fn place_upright_box(
    scratch: &mut [f32],
    geom: usize,
    x: f32,
    y: f32,
    z: f32,
    cos: f32,
    sin: f32,
    half_x: f32,
    half_y: f32,
    half_z: f32,
) {
    scratch[geom] = x;
    scratch[geom + 1] = y;
    scratch[geom + 2] = z;
    scratch[geom + 3] = cos;
    scratch[geom + 4] = -sin;
    scratch[geom + 5] = 0.0;
    scratch[geom + 6] = sin;
    scratch[geom + 7] = cos;
    scratch[geom + 8] = 0.0;
    scratch[geom + 9] = 0.0;
    scratch[geom + 10] = 0.0;
    scratch[geom + 11] = 1.0;
    scratch[geom + 12] = half_x;
    scratch[geom + 13] = half_y;
    scratch[geom + 14] = half_z;
}
