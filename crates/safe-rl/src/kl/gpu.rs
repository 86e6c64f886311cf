//! The mean divergence in one launch on a GPU, in two where there are many samples.
//!
//! A unit adds every 256th number of its cube's block and the units' sums are added in pairs, so that the order is fixed and
//! rounding does not grow with the number of samples.

#![cfg(feature = "gpu")]
#![allow(clippy::manual_div_ceil, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use compute::gpu::sum::{UNITS, fold};
use compute::gpu::{empty_like, into_tensor, is_gpu, primitive};
use cubecl::prelude::*;

/// Numbers that a unit asks for at once: one after another, each would wait for the memory.
const AHEAD: usize = 8;
/// Numbers of a cube: so many that a minibatch of some thousand samples needs no second launch.
const PART: usize = 1 << 15;

/// `exp(x) - 1 - x`; by its series where the difference would be rounding alone.
#[cube]
fn excess(x: f32) -> f32 {
    let mut y = x.exp() - 1.0f32 - x;
    if x.abs() < 0.5f32 {
        let tail = 1.0f32 + x / 6.0f32 * (1.0f32 + x / 7.0f32 * (1.0f32 + x / 8.0f32));
        y = x * x * 0.5f32 * (1.0f32 + x / 3.0f32 * (1.0f32 + x / 4.0f32 * (1.0f32 + x / 5.0f32 * tail)));
    }
    y
}

/// The part of the divergence that the log standard deviations make, the same for every sample.
#[cube]
pub(crate) fn log_std_term(old_log_std: &[f32], log_std: &[f32], actions: usize) -> f32 {
    let mut sum = 0.0f32;
    for k in 0..actions {
        sum += excess((log_std[k] - old_log_std[k]) * -2.0f32);
    }
    sum * 0.5f32
}

/// Sum of `((left - right) / sigma)^2` over every [`UNITS`]th of the numbers `[begin, end)` of `[N, A]`; of
/// `(left / sigma)^2` where `alone` is 1.
#[cube]
pub(crate) fn unit_squares(
    left: &[f32],
    right: &[f32],
    log_std: &[f32],
    begin: usize,
    end: usize,
    actions: usize,
    unit: usize,
    alone: u32,
) -> f32 {
    let mut sum = 0.0f32;
    for round in 0..(end - begin + AHEAD * UNITS - 1) / (AHEAD * UNITS) {
        #[unroll]
        for k in 0..AHEAD {
            let at = begin + (round * AHEAD + k) * UNITS + unit;
            if at < end {
                let mut difference = left[at];
                if alone == 0 {
                    difference -= right[at];
                }
                let z = difference * (-log_std[at % actions]).exp();
                sum += z * z;
            }
        }
    }
    sum
}

/// The divergence where there is one cube, else the sum of each cube's squares.
#[cube(launch)]
fn squares_kernel(
    // sizes
    numbers: usize,
    actions: usize,
    cubes: usize,
    // in
    old_mean: &[f32],
    old_log_std: &[f32],
    mean: &[f32],
    log_std: &[f32],
    // out
    out: &mut [f32],
) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    let begin = CUBE_POS * PART;
    let mut end = begin + PART;
    if end > numbers {
        end = numbers;
    }
    shared[unit] = unit_squares(old_mean, mean, log_std, begin, end, actions, unit, 0u32);
    fold(&mut shared, 0usize, unit);
    if unit == 0 {
        let mut result = shared[0];
        if cubes == 1 {
            result = result * 0.5f32 / ((numbers / actions) as f32) + log_std_term(old_log_std, log_std, actions);
        }
        out[CUBE_POS] = result;
    }
}

/// The divergence from the cubes' sums.
#[cube(launch)]
fn finish_kernel(
    // sizes
    cubes: usize,
    numbers: usize,
    actions: usize,
    // in
    sums: &[f32],
    old_log_std: &[f32],
    log_std: &[f32],
    // out
    kl_out: &mut [f32],
) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    let mut sum = 0.0f32;
    for round in 0..(cubes + UNITS - 1) / UNITS {
        let at = round * UNITS + unit;
        if at < cubes {
            sum += sums[at];
        }
    }
    shared[unit] = sum;
    fold(&mut shared, 0usize, unit);
    if unit == 0 {
        kl_out[0] = shared[0] * 0.5f32 / ((numbers / actions) as f32) + log_std_term(old_log_std, log_std, actions);
    }
}

/// [`super::mean_gaussian_kl`], or `None` on a device without kernels.
pub(super) fn mean_kl(
    old_mean: &Tensor<2>,
    old_log_std: &Tensor<1>,
    mean: &Tensor<2>,
    log_std: &Tensor<1>,
) -> Option<Tensor<1>> {
    let [samples, actions] = mean.dims();
    let numbers = samples * actions;
    if !is_gpu(&mean.device()) || numbers == 0 {
        return None;
    }
    let (old_log_std, log_std, mean) = (primitive(old_log_std)?, primitive(log_std)?, primitive(mean)?);
    let client = mean.client.clone();
    let cubes = numbers.div_ceil(PART);
    let sums = empty_like(&mean, [cubes]);
    squares_kernel::launch(
        &client,
        CubeCount::Static(cubes as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        numbers,
        actions,
        cubes,
        primitive(old_mean)?.into_buffer_arg(),
        old_log_std.clone().into_buffer_arg(),
        mean.into_buffer_arg(),
        log_std.clone().into_buffer_arg(),
        sums.clone().into_buffer_arg(),
    );
    if cubes == 1 {
        return Some(into_tensor(sums));
    }
    let kl = empty_like(&sums, [1]);
    finish_kernel::launch(
        &client,
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        cubes,
        numbers,
        actions,
        sums.into_buffer_arg(),
        old_log_std.into_buffer_arg(),
        log_std.into_buffer_arg(),
        kl.clone().into_buffer_arg(),
    );
    Some(into_tensor(kl))
}
