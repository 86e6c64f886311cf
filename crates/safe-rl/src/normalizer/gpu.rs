//! What one unit of a GPU does to scale an observation, for kernels that do more than that.
//!
//! The formulas of [`Normalizer`](super::Normalizer), its numbers packed as `[D, clip, mean D, divisor D, shift D]`. A unit's
//! memory is strided: its number k is `memory[first + k * stride]`.
#![cfg(feature = "gpu")]
#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels
#![allow(missing_docs)] // of the modules that `cube` makes for the functions

use cubecl::prelude::*;

/// Scales the raw observation `obs[obs_offset..]` into `normalized[normalized_offset..]` and the memory from `network` on, and adds its
/// deviations and their squares to the first `2 D` numbers of the memory.
#[cube]
pub fn observe_unit(
    weights: &[f32],
    offset: usize,
    obs: &mut [f32],
    obs_offset: usize,
    normalized: &mut [f32],
    normalized_offset: usize,
    memory: &mut [f32],
    first: usize,
    network: usize,
    stride: usize,
) {
    let dims = weights[offset] as usize;
    let clip = weights[offset + 1];
    let (mean, divisor, shift) = (offset + 2, offset + 2 + dims, offset + 2 + 2 * dims);
    for d in 0..dims {
        let raw = obs[obs_offset + d];
        let deviation = raw - weights[shift + d];
        memory[first + d * stride] += deviation;
        memory[first + (dims + d) * stride] += deviation * deviation;
        let mut scaled = (raw - weights[mean + d]) / weights[divisor + d];
        // Comparisons leave a NaN as it is, so that faults are seen downstream.
        if scaled > clip {
            scaled = clip;
        }
        if scaled < -clip {
            scaled = -clip;
        }
        normalized[normalized_offset + d] = scaled;
        memory[network + d * stride] = scaled;
    }
}
