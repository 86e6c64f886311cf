//! Sums by the units of a cube: in a fixed order, and in pairs, so that rounding does not grow with their number.

#![allow(missing_docs)] // of the modules that `cube` makes beside the functions
#![allow(clippy::assign_op_pattern)] // the Rust of kernels

use cubecl::prelude::*;

/// Units of a cube that sums.
pub(crate) const LANES: usize = 256;

/// The sum of `sums[first .. first + LANES]` in its first place; the others are spoiled. All units must come here.
#[cube]
pub(crate) fn fold(sums: &mut [f32], first: usize, lane: usize) {
    sync_cube();
    let mut width = (LANES / 2).runtime();
    while width > 0 {
        if lane < width {
            sums[first + lane] = sums[first + lane] + sums[first + lane + width];
        }
        sync_cube();
        width = width / 2;
    }
}
