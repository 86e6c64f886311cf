//! Counter-based standard normal noise: a pure function of (seed, stream, step, row, column).
//!
//! The bits come from a 32-bit integer hash (two rounds of a xor-shift-multiply finaliser with the constants of
//! C. Wellons, "Prospecting for Hash Functions", 2018) and go through the Box-Muller transform. Logarithm, sine and cosine
//! are short polynomials written here, so the same key gives the same float32 bits on every machine: a libm's last
//! bit would differ between platforms.
//!
//! Tensors of noise are made on the host for every backend and uploaded (8 bytes per environment and step for two
//! actions), since wrapping 32-bit products and logical shifts are not expressible portably as tensor operations. The
//! upload is asynchronous and there is no read-back. Kernels that draw for themselves use `gpu`, which gives the same
//! numbers but for the last bits of the device's square root.

pub mod gpu;
mod hash;

mod stream;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

pub use hash::mix;
pub use stream::Stream;

/// What a block of noise depends on, besides its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseKey {
    /// The run's seed.
    pub seed: u64,
    /// Separates the consumers of one seed.
    pub stream: Stream,
    /// Counts vector steps (or epochs) of this stream.
    pub step: u64,
}

const GOLDEN: u32 = 0x9e37_79b9;

/// SplitMix64's step and finaliser (Steele, Lea and Flood, OOPSLA 2014): a bijective 64-bit hash.
pub fn splitmix64(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl NoiseKey {
    /// Two independent 32-bit words for the whole block.
    fn words(&self) -> [u32; 2] {
        let [seed, step] = [self.seed, self.step].map(|x| [x as u32, (x >> 32) as u32]);
        let parts = [seed[0], seed[1], self.stream.number(), step[0], step[1]];
        [GOLDEN, GOLDEN.rotate_left(16)]
            .map(|start| parts.iter().fold(start, |word, part| mix(word ^ part).wrapping_add(GOLDEN)))
    }

    /// 32 random bits for each element `index` of the block, drawn first (0) or second (1).
    pub fn bits(&self) -> impl Fn(u32, u32) -> u32 + Copy + Sync + Send + use<> {
        let [first, second] = self.words();
        move |index, draw| mix(mix(index ^ first).wrapping_add(second ^ draw.wrapping_mul(GOLDEN)))
    }
}

/// ln(u) for u in (0, 1]; relative error below 2e-7.
fn ln(u: f32) -> f32 {
    // Split u = 2^e * m with m in [sqrt(1/2), sqrt(2)), then ln m = 2 artanh((m - 1) / (m + 1)).
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let bits = u.to_bits();
    let exponent = (bits.wrapping_sub(SQRT_HALF_BITS) as i32) >> 23;
    let mantissa = f32::from_bits(bits.wrapping_sub((exponent << 23) as u32));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let series = 1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0))));
    2.0 * s * series + exponent as f32 * std::f32::consts::LN_2
}

/// (cos, sin) of the angle `2 pi turn / 2^32`; absolute error below 2e-7.
fn cos_sin(turn: u32) -> (f32, f32) {
    // Nearest multiple of a quarter turn, exact in integers; the rest lies within an eighth turn.
    let quadrant = turn.wrapping_add(1 << 29) >> 30;
    let rest = turn.wrapping_sub(quadrant << 30) as i32;
    let x = rest as f32 * (std::f32::consts::FRAC_PI_2 / (1u32 << 30) as f32);
    let z = x * x;
    let sin = x * (1.0 - z * (1.0 / 6.0 - z * (1.0 / 120.0 - z * (1.0 / 5040.0 - z * (1.0 / 362_880.0)))));
    let cos = 1.0 - z * (0.5 - z * (1.0 / 24.0 - z * (1.0 / 720.0 - z * (1.0 / 40_320.0 - z * (1.0 / 3_628_800.0)))));
    let (c, s) = if quadrant & 1 == 0 { (cos, sin) } else { (-sin, cos) };
    if quadrant & 2 == 0 { (c, s) } else { (-c, -s) }
}

/// Two independent standard normals from 64 random bits, by the Box-Muller transform (1958). Magnitudes stay below 5.8.
fn box_muller(radius_bits: u32, angle_bits: u32) -> (f32, f32) {
    let u = ((radius_bits >> 8) + 1) as f32 * (1.0 / 16_777_216.0);
    let radius = (-2.0 * ln(u)).max(0.0).sqrt();
    let (cos, sin) = cos_sin(angle_bits);
    (radius * cos, radius * sin)
}

/// Values made by one task; fixed, and irrelevant for the result.
const SHARD_VALUES: usize = 4096;

