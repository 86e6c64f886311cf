//! The derivatives of a batch on a GPU in a launch or two each. Activations are computed again by each, which costs less
//! than to keep them.
#![cfg(feature = "gpu")]
#![allow(unused_assignments, clippy::manual_div_ceil, clippy::collapsible_if)] // the Rust of kernels

use burn::tensor::Tensor;
use compute::gpu::{CubeTensor, empty_like, grid, into_tensor, largest_buffer, primitive};
use cubecl::prelude::*;

use super::Pass;
use crate::factor::layout::FactorLayout;
use crate::fisher::FisherSeeds;
use crate::mlp::gpu::sample::{backward_unit, forward_unit, tangent_unit};
use crate::mlp::gpu::tile::{NO_ONES, Rows, SUM_UNITS, TILE, TILE_SUMS, add_products, fold_row};
use crate::mlp::gpu::{CUBE_SAMPLES, forward, on_gpu};
use crate::mlp::{Mlp, reference};

/// `memory_out` is `[2 M, n]`: activations, then their change along `direction`.
#[cube(launch)]
fn tangent_kernel(
    // sizes
    samples: usize,
    inputs: usize,
    outputs: usize,
    nodes: usize,
    // in
    shape: &[f32],
    theta: &[f32],
    direction: &[f32],
    x: &[f32],
    // out
    memory_out: &mut [f32],
    moved_out: &mut [f32],
) {
    if ABSOLUTE_POS < samples {
        let sample = ABSOLUTE_POS;
        let tangent = nodes * samples + sample;
        for i in 0..inputs {
            memory_out[i * samples + sample] = x[sample * inputs + i];
            memory_out[i * samples + tangent] = 0.0f32;
        }
        let result = forward_unit(shape, 0usize, theta, 0usize, memory_out, sample, samples);
        tangent_unit(shape, theta, direction, memory_out, sample, tangent, samples);
        for k in 0..outputs {
            moved_out[sample * outputs + k] = memory_out[result + (nodes + k) * samples];
        }
    }
}

/// `memory_out` is `[1 + S + K, M, n]`: activations, derivatives of S losses, those of K scores.
#[cube(launch)]
fn passes_kernel(
    // sizes
    losses: usize,
    columns: usize,
    samples: usize,
    inputs: usize,
    outputs: usize,
    nodes: usize,
    // in
    constant: u32,
    shape: &[f32],
    theta: &[f32],
    x: &[f32],
    cotangents: &[f32],
    scores: &[f32],
    // out
    memory_out: &mut [f32],
) {
    if ABSOLUTE_POS < samples {
        let sample = ABSOLUTE_POS;
        for i in 0..inputs {
            memory_out[i * samples + sample] = x[sample * inputs + i];
        }
        forward_unit(shape, 0usize, theta, 0usize, memory_out, sample, samples);
        for seed in 0..losses + columns {
            let deltas = (seed + 1) * nodes * samples + sample;
            for k in 0..outputs {
                let mut delta = 0.0f32;
                if seed < losses {
                    delta = cotangents[(seed * samples + sample) * outputs + k];
                } else {
                    if constant == 1 {
                        delta = scores[(seed - losses) * outputs + k];
                    } else {
                        delta = scores[((seed - losses) * samples + sample) * outputs + k];
                    }
                }
                memory_out[deltas + (nodes - outputs + k) * samples] = delta;
            }
            backward_unit(shape, theta, 0usize, memory_out, sample, deltas, samples);
        }
    }
}

