//! Whether a number is finite, for kernels.

#![allow(missing_docs)] // of the modules that `cube` makes for the functions

use cubecl::prelude::*;

/// The exponent of a float32: all ones in infinities and NaN.
const EXPONENT: u32 = 0x7f80_0000;

/// Whether a number is finite, by its bits: compilers of shaders may assume that comparisons meet no NaN.
#[cube]
pub fn finite(x: f32) -> bool {
    (u32::reinterpret(x) & EXPONENT) != EXPONENT
}
