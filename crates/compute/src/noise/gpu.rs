//! The noise of [`normals`](super::normals) for kernels that draw for themselves: the same formulas, step by step.
#![cfg(feature = "gpu")]
#![allow(missing_docs)] // of the modules that `cube` makes for the functions

use burn::tensor::{Device, Tensor};
use cubecl::prelude::*;

use super::{GOLDEN, NoiseKey, mix};

/// Numbers of a noise key, one step's: two words in halves.
pub const KEY_PARTS: usize = 4;

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

/// The two words of the key at `key[first .. first + KEY_PARTS]`.
#[cube]
pub fn key_words(key: &[f32], first: usize) -> (u32, u32) {
    let one = (key[first] as u32) | ((key[first + 1] as u32) << 16);
    let other = (key[first + 2] as u32) | ((key[first + 3] as u32) << 16);
    (one, other)
}

/// Two standard normals for element `index` of the block with the words `(first, second)`.
#[cube]
pub fn normal_pair(first: u32, second: u32, index: u32) -> (f32, f32) {
    let radius_bits = mix(mix(index ^ first) + second);
    let turn = mix(mix(index ^ first) + (second ^ GOLDEN));
    let u = ((radius_bits >> 8) + 1) as f32 * TO_UNIT;
    let radius = (-2.0f32 * ln(u)).max(0.0f32).sqrt();
    let (cos, sin) = cos_sin(turn);
    (radius * cos, radius * sin)
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