/// Sums over the samples of products of two rows of memory: gradients `[S, P]`, and the factors `[F]` as means. A cube has
/// a tile of one matrix; `factors` is 0 where only gradients are wanted.
#[cube(launch)]
fn sums_kernel(
    // sizes
    losses: usize,
    columns: usize,
    samples: usize,
    nodes: usize,
    params: usize,
    // in
    factors: u32,
    shape: &[f32],
    memory: &[f32],
    // out
    gradients_out: &mut [f32],
    flat_out: &mut [f32],
) {
    let mut shared = Shared::<[f32]>::new_slice(TILE * SUM_UNITS);
    let unit = UNIT_POS as usize;
    let cube = CUBE_POS;
    let layers = shape[0] as usize;
    let mut before = 0usize;
    let mut layer = 0usize;
    let mut factor = 0usize;
    let mut node = 0usize;
    // What this cube sums: rows times columns, over one or several seeds' derivatives.
    let mut kind = 0u32; // 1 gradient, 2 second moment of inputs, 3 of scores
    let mut place = 0usize;
    let mut pitch = 0usize; // from one row of the matrix to the next
    let mut row = 0usize;
    let mut height = 1usize;
    let mut row_ones = NO_ONES.runtime(); // the homogeneous input
    let mut column = 0usize;
    let mut width = 1usize;
    let mut column_ones = NO_ONES.runtime();
    let mut seed = 0usize;
    for l in 0..layers {
        let inputs = shape[2 + l] as usize;
        let outputs = shape[3 + l] as usize;
        let rows = inputs + 1;
        let out_tiles = (outputs + TILE - 1) / TILE;
        let in_tiles = (rows + TILE - 1) / TILE;
        let of_gradients = losses * in_tiles * out_tiles;
        if cube >= before && cube < before + of_gradients {
            let own = cube - before;
            kind = 1;
            seed = 1 + own / (in_tiles * out_tiles);
            let r = own % (in_tiles * out_tiles) / out_tiles * TILE;
            let c = own % out_tiles * TILE;
            row = node + r;
            height = rows - r;
            row_ones = inputs - r;
            column = node + inputs + c;
            width = outputs - c;
            pitch = outputs;
            place = (seed - 1) * params + layer + r * outputs + c;
        }
        before += of_gradients;
        if factors == 1 {
            let of_inputs = in_tiles * in_tiles;
            if cube >= before && cube < before + of_inputs {
                let own = cube - before;
                kind = 2;
                let r = own / in_tiles * TILE;
                let c = own % in_tiles * TILE;
                row = node + r;
                height = rows - r;
                row_ones = inputs - r;
                column = node + c;
                width = rows - c;
                column_ones = inputs - c;
                pitch = rows;
                place = factor + r * rows + c;
            }
            before += of_inputs;
            let of_scores = out_tiles * out_tiles;
            if cube >= before && cube < before + of_scores {
                let own = cube - before;
                kind = 3;
                let r = own / out_tiles * TILE;
                let c = own % out_tiles * TILE;
                row = node + inputs + r;
                height = outputs - r;
                column = node + inputs + c;
                width = outputs - c;
                pitch = outputs;
                place = factor + rows * rows + r * outputs + c;
            }
            before += of_scores;
        }
        layer += rows * outputs;
        factor += rows * rows + outputs * outputs;
        node += inputs;
    }
    if height > TILE {
        height = TILE.runtime();
    }
    if width > TILE {
        width = TILE.runtime();
    }
    let mut tile = Array::<f32>::new(TILE_SUMS);
    #[unroll]
    for k in 0..TILE_SUMS {
        tile[k] = 0.0f32;
    }
    // Scores' second moments are sums over their seeds, too; else one pass.
    let passes = if kind == 3 { columns } else { 1usize };
    for pass in 0..passes {
        let of_row = if kind == 3 { 1 + losses + pass } else { 0usize };
        let of_column = if kind == 3 { 1 + losses + pass } else { seed };
        let left = Rows { first: (of_row * nodes + row) * samples, count: height, ones: row_ones };
        let right = Rows { first: (of_column * nodes + column) * samples, count: width, ones: column_ones };
        add_products(&mut tile, memory, left, right, samples, samples, unit);
    }
    #[unroll]
    for i in 0..TILE {
        fold_row(&mut shared, &tile, i, unit);
        if i < height {
            if unit < width {
                let sum = shared[unit * SUM_UNITS];
                if kind == 1 {
                    gradients_out[place + i * pitch + unit] = sum;
                } else {
                    flat_out[place + i * pitch + unit] = sum / (samples as f32);
                }
            }
        }
    }
}

/// A batch that units go through.
struct GpuPass {
    mlp: Mlp,
    x: Tensor<2>,
    /// The same as kernels take them.
    shape: CubeTensor,
    theta: CubeTensor,
    inputs: CubeTensor,
    /// The outputs, if more than one call follows.
    outputs: Option<Tensor<2>>,
}

/// The batch `x` `[N, in]`, or `None` where tensor operations serve better.
pub(super) fn pass(mlp: &Mlp, x: &Tensor<2>, keep: bool) -> Option<Box<dyn Pass>> {
    let (theta, inputs) = on_gpu(mlp, x)?;
    let shape = primitive(&mlp.spec().header(&mlp.theta().device()))?;
    let outputs = if keep { Some(forward(mlp, x)?) } else { None };
    Some(Box::new(GpuPass { mlp: mlp.clone(), x: x.clone(), shape, theta, inputs, outputs }))
}

