//! An independent float64 implementation on the host, and small helpers.
#![allow(dead_code)] // each test file uses a part

#[path = "../../../../tests/support/device.rs"]
pub mod device;

use burn::tensor::{Device, Tensor, TensorData};
use kfac::{Activation, MlpSpec};

/// A hash generator of its own, so that the tests do not lean on the crate's.
pub fn uniform(seed: u64, index: usize) -> f64 {
    let mut z = (seed << 32).wrapping_add(index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def0;
    for _ in 0..3 {
        z = (z ^ (z >> 29)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    (z >> 11) as f64 / (1u64 << 53) as f64
}

pub fn normal(seed: u64, index: usize) -> f64 {
    let u = uniform(seed, 2 * index).max(1e-300);
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * uniform(seed, 2 * index + 1)).cos()
}

pub fn normals(seed: u64, n: usize, scale: f64) -> Vec<f32> {
    (0..n).map(|i| (scale * normal(seed, i)) as f32).collect()
}

pub fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

pub fn values<const D: usize>(t: &Tensor<D>) -> Vec<f32> {
    t.clone().into_data().try_to_vec::<f32>().expect("float32")
}

pub fn close(a: &[f32], b: &[f32], tolerance: f32, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}: lengths");
    let scale = b.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert!((x - y).abs() <= tolerance * scale, "{what}[{i}]: {x} against {y}, scale {scale}");
    }
}

/// A network in float64 with its Jacobian by reverse mode.
pub struct Dense {
    pub spec: MlpSpec,
    pub theta: Vec<f64>,
}

impl Dense {
    pub fn new(spec: &MlpSpec, theta: &[f32]) -> Self {
        Dense { spec: spec.clone(), theta: theta.iter().map(|&x| f64::from(x)).collect() }
    }

    fn weight(&self, l: usize, i: usize, o: usize) -> f64 {
        self.theta[self.spec.layer_range(l).start + i * self.spec.layer_shape(l).1 + o]
    }

    /// Inputs of every layer (with a one appended) and the outputs.
    pub fn forward(&self, x: &[f32]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut inputs = Vec::new();
        let mut h: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        for l in 0..self.spec.num_layers() {
            h.push(1.0);
            let (rows, columns) = self.spec.layer_shape(l);
            let mut s: Vec<f64> = (0..columns).map(|o| (0..rows).map(|i| h[i] * self.weight(l, i, o)).sum()).collect();
            if l + 1 < self.spec.num_layers() {
                for v in &mut s {
                    *v = match self.spec.activation() {
                        Activation::Tanh => v.tanh(),
                        Activation::Relu => v.max(0.0),
                    };
                }
            }
            inputs.push(std::mem::replace(&mut h, s));
        }
        (inputs, h)
    }

    /// d (seed . f(x)) / d theta.
    pub fn gradient(&self, x: &[f32], seed: &[f64]) -> Vec<f64> {
        let (inputs, _) = self.forward(x);
        let mut gradient = vec![0.0; self.theta.len()];
        let mut delta = seed.to_vec();
        for l in (0..self.spec.num_layers()).rev() {
            let (rows, columns) = self.spec.layer_shape(l);
            let start = self.spec.layer_range(l).start;
            for i in 0..rows {
                for o in 0..columns {
                    gradient[start + i * columns + o] = inputs[l][i] * delta[o];
                }
            }
            if l > 0 {
                delta = (0..rows - 1)
                    .map(|i| {
                        let back: f64 = (0..columns).map(|o| self.weight(l, i, o) * delta[o]).sum();
                        let h = inputs[l][i];
                        let slope = match self.spec.activation() {
                            Activation::Tanh => 1.0 - h * h,
                            Activation::Relu => f64::from(u8::from(h > 0.0)),
                        };
                        back * slope
                    })
                    .collect();
            }
        }
        gradient
    }

    /// Rows `J_k / sigma_k` for one sample.
    pub fn scores(&self, x: &[f32], sigma: &[f64]) -> Vec<Vec<f64>> {
        (0..sigma.len())
            .map(|k| {
                let mut seed = vec![0.0; sigma.len()];
                seed[k] = 1.0 / sigma[k];
                self.gradient(x, &seed)
            })
            .collect()
    }

    /// The dense Fisher matrix `[P][P]` of `N(f(x), diag sigma^2)` over the rows of `x`.
    pub fn fisher(&self, x: &[f32], sigma: &[f64]) -> Vec<Vec<f64>> {
        let p = self.theta.len();
        let mut f = vec![vec![0.0; p]; p];
        let rows = x.len() / self.spec.input_size();
        for x in x.chunks_exact(self.spec.input_size()) {
            for j in self.scores(x, sigma) {
                for (row, &a) in f.iter_mut().zip(&j) {
                    for (f, &b) in row.iter_mut().zip(&j) {
                        *f += a * b / rows as f64;
                    }
                }
            }
        }
        f
    }
}
