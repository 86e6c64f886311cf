//! One backward pass per seed, or one per output of which the seeds are combinations.

use pulp::{Arch, Simd, WithSimd};

use super::input::{Input, Seeds};
use super::network::Network;
use crate::simd::gemm::gemm_nn;

/// How the backward passes of a call are organised.
pub(super) struct SeedPlan {
    /// `u_k = W seed_k` `[K, in_width]` of the last layer for constant Fisher seeds; empty otherwise.
    pub constant: Vec<f32>,
    /// Present where one backward pass per output is fewer than one per seed.
    ///
    /// Backpropagation is linear in the seed, and a seed has only as many components as there are outputs: with more
    /// seeds than outputs the derivatives of every seed are combinations of those of the outputs. Two gradients and the
    /// exact Fisher matrix of two actions take two backward passes instead of four.
    pub basis: Option<Basis>,
}

/// Scaled unit vectors of the outputs as seeds.
pub(super) struct Basis {
    /// `W e_o scale_o`, `[out, in_width]`.
    pub start: Vec<f32>,
    /// `1 / scale_o`.
    pub inverse_scale: Vec<f32>,
    /// Whether the scaled unit vectors are the Fisher seeds themselves (they are diagonal).
    pub is_fisher: bool,
}

impl SeedPlan {
    pub fn new(network: &Network, input: &Input<'_>) -> Self {
        let outputs = network.plan.last().outputs;
        let fisher = match input.fisher {
            Some(Seeds::PerSample(_, k) | Seeds::Constant(_, k)) => k,
            None => 0,
        };
        let start = |seeds: &[f32]| Arch::new().dispatch(Start { network, seeds });
        let constant = match input.fisher {
            Some(Seeds::Constant(seeds, _)) => start(seeds),
            _ => Vec::new(),
        };
        if network.plan.layers.len() < 2 || outputs >= input.cotangents.count() + fisher {
            return SeedPlan { constant, basis: None };
        }
        let diagonal = match input.fisher {
            Some(Seeds::Constant(seeds, k)) if k == outputs => diagonal(seeds, k),
            _ => None,
        };
        let is_fisher = diagonal.is_some();
        let scale = diagonal.unwrap_or_else(|| vec![1.0; outputs]);
        let mut unit = vec![0.0; outputs * outputs];
        for (o, &s) in scale.iter().enumerate() {
            unit[o * outputs + o] = s;
        }
        let inverse_scale = scale.iter().map(|s| s.recip()).collect();
        let basis = Basis { start: start(&unit), inverse_scale, is_fisher };
        SeedPlan { constant, basis: Some(basis) }
    }

    /// Derivatives that are alive at once.
    pub fn chains(&self) -> usize {
        self.basis.as_ref().map_or(1, |basis| basis.inverse_scale.len())
    }
}

/// The diagonal of a square matrix with nothing else in it and nothing extreme on it.
fn diagonal(m: &[f32], n: usize) -> Option<Vec<f32>> {
    let off = m.iter().enumerate().any(|(i, &x)| i / n != i % n && x != 0.0);
    let diagonal: Vec<f32> = m.iter().step_by(n + 1).copied().collect();
    let usable = diagonal.iter().all(|x| (1e-6..1e6).contains(&x.abs()));
    (!off && usable).then_some(diagonal)
}

/// `seeds W^T` of the last layer, `[K, in_width]`.
struct Start<'a> {
    network: &'a Network,
    seeds: &'a [f32],
}

impl WithSimd for Start<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let plan = &self.network.plan;
        if plan.layers.len() < 2 {
            return Vec::new();
        }
        let top = plan.last();
        let rows = self.seeds.len() / top.outputs;
        let mut out = vec![0.0; rows * top.in_width];
        let weights = self.network.weights.backward(plan.layers.len() - 1, top);
        gemm_nn::<S, false>(simd, rows, self.seeds, top.outputs, &weights, &mut out, top.in_width);
        out
    }
}
