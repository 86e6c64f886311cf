//! Sums by the units of a cube: in a fixed order, and in pairs, so that rounding does not grow with their number.

#![allow(missing_docs)] // of the modules that `cube` makes for the functions
#![allow(clippy::assign_op_pattern)] // the Rust of kernels

use cubecl::prelude::*;

/// Units of a cube that sums.
pub const UNITS: usize = 256;

/// Leaves the sum of `sums[first .. first + UNITS]` at `sums[first]`; the other numbers of the range are overwritten. Every
/// unit of the cube must call it, since units wait for one another here.
#[cube]
pub fn fold(sums: &mut [f32], first: usize, unit: usize) {
    sync_cube();
    let mut width = (UNITS / 2).runtime();
    while width > 0 {
        if unit < width {
            sums[first + unit] = sums[first + unit] + sums[first + unit + width];
        }
        sync_cube();
        width = width / 2;
    }
}
