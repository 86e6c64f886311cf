//! The passes of an update in a launch or two each on a GPU, for networks that are not wide: a unit has a sample, then a few
//! parameters' sums. Activations are computed anew by each, which costs less than to keep them.

#![allow(unused_assignments, clippy::manual_div_ceil, clippy::collapsible_if)] // the Rust of kernels

use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use crate::fisher::FisherSeeds;
use crate::unit_forward::{BLOCK, backward_unit, forward_unit, tangent_unit, unit_memory};
use crate::unit_gradient::{LANES, SAMPLES, WIDEST, empty_like, primitive};
use crate::{FactorLayout, Mlp, plain};

/// Most samples of a forward pass: beyond them matrix products keep a GPU busy, and activations need not be kept.
const MOST_SAMPLES: usize = 1 << 16;

#[cube(launch)]
fn forward_kernel(
    shape: &[f32],
    theta: &[f32],
    x: &[f32],
    memory: &mut [f32],
    out: &mut [f32],
    samples: usize,
    inputs: usize,
    outputs: usize,
) {
    if ABSOLUTE_POS < samples {
        let sample = ABSOLUTE_POS;
        for i in 0..inputs {
            memory[i * samples + sample] = x[sample * inputs + i];
        }
        let result = forward_unit(shape, 0usize, theta, 0usize, memory, sample, samples);
        for k in 0..outputs {
            out[sample * outputs + k] = memory[result + k * samples];
        }
    }
}

/// `memory` is `[2 M, n]`: activations, then their change along `direction`.
#[cube(launch)]
fn tangent_kernel(
    shape: &[f32],
    theta: &[f32],
    direction: &[f32],
    x: &[f32],
    memory: &mut [f32],
    out: &mut [f32],
    samples: usize,
    inputs: usize,
    outputs: usize,
    nodes: usize,
) {
    if ABSOLUTE_POS < samples {
        let sample = ABSOLUTE_POS;
        let tangent = nodes * samples + sample;
        for i in 0..inputs {
            memory[i * samples + sample] = x[sample * inputs + i];
            memory[i * samples + tangent] = 0.0f32;
        }
        let result = forward_unit(shape, 0usize, theta, 0usize, memory, sample, samples);
        tangent_unit(shape, theta, direction, memory, sample, tangent, samples);
        for k in 0..outputs {
            out[sample * outputs + k] = memory[result + (nodes + k) * samples];
        }
    }
}

/// `memory` is `[1 + S + K, M, n]`: activations, derivatives of S losses, those of K scores.
#[cube(launch)]
fn passes_kernel(
    shape: &[f32],
    theta: &[f32],
    x: &[f32],
    cotangents: &[f32],
    scores: &[f32],
    memory: &mut [f32],
    losses: usize,
    columns: usize,
    constant: u32,
    samples: usize,
    inputs: usize,
    outputs: usize,
    nodes: usize,
) {
    if ABSOLUTE_POS < samples {
        let sample = ABSOLUTE_POS;
        for i in 0..inputs {
            memory[i * samples + sample] = x[sample * inputs + i];
        }
        forward_unit(shape, 0usize, theta, 0usize, memory, sample, samples);
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
                memory[deltas + (nodes - outputs + k) * samples] = delta;
            }
            backward_unit(shape, theta, 0usize, memory, sample, deltas, samples);
        }
    }
}

/// Sums over the samples of products of two rows of memory: gradients `[S, P]`, and the factors `[F]` as means. A cube has
/// up to [`BLOCK`] columns of one row of one matrix; `factors` is 0 where only gradients are wanted.
#[cube(launch)]
fn sums_kernel(
    shape: &[f32],
    memory: &[f32],
    gradients: &mut [f32],
    flat: &mut [f32],
    losses: usize,
    columns: usize,
    factors: u32,
    samples: usize,
    nodes: usize,
    params: usize,
) {
    let mut shared = Shared::<[f32]>::new_slice(LANES * BLOCK);
    let lane = UNIT_POS as usize;
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
    for round in 0..(samples + LANES - 1) / LANES {
        let sample = round * LANES + lane;
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
        shared[lane * BLOCK + k] = sums[k];
    }
    sync_cube();
    if lane < width {
        let mut sum = 0.0f32;
        for other in 0..LANES {
            sum += shared[other * BLOCK + lane];
        }
        if kind == 1 {
            gradients[place + lane] = sum;
        } else {
            flat[place + lane] = sum / (samples as f32);
        }
    }
}

/// A batch on a GPU that units go through.
pub(crate) struct UnitPass {
    mlp: Mlp,
    x: Tensor<2>,
}

impl UnitPass {
    /// `None` where tensor operations serve better: not on a GPU, wide layers, many samples, or no buffer for them.
    pub fn new(mlp: &Mlp, x: &Tensor<2>) -> Option<Self> {
        let (spec, samples) = (mlp.spec(), x.dims()[0]);
        let wide = spec.sizes().iter().any(|&size| size > WIDEST);
        if wide || samples == 0 || samples > MOST_SAMPLES {
            return None;
        }
        let room = primitive(mlp.theta())?.client.properties().memory.max_page_size.min(u64::from(u32::MAX));
        if (2 * unit_memory(spec) * samples * size_of::<f32>()) as u64 > room {
            return None;
        }
        primitive(x)?;
        Some(Self { mlp: mlp.clone(), x: x.clone() })
    }

    /// The layers' inputs, for the tensor operations.
    pub fn inputs(&self) -> Vec<Tensor<2>> {
        plain::activations(self.mlp.spec(), self.mlp.theta(), self.x.clone()).0
    }