impl GpuPass {
    /// [`Pass::jvp`], or `None` if the direction does not live on the device.
    fn own_jvp(&self, direction: &Tensor<1>) -> Option<Tensor<2>> {
        let (spec, [samples, inputs]) = (self.mlp.spec(), self.x.dims());
        let (nodes, outputs) = (spec.num_nodes(), spec.output_size());
        let direction = primitive(direction)?;
        let memory = empty_like(&self.theta, [2 * nodes * samples]);
        let moved = empty_like(&self.theta, [samples, outputs]);
        let (cubes, dim) = grid(&self.theta, samples, CUBE_SAMPLES);
        tangent_kernel::launch(
            &self.theta.client,
            cubes,
            dim,
            samples,
            inputs,
            outputs,
            nodes,
            self.shape.clone().into_buffer_arg(),
            self.theta.clone().into_buffer_arg(),
            direction.into_buffer_arg(),
            self.inputs.clone().into_buffer_arg(),
            memory.into_buffer_arg(),
            moved.clone().into_buffer_arg(),
        );
        Some(into_tensor(moved))
    }

    /// [`Pass::sums`], or `None` if cotangents or seeds do not live on the device or there is no room for the derivatives.
    fn own_sums(&self, cotangents: &Tensor<3>, fisher: Option<&FisherSeeds>) -> Option<(Tensor<2>, Tensor<1>)> {
        let (spec, [samples, inputs]) = (self.mlp.spec(), self.x.dims());
        let (nodes, params) = (spec.num_nodes(), spec.num_params());
        let [losses, _, outputs] = cotangents.dims();
        let (scores, columns, constant) = match fisher {
            Some(FisherSeeds::Constant(seeds)) => (primitive(seeds)?, seeds.dims()[0], 1u32),
            Some(FisherSeeds::PerSample(seeds)) => (primitive(seeds)?, seeds.dims()[0], 0),
            None => (primitive(cotangents)?, 0, 0), // unread
        };
        let numbers = (1 + losses + columns) * nodes * samples;
        if losses == 0 || (columns == 0 && fisher.is_some()) || numbers > largest_buffer(&self.theta) {
            return None;
        }
        let memory = empty_like(&self.theta, [numbers]);
        let (cubes, dim) = grid(&self.theta, samples, CUBE_SAMPLES);
        passes_kernel::launch(
            &self.theta.client,
            cubes,
            dim,
            losses,
            columns,
            samples,
            inputs,
            outputs,
            nodes,
            constant,
            self.shape.clone().into_buffer_arg(),
            self.theta.clone().into_buffer_arg(),
            self.inputs.clone().into_buffer_arg(),
            primitive(cotangents)?.into_buffer_arg(),
            scores.into_buffer_arg(),
            memory.clone().into_buffer_arg(),
        );
        let gradients = empty_like(&self.theta, [losses, params]);
        let flat = empty_like(&self.theta, [FactorLayout::new(spec).len()]);
        let cubes: usize = (spec.sizes().windows(2))
            .map(|pair| {
                let (rows, outputs) = ((pair[0] + 1).div_ceil(TILE), pair[1].div_ceil(TILE));
                let factors = rows * rows + outputs * outputs;
                losses * rows * outputs + if fisher.is_some() { factors } else { 0 }
            })
            .sum();
        sums_kernel::launch(
            &self.theta.client,
            CubeCount::Static(cubes as u32, 1, 1),
            CubeDim::new_1d(SUM_UNITS as u32),
            losses,
            columns,
            samples,
            nodes,
            params,
            u32::from(fisher.is_some()),
            self.shape.clone().into_buffer_arg(),
            memory.into_buffer_arg(),
            gradients.clone().into_buffer_arg(),
            flat.clone().into_buffer_arg(),
        );
        let flat = match fisher {
            Some(_) => into_tensor(flat),
            None => Tensor::zeros([0], &self.x.device()),
        };
        Some((into_tensor(gradients), flat))
    }
}

impl Pass for GpuPass {
    fn outputs(&self) -> Tensor<2> {
        let outputs = self.outputs.clone().or_else(|| forward(&self.mlp, &self.x));
        outputs.unwrap_or_else(|| reference::pass(&self.mlp, &self.x).outputs())
    }

    fn jvp(&self, direction: &Tensor<1>) -> Tensor<2> {
        self.own_jvp(direction).unwrap_or_else(|| reference::pass(&self.mlp, &self.x).jvp(direction))
    }

    fn sums(&self, cotangents: &Tensor<3>, fisher: Option<&FisherSeeds>) -> (Tensor<2>, Tensor<1>) {
        let own = self.own_sums(cotangents, fisher);
        own.unwrap_or_else(|| reference::pass(&self.mlp, &self.x).sums(cotangents, fisher))
    }
}
