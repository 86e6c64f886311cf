//! An independent implementation in float64 on the host.

use kfac::{Activation, MlpSpec};

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
