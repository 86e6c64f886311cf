//! The Gram matrix in one launch on a GPU, a cube per entry.
#![cfg(feature = "gpu")]
#![allow(clippy::manual_div_ceil, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use compute::gpu::sum::{UNITS, fold};
use compute::gpu::{empty_like, into_tensor, primitive};
use cubecl::prelude::*;

/// Numbers that a unit asks for at once: one after another, each would wait for the memory.
const AHEAD: usize = 4;

/// `(l_i . r_j + l_j . r_i) / 2` of the rows of `[S, P]`, entry `(i, j)` by cube `i S + j`.
#[cube(launch)]
fn gram_kernel(
    // sizes
    objectives: usize,
    length: usize,
    // in
    left: &[f32],
    right: &[f32],
    // out
    gram_out: &mut [f32],
) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    let i = CUBE_POS / objectives;
    let j = CUBE_POS % objectives;
    // Either order of (i, j) adds the same numbers in the same order: the matrix is symmetric to the last bit.
    let low = if j < i { j } else { i };
    let high = if j < i { i } else { j };
    let mut one = 0.0f32;
    let mut other = 0.0f32;
    for round in 0..(length + AHEAD * UNITS - 1) / (AHEAD * UNITS) {
        #[unroll]
        for k in 0..AHEAD {
            let p = (round * AHEAD + k) * UNITS + unit;
            if p < length {
                one += left[low * length + p] * right[high * length + p];
                other += left[high * length + p] * right[low * length + p];
            }
        }
    }
    shared[unit] = (one + other) * 0.5f32;
    fold(&mut shared, 0usize, unit);
    if unit == 0 {
        gram_out[CUBE_POS] = shared[0];
    }
}

/// [`super::Products::metric`], or `None` on a device without kernels.
pub(super) fn gram(left: &Tensor<2>, right: &Tensor<2>) -> Option<Tensor<2>> {
    let [objectives, length] = left.dims();
    let (left, right) = (primitive(left)?, primitive(right)?);
    let gram = empty_like(&left, [objectives, objectives]);
    gram_kernel::launch(
        &left.client.clone(),
        CubeCount::Static((objectives * objectives) as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        objectives,
        length,
        left.into_buffer_arg(),
        right.into_buffer_arg(),
        gram.clone().into_buffer_arg(),
    );
    Some(into_tensor(gram))
}