/// Standard normals `[rows, columns]`, row-major. Row `r` does not depend on the number of rows.
///
/// ```
/// use compute::noise::{NoiseKey, Stream, normals};
///
/// let key = NoiseKey { seed: 7, stream: Stream::Action, step: 0 };
/// assert_eq!(normals(key, 100, 2)[..20], normals(key, 10, 2));
/// assert_ne!(normals(NoiseKey { step: 1, ..key }, 10, 2), normals(key, 10, 2));
/// ```
pub fn normals(key: NoiseKey, rows: usize, columns: usize) -> Vec<f32> {
    let bits = key.bits();
    let pairs = columns.div_ceil(2);
    let mut values = vec![0.0; rows * columns];
    let fill = |first_row: usize, out: &mut [f32]| {
        for (offset, row) in out.chunks_exact_mut(columns).enumerate() {
            let base = ((first_row + offset) * pairs) as u32;
            for (pair, slot) in row.chunks_mut(2).enumerate() {
                let index = base.wrapping_add(pair as u32);
                let (first, second) = box_muller(bits(index, 0), bits(index, 1));
                slot[0] = first;
                if let Some(last) = slot.get_mut(1) {
                    *last = second;
                }
            }
        }
    };
    if columns == 0 {
        return values;
    }
    let shard_rows = (SHARD_VALUES / columns).max(1);
    if rows <= shard_rows {
        fill(0, &mut values);
    } else {
        values.par_chunks_mut(shard_rows * columns).enumerate().for_each(|(shard, out)| fill(shard * shard_rows, out));
    }
    values
}

/// The normals of [`normals`] as a tensor `[rows, columns]` on `device`.
pub fn normal_tensor(key: NoiseKey, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(normals(key, shape[0], shape[1]), shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(step: u64) -> NoiseKey {
        NoiseKey { seed: 7, stream: Stream::Other(1), step }
    }

    #[test]
    fn polynomials_agree_with_double_precision() {
        let mut worst_ln = 0.0f64;
        let mut worst_trig = 0.0f64;
        for i in 1..=200_000u32 {
            let u = (i as f32) / 200_000.0;
            let exact = f64::from(u).ln();
            worst_ln = worst_ln.max((f64::from(ln(u)) - exact).abs() / exact.abs().max(1e-3));
            let turn = mix(i);
            let angle = f64::from(turn) * std::f64::consts::TAU / 4_294_967_296.0;
            let (c, s) = cos_sin(turn);
            worst_trig = worst_trig.max((f64::from(c) - angle.cos()).abs()).max((f64::from(s) - angle.sin()).abs());
        }
        assert!(worst_ln < 1e-6, "ln {worst_ln}");
        assert!(worst_trig < 2e-7, "cos, sin {worst_trig}");
        assert!(ln(1.0 / 16_777_216.0).is_finite() && ln(1.0) == 0.0);
    }

    #[test]
    fn moments_are_those_of_the_standard_normal() {
        let n = 1_000_000;
        let values: Vec<f64> = normals(key(3), n / 2, 2).into_iter().map(f64::from).collect();
        let moment = |power: i32| values.iter().map(|x| x.powi(power)).sum::<f64>() / n as f64;
        // Standard errors at a million values: 1e-3, 1.4e-3, 3.9e-3, 9.8e-3; four of them are allowed.
        assert!(moment(1).abs() < 4e-3, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 5.7e-3, "second {}", moment(2));
        assert!(moment(3).abs() < 1.6e-2, "third {}", moment(3));
        assert!((moment(4) - 3.0).abs() < 4e-2, "fourth {}", moment(4));
        let beyond = values.iter().filter(|x| x.abs() > 3.0).count() as f64 / n as f64;
        assert!((beyond - 0.0027).abs() < 2.1e-4, "beyond three sigma {beyond}");
    }

    #[test]
    fn neighbours_are_uncorrelated() {
        let n = 200_000;
        let a = normals(key(1), n, 2);
        let same_step_next_row: f64 = (0..n - 1).map(|r| f64::from(a[2 * r] * a[2 * r + 2])).sum::<f64>() / n as f64;
        let across_columns: f64 = (0..n).map(|r| f64::from(a[2 * r] * a[2 * r + 1])).sum::<f64>() / n as f64;
        let next_step: f64 = {
            let b = normals(key(2), n, 2);
            a.iter().zip(&b).map(|(x, y)| f64::from(x * y)).sum::<f64>() / (2 * n) as f64
        };
        let other_stream: f64 = {
            let b = normals(NoiseKey { stream: Stream::Other(2), ..key(1) }, n, 2);
            a.iter().zip(&b).map(|(x, y)| f64::from(x * y)).sum::<f64>() / (2 * n) as f64
        };
        // Standard error 2.2e-3 for n products, 1.6e-3 for 2n.
        for correlation in [same_step_next_row, across_columns, next_step, other_stream] {
            assert!(correlation.abs() < 1e-2, "correlation {correlation}");
        }
    }

    #[test]
    fn a_row_depends_only_on_its_key_and_index() {
        let many = normals(key(5), 10_000, 3);
        let few = normals(key(5), 10, 3);
        assert_eq!(&many[..30], &few[..]);
        assert_ne!(normals(key(6), 10, 3), few);
        // Pinned bits: a change here breaks the reproducibility of every recorded run.
        let bits = key(0).bits();
        assert_eq!([bits(0, 0), bits(0, 1), bits(1, 0)], [2_966_110_710, 2_457_586_448, 1_113_095_474]);
        let pinned: Vec<u32> = normals(key(0), 2, 2).iter().map(|x| x.to_bits()).collect();
        assert_eq!(pinned, [3_209_035_517, 3_200_324_353, 3_205_197_950, 3_217_454_428]);
    }
}
