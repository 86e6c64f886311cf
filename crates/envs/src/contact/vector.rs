//! Three numbers that belong together.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

/// A vector in world axes.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "gpu", derive(CubeType))]
pub(crate) struct Vec3 {
    pub x: f32,
    pub y: f32,
    pub z: f32,
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn vec3(x: f32, y: f32, z: f32) -> Vec3 {
    Vec3 { x, y, z }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn cross(a: &Vec3, b: &Vec3) -> Vec3 {
    vec3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)
}
