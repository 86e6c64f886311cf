//! The one mesh of the suite that is collided with: the Racecar's trunk, a plate with rounded corners and the ends of two axles.
//!
//! MuJoCo collides the convex hull of `chassis_differential.STL`. It looks the same from above and below and from left and
//! right (corners within flat faces apart), so that 19 corners with positive y and z stand for all.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::vector::{Vec3, vec3};

/// Corners with y >= 0 and z >= 0.
const CORNERS: usize = 19;
/// The hull's centre, MuJoCo's, from which points count: x, y from the body origin \[m\].
const CENTRE_X: f32 = -0.004_420_073;
const CENTRE_Y: f32 = -0.000_382_666;

/// Corner `i`, from the body origin \[m\].
#[cfg_attr(feature = "gpu", cube)]
fn corner(i: usize) -> (f32, f32, f32) {
    let mut x = 0.0f32;
    let mut y = 0.07f32;
    let mut z = 0.03f32;
    // The plate's outline, from the back.
    if i == 0 {
        x = -0.2f32;
    }
    if i == 1 {
        x = -0.198_478f32;
        y = 0.077_654f32;
    }
    if i == 2 {
        x = -0.194_142f32;
        y = 0.084_142f32;
    }
    if i == 3 {
        x = -0.187_654f32;
        y = 0.088_478f32;
    }
    if i == 4 {
        x = -0.18f32;
        y = 0.09f32;
    }
    if i == 5 {
        x = 0.075f32;
        y = 0.09f32;
    }
    if i == 6 {
        x = 0.082_654f32;
        y = 0.088_478f32;
    }
    if i == 7 {
        x = 0.192_654f32;
        y = 0.058_478f32;
    }
    if i == 8 {
        x = 0.199_142f32;
        y = 0.054_142f32;
    }
    if i == 9 {
        x = 0.203_478f32;
        y = 0.047_654f32;
    }
    if i == 10 {
        x = 0.205f32;
        y = 0.04f32;
    }
    // The ends of the rear axle, then of the front one: polygons of 5 mm radius.
    if i > 10 {
        y = 0.1f32;
        z = 0.0;
    }
    if i == 11 {
        x = -0.165f32;
    }
    if i == 12 {
        x = -0.164_33f32;
        z = 0.002_5f32;
    }
    if i == 13 {
        x = -0.162_5f32;
        z = 0.004_33f32;
    }
    if i == 14 {
        x = -0.16f32;
        z = 0.005f32;
    }
    if i == 15 {
        x = 0.165f32;
        z = 0.005f32;
    }
    if i == 16 {
        x = 0.167_5f32;
        z = 0.004_33f32;
    }
    if i == 17 {
        x = 0.169_33f32;
        z = 0.002_5f32;
    }
    if i == 18 {
        x = 0.17f32;
    }
    (x, y, z)
}

/// The hull's farthest corner in the direction (`dx`, `dy`, `dz`) along its axes, from its centre.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn farthest(dx: f32, dy: f32, dz: f32) -> Vec3 {
    // The origin is within: some corner lies ahead of it.
    let mut best = 0.0f32;
    let mut x = 0.0f32;
    let mut y = 0.0f32;
    let mut z = 0.0f32;
    for i in 0..CORNERS {
        let (cx, cy, cz) = corner(i);
        let reach = cx * dx + cy * dy.abs() + cz * dz.abs();
        if reach > best {
            best = reach;
            x = cx;
            y = cy;
            z = cz;
        }
    }
    vec3(x - CENTRE_X, (if dy < 0.0 { -y } else { y }) - CENTRE_Y, if dz < 0.0 { -z } else { z })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plate_reaches_as_far_as_the_mesh() {
        let near = |v: Vec3, x: f32, y: f32, z: f32| {
            let (gx, gy, gz) = (v.x + CENTRE_X, v.y + CENTRE_Y, v.z);
            assert!((gx - x).abs() + (gy - y).abs() + (gz - z).abs() < 1e-6, "{gx} {gy} {gz}");
        };
        near(farthest(1.0, 0.1, 0.1), 0.205, 0.04, 0.03);
        near(farthest(-1.0, -0.1, -0.1), -0.2, -0.07, -0.03);
        near(farthest(0.01, 1.0, 0.05), 0.165, 0.1, 0.005);
        near(farthest(0.0, -0.3, 1.0), -0.18, -0.09, 0.03);
    }
}
