//! Problems with a known Fisher matrix: gradients of reward and cost, and their natural gradients in double precision.

use burn::tensor::Tensor;
use compute::noise::{NoiseKey, Stream, normals};
use safe_rl::{Blend, MarginConfig, MarginWeights, Products, ProjectionKind, blend};
use test_support::device::test_device;
use test_support::numbers;

/// Parameters of a problem.
pub const P: usize = 12;

/// Gradients of reward and cost, their natural gradients, and the metric, all in double precision.
#[derive(Clone)]
pub struct Problem {
    pub fisher: Vec<f64>,
    pub gradients: [Vec<f64>; 2],
    pub natural: [Vec<f64>; 2],
}

pub fn random(seed: u64, step: u64, n: usize) -> Vec<f64> {
    normals(NoiseKey { seed, stream: Stream::Other(0), step }, n, 1).into_iter().map(f64::from).collect()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

pub fn times(matrix: &[f64], x: &[f64]) -> Vec<f64> {
    (0..P).map(|i| dot(&matrix[i * P..(i + 1) * P], x)).collect()
}

/// Gaussian elimination without pivoting, which a positive definite matrix does not need.
pub fn solve(matrix: &[f64], b: &[f64]) -> Vec<f64> {
    let (mut m, mut x) = (matrix.to_vec(), b.to_vec());
    for i in 0..P {
        for j in i + 1..P {
            let factor = m[j * P + i] / m[i * P + i];
            for k in i..P {
                m[j * P + k] -= factor * m[i * P + k];
            }
            x[j] -= factor * x[i];
        }
    }
    for i in (0..P).rev() {
        let known: f64 = (i + 1..P).map(|k| m[i * P + k] * x[k]).sum();
        x[i] = (x[i] - known) / m[i * P + i];
    }
    x
}

impl Problem {
    /// `alignment` mixes the reward's gradient into the cost's: positive makes them conflict.
    pub fn new(seed: u64, alignment: f64) -> Self {
        let root = random(seed, 0, P * P);
        let mut fisher = vec![0.0; P * P];
        for i in 0..P {
            for j in 0..P {
                fisher[i * P + j] = (0..P).map(|k| root[i * P + k] * root[j * P + k]).sum::<f64>() / P as f64;
            }
            fisher[i * P + i] += 0.1;
        }
        let reward = random(seed, 1, P);
        let cost: Vec<f64> = random(seed, 2, P).iter().zip(&reward).map(|(c, r)| c + alignment * r).collect();
        Self::from_gradients(fisher, [reward, cost])
    }

    pub fn from_gradients(fisher: Vec<f64>, gradients: [Vec<f64>; 2]) -> Self {
        let natural = [solve(&fisher, &gradients[0]), solve(&fisher, &gradients[1])];
        Self { fisher, gradients, natural }
    }

    pub fn scaled(&self, reward: f64, cost: f64) -> Self {
        let scale = |rows: &[Vec<f64>; 2]| {
            [rows[0].iter().map(|x| x * reward).collect(), rows[1].iter().map(|x| x * cost).collect()]
        };
        Self { fisher: self.fisher.clone(), gradients: scale(&self.gradients), natural: scale(&self.natural) }
    }

    pub fn tensor(rows: &[Vec<f64>; 2]) -> Tensor<2> {
        let values: Vec<f32> = rows.iter().flatten().map(|&x| x as f32).collect();
        numbers::tensor(&values, [2, P], &test_device())
    }

    pub fn blend(&self, kind: ProjectionKind, weights: &MarginWeights) -> Blend {
        let natural = Self::tensor(&self.natural);
        let metric = Products::metric(&Self::tensor(&self.gradients), &natural);
        let projection = match kind {
            ProjectionKind::Euclidean => Products::euclidean(&natural),
            _ => metric.clone(),
        };
        blend(kind, &metric, &projection, &[*weights], None)
    }

    pub fn direction(&self, kind: ProjectionKind, margin: f64) -> Vec<f64> {
        self.weighted_direction(kind, &weights(margin))
    }

    pub fn weighted_direction(&self, kind: ProjectionKind, weights: &MarginWeights) -> Vec<f64> {
        let blend = self.blend(kind, weights);
        values(blend.direction(&Self::tensor(&self.natural)))
    }

    /// Inner product in the metric of the Fisher matrix.
    pub fn inner(&self, a: &[f64], b: &[f64]) -> f64 {
        dot(&times(&self.fisher, a), b)
    }

    pub fn cosine(&self, a: &[f64], b: &[f64]) -> f64 {
        self.inner(a, b) / (self.inner(a, a) * self.inner(b, b)).sqrt()
    }

    /// `sqrt(g . n)`: the natural size of the slope along a unit direction.
    pub fn size(&self, objective: usize) -> f64 {
        dot(&self.gradients[objective], &self.natural[objective]).sqrt()
    }

    pub fn conflict(&self) -> bool {
        dot(&self.gradients[0], &self.natural[1]) > 0.0
    }
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    numbers::values(tensor).into_iter().map(f64::from).collect()
}

pub fn weights(margin: f64) -> MarginWeights {
    safe_rl::Margin::new(25.0, MarginConfig { margin_start: 0.0, ..Default::default() }).unwrap().weights(margin)
}

pub fn problems() -> Vec<Problem> {
    let all: Vec<_> = (0..200).map(|seed| Problem::new(seed, [-2.0, 0.0, 0.7, 3.0][seed as usize % 4])).collect();
    assert!(all.iter().filter(|p| p.conflict()).count() > 80 && all.iter().filter(|p| !p.conflict()).count() > 60);
    all
}
