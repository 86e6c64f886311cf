//! `mju_`'s three-vectors: three numbers that belong together. The Car has its own (`agent/car/floor_contact.rs`), over
//! any kind of number.

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

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn dot(a: &Vec3, b: &Vec3) -> f32 {
    a.x * b.x + a.y * b.y + a.z * b.z
}

/// a - b.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn minus(a: &Vec3, b: &Vec3) -> Vec3 {
    vec3(a.x - b.x, a.y - b.y, a.z - b.z)
}

/// a scaled to length 1 (a zero vector stays one).
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn unit(a: &Vec3) -> Vec3 {
    let scale = 1.0 / (a.x * a.x + a.y * a.y + a.z * a.z).sqrt().max(1e-30);
    vec3(a.x * scale, a.y * scale, a.z * scale)
}

/// The vector at `index`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn read_vec3(scratch: &mut [f32], index: usize) -> Vec3 {
    vec3(scratch[index], scratch[index + 1], scratch[index + 2])
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn write_vec3(scratch: &mut [f32], index: usize, v: &Vec3) {
    scratch[index] = v.x;
    scratch[index + 1] = v.y;
    scratch[index + 2] = v.z;
}
