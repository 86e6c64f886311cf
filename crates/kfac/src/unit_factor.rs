//! The factors' moving average and the seeds of the exact Fisher matrix on a GPU, a launch each.

use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use crate::unit_gradient::{empty_like, primitive};

/// Units a cube.
const CUBE: u32 = 256;

/// A number a unit, the last unit the weight. Where the mask says no, everything stays as it is.
#[cube(launch)]
fn update_kernel(
    average: &[f32],
    weight: &[f32],
    sample: &[f32],
    mask: &[f32],
    next: &mut [f32],
    next_weight: &mut [f32],
    length: usize,
    decay: f32,
    always: u32,
) {
    let taken = always == 1 || mask[0] > 0.5f32;
    if ABSOLUTE_POS < length {
        let mut x = average[ABSOLUTE_POS];
        if taken {
            x = x * decay + sample[ABSOLUTE_POS] * (1.0f32 - decay);
        }
        next[ABSOLUTE_POS] = x;
    }
    if ABSOLUTE_POS == length {
        let mut x = weight[0];
        if taken {
            x = x * decay + (1.0f32 - decay);
        }
        next_weight[0] = x;
    }
}

/// Average `[F]` and weight `[1]` after a sample, if `mask` `[1]` is above one half or absent; `None` where they do not
/// live on a GPU.
pub(crate) fn update(
    [average, weight, sample]: [&Tensor<1>; 3],
    mask: Option<&Tensor<1>>,
    decay: f32,
) -> Option<(Tensor<1>, Tensor<1>)> {
    let length = average.dims()[0];
    let (average, weight, sample) = (primitive(average)?, primitive(weight)?, primitive(sample)?);
    let given = match mask {
        Some(mask) => primitive(mask)?,
        None => weight.clone(), // unread
    };
    let (next, next_weight) = (empty_like(&average, length), empty_like(&average, 1));
    let (client, dim) = (average.client.clone(), CubeDim::new_1d(CUBE));
    update_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, length + 1, dim),
        dim,
        average.into_buffer_arg(),
        weight.into_buffer_arg(),
        sample.into_buffer_arg(),
        given.into_buffer_arg(),
        next.clone().into_buffer_arg(),
        next_weight.clone().into_buffer_arg(),
        length,
        decay,
        u32::from(mask.is_none()),
    );
    let [next, next_weight] = [next, next_weight].map(Tensor::from_primitive::<CubeBackend>);
    Some((next, next_weight))
}

#[cube(launch)]
fn corrected_kernel(average: &[f32], weight: &[f32], flat: &mut [f32], length: usize, least: f32) {
    if ABSOLUTE_POS < length {
        flat[ABSOLUTE_POS] = average[ABSOLUTE_POS] / weight[0].max(least);
    }
}

/// `average / max(weight, least)`, `[F]`, or `None` where they do not live on a GPU.
pub(crate) fn corrected(average: &Tensor<1>, weight: &Tensor<1>, least: f32) -> Option<Tensor<1>> {
    let length = average.dims()[0];
    let (average, weight) = (primitive(average)?, primitive(weight)?);
    let flat = empty_like(&average, length);
    let (client, dim) = (average.client.clone(), CubeDim::new_1d(CUBE));
    corrected_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, length, dim),
        dim,
        average.into_buffer_arg(),
        weight.into_buffer_arg(),
        flat.clone().into_buffer_arg(),
        length,
        least,
    );
    Some(Tensor::from_primitive::<CubeBackend>(flat))
}

#[cube(launch)]
fn seeds_kernel(log_std: &[f32], seeds: &mut [f32], outputs: usize) {
    if ABSOLUTE_POS < outputs * outputs {
        let row = ABSOLUTE_POS / outputs;
        let mut seed = 0.0f32;
        if row == ABSOLUTE_POS % outputs {
            seed = (-log_std[row]).exp();
        }
        seeds[ABSOLUTE_POS] = seed;
    }
}

/// Row k is `e_k / sigma_k`, `[out, out]`; `None` where `log_std` `[out]` does not live on a GPU.
pub(crate) fn exact_seeds(log_std: &Tensor<1>) -> Option<Tensor<2>> {
    let [outputs] = log_std.dims();
    let log_std = primitive(log_std)?;
    let seeds = empty_like(&log_std, outputs * outputs);
    let (client, dim) = (log_std.client.clone(), CubeDim::new_1d(CUBE));
    seeds_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, outputs * outputs, dim),
        dim,
        log_std.into_buffer_arg(),
        seeds.clone().into_buffer_arg(),
        outputs,
    );
    Some(Tensor::<1>::from_primitive::<CubeBackend>(seeds).reshape([outputs, outputs]))
}
