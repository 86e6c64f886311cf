//! The Racecar's collision shapes, as `racecar.xml` of safety-gymnasium 1.0.0 has them. The ring of the rear differential, which
//! lies inside the trunk, is left out.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

/// Centre of a geom in the chassis frame and its sizes \[m\]: 0 the bumper, 1 the trunk (a hull), 2 and 3 the front wheels, which
/// are elsewhere when steered, 4 and 5 the rear wheels.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn shape(geom: usize) -> (f32, f32, f32, f32, f32, f32) {
    let mut x = 0.23f32;
    let mut y = 0.0f32;
    let mut z = 0.04f32;
    let mut size_x = 0.0165f32;
    let mut size_y = 0.0875f32;
    let mut size_z = 0.015f32;
    if geom == 1 {
        x = -0.004_420_073f32;
        y = -0.000_382_666f32;
        z = 0.0;
        size_x = 0.209_615_46;
        size_y = 0.101_253_09;
        size_z = 0.03;
    }
    if geom > 1 {
        x = if geom < 4 { 0.165f32 } else { -0.16f32 };
        y = if geom == 2 || geom == 4 { 0.1225f32 } else { -0.1225f32 };
        z = 0.0;
        size_x = 0.05;
        size_y = 0.0225;
        size_z = 0.0;
    }
    (x, y, z, size_x, size_y, size_z)
}
