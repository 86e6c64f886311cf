//! A running average in one launch on a GPU, where tensor operations take three.
#![cfg(feature = "gpu")]

use burn::tensor::Tensor;
use compute::gpu::{empty_like, grid, into_tensor, primitive};
use cubecl::prelude::*;

/// Units of a cube.
const CUBE: u32 = 64;

/// One number per unit.
#[cube(launch)]
fn average_kernel(
    // sizes
    numbers: usize,
    // in
    decay: f32,
    fraction: f32,
    average: &[f32],
    new: &[f32],
    // out
    average_out: &mut [f32],
) {
    if ABSOLUTE_POS < numbers {
        average_out[ABSOLUTE_POS] = average[ABSOLUTE_POS] * decay + new[ABSOLUTE_POS] * fraction;
    }
}

/// [`super::running_average`], or `None` on a device without kernels.
pub(super) fn average(average: &Tensor<2>, new: &Tensor<2>, decay: f32, fraction: f32) -> Option<Tensor<2>> {
    let (shape, numbers) = (average.dims(), average.dims().iter().product());
    let (average, new) = (primitive(average)?, primitive(new)?);
    if numbers == 0 {
        return None;
    }
    let out = empty_like(&average, shape);
    let (count, dim) = grid(&average, numbers, CUBE);
    average_kernel::launch(
        &average.client.clone(),
        count,
        dim,
        numbers,
        decay,
        fraction,
        average.into_buffer_arg(),
        new.into_buffer_arg(),
        out.clone().into_buffer_arg(),
    );
    Some(into_tensor(out))
}
