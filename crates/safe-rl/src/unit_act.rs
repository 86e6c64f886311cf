//! What one unit of a GPU does to act in one environment: scale the observation, draw, take the action.
//!
//! The same formulas as [`Normalizer`](crate::Normalizer), [`normals`](crate::normals) and [`Gaussian::act`](crate::Gaussian::act), for
//! kernels that do more than that. Numbers are packed with their lengths before them: a normaliser as
//! `[D, clip, mean D, divisor D, shift D]`, the policy's spread as `[A, log_std A]`, a noise key as four halves of words.
//!
//! A unit's memory is strided: its number k is `memory[first + k * stride]`.

#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels
#![allow(missing_docs)] // of the modules that `cube` makes beside the functions

use burn::tensor::{Device, Tensor};
use cubecl::prelude::*;

use crate::NoiseKey;
use crate::policy::HALF_LN_TAU;

/// Numbers of a noise key, one step's.
pub const KEY_PARTS: usize = 4;

const GOLDEN: u32 = 0x9e37_79b9;
const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
const LN_2: f32 = core::f32::consts::LN_2;
/// An angle's unit \[rad\]: the 2^32-th part of a turn.
const TURN: f32 = core::f32::consts::FRAC_PI_2 / 1_073_741_824.0;
/// 2^-24.
const TO_UNIT: f32 = 1.0 / 16_777_216.0;

// Coefficients of the series for artanh, sine and cosine, by power.
const LN_3: f32 = 1.0 / 3.0;
const LN_5: f32 = 1.0 / 5.0;
const LN_7: f32 = 1.0 / 7.0;
const LN_9: f32 = 1.0 / 9.0;
const SIN_3: f32 = 1.0 / 6.0;
const SIN_5: f32 = 1.0 / 120.0;
const SIN_7: f32 = 1.0 / 5040.0;
const SIN_9: f32 = 1.0 / 362_880.0;
const COS_4: f32 = 1.0 / 24.0;
const COS_6: f32 = 1.0 / 720.0;
const COS_8: f32 = 1.0 / 40_320.0;
const COS_10: f32 = 1.0 / 3_628_800.0;

impl NoiseKey {
    /// The keys of `steps` successive steps, this one the first, as units read them: `[steps, 4]`.
    pub fn unit_keys(&self, steps: usize, device: &Device) -> Tensor<2> {
        let parts = |offset: usize| {
            let words = Self { step: self.step + offset as u64, ..*self }.words();
            // Sixteen bits are exact in float32.
            words.into_iter().flat_map(|word| [(word & 0xffff) as f32, (word >> 16) as f32])
        };
        let values: Vec<f32> = (0..steps).flat_map(parts).collect();
        Tensor::<1>::from_floats(values.as_slice(), device).reshape([steps, KEY_PARTS])
    }
}

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
    let first = (key[key_at] as u32) | ((key[key_at + 1] as u32) << 16);
    let second = (key[key_at + 2] as u32) | ((key[key_at + 3] as u32) << 16);
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

/// Two standard normals for element `index` of the block with these words: `noise.rs`, step by step.
#[cube]
fn normal_pair(first: u32, second: u32, index: u32) -> (f32, f32) {
    let radius_bits = mix(mix(index ^ first) + second);
    let turn = mix(mix(index ^ first) + (second ^ GOLDEN));
    let u = ((radius_bits >> 8) + 1) as f32 * TO_UNIT;
    let radius = (-2.0f32 * ln(u)).max(0.0f32).sqrt();
    let (cos, sin) = cos_sin(turn);
    (radius * cos, radius * sin)
}

#[cube]
fn mix(x: u32) -> u32 {
    let a = x ^ (x >> 16);
    let b = a * 0x7feb_352d;
    let c = b ^ (b >> 15);
    let d = c * 0x846c_a68b;
    d ^ (d >> 16)
}

#[cube]
fn ln(u: f32) -> f32 {
    let bits = u32::reinterpret(u);
    let exponent = i32::reinterpret(bits - SQRT_HALF_BITS) >> 23;
    let mantissa = f32::reinterpret(bits - u32::reinterpret(exponent << 23));
    let s = (mantissa - 1.0f32) / (mantissa + 1.0f32);
    let z = s * s;
    let series = 1.0f32 + z * (LN_3 + z * (LN_5 + z * (LN_7 + z * LN_9)));
    2.0f32 * s * series + exponent as f32 * LN_2
}

#[cube]
fn cos_sin(turn: u32) -> (f32, f32) {
    let quadrant = (turn + (1u32 << 29)) >> 30;
    let rest = i32::reinterpret(turn - (quadrant << 30));
    let x = rest as f32 * TURN;
    let z = x * x;
    let sin = x * (1.0f32 - z * (SIN_3 - z * (SIN_5 - z * (SIN_7 - z * SIN_9))));
    let cos = 1.0f32 - z * (0.5f32 - z * (COS_4 - z * (COS_6 - z * (COS_8 - z * COS_10))));
    let quarter = (quadrant & 1) == 1;
    let sign = if (quadrant & 2) == 0 { 1.0f32 } else { -1.0f32 };
    let c = if quarter { -sin } else { cos };
    let s = if quarter { cos } else { sin };
    (sign * c, sign * s)
}
