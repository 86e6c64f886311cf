//! The network on a GPU: a unit goes through one sample, then a cube sums a tile of parameters over the samples.
//!
//! Networks that are not wide take a launch or two per pass; as tensor operations a pass is dozens of launches, each of
//! which a small minibatch waits for longer than it computes. Wide networks stay with the tensor operations, whose products
//! are then worth a launch.
#![cfg(feature = "gpu")]

pub(crate) mod sample;
pub(crate) mod tile;

use burn::tensor::Tensor;
use compute::gpu::{CubeTensor, empty_like, grid, into_tensor, largest_buffer, primitive};
use cubecl::prelude::*;

use self::sample::forward_unit;
use super::Mlp;
use super::spec::MlpSpec;

/// Widest layer that units handle better than matrix products.
const WIDEST: usize = 128;
/// Most samples of a forward pass: beyond them matrix products keep a GPU busy, and activations need not be kept.
const MOST_SAMPLES: usize = 1 << 16;
/// Samples of a cube, one per unit.
pub(super) const CUBE_SAMPLES: u32 = 64;

#[cube(launch)]
fn forward_kernel(
    // sizes
    samples: usize,
    inputs: usize,
    outputs: usize,
    // in
    shape: &[f32],
    theta: &[f32],
    x: &[f32],
    // out
    memory_out: &mut [f32],
    values_out: &mut [f32],
) {
    if ABSOLUTE_POS < samples {
        let sample = ABSOLUTE_POS;
        for i in 0..inputs {
            memory_out[i * samples + sample] = x[sample * inputs + i];
        }
        let result = forward_unit(shape, 0usize, theta, 0usize, memory_out, sample, samples);
        for k in 0..outputs {
            values_out[sample * outputs + k] = memory_out[result + k * samples];
        }
    }
}

/// Whether every layer is narrow enough for units.
pub(super) fn is_narrow(spec: &MlpSpec) -> bool {
    spec.sizes().iter().all(|&size| size <= WIDEST)
}

/// Network and samples, if units serve them: not wide, not too many, with a buffer for activations and derivatives, all on
/// a GPU.
pub(super) fn on_gpu(mlp: &Mlp, x: &Tensor<2>) -> Option<(CubeTensor, CubeTensor)> {
    let (spec, samples) = (mlp.spec(), x.dims()[0]);
    if !is_narrow(spec) || samples == 0 || samples > MOST_SAMPLES {
        return None;
    }
    let theta = primitive(mlp.theta())?;
    if 2 * spec.num_nodes() * samples > largest_buffer(&theta) {
        return None;
    }
    Some((theta, primitive(x)?))
}

/// Outputs `[N, out]`, or `None` where tensor operations serve better.
pub(super) fn forward(mlp: &Mlp, x: &Tensor<2>) -> Option<Tensor<2>> {
    let (spec, [samples, inputs]) = (mlp.spec(), x.dims());
    let (theta, x) = on_gpu(mlp, x)?;
    let shape = primitive(&spec.header(&mlp.theta().device()))?;
    let memory = empty_like(&theta, [spec.num_nodes() * samples]);
    let values = empty_like(&theta, [samples, spec.output_size()]);
    let (cubes, dim) = grid(&theta, samples, CUBE_SAMPLES);
    forward_kernel::launch(
        &theta.client.clone(),
        cubes,
        dim,
        samples,
        inputs,
        spec.output_size(),
        shape.into_buffer_arg(),
        theta.into_buffer_arg(),
        x.into_buffer_arg(),
        memory.into_buffer_arg(),
        values.clone().into_buffer_arg(),
    );
    Some(into_tensor(values))
}
