//! Natural gradients of all layers in two launches on a GPU: a number per unit, first `A~^-1 V`, then times `G~^-1`.
#![cfg(feature = "gpu")]
#![allow(clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use compute::gpu::{empty_like, grid, into_tensor, primitive};
use cubecl::prelude::*;

use crate::factor::layout::FactorLayout;
use crate::inverse::gpu::LARGEST;

/// Units of a cube.
const CUBE: u32 = 64;

/// One side's product: from the left with the inverse of the inputs' factor, or from the right with that of the outputs'.
/// `table` has the beginning and the order of every matrix; numbers behind the network's are divided.
#[cube(launch)]
fn side_kernel(
    // sizes
    layers: usize,
    params: usize,
    width: usize,
    seeds: usize,
    // in
    left: u32,
    divisor: f32,
    table: &[f32],
    inverses: &[f32],
    vectors: &[f32],
    // out
    vectors_out: &mut [f32],
) {
    if ABSOLUTE_POS < seeds * width {
        let base = ABSOLUTE_POS / width * width;
        let own = ABSOLUTE_POS % width;
        let mut result = 0.0f32;
        if own >= params {
            result = vectors[ABSOLUTE_POS] / divisor;
        } else {
            let mut start = 0usize;
            for l in 0..layers {
                let rows = table[4 * l + 1] as usize;
                let columns = table[4 * l + 3] as usize;
                if own >= start && own < start + rows * columns {
                    let i = (own - start) / columns;
                    let j = (own - start) % columns;
                    if left == 1 {
                        let a = table[4 * l] as usize + i * rows;
                        for k in 0..rows {
                            result += inverses[a + k] * vectors[base + start + k * columns + j];
                        }
                    } else {
                        let g = table[4 * l + 2] as usize + j;
                        for k in 0..columns {
                            result += vectors[base + start + i * columns + k] * inverses[g + k * columns];
                        }
                    }
                }
                start += rows * columns;
            }
        }
        vectors_out[ABSOLUTE_POS] = result;
    }
}

/// Natural gradients of `gradients` `[S, P + A]` by the inverses `flat` `[F]`, the last A numbers of each divided by
/// `log_std_block`; `None` where tensor operations serve better: not on a GPU, or a large matrix.
pub(super) fn natural_gradients(
    layout: &FactorLayout,
    flat: &Tensor<1>,
    gradients: &Tensor<2>,
    log_std_block: f32,
) -> Option<Tensor<2>> {
    let [seeds, width] = gradients.dims();
    if seeds == 0 || (0..layout.count()).any(|i| layout.order(i) > LARGEST) {
        return None;
    }
    let (inverses, vectors) = (primitive(flat)?, primitive(gradients)?);
    let table = primitive(&layout.table(&flat.device()))?;
    let (half, whole) = (empty_like(&vectors, [seeds, width]), empty_like(&vectors, [seeds, width]));
    let client = vectors.client.clone();
    for (left, divisor, from, to) in [(1u32, log_std_block, vectors, half.clone()), (0, 1.0, half, whole.clone())] {
        let (cubes, dim) = grid(&from, seeds * width, CUBE);
        side_kernel::launch(
            &client,
            cubes,
            dim,
            layout.count() / 2,
            layout.num_params(),
            width,
            seeds,
            left,
            divisor,
            table.clone().into_buffer_arg(),
            inverses.clone().into_buffer_arg(),
            from.into_buffer_arg(),
            to.into_buffer_arg(),
        );
    }
    Some(into_tensor(whole))
}
