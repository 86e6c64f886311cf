//! The gradients of several networks' regressions in two launches on a GPU: every sample's passes, then every parameter's
//! sum.
#![cfg(feature = "gpu")]
#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use std::ops::Range;

use burn::tensor::Tensor;
use compute::gpu::{empty_like, grid, into_tensor, largest_buffer, primitive};
use cubecl::prelude::*;

use crate::mlp::gpu::sample::{backward_unit, forward_unit};
use crate::mlp::gpu::tile::{NO_ONES, Rows, SUM_UNITS, TILE, TILE_SUMS, add_products, fold_row};
use crate::mlp::gpu::{CUBE_SAMPLES, is_narrow};
use crate::mlp::spec::MlpSpec;

/// Forward and backward pass, one sample of one network per unit. Of each network: theta `[P]`, targets `[N, out]`, memory
/// `[2 M, n]` (activations, then derivatives), losses `[n]`; of `x` `[N, in]` the samples `begin .. begin + n` are taken.
#[cube(launch)]
fn sample_kernel(
    // sizes
    networks: usize,
    all: usize,
    begin: usize,
    samples: usize,
    inputs: usize,
    outputs: usize,
    nodes: usize,
    params: usize,
    // in
    shape: &[f32],
    theta: &[f32],
    x: &[f32],
    targets: &[f32],
    // out
    memory_out: &mut [f32],
    losses_out: &mut [f32],
) {
    if ABSOLUTE_POS < networks * samples {
        let network = ABSOLUTE_POS / samples;
        let sample = ABSOLUTE_POS % samples;
        let first = network * 2 * nodes * samples + sample;
        for i in 0..inputs {
            memory_out[first + i * samples] = x[(begin + sample) * inputs + i];
        }
        let result = forward_unit(shape, 0usize, theta, network * params, memory_out, first, samples);
        let deltas = first + nodes * samples;
        let target = (network * all + begin + sample) * outputs;
        let scale = 2.0f32 / (samples as f32);
        let mut loss = 0.0f32;
        for k in 0..outputs {
            let error = memory_out[result + k * samples] - targets[target + k];
            loss += error * error;
            memory_out[deltas + (nodes - outputs + k) * samples] = error * scale;
        }
        losses_out[ABSOLUTE_POS] = loss;
        backward_unit(shape, theta, network * params, memory_out, first, deltas, samples);
    }
}

/// Sums over the samples: a cube has a tile of a layer's parameters, the last cube of a network its loss.
#[cube(launch)]
fn sum_kernel(
    // sizes
    samples: usize,
    nodes: usize,
    params: usize,
    tasks: usize,
    // in
    shape: &[f32],
    memory: &[f32],
    losses: &[f32],
    // out
    gradient_out: &mut [f32],
    loss_out: &mut [f32],
) {
    let mut shared = Shared::<[f32]>::new_slice(TILE * SUM_UNITS);
    let unit = UNIT_POS as usize;
    let network = CUBE_POS / tasks;
    let cube = CUBE_POS % tasks;
    let first = network * 2 * nodes * samples;
    // Which layer, rows and columns: cubes count through rows of tiles, layer after layer.
    let layers = shape[0] as usize;
    let mut before = 0usize;
    let mut layer = 0usize;
    let mut node = 0usize;
    let mut theta = 0usize;
    let mut pitch = 0usize;
    let mut source = 0usize;
    let mut rows = 0usize; // none: the loss
    let mut ones = 0usize;
    let mut target = 0usize;
    let mut columns = 1usize;
    for l in 0..layers {
        let inputs = shape[2 + l] as usize;
        let outputs = shape[3 + l] as usize;
        let tiles = (outputs + TILE - 1) / TILE;
        let own = (inputs + TILE) / TILE * tiles;
        if cube >= before && cube < before + own {
            let row = (cube - before) / tiles * TILE;
            let column = (cube - before) % tiles * TILE;
            theta = layer + row * outputs + column;
            pitch = outputs;
            source = node + row;
            rows = inputs + 1 - row;
            ones = inputs - row;
            target = nodes + node + inputs + column;
            columns = outputs - column;
        }
        before += own;
        layer += (inputs + 1) * outputs;
        node += inputs;
    }
    if rows > TILE {
        rows = TILE.runtime();
    }
    if columns > TILE {
        columns = TILE.runtime();
    }
    let mut tile = Array::<f32>::new(TILE_SUMS);
    #[unroll]
    for k in 0..TILE_SUMS {
        tile[k] = 0.0f32;
    }
    if rows == 0 {
        for round in 0..(samples + SUM_UNITS - 1) / SUM_UNITS {
            let sample = round * SUM_UNITS + unit;
            if sample < samples {
                tile[0] += losses[network * samples + sample];
            }
        }
    } else {
        let left = Rows { first: first + source * samples, count: rows, ones };
        let right = Rows { first: first + target * samples, count: columns, ones: NO_ONES.runtime() };
        add_products(&mut tile, memory, left, right, samples, samples, unit);
    }
    #[unroll]
    for i in 0..TILE {
        fold_row(&mut shared, &tile, i, unit);
        if i < rows {
            if unit < columns {
                gradient_out[network * params + theta + i * pitch + unit] = shared[unit * SUM_UNITS];
            }
        }
        if i == 0 && rows == 0 {
            if unit == 0 {
                loss_out[network] = shared[0] / (samples as f32);
            }
        }
    }
}

