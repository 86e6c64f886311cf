//! The passes of one sample by one unit of a GPU: for kernels that do more than a network, such as a whole rollout.
//!
//! The network's shape comes as numbers, `[layers, relu, sizes..]` ([`MlpSpec::header`](crate::MlpSpec::header)), so that one
//! compiled kernel serves every shape. All units read the same weight at the same time, which a GPU broadcasts.
//!
//! Activations lie in a memory of [`MlpSpec::num_nodes`](crate::MlpSpec::num_nodes) numbers per sample, layer after layer,
//! the inputs first: number k at `memory[first + k * stride]`. Neighbouring units then read neighbouring numbers.

#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels
#![allow(missing_docs)] // of the module that `cube` makes beside the function

use cubecl::prelude::*;

/// Numbers before the sizes.
const HEADER: usize = 2;
/// Outputs summed at once for each input read: independent sums hide how long one multiply-add takes.
pub(crate) const BLOCK: usize = 8;

/// Runs the network of the shape at `shape[shape_at..]` and the parameters at `theta[theta_at..]` on the inputs at the
/// beginning of the sample's memory. Returns where the outputs begin: output k is `memory[result + k * stride]`.
#[cube]
pub fn forward_unit(
    shape: &[f32],
    shape_at: usize,
    theta: &[f32],
    theta_at: usize,
    memory: &mut [f32],
    first: usize,
    stride: usize,
) -> usize {
    let layers = shape[shape_at] as usize;
    let relu = shape[shape_at + 1] > 0.5;
    let mut layer = theta_at;
    let mut from = first;
    for l in 0..layers {
        let inputs = shape[shape_at + HEADER + l] as usize;
        let outputs = shape[shape_at + HEADER + l + 1] as usize;
        let hidden = l + 1 < layers;
        let to = from + inputs * stride;
        let bias = layer + inputs * outputs;
        let blocks = outputs / BLOCK;
        for block in 0..blocks {
            let j = block * BLOCK;
            let mut sums = Array::<f32>::new(BLOCK);
            #[unroll]
            for k in 0..BLOCK {
                sums[k] = theta[bias + j + k];
            }
            for i in 0..inputs {
                let x = memory[from + i * stride];
                let row = layer + i * outputs + j;
                #[unroll]
                for k in 0..BLOCK {
                    sums[k] += x * theta[row + k];
                }
            }
            #[unroll]
            for k in 0..BLOCK {
                memory[to + (j + k) * stride] = activated(sums[k], hidden, relu);
            }
        }
        for j in blocks * BLOCK..outputs {
            let mut sum = theta[bias + j];
            for i in 0..inputs {
                sum += memory[from + i * stride] * theta[layer + i * outputs + j];
            }
            memory[to + j * stride] = activated(sum, hidden, relu);
        }
        layer += (inputs + 1) * outputs;
        from += inputs * stride;
    }
    from
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

/// Carries the derivatives with respect to the outputs back through the layers: those of activation k (k counts as in the
/// memory of [`forward_unit`], the inputs have none) at `deltas[delta_first + k * stride]`, the outputs' given, the hidden
/// ones' written, before the activation.
#[cube]
pub(crate) fn backward_unit(
    shape: &[f32],
    theta: &[f32],
    theta_at: usize,
    memory: &mut [f32],
    first: usize,
    delta_first: usize,
    stride: usize,
) {
    let layers = shape[0] as usize;
    let relu = shape[1] > 0.5;
    // Where the last layer's block of theta and its inputs begin.
    let mut layer = theta_at;
    let mut node = 0usize;
    for l in 0..layers - 1 {
        let inputs = shape[HEADER + l] as usize;
        layer += (inputs + 1) * (shape[HEADER + l + 1] as usize);
        node += inputs;
    }
    for back in 0..layers - 1 {
        let l = layers - 1 - back;
        let inputs = shape[HEADER + l] as usize;
        let outputs = shape[HEADER + l + 1] as usize;
        let delta_out = delta_first + (node + inputs) * stride;
        for i in 0..inputs {
            let row = layer + i * outputs;
            let mut even = 0.0f32;
            let mut odd = 0.0f32;
            for pair in 0..outputs / 2 {
                let j = 2 * pair;
                even += theta[row + j] * memory[delta_out + j * stride];
                odd += theta[row + j + 1] * memory[delta_out + (j + 1) * stride];
            }
            if outputs % 2 == 1 {
                even += theta[row + outputs - 1] * memory[delta_out + (outputs - 1) * stride];
            }
            let h = memory[first + (node + i) * stride];
            let mut slope = 1.0f32 - h * h;
            if relu {
                slope = if h > 0.0f32 { 1.0f32 } else { 0.0f32 };
            }
            memory[delta_first + (node + i) * stride] = (even + odd) * slope;
        }
        let below = shape[HEADER + l - 1] as usize;
        layer -= (below + 1) * inputs;
        node -= below;
    }
}

/// Carries the change of the parameters along `direction` `[P]` forward: the activations lie from `first` on, their change
/// is written from `tangent` on, where that of the inputs stands (zero).
#[cube]
pub(crate) fn tangent_unit(
    shape: &[f32],
    theta: &[f32],
    direction: &[f32],
    memory: &mut [f32],
    first: usize,
    tangent: usize,
    stride: usize,
) {
    let layers = shape[0] as usize;
    let relu = shape[1] > 0.5;
    let mut layer = 0usize;
    let mut node = 0usize;
    for l in 0..layers {
        let inputs = shape[HEADER + l] as usize;
        let outputs = shape[HEADER + l + 1] as usize;
        let bias = layer + inputs * outputs;
        for j in 0..outputs {
            let mut sum = direction[bias + j];
            let mut carried = 0.0f32;
            for i in 0..inputs {
                let at = layer + i * outputs + j;
                sum += memory[first + (node + i) * stride] * direction[at];
                carried += memory[tangent + (node + i) * stride] * theta[at];
            }
            let mut slope = 1.0f32;
            if l + 1 < layers {
                let h = memory[first + (node + inputs + j) * stride];
                if relu {
                    slope = if h > 0.0f32 { 1.0f32 } else { 0.0f32 };
                } else {
                    slope = 1.0f32 - h * h;
                }
            }
            memory[tangent + (node + inputs + j) * stride] = (sum + carried) * slope;
        }
        layer += (inputs + 1) * outputs;
        node += inputs;
    }
}
