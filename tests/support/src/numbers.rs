//! Numbers on the host: what a tensor holds, inputs that are the same on every machine, and how far results are apart.

use std::borrow::Borrow;

use burn::tensor::{Device, Tensor, TensorData};

/// The numbers of a tensor or of a reference to one, row-major.
pub fn values<const D: usize>(tensor: impl Borrow<Tensor<D>>) -> Vec<f32> {
    tensor.borrow().to_data().try_to_vec::<f32>().expect("float32")
}

/// A tensor of these numbers, row-major.
pub fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// The bits of numbers: equal where results are the same, NaN included.
pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// A number in `[0, 1)` from a hash of its own, so that tests do not lean on the generators they test.
pub fn uniform(seed: u64, index: usize) -> f64 {
    let mut z = (seed << 32).wrapping_add(index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def0;
    for _ in 0..3 {
        z = (z ^ (z >> 29)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    (z >> 11) as f64 / (1u64 << 53) as f64
}

/// A standard normal number, by the Box-Muller transform of two of [`uniform`].
pub fn normal(seed: u64, index: usize) -> f64 {
    let u = uniform(seed, 2 * index).max(1e-300);
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * uniform(seed, 2 * index + 1)).cos()
}

/// `n` normal numbers with this standard deviation.
pub fn normals(seed: u64, n: usize, std: f64) -> Vec<f32> {
    (0..n).map(|i| (std * normal(seed, i)) as f32).collect()
}

/// `n` uniform numbers in [-1, 1): actions of the environments numbered 0, 1, .. in this batch.
pub fn random_actions(batch: usize, n: usize) -> Vec<f32> {
    let mut x = 0x9E37_79B9_7F4A_7C15u64.wrapping_mul(batch as u64 + 1);
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Holds every number of `got` within `tolerance` of the expected one, in units of the largest expected number.
pub fn assert_close(got: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    let scale = expected.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    for (i, (x, y)) in got.iter().zip(expected).enumerate() {
        assert!((x - y).abs() <= tolerance * scale, "{what}[{i}]: {x} against {y}, scale {scale}");
    }
}
