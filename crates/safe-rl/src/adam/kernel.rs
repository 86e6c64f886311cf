//! Adam's step as one launch on a GPU, of one network or of several alike.

#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use cubecl::prelude::*;

use compute::gpu::finite::finite;
use compute::gpu::{empty_like, into_tensor, is_gpu, primitive};

/// Units of a cube. Each cube goes through the whole gradient of its network before it changes its own parameters: a
/// few thousand numbers, which takes less time than another launch.
const UNITS: usize = 256;

/// One step of several networks of `length` parameters each. A cube belongs to network `CUBE_POS / cubes`.
#[cube(launch)]
fn step_kernel(
    theta: &[f32],
    gradient: &[f32],
    first: &[f32],
    second: &[f32],
    skipped: &[f32],
    next_theta: &mut [f32],
    next_first: &mut [f32],
    next_second: &mut [f32],
    next_skipped: &mut [f32],
    rate: f32,
    correction: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    limit: f32,
    length: usize,
    cubes: usize,
) {
    let mut shared = Shared::<[f32]>::new_slice(2 * UNITS);
    let lane = UNIT_POS as usize;
    let net = CUBE_POS / cubes;
    let base = net * length;
    let mut bad = 0.0f32;
    let mut squares = 0.0f32;
    for round in 0..(length + UNITS - 1) / UNITS {
        let at = round * UNITS + lane;
        if at < length {
            let g = gradient[base + at];
            if !finite(g) {
                bad = 1.0f32;
            }
            squares += g * g;
        }
    }
    shared[lane] = bad;
    shared[UNITS + lane] = squares;
    sync_cube();
    let mut any = 0.0f32;
    let mut sum = 0.0f32;
    for other in 0..UNITS {
        any = any.max(shared[other]);
        sum += shared[UNITS + other];
    }
    let own = (CUBE_POS % cubes) * UNITS + lane;
    if own < length {
        let at = base + own;
        let mut next = theta[at];
        let mut m = first[at];
        let mut v = second[at];
        if any < 0.5 {
            let mut scale = 1.0f32;
            if limit > 0.0 {
                scale = limit / (sum.sqrt() + 1e-6f32);
                if scale > 1.0 {
                    scale = 1.0f32;
                }
            }
            let g = gradient[at] * scale;
            m = m * beta1 + g * (1.0f32 - beta1);
            v = v * beta2 + g * g * (1.0f32 - beta2);
            next = next - m * rate / ((v / correction).sqrt() + epsilon);
        }
        next_theta[at] = next;
        next_first[at] = m;
        next_second[at] = v;
        if own == 0 {
            next_skipped[net] = skipped[net] + any;
        }
    }
}

/// What a step needs beside the tensors.
pub(super) struct Rates {
    pub rate: f32,
    pub correction: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    /// Largest norm of the gradient; zero for none.
    pub limit: f32,
}

/// What a step leaves.
pub(super) struct Stepped {
    pub theta: Tensor<1>,
    pub first: Tensor<1>,
    pub second: Tensor<1>,
    pub skipped: Tensor<1>,
}

/// One step from `[theta, gradient, first, second, skipped]`, or `None` on a device without kernels. There are as many
/// networks as numbers in `skipped`.
pub(super) fn step(tensors: [&Tensor<1>; 5], rates: &Rates) -> Option<Stepped> {
    if !lives_here(tensors[0]) {
        return None;
    }
    let ([all], [nets]) = (tensors[0].dims(), tensors[4].dims());
    let length = all / nets;
    let [theta, gradient, first, second, skipped] = tensors.map(primitive);
    let theta = theta?;
    let client = theta.client.clone();
    let next = [all, all, all, nets].map(|length| empty_like(&theta, [length]));
    let cubes = length.div_ceil(UNITS);
    step_kernel::launch(
        &client,
        CubeCount::Static((cubes * nets) as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        theta.into_buffer_arg(),
        gradient?.into_buffer_arg(),
        first?.into_buffer_arg(),
        second?.into_buffer_arg(),
        skipped?.into_buffer_arg(),
        next[0].clone().into_buffer_arg(),
        next[1].clone().into_buffer_arg(),
        next[2].clone().into_buffer_arg(),
        next[3].clone().into_buffer_arg(),
        rates.rate,
        rates.correction,
        rates.beta1,
        rates.beta2,
        rates.epsilon,
        rates.limit,
        length,
        cubes,
    );
    let [theta, first, second, skipped] = next.map(into_tensor);
    Some(Stepped { theta, first, second, skipped })
}
