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
use crate::mlp::gpu::sample::{BLOCK, backward_unit, forward_unit, tangent_unit};
use crate::mlp::gpu::{CUBE_SAMPLES, SUM_UNITS, forward, on_gpu};
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
/// up to [`BLOCK`] columns of one row of one matrix; `factors` is 0 where only gradients are wanted.
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
    let mut shared = Shared::<[f32]>::new_slice(SUM_UNITS * BLOCK);
    let unit = UNIT_POS as usize;
    let cube = CUBE_POS;
    let layers = shape[0] as usize;
    let mut before = 0usize;
    let mut layer = 0usize;
    let mut factor = 0usize;
    let mut node = 0usize;
    // What this cube sums: a row times columns, over one or several seeds' derivatives.
    let mut kind = 0u32; // 1 gradient, 2 second moment of inputs, 3 of scores
    let mut place = 0usize;
    let mut row = 0usize;
    let mut column = 0usize;
    let mut width = 0usize;
    let mut ones = 0usize; // the row or column of the homogeneous input
    let mut seed = 0usize;
    for l in 0..layers {
        let inputs = shape[2 + l] as usize;
        let outputs = shape[3 + l] as usize;
        let rows = inputs + 1;
        let out_blocks = (outputs + BLOCK - 1) / BLOCK;
        let in_blocks = (rows + BLOCK - 1) / BLOCK;
        let of_gradients = losses * rows * out_blocks;
        if cube >= before && cube < before + of_gradients {
            let own = cube - before;
            kind = 1;
            seed = 1 + own / (rows * out_blocks);
            let r = own % (rows * out_blocks) / out_blocks;
            let c = own % out_blocks * BLOCK;
            row = node + r;
            column = node + inputs + c;
            width = outputs - c;
            ones = node + inputs;
            place = (seed - 1) * params + layer + r * outputs + c;
        }
        before += of_gradients;
        if factors == 1 {
            let of_inputs = rows * in_blocks;
            if cube >= before && cube < before + of_inputs {
                let own = cube - before;
                kind = 2;
                let r = own / in_blocks;
                let c = own % in_blocks * BLOCK;
                row = node + r;
                column = node + c;
                width = rows - c;
                ones = node + inputs;
                place = factor + r * rows + c;
            }
            before += of_inputs;
            let of_scores = outputs * out_blocks;
            if cube >= before && cube < before + of_scores {
                let own = cube - before;
                kind = 3;
                let r = own / out_blocks;
                let c = own % out_blocks * BLOCK;
                row = node + inputs + r;
                column = node + inputs + c;
                width = outputs - c;
                place = factor + rows * rows + r * outputs + c;
            }
            before += of_scores;
        }
        layer += rows * outputs;
        factor += rows * rows + outputs * outputs;
        node += inputs;
    }
    if width > BLOCK {
        width = BLOCK;
    }
    let mut sums = Array::<f32>::new(BLOCK);
    #[unroll]
    for k in 0..BLOCK {
        sums[k] = 0.0f32;
    }
    for round in 0..(samples + SUM_UNITS - 1) / SUM_UNITS {
        let sample = round * SUM_UNITS + unit;
        if sample < samples {
            if kind == 3 {
                for score in 0..columns {
                    let block = (1 + losses + score) * nodes;
                    let a = memory[(block + row) * samples + sample];
                    #[unroll]
                    for k in 0..BLOCK {
                        if k < width {
                            sums[k] += a * memory[(block + column + k) * samples + sample];
                        }
                    }
                }
            } else {
                let a = if row == ones { 1.0f32 } else { memory[row * samples + sample] };
                #[unroll]
                for k in 0..BLOCK {
                    if k < width {
                        let mut b = memory[(seed * nodes + column + k) * samples + sample];
                        if kind == 2 && column + k == ones {
                            b = 1.0f32;
                        }
                        sums[k] += a * b;
                    }
                }
            }
        }
    }
    #[unroll]
    for k in 0..BLOCK {
        shared[unit * BLOCK + k] = sums[k];
    }
    sync_cube();
    if unit < width {
        let mut sum = 0.0f32;
        for other in 0..SUM_UNITS {
            sum += shared[other * BLOCK + unit];
        }
        if kind == 1 {
            gradients_out[place + unit] = sum;
        } else {
            flat_out[place + unit] = sum / (samples as f32);
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
                let (rows, outputs) = (pair[0] + 1, pair[1]);
                let factors = rows * rows.div_ceil(BLOCK) + outputs * outputs.div_ceil(BLOCK);
                losses * rows * outputs.div_ceil(BLOCK) + if fisher.is_some() { factors } else { 0 }
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
