//! Adam's step as one launch on a GPU, whatever the number of networks.
#![cfg(feature = "gpu")]
#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use compute::gpu::finite::finite;
use compute::gpu::{empty_like, into_tensor, primitive};
use cubecl::prelude::*;

use super::{Adam, Rates};

/// Units of a cube. Each cube goes through the whole gradient of its network before it changes its own parameters: a
/// few thousand numbers, which takes less time than another launch.
const UNITS: usize = 256;

/// One step of several networks of `length` parameters each. A cube belongs to network `CUBE_POS / cubes`.
#[cube(launch)]
fn step_kernel(
    // sizes
    length: usize,
    cubes: usize,
    row: usize,
    // in
    rate: f32,
    correction: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    limit: f32,
    rates: &[f32],
    theta: &[f32],
    gradient: &[f32],
    first: &[f32],
    second: &[f32],
    skipped: &[f32],
    // out
    theta_out: &mut [f32],
    first_out: &mut [f32],
    second_out: &mut [f32],
    skipped_out: &mut [f32],
    #[comptime] planned: bool,
) {
    let mut shared = Shared::<[f32]>::new_slice(2 * UNITS);
    let unit = UNIT_POS as usize;
    let net = CUBE_POS / cubes;
    let base = net * length;
    let mut bad = 0.0f32;
    let mut squares = 0.0f32;
    for round in 0..(length + UNITS - 1) / UNITS {
        let i = round * UNITS + unit;
        if i < length {
            let g = gradient[base + i];
            if !finite(g) {
                bad = 1.0f32;
            }
            squares += g * g;
        }
    }
    shared[unit] = bad;
    shared[UNITS + unit] = squares;
    sync_cube();
    let mut any = 0.0f32;
    let mut sum = 0.0f32;
    for other in 0..UNITS {
        any = any.max(shared[other]);
        sum += shared[UNITS + other];
    }
    let mut rate = rate;
    let mut correction = correction;
    if planned {
        rate = rates[2 * row];
        correction = rates[2 * row + 1];
    }
    let own = (CUBE_POS % cubes) * UNITS + unit;
    if own < length {
        let i = base + own;
        let mut next = theta[i];
        let mut m = first[i];
        let mut v = second[i];
        if any < 0.5 {
            let mut scale = 1.0f32;
            if limit > 0.0 {
                scale = limit / (sum.sqrt() + 1e-6f32);
                if scale > 1.0 {
                    scale = 1.0f32;
                }
            }
            let g = gradient[i] * scale;
            m = m * beta1 + g * (1.0f32 - beta1);
            v = v * beta2 + g * g * (1.0f32 - beta2);
            next = next - m * rate / ((v / correction).sqrt() + epsilon);
        }
        theta_out[i] = next;
        first_out[i] = m;
        second_out[i] = v;
        if own == 0 {
            skipped_out[net] = skipped[net] + any;
        }
    }
}

/// [`Adam::step`], or `None` on a device without kernels.
pub(super) fn step(adam: &mut Adam, rates: &Rates, theta: &Tensor<1>, gradient: &Tensor<1>) -> Option<Tensor<1>> {
    let (theta, gradient) = (primitive(theta)?, primitive(gradient)?);
    let (first, second, skipped) = (primitive(&adam.first)?, primitive(&adam.second)?, primitive(&adam.skipped)?);
    // Without a plan, or beyond its end, the constants are arguments, and in the plan's place stands a buffer that is not read.
    let (planned, rates_ahead, row) = match adam.planned_row() {
        Some((rates, row)) => (true, primitive(rates)?, row),
        None => (false, theta.clone(), 0),
    };
    let ([all], [networks]) = (adam.first.dims(), adam.skipped.dims());
    let length = all / networks;
    let out = [all, all, all, networks].map(|length| empty_like(&theta, [length]));
    let cubes = length.div_ceil(UNITS);
    step_kernel::launch(
        &theta.client.clone(),
        CubeCount::Static((cubes * networks) as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        length,
        cubes,
        row,
        rates.rate,
        rates.correction,
        rates.beta1,
        rates.beta2,
        rates.epsilon,
        rates.limit.unwrap_or(0.0),
        rates_ahead.into_buffer_arg(),
        theta.into_buffer_arg(),
        gradient.into_buffer_arg(),
        first.into_buffer_arg(),
        second.into_buffer_arg(),
        skipped.into_buffer_arg(),
        out[0].clone().into_buffer_arg(),
        out[1].clone().into_buffer_arg(),
        out[2].clone().into_buffer_arg(),
        out[3].clone().into_buffer_arg(),
        planned,
    );
    let [theta, first, second, skipped] = out.map(into_tensor);
    (adam.first, adam.second, adam.skipped) = (first, second, skipped);
    Some(theta)
}