/// Gradients `[S * P]` and losses `[S]`, or `None` where tensor operations serve better: not on a GPU, wide layers, or
/// activations that no buffer holds.
pub(super) fn regression(
    spec: &MlpSpec,
    thetas: &Tensor<1>,
    x: &Tensor<2>,
    targets: &Tensor<3>,
    range: Range<usize>,
) -> Option<(Tensor<1>, Tensor<1>)> {
    let ([all, inputs], [networks, _, outputs]) = (x.dims(), targets.dims());
    if range.is_empty() || networks == 0 || !is_narrow(spec) {
        return None;
    }
    let (theta, x, targets) = (primitive(thetas)?, primitive(x)?, primitive(targets)?);
    let (nodes, params, samples) = (spec.num_nodes(), spec.num_params(), range.len());
    if 2 * nodes * samples * networks > largest_buffer(&theta) {
        return None;
    }
    let shape = primitive(&spec.header(&thetas.device()))?;
    let (memory, losses) =
        (empty_like(&theta, [2 * nodes * samples * networks]), empty_like(&theta, [samples * networks]));
    let (gradient, loss) = (empty_like(&theta, [params * networks]), empty_like(&theta, [networks]));
    let client = theta.client.clone();
    let (cubes, dim) = grid(&theta, samples * networks, CUBE_SAMPLES);
    sample_kernel::launch(
        &client,
        cubes,
        dim,
        networks,
        all,
        range.start,
        samples,
        inputs,
        outputs,
        nodes,
        params,
        shape.clone().into_buffer_arg(),
        theta.into_buffer_arg(),
        x.into_buffer_arg(),
        targets.into_buffer_arg(),
        memory.clone().into_buffer_arg(),
        losses.clone().into_buffer_arg(),
    );
    let layers = spec.sizes().windows(2);
    let tasks: usize = layers.map(|pair| (pair[0] + 1).div_ceil(TILE) * pair[1].div_ceil(TILE)).sum::<usize>() + 1;
    sum_kernel::launch(
        &client,
        CubeCount::Static((tasks * networks) as u32, 1, 1),
        CubeDim::new_1d(SUM_UNITS as u32),
        samples,
        nodes,
        params,
        tasks,
        shape.into_buffer_arg(),
        memory.into_buffer_arg(),
        losses.into_buffer_arg(),
        gradient.clone().into_buffer_arg(),
        loss.clone().into_buffer_arg(),
    );
    Some((into_tensor(gradient), into_tensor(loss)))
}
