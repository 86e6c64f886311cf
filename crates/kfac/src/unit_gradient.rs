//! The gradient of a regression in two launches on a GPU: every sample's passes, then every parameter's sum.
//!
//! As tensor operations it takes some thirty, each of which a small minibatch waits for longer than it computes. Wide
//! networks stay with the tensor operations: their products are then worth a launch.

#![allow(missing_docs)] // of the modules that `cube` makes beside the functions
#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use std::ops::Range;

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{Cube, CubeBackend};
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use crate::Mlp;
use crate::unit_forward::{BLOCK, backward_unit, forward_unit, unit_memory};

/// Widest layer that units handle better than matrix products.
pub(crate) const WIDEST: usize = 128;
/// Samples a cube of the first launch.
pub(crate) const SAMPLES: u32 = 64;
/// Units a cube of the second launch: among them a sum over the samples is divided.
pub(crate) const LANES: usize = 64;

/// Forward and backward pass of one sample of one network a unit. Of each network: theta `[P]`, targets `[all, out]`, memory
/// `[2 M, n]` (activations, then derivatives), losses `[n]`; `x` is `[all, in]`, and samples `begin .. begin + n` are meant.
#[cube(launch)]
fn sample_kernel(
    shape: &[f32],
    theta: &[f32],
    x: &[f32],
    targets: &[f32],
    memory: &mut [f32],
    losses: &mut [f32],
    nets: usize,
    all: usize,
    begin: usize,
    samples: usize,
    inputs: usize,
    outputs: usize,
    nodes: usize,
    params: usize,
) {
    if ABSOLUTE_POS < nets * samples {
        let net = ABSOLUTE_POS / samples;
        let sample = ABSOLUTE_POS % samples;
        let first = net * 2 * nodes * samples + sample;
        for i in 0..inputs {
            memory[first + i * samples] = x[(begin + sample) * inputs + i];
        }
        let result = forward_unit(shape, 0usize, theta, net * params, memory, first, samples);
        let deltas = first + nodes * samples;
        let target = (net * all + begin + sample) * outputs;
        let scale = 2.0f32 / (samples as f32);
        let mut loss = 0.0f32;
        for k in 0..outputs {
            let error = memory[result + k * samples] - targets[target + k];
            loss += error * error;
            memory[deltas + (nodes - outputs + k) * samples] = error * scale;
        }
        losses[ABSOLUTE_POS] = loss;
        backward_unit(shape, theta, net * params, memory, first, deltas, samples);
    }
}

/// Sums over the samples: a cube has up to [`BLOCK`] parameters of one row of a layer, the last cube of a
/// network its loss.
#[cube(launch)]
fn sum_kernel(
    shape: &[f32],
    memory: &[f32],
    losses: &[f32],
    gradient: &mut [f32],
    loss: &mut [f32],
    samples: usize,
    nodes: usize,
    params: usize,
    tasks: usize,
) {
    let mut shared = Shared::<[f32]>::new_slice(LANES * BLOCK);
    let lane = UNIT_POS as usize;
    let net = CUBE_POS / tasks;
    let cube = CUBE_POS % tasks;
    let first = net * 2 * nodes * samples;
    // Which layer, row and columns: cubes count through rows of blocks, layer after layer.
    let layers = shape[0] as usize;
    let mut before = 0usize;
    let mut layer = 0usize;
    let mut node = 0usize;
    let mut theta = 0usize;
    let mut source = 0usize;
    let mut target = 0usize;
    let mut columns = 0usize; // none: the loss
    let mut bias = false;
    for l in 0..layers {
        let inputs = shape[2 + l] as usize;
        let outputs = shape[3 + l] as usize;
        let blocks = (outputs + BLOCK - 1) / BLOCK;
        let own = (inputs + 1) * blocks;
        if cube >= before && cube < before + own {
            let row = (cube - before) / blocks;
            let column = (cube - before) % blocks * BLOCK;
            theta = layer + row * outputs + column;
            source = node + row;
            target = nodes + node + inputs + column;
            columns = outputs - column;
            bias = row == inputs;
        }
        before += own;
        layer += (inputs + 1) * outputs;
        node += inputs;
    }
    if columns > BLOCK {
        columns = BLOCK;
    }
    let mut sums = Array::<f32>::new(BLOCK);
    #[unroll]
    for k in 0..BLOCK {
        sums[k] = 0.0f32;
    }
    let rounds = (samples + LANES - 1) / LANES;
    if columns == 0 {
        for round in 0..rounds {
            let sample = round * LANES + lane;
            if sample < samples {
                sums[0] += losses[net * samples + sample];
            }
        }
    } else {
        for round in 0..rounds {
            let sample = round * LANES + lane;
            if sample < samples {
                let a = if bias { 1.0f32 } else { memory[first + source * samples + sample] };
                #[unroll]
                for k in 0..BLOCK {
                    if k < columns {
                        sums[k] += a * memory[first + (target + k) * samples + sample];
                    }
                }
            }
        }
    }
    #[unroll]
    for k in 0..BLOCK {
        shared[lane * BLOCK + k] = sums[k];
    }
    sync_cube();
    if columns == 0 {
        if lane == 0 {
            let mut sum = 0.0f32;
            for other in 0..LANES {
                sum += shared[other * BLOCK];
            }
            loss[net] = sum / (samples as f32);
        }
    } else {
        if lane < columns {
            let mut sum = 0.0f32;
            for other in 0..LANES {
                sum += shared[other * BLOCK + lane];
            }
            gradient[net * params + theta + lane] = sum;
        }
    }
}

