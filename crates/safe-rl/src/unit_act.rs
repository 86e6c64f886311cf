//! What one unit of a GPU does to act in one environment: scale the observation, draw, take the action.
//!
//! The same formulas as [`Normalizer`](crate::Normalizer), [`normals`](compute::noise::normals) and [`Gaussian::act`](crate::Gaussian::act), for
//! kernels that do more than that. Numbers are packed with their lengths before them: a normaliser as
//! `[D, clip, mean D, divisor D, shift D]`, the policy's spread as `[A, log_std A]`, a noise key as four halves of words.
//!
//! A unit's memory is strided: its number k is `memory[first + k * stride]`.

#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels
#![allow(missing_docs)] // of the modules that `cube` makes beside the functions

use compute::noise::gpu::{key_words, normal_pair};
use cubecl::prelude::*;

use crate::policy::HALF_LN_TAU;

/// Scales the raw observation `obs[obs_at..]` into `seen[seen_at..]` and the memory from `network` on, and adds its
/// deviations and their squares to the first `2 D` numbers of the memory.
#[cube]
pub fn observe_unit(
    weights: &[f32],
    at: usize,
    obs: &mut [f32],
    obs_at: usize,
    seen: &mut [f32],
    seen_at: usize,
    memory: &mut [f32],
    first: usize,
    network: usize,
    stride: usize,
) {
    let dims = weights[at] as usize;
    let clip = weights[at + 1];
    let (mean, divisor, shift) = (at + 2, at + 2 + dims, at + 2 + 2 * dims);
    for d in 0..dims {
        let raw = obs[obs_at + d];
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
        seen[seen_at + d] = scaled;
        memory[network + d * stride] = scaled;
    }
}

/// Draws an action around the means `memory[mean + k * stride]`: writes it to `acts[row * A ..]`, the means to
/// `acts[(rows + row) * A ..]` and the log-probability to `acts[2 * rows * A + row]`. The spread is at `weights[at..]`,
/// the key at `key[key_at..]`, `index` the environment.
#[cube]
pub fn act_unit(
    weights: &[f32],
    at: usize,
    key: &[f32],
    key_at: usize,
    index: usize,
    memory: &mut [f32],
    mean: usize,
    stride: usize,
    acts: &mut [f32],
    row: usize,
    rows: usize,
) {
    let actions = weights[at] as usize;
    let pairs = actions / 2 + actions % 2;
    let (first, second) = key_words(key, key_at);
    let mut squares = 0.0f32;
    let mut at_mean = 0.0f32;
    for k in 0..actions {
        let (even, odd) = normal_pair(first, second, (index * pairs + k / 2) as u32);
        let noise = if k % 2 == 0 { even } else { odd };
        let centre = memory[mean + k * stride];
        let log_std = weights[at + 1 + k];
        squares += noise * noise;
        at_mean -= log_std + HALF_LN_TAU;
        acts[row * actions + k] = centre + noise * log_std.exp();
        acts[(rows + row) * actions + k] = centre;
    }
    acts[2 * rows * actions + row] = at_mean - 0.5f32 * squares;
}
