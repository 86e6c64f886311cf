//! The forward pass of one sample by one unit of a GPU: for kernels that do more than a network, such as a whole rollout.
//!
//! The network comes as numbers, `[layers, relu, width, sizes.., theta]` ([`network_header`] gives all but theta), so that
//! one compiled kernel serves every shape. All units read the same weight at the same time, which a GPU broadcasts.
//!
//! Activations lie in a memory of `2 * width` numbers a sample, number k at `memory[first + k * stride]`: neighbouring
//! units then read neighbouring numbers. Layers go back and forth between its halves.

#![allow(missing_docs)] // of the module that `cube` makes beside the function

use cubecl::prelude::*;

use crate::{Activation, MlpSpec};

/// Numbers before the sizes.
const HEADER: usize = 3;
/// Outputs summed at once for each input read: independent sums hide how long one multiply-add takes.
const BLOCK: usize = 8;

/// What [`forward_unit`] has to find before theta: `[layers, relu, width, sizes..]`.
pub fn network_header(spec: &MlpSpec) -> Vec<f32> {
    let relu = f32::from(u8::from(spec.activation() == Activation::Relu));
    let head = [spec.num_layers() as f32, relu, unit_width(spec) as f32];
    head.into_iter().chain(spec.sizes().iter().map(|&size| size as f32)).collect()
}

/// Half of the memory that a sample needs: the largest of the network's sizes.
pub fn unit_width(spec: &MlpSpec) -> usize {
    spec.sizes().iter().copied().max().unwrap_or(0)
}

/// Runs the network at `weights[at..]` on the inputs in the first half of the sample's memory. Returns where the outputs
/// begin: output k is `memory[result + k * stride]`.
#[cube]
pub fn forward_unit(weights: &[f32], at: usize, memory: &mut [f32], first: usize, stride: usize) -> usize {
    let layers = weights[at] as usize;
    let relu = weights[at + 1] > 0.5;
    let half = (weights[at + 2] as usize) * stride;
    let mut theta = at + HEADER + layers + 1;
    for l in 0..layers {
        let inputs = weights[at + HEADER + l] as usize;
        let outputs = weights[at + HEADER + l + 1] as usize;
        let hidden = l + 1 < layers;
        let from = first + (l % 2) * half;
        let to = first + ((l + 1) % 2) * half;
        let bias = theta + inputs * outputs;
        let blocks = outputs / BLOCK;
        for block in 0..blocks {
            let j = block * BLOCK;
            let mut sums = Array::<f32>::new(BLOCK);
            #[unroll]
            for k in 0..BLOCK {
                sums[k] = weights[bias + j + k];
            }
            for i in 0..inputs {
                let x = memory[from + i * stride];
                let row = theta + i * outputs + j;
                #[unroll]
                for k in 0..BLOCK {
                    sums[k] += x * weights[row + k];
                }
            }
            #[unroll]
            for k in 0..BLOCK {
                memory[to + (j + k) * stride] = activated(sums[k], hidden, relu);
            }
        }
        for j in blocks * BLOCK..outputs {
            let mut sum = weights[bias + j];
            for i in 0..inputs {
                sum += memory[from + i * stride] * weights[theta + i * outputs + j];
            }
            memory[to + j * stride] = activated(sum, hidden, relu);
        }
        theta = bias + outputs;
    }
    first + (layers % 2) * half
}

/// The activation where the layer is a hidden one.
#[cube]
fn activated(x: f32, hidden: bool, relu: bool) -> f32 {
    let mut y = x;
    if hidden {
        if relu {
            y = x.max(0.0);
        } else {
            y = x.tanh();
        }
    }
    y
}
