//! What one unit of a GPU does to act in one environment, for kernels that do more than that.
//!
//! The formulas of [`Gaussian::act`](super::Gaussian::act), the log standard deviations packed as `[A, log_std A]`. A unit's
//! memory is strided: its number k is `memory[first + k * stride]`.
#![cfg(feature = "gpu")]
#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels
#![allow(missing_docs)] // of the modules that `cube` makes for the functions

use compute::noise::gpu::{key_words, normal_pair};
use cubecl::prelude::*;

use super::HALF_LN_TAU;

/// Draws an action around the means `memory[mean + k * stride]`: writes it to `acts[row * A ..]`, the means to
/// `acts[(rows + row) * A ..]` and the log-probability to `acts[2 * rows * A + row]`. The log standard deviations are at `weights[offset..]`,
/// the key at `key[key_offset..]`, `index` the environment.
#[cube]
pub fn act_unit(
    weights: &[f32],
    offset: usize,
    key: &[f32],
    key_offset: usize,
    index: usize,
    memory: &mut [f32],
    mean: usize,
    stride: usize,
    acts: &mut [f32],
    row: usize,
    rows: usize,
) {
    let actions = weights[offset] as usize;
    let pairs = actions / 2 + actions % 2;
    let (first, second) = key_words(key, key_offset);
    let mut squares = 0.0f32;
    let mut at_mean = 0.0f32;
    for k in 0..actions {
        let (even, odd) = normal_pair(first, second, (index * pairs + k / 2) as u32);
        let noise = if k % 2 == 0 { even } else { odd };
        let centre = memory[mean + k * stride];
        let log_std = weights[offset + 1 + k];
        squares += noise * noise;
        at_mean -= log_std + HALF_LN_TAU;
        acts[row * actions + k] = centre + noise * log_std.exp();
        acts[(rows + row) * actions + k] = centre;
    }
    acts[2 * rows * actions + row] = at_mean - 0.5f32 * squares;
}
