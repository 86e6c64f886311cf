//! Counter-based random numbers: a hash of (seed, environment, episode, draw).
//!
//! No generator state is kept: the counters live in the environment's state, so a run resumes and
//! replays with the same bits on every device. Products of 32-bit numbers wrap by design.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use compute::noise::mix;

use crate::params::{PARAM_SEED, SEED_PARTS};
use crate::state::{DRAW, EPISODE, LANES};

const WEYL: u32 = 0x9E37_79B9;
/// 2^-24: a float32 in [0, 1) has 24 random bits.
const TO_UNIT: f32 = 1.0 / 16_777_216.0;

/// Random 32 bits number `draw` of episode `episode` of environment `env` under the seed
/// `(low, high)`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn bits(low: u32, high: u32, env: u32, episode: u32, draw: u32) -> u32 {
    // Two rounds over the key halves: environments, episodes and draws are small consecutive
    // numbers, and one round alone would leave streams that differ by a shift.
    let key = mix(mix(low ^ mix(env + WEYL)) ^ episode);
    let word = mix(mix(high ^ mix(key + draw * WEYL)) ^ key);
    mix(word + draw)
}

/// 32 random bits as a float32 in [0, 1).
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn unit(word: u32) -> f32 {
    ((word >> 8) as f32) * TO_UNIT
}

/// The seed's halves.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn seed_words(params: &[f32]) -> (u32, u32) {
    let low = (params[PARAM_SEED] as u32) | ((params[PARAM_SEED + 1] as u32) << 16);
    let high = (params[PARAM_SEED + 2] as u32) | ((params[PARAM_SEED + 3] as u32) << 16);
    (low, high)
}

/// The next uniform number in [0, 1) of the environment's current episode; advances its counter.
#[cfg_attr(feature = "gpu", cube)]
#[inline]
pub fn draw(params: &[f32], state: &mut [f32], base: usize, env: u32) -> f32 {
    let (low, high) = seed_words(params);
    let episode = state[base + EPISODE * LANES] as u32;
    let count = state[base + DRAW * LANES];
    state[base + DRAW * LANES] = count + 1.0;
    unit(bits(low, high, env, episode, count as u32))
}

/// The seed as four 16-bit numbers, each exact in float32.
pub fn seed_parts(seed: u64) -> [f32; SEED_PARTS] {
    core::array::from_fn(|i| ((seed >> (16 * i)) & 0xffff) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(seed: u64, env: u32, episode: u32, draw: u32) -> f64 {
        f64::from(unit(bits(seed as u32, (seed >> 32) as u32, env, episode, draw)))
    }

    /// Mean, variance and a 64-bin chi-square of a stream must fit a uniform distribution.
    fn check_uniform(values: impl Iterator<Item = f64>) {
        let v: Vec<f64> = values.collect();
        let n = v.len() as f64;
        let mean = v.iter().sum::<f64>() / n;
        assert!((mean - 0.5).abs() < 4.0 * (1.0 / 12.0 / n).sqrt(), "mean {mean}");
        let mut bins = [0.0f64; 64];
        v.iter().for_each(|x| bins[(x * 64.0) as usize] += 1.0);
        let chi: f64 = bins.iter().map(|b| (b - n / 64.0).powi(2) / (n / 64.0)).sum();
        assert!((15.0..130.0).contains(&chi), "chi-square {chi} with 63 degrees of freedom");
    }

    #[test]
    fn every_axis_of_the_counter_is_uniform() {
        check_uniform((0..40_000).map(|i| uniform(7, 0, 1, i)));
        check_uniform((0..40_000).map(|i| uniform(7, i, 1, 0)));
        check_uniform((0..40_000).map(|i| uniform(7, 3, i, 5)));
        check_uniform((0..40_000u64).map(|i| uniform(i, 0, 0, 0)));
        check_uniform((0..40_000u64).map(|i| uniform(i << 32, 0, 0, 0)));
    }

    #[test]
    fn neighbouring_streams_are_uncorrelated() {
        type Pair = fn(u32) -> (f64, f64);
        let n = 40_000;
        let pairs: [(&str, Pair); 4] = [
            ("draw", |i| (uniform(7, 0, 1, i), uniform(7, 0, 1, i + 1))),
            ("env", |i| (uniform(7, 0, 1, i), uniform(7, 1, 1, i))),
            ("episode", |i| (uniform(7, 0, 1, i), uniform(7, 0, 2, i))),
            ("seed", |i| (uniform(7, 0, 1, i), uniform(8, 0, 1, i))),
        ];
        for (name, pair) in pairs {
            let r: f64 = (0..n)
                .map(|i| {
                    let (a, b) = pair(i);
                    (a - 0.5) * (b - 0.5)
                })
                .sum::<f64>();
            let correlation = r * 12.0 / f64::from(n);
            assert!(correlation.abs() < 4.0 / f64::from(n).sqrt(), "{name}: {correlation}");
        }
    }

    #[test]
    fn seed_parts_hold_the_whole_seed() {
        let seed = 0xfedc_ba98_7654_3210;
        let p = seed_parts(seed).map(|x| x as u64);
        assert_eq!(p[0] | p[1] << 16 | p[2] << 32 | p[3] << 48, seed);
    }
}
