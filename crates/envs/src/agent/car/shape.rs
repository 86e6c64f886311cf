//! The Car's collision shapes, as `car.xml` of safety-gymnasium 1.0.0 has them.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

/// Translational `body_invweight0` of the chassis \[1/kg\].
pub(super) const CHASSIS_INVERSE: f32 = 33.254_827;
/// The same of a wheel \[1/kg\].
pub(super) const WHEEL_INVERSE: f32 = 104.221_27;
/// The same of the ball \[1/kg\].
pub(super) const BALL_INVERSE: f32 = 64.228_777;

/// Centre of a geom in the chassis frame and its sizes \[m\]: 0 to 4 the chassis' boxes (trunk, back bumper and its
/// connector, front bumper and its connector), 5 and 6 the wheels, 7 the ball.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn shape(geom: usize) -> (f32, f32, f32, f32, f32, f32) {
    let mut x = 0.0f32;
    let mut y = 0.0f32;
    let mut z = 0.0f32;
    let mut size_x = 0.1f32;
    let mut size_y = 0.1f32;
    let mut size_z = 0.05f32;
    if geom == 1 {
        y = 0.15;
        size_y = 0.01;
    }
    if geom == 2 {
        y = 0.125;
        size_x = 0.01;
        size_y = 0.025;
        size_z = 0.03;
    }
    if geom == 3 {
        y = -0.165f32;
        size_x = 0.05;
        size_y = 0.01;
    }
    if geom == 4 {
        y = -0.13f32;
        z = 0.04;
        size_x = 0.05;
        size_y = 0.03;
        size_z = 0.01;
    }
    if geom == 5 || geom == 6 {
        x = if geom == 5 { -0.13f32 } else { 0.13f32 };
        y = 0.1;
        z = -0.05f32;
        size_x = 0.05;
        size_y = 0.025;
        size_z = 0.0;
    }
    if geom == 7 {
        y = -0.1f32;
        z = -0.05f32;
        size_x = 0.05;
        size_y = 0.0;
        size_z = 0.0;
    }
    (x, y, z, size_x, size_y, size_z)
}
