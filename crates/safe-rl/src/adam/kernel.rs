//! Adam's step as two launches on a GPU: whether the gradient is finite and its norm, then every parameter.

#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use crate::launch::{empty_like, lives_here, primitive, tensor};
use crate::unit_decide::finite;

/// Units of the one cube that looks through the gradient.
const LANES: usize = 256;
/// Units a cube of the step.
const CUBE: u32 = 64;
/// `about = [1 where some value is not finite, sum of squares]`.
#[cube(launch)]
fn look_kernel(gradient: &[f32], about: &mut [f32], length: usize) {
    let mut shared = Shared::<[f32]>::new_slice(2 * LANES);
    let lane = UNIT_POS as usize;
    let mut bad = 0.0f32;
    let mut squares = 0.0f32;
    for round in 0..(length + LANES - 1) / LANES {
        let at = round * LANES + lane;
        if at < length {
            let g = gradient[at];
            if !finite(g) {
                bad = 1.0f32;
            }
            squares += g * g;
        }
    }
    shared[lane] = bad;
    shared[LANES + lane] = squares;
    sync_cube();
    if lane == 0 {
        let mut any = 0.0f32;
        let mut sum = 0.0f32;
        for other in 0..LANES {
            any = any.max(shared[other]);
            sum += shared[LANES + other];
        }
        about[0] = any;
        about[1] = sum;
    }
}

/// Writes parameters, moments and the number of steps skipped anew.
#[cube(launch)]
fn step_kernel(
    theta: &[f32],
    gradient: &[f32],
    first: &[f32],
    second: &[f32],
    skipped: &[f32],
    about: &[f32],
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
) {
    let at = ABSOLUTE_POS;
    if at < length {
        let mut next = theta[at];
        let mut m = first[at];
        let mut v = second[at];
        let bad = about[0];
        if bad < 0.5 {
            let mut scale = 1.0f32;
            if limit > 0.0 {
                scale = limit / (about[1].sqrt() + 1e-6f32);
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
        if at == 0 {
            next_skipped[0] = skipped[0] + bad;
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

/// One step from `[theta, gradient, first, second, skipped]`, or `None` on a device without kernels.
pub(super) fn step(tensors: [&Tensor<1>; 5], rates: &Rates) -> Option<Stepped> {
    if !lives_here(tensors[0]) {
        return None;
    }
    let length = tensors[0].dims()[0];
    let [theta, gradient, first, second, skipped] = tensors.map(primitive);
    let (theta, gradient) = (theta?, gradient?);
    let client = theta.client.clone();
    let about = empty_like(&theta, 2);
    let next = [length, length, length, 1].map(|length| empty_like(&theta, length));
    look_kernel::launch(
        &client,
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(LANES as u32),
        gradient.clone().into_buffer_arg(),
        about.clone().into_buffer_arg(),
        length,
    );
    let dim = CubeDim::new_1d(CUBE);
    step_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, length, dim),
        dim,
        theta.into_buffer_arg(),
        gradient.into_buffer_arg(),
        first?.into_buffer_arg(),
        second?.into_buffer_arg(),
        skipped?.into_buffer_arg(),
        about.into_buffer_arg(),
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
    );
    let [theta, first, second, skipped] = next.map(tensor);
    Some(Stepped { theta, first, second, skipped })
}
