//! One complete policy update on synthetic data, for others to time.

use burn::tensor::{Device, Tensor, TensorData};

use crate::init::normal;
use crate::{
    Activation, Factors, KfacError, Mlp, MlpSpec, exact_seeds, log_std_natural_gradient, score_seeds, trust_region,
};

/// A Gaussian policy, a batch, and everything an update needs, allocated once.
///
/// [`run`](Self::run) does what an update of a safe policy does: forward pass, Fisher seeds, statistics with two
/// gradients, moving average, inverses of all factors, two natural gradients, the step length, the step, and the
/// divergence it caused. Nothing is read back.
pub struct PolicyUpdate {
    policy: Mlp,
    log_std: Tensor<1>,
    factors: Factors,
    observations: Tensor<2>,
    /// Advantages over sigma, one row a loss: `[2, N, out]` after scaling by 1/N.
    cotangents: Tensor<3>,
    /// Standard normal numbers for the sampled scores, `[1, N, out]`.
    noise: Tensor<3>,
    rows: usize,
    kind: UpdateKind,
}

/// Which update is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateKind {
    /// This project's default: the exact Fisher matrix (one backward pass an output) and the exact step length (one
    /// forward-mode pass).
    Exact,
    /// The usual K-FAC: one sampled score a sample and the step length from the damped Kronecker form `g . n`.
    Sampled,
}

impl PolicyUpdate {
    /// A tanh policy of these sizes and a batch of `rows` samples.
    ///
    /// # Errors
    /// Fewer than two sizes or a size of zero.
    pub fn new(sizes: &[usize], rows: usize, kind: UpdateKind, device: &Device) -> Result<Self, KfacError> {
        let spec = MlpSpec::new(sizes, Activation::Tanh)?;
        let (inputs, outputs) = (spec.input_size(), spec.output_size());
        let factors = Factors::new(&spec, 0.95, device)?;
        let noise = |seed: u64, n: usize, scale: f64| -> Vec<f32> {
            (0..n as u64).map(|i| (scale * normal(seed, 0, i)) as f32).collect()
        };
        let observations = TensorData::new(noise(1, rows * inputs, 1.0), [rows, inputs]);
        let cotangents = TensorData::new(noise(2, 2 * rows * outputs, 1.0 / rows as f64), [2, rows, outputs]);
        Ok(PolicyUpdate {
            policy: Mlp::init(spec, 1, 0.1, device),
            log_std: Tensor::full([outputs], -0.5, device),
            factors,
            observations: Tensor::from_data(observations, device),
            cotangents: Tensor::from_data(cotangents, device),
            noise: Tensor::from_data(TensorData::new(noise(3, rows * outputs, 1.0), [1, rows, outputs]), device),
            rows,
            kind,
        })
    }

    /// One update; returns the mean divergence between the policies before and after it, `[1]`.
    ///
    /// The policy itself is left as it was, so that every call does the same work.
    ///
    /// # Errors
    /// None in practice: the damping is a constant.
    pub fn run(&mut self) -> Result<Tensor<1>, KfacError> {
        let pass = self.policy.forward_pass(self.observations.clone());
        let old = pass.outputs();
        let seeds = match self.kind {
            UpdateKind::Exact => exact_seeds(self.log_std.clone()),
            UpdateKind::Sampled => {
                let sigma = self.log_std.clone().exp().unsqueeze_dims::<3>(&[0, 1]);
                let actions = old.clone().unsqueeze_dim::<3>(0) + self.noise.clone() * sigma;
                score_seeds(actions, old.clone(), self.log_std.clone())
            }
        };
        let statistics = pass.statistics(self.cotangents.clone(), seeds);
        let gradient = statistics.gradients.clone();
        self.factors.update(&statistics.factors);
        let inverses = self.factors.inverse(0.1)?;
        let natural = inverses.natural_gradients(statistics.gradients);
        let params = self.policy.spec().num_params();
        let blend = |t: Tensor<2>| -> Tensor<1> {
            (t.clone().slice([0..1]) - t.slice([1..2]).mul_scalar(0.5)).reshape([params])
        };
        let direction = blend(natural);
        let spread = log_std_natural_gradient(self.log_std.clone().mul_scalar(1e-3), 0.1);
        let inv_variance = self.log_std.clone().mul_scalar(-2.0).exp();
        let mean_quadratic = match self.kind {
            UpdateKind::Exact => trust_region::gaussian_quadratic(pass.jvp(direction.clone()), inv_variance.clone()),
            UpdateKind::Sampled => (blend(gradient) * direction.clone()).sum(),
        };
        let quadratic = mean_quadratic + trust_region::log_std_quadratic(spread.clone());
        let radius = trust_region::remaining_radius(0.0025, 0.01, Tensor::zeros([1], &direction.device()), 0.9);
        let step = trust_region::step_length(quadratic, radius, 10.0);
        let candidate = self.policy.with_theta(self.policy.theta().clone() + direction * step.clone());
        let new_log_std = self.log_std.clone() + spread * step;
        let new = candidate.forward(self.observations.clone());
        let error = (new - old).powi_scalar(2) * inv_variance.unsqueeze_dim::<2>(0);
        let change = new_log_std - self.log_std.clone();
        let ratio = change.clone().mul_scalar(-2.0).exp();
        let mean = (error.sum_dim(0).div_scalar(self.rows as f32).reshape([change.dims()[0]]) + 1.0) * ratio;
        Ok((change + mean.mul_scalar(0.5) - 0.5).sum())
    }

    /// Multiply-adds of one [`run`](Self::run) at the least: each symmetric product counted once, as many backward
    /// passes as seeds or outputs (the fewer), inverses as `n^3`.
    pub fn work(&self) -> usize {
        let spec = self.policy.spec();
        let layers: Vec<(usize, usize)> = (0..spec.num_layers()).map(|l| spec.layer_shape(l)).collect();
        let forward: usize = layers.iter().map(|(i, o)| i * o).sum();
        let backward: usize = layers.iter().skip(1).map(|(i, o)| (i - 1) * o).sum();
        let outputs = spec.output_size();
        let (seeds, tangent) = match self.kind {
            UpdateKind::Exact => (outputs, forward + backward),
            UpdateKind::Sampled => (1, 0),
        };
        let grams: usize = layers.iter().map(|(i, o)| i * (i + 1) / 2 + seeds * o * (o + 1) / 2).sum();
        // Two forward passes, the tangents on kept activations, two gradients, backward passes, factors.
        let sample = 2 * forward + tangent + 2 * forward + outputs.min(2 + seeds) * backward + grams;
        let inverses: usize = layers.iter().map(|(i, o)| i.pow(3) + o.pow(3)).sum();
        let natural: usize = layers.iter().map(|(i, o)| 2 * i * o * (i + o)).sum();
        self.rows * sample + inverses + natural
    }
}