    /// Outputs `[n, out]`.
    pub fn forward(&self) -> Tensor<2> {
        let [samples, inputs] = self.x.dims();
        let (nodes, outputs) = (unit_memory(self.mlp.spec()), self.mlp.spec().output_size());
        let theta = of(self.mlp.theta());
        let (client, dim) = (theta.client.clone(), CubeDim::new_1d(SAMPLES));
        let (memory, out) = (empty_like(&theta, nodes * samples), empty_like(&theta, samples * outputs));
        forward_kernel::launch(
            &client,
            calculate_cube_count_elemwise(&client, samples, dim),
            dim,
            of(&self.mlp.header()).into_buffer_arg(),
            theta.into_buffer_arg(),
            of(&self.x).into_buffer_arg(),
            memory.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            samples,
            inputs,
            outputs,
        );
        Tensor::<1>::from_primitive::<CubeBackend>(out).reshape([samples, outputs])
    }

    /// `J direction`, `[n, out]`; `None` if the direction does not live on the device.
    pub fn jvp(&self, direction: &Tensor<1>) -> Option<Tensor<2>> {
        let [samples, inputs] = self.x.dims();
        let (nodes, outputs) = (unit_memory(self.mlp.spec()), self.mlp.spec().output_size());
        let (theta, direction) = (of(self.mlp.theta()), primitive(direction)?);
        let (client, dim) = (theta.client.clone(), CubeDim::new_1d(SAMPLES));
        let (memory, out) = (empty_like(&theta, 2 * nodes * samples), empty_like(&theta, samples * outputs));
        tangent_kernel::launch(
            &client,
            calculate_cube_count_elemwise(&client, samples, dim),
            dim,
            of(&self.mlp.header()).into_buffer_arg(),
            theta.into_buffer_arg(),
            direction.into_buffer_arg(),
            of(&self.x).into_buffer_arg(),
            memory.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            samples,
            inputs,
            outputs,
            nodes,
        );
        Some(Tensor::<1>::from_primitive::<CubeBackend>(out).reshape([samples, outputs]))
    }

    /// Gradients `[S, P]` and flat factors `[F]` (empty without seeds); `None` if inputs do not live on the device or there
    /// is no room for the derivatives.
    pub fn sums(&self, cotangents: &Tensor<3>, fisher: Option<&FisherSeeds>) -> Option<(Tensor<2>, Tensor<1>)> {
        let [samples, inputs] = self.x.dims();
        let (nodes, params) = (unit_memory(self.mlp.spec()), self.mlp.spec().num_params());
        let [losses, _, outputs] = cotangents.dims();
        let (scores, columns, constant) = match fisher {
            Some(FisherSeeds::Constant(seeds)) => (primitive(seeds)?, seeds.dims()[0], 1u32),
            Some(FisherSeeds::PerSample(seeds)) => (primitive(seeds)?, seeds.dims()[0], 0),
            None => (primitive(cotangents)?, 0, 0), // unread
        };
        let theta = of(self.mlp.theta());
        let room = theta.client.properties().memory.max_page_size.min(u64::from(u32::MAX)) as usize / size_of::<f32>();
        let numbers = (1 + losses + columns) * nodes * samples;
        if losses == 0 || (columns == 0 && fisher.is_some()) || numbers > room {
            return None;
        }
        let shape = of(&self.mlp.header());
        let (client, dim) = (theta.client.clone(), CubeDim::new_1d(SAMPLES));
        let memory = empty_like(&theta, numbers);
        passes_kernel::launch(
            &client,
            calculate_cube_count_elemwise(&client, samples, dim),
            dim,
            shape.clone().into_buffer_arg(),
            theta.clone().into_buffer_arg(),
            of(&self.x).into_buffer_arg(),
            primitive(cotangents)?.into_buffer_arg(),
            scores.into_buffer_arg(),
            memory.clone().into_buffer_arg(),
            losses,
            columns,
            constant,
            samples,
            inputs,
            outputs,
            nodes,
        );
        let length = FactorLayout::new(self.mlp.spec()).len();
        let (gradients, flat) = (empty_like(&theta, losses * params), empty_like(&theta, length));
        let cubes: usize = (self.mlp.spec().sizes().windows(2))
            .map(|pair| {
                let (rows, outputs) = (pair[0] + 1, pair[1]);
                let factors = rows * rows.div_ceil(BLOCK) + outputs * outputs.div_ceil(BLOCK);
                losses * rows * outputs.div_ceil(BLOCK) + if fisher.is_some() { factors } else { 0 }
            })
            .sum();
        sums_kernel::launch(
            &client,
            CubeCount::Static(cubes as u32, 1, 1),
            CubeDim::new_1d(LANES as u32),
            shape.into_buffer_arg(),
            memory.into_buffer_arg(),
            gradients.clone().into_buffer_arg(),
            flat.clone().into_buffer_arg(),
            losses,
            columns,
            u32::from(fisher.is_some()),
            samples,
            nodes,
            params,
        );
        let flat = match fisher {
            Some(_) => Tensor::from_primitive::<CubeBackend>(flat),
            None => Tensor::zeros([0], &self.mlp.theta().device()),
        };
        Some((Tensor::<1>::from_primitive::<CubeBackend>(gradients).reshape([losses, params]), flat))
    }
}

/// A tensor that is known to live on the device.
fn of<const D: usize>(tensor: &Tensor<D>) -> burn_cubecl::tensor::CubeTensor {
    primitive(tensor).expect("checked when the pass was begun")
}