pub(crate) fn primitive<const D: usize>(tensor: &Tensor<D>) -> Option<CubeTensor> {
    if !matches!(tensor.device().as_dispatch(), DispatchDevice::Cube(_)) {
        return None;
    }
    tensor.clone().try_into_primitive::<Cube>().ok().map(into_contiguous)
}

pub(crate) fn empty_like(other: &CubeTensor, length: usize) -> CubeTensor {
    let (client, device) = (other.client.clone(), other.device.clone());
    empty_device_contiguous_dtype(client, device, Shape::from([length]), DType::F32)
}

/// Gradient `[P]` and loss `[1]` of [`Mlp::regression_gradient`], or `None` where tensor operations serve better: not on a
/// GPU, wide layers, or activations that no buffer holds.
pub(crate) fn regression(mlp: &Mlp, x: &Tensor<2>, targets: &Tensor<2>) -> Option<(Tensor<1>, Tensor<1>)> {
    assert_eq!(targets.dims(), [x.dims()[0], mlp.spec().output_size()], "the targets must be [N, out]");
    regression_gradients(mlp, mlp.theta(), x, &targets.clone().unsqueeze_dim(0), 0..x.dims()[0])
}

/// [`Mlp::regression_gradient`] of C networks of the shape of `mlp` on the same inputs at once, or `None` where tensor operations
/// serve better: not on a GPU, wide layers, or activations that no buffer holds.
///
/// # Shapes
/// `thetas` `[C * P]`, network after network; `x` `[N, in]`, `targets` `[C, N, out]`, of which the samples of `range` are
/// taken. Returns gradients `[C * P]` and losses `[C]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn regression_gradients(
    mlp: &Mlp,
    thetas: &Tensor<1>,
    x: &Tensor<2>,
    targets: &Tensor<3>,
    range: Range<usize>,
) -> Option<(Tensor<1>, Tensor<1>)> {
    let spec = mlp.spec();
    let ([all, inputs], [nets, _, outputs]) = (x.dims(), targets.dims());
    if range.is_empty() {
        return None;
    }
    primitive(x)?;
    assert_eq!((inputs, targets.dims()), (spec.input_size(), [nets, all, spec.output_size()]), "[N, in], [C, N, out]");
    assert!(range.end <= all && thetas.dims() == [nets * spec.num_params()], "samples in range, thetas [C * P]");
    let (theta, x, targets) = (primitive(thetas)?, primitive(x)?, primitive(targets)?);
    let (nodes, params, samples) = (unit_memory(spec), spec.num_params(), range.len());
    let most = theta.client.properties().memory.max_page_size.min(u64::from(u32::MAX)) as usize / size_of::<f32>();
    if spec.sizes().iter().any(|&size| size > WIDEST) || 2 * nodes * samples * nets > most {
        return None;
    }
    let shape = primitive(&mlp.header())?;
    let (memory, losses) = (empty_like(&theta, 2 * nodes * samples * nets), empty_like(&theta, samples * nets));
    let (gradient, loss) = (empty_like(&theta, params * nets), empty_like(&theta, nets));
    let client = theta.client.clone();
    let dim = CubeDim::new_1d(SAMPLES);
    sample_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, samples * nets, dim),
        dim,
        shape.clone().into_buffer_arg(),
        theta.into_buffer_arg(),
        x.into_buffer_arg(),
        targets.into_buffer_arg(),
        memory.clone().into_buffer_arg(),
        losses.clone().into_buffer_arg(),
        nets,
        all,
        range.start,
        samples,
        inputs,
        outputs,
        nodes,
        params,
    );
    let layers = spec.sizes().windows(2);
    let tasks: usize = layers.map(|pair| (pair[0] + 1) * pair[1].div_ceil(BLOCK)).sum::<usize>() + 1;
    sum_kernel::launch(
        &client,
        CubeCount::Static((tasks * nets) as u32, 1, 1),
        CubeDim::new_1d(LANES as u32),
        shape.into_buffer_arg(),
        memory.into_buffer_arg(),
        losses.into_buffer_arg(),
        gradient.clone().into_buffer_arg(),
        loss.clone().into_buffer_arg(),
        samples,
        nodes,
        params,
        tasks,
    );
    Some((Tensor::from_primitive::<CubeBackend>(gradient), Tensor::from_primitive::<CubeBackend>(loss)))
}
