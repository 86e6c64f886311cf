//! The factors' moving average on a GPU, a launch per update and one per bias correction.
#![cfg(feature = "gpu")]

use burn::tensor::Tensor;
use compute::gpu::{empty_like, grid, into_tensor, primitive};
use cubecl::prelude::*;

use super::Average;

/// Units of a cube.
const CUBE: u32 = 256;

/// One number per unit, the last unit the weight. Where the mask says no, everything stays as it is.
#[cube(launch)]
fn update_kernel(
    // sizes
    length: usize,
    // in
    decay: f32,
    always: u32,
    average: &[f32],
    weight: &[f32],
    sample: &[f32],
    mask: &[f32],
    // out
    average_out: &mut [f32],
    weight_out: &mut [f32],
) {
    let taken = always == 1 || mask[0] > 0.5f32;
    if ABSOLUTE_POS < length {
        let mut x = average[ABSOLUTE_POS];
        if taken {
            x = x * decay + sample[ABSOLUTE_POS] * (1.0f32 - decay);
        }
        average_out[ABSOLUTE_POS] = x;
    }
    if ABSOLUTE_POS == length {
        let mut x = weight[0];
        if taken {
            x = x * decay + (1.0f32 - decay);
        }
        weight_out[0] = x;
    }
}

/// Average `[F]` and weight `[1]` after a sample, if `mask` `[1]` is above one half or absent; `None` where they do not
/// live on a GPU.
pub(super) fn update(
    old: Average<'_>,
    sample: &Tensor<1>,
    mask: Option<&Tensor<1>>,
    decay: f32,
) -> Option<(Tensor<1>, Tensor<1>)> {
    let length = old.average.dims()[0];
    let (average, weight, sample) = (primitive(old.average)?, primitive(old.weight)?, primitive(sample)?);
    let given = match mask {
        Some(mask) => primitive(mask)?,
        None => weight.clone(), // unread
    };
    let (next, next_weight) = (empty_like(&average, [length]), empty_like(&average, [1]));
    let (cubes, dim) = grid(&average, length + 1, CUBE);
    update_kernel::launch(
        &average.client.clone(),
        cubes,
        dim,
        length,
        decay,
        u32::from(mask.is_none()),
        average.into_buffer_arg(),
        weight.into_buffer_arg(),
        sample.into_buffer_arg(),
        given.into_buffer_arg(),
        next.clone().into_buffer_arg(),
        next_weight.clone().into_buffer_arg(),
    );
    Some((into_tensor(next), into_tensor(next_weight)))
}

#[cube(launch)]
fn corrected_kernel(
    // sizes
    length: usize,
    // in
    least: f32,
    average: &[f32],
    weight: &[f32],
    // out
    flat_out: &mut [f32],
) {
    if ABSOLUTE_POS < length {
        flat_out[ABSOLUTE_POS] = average[ABSOLUTE_POS] / weight[0].max(least);
    }
}

/// `average / max(weight, least)`, `[F]`, or `None` where they do not live on a GPU.
pub(super) fn corrected(average: &Tensor<1>, weight: &Tensor<1>, least: f32) -> Option<Tensor<1>> {
    let length = average.dims()[0];
    let (average, weight) = (primitive(average)?, primitive(weight)?);
    let flat = empty_like(&average, [length]);
    let (cubes, dim) = grid(&average, length, CUBE);
    corrected_kernel::launch(
        &average.client.clone(),
        cubes,
        dim,
        length,
        least,
        average.into_buffer_arg(),
        weight.into_buffer_arg(),
        flat.clone().into_buffer_arg(),
    );
    Some(into_tensor(flat))
}
