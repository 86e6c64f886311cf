//! What the CPU paths are made of: products of padded matrices on every vector width, and the memory they work in.

pub(crate) mod gemm;
pub(crate) mod pack;
pub(crate) mod recycle;
pub(crate) mod scratch;
#[cfg(test)]
mod tests;
pub(crate) mod width;

use pulp::{Arch, Simd, WithSimd};

/// Float32 numbers in a vector of the CPU paths on this processor: 16 with AVX-512, 8 with AVX2, 4 with NEON, 1 without any.
/// Bits repeat where it is the same.
pub fn vector_lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}
