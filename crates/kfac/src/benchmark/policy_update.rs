//! A policy update to time, whole and in parts.

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};

use super::operations::Operations;
use crate::error::KfacError;
use crate::factor::Factors;
use crate::fisher::{FisherKind, FisherSeeds, exact_seeds, score_seeds};
use crate::mlp::Mlp;
use crate::mlp::init::normal;
use crate::mlp::spec::{Activation, MlpSpec};
use crate::trust_region;

/// Damping of the factors and of log sigma.
const DAMPING: f32 = 0.1;

/// The divergence a step is made for.
const STEP_KL: f32 = 0.0025;

/// A Gaussian policy, a batch, and everything an update needs, allocated once.
///
/// [`run`](Self::run) does what an update of a safe policy does: forward pass, Fisher seeds, statistics with two
/// gradients, moving average, inverses of all factors, two natural gradients, the step length, the step, and the
/// divergence it caused. Nothing is read back.
///
/// With [`FisherKind::Exact`], this project's default, the step length comes from one forward-mode pass; otherwise, as in the
/// usual K-FAC with its one score per sample, from the damped Kronecker form `g . n`.
pub struct PolicyUpdate {
    policy: Mlp,
    log_std: Tensor<1>,
    /// Gradients of log sigma, one row per loss, `[2, out]`.
    log_std_gradients: Tensor<2>,
    factors: Factors,
    observations: Tensor<2>,
    /// Advantages over sigma, one row per loss: `[2, N, out]` after scaling by 1/N.
    cotangents: Tensor<3>,
    /// Standard normal numbers for the sampled scores, `[1, N, out]`.
    noise: Tensor<3>,
    rows: usize,
    kind: FisherKind,
}

impl PolicyUpdate {
    /// A tanh policy of these sizes and a batch of `rows` samples.
    ///
    /// # Errors
    /// Fewer than two sizes or a size of zero.
    pub fn new(sizes: &[usize], rows: usize, kind: FisherKind, device: &Device) -> Result<Self, KfacError> {
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
            log_std_gradients: Tensor::full([2, outputs], -5e-4, device),
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
        let seeds = self.seeds(&old);
        let statistics = pass.statistics(self.cotangents.clone(), seeds);
        let gradient = Tensor::cat(vec![statistics.gradients, self.log_std_gradients.clone()], 1);
        self.factors.update(&statistics.factors);
        let inverses = self.factors.inverse(DAMPING)?;
        let natural = inverses.natural_gradients(gradient.clone());
        let (params, actions) = (self.policy.spec().num_params(), self.log_std.dims()[0]);
        let blend = |t: Tensor<2>| -> Tensor<1> {
            (t.clone().slice([0..1]) - t.slice([1..2]).mul_scalar(0.5)).reshape([params + actions])
        };
        let direction = blend(natural);
        let log_std_direction = direction.clone().narrow(0, params, actions);
        let inv_variance = self.log_std.clone().mul_scalar(-2.0).exp();
        let quadratic = match self.kind {
            FisherKind::Exact => {
                trust_region::gaussian_quadratic(pass.jvp(direction.clone()), inv_variance.clone())
                    + trust_region::log_std_quadratic(log_std_direction.clone())
            }
            FisherKind::Sampled | FisherKind::Empirical => (blend(gradient) * direction.clone()).sum(),
        };
        let radius = Tensor::full([1], (2.0 * STEP_KL).sqrt(), &direction.device());
        let step = trust_region::step_length(quadratic, radius, 10.0);
        let theta_direction = direction.narrow(0, 0, params);
        let candidate = self.policy.with_theta(self.policy.theta().clone() + theta_direction * step.clone());
        let new_log_std = self.log_std.clone() + log_std_direction * step;
        let new = candidate.forward(self.observations.clone());
        let error = (new - old).powi_scalar(2) * inv_variance.unsqueeze_dim::<2>(0);
        let change = new_log_std - self.log_std.clone();
        let ratio = change.clone().mul_scalar(-2.0).exp();
        let mean = (error.sum_dim(0).div_scalar(self.rows as f32).reshape([change.dims()[0]]) + 1.0) * ratio;
        Ok((change + mean.mul_scalar(0.5) - 0.5).sum())
    }

    fn seeds(&self, mean: &Tensor<2>) -> FisherSeeds {
        match self.kind {
            FisherKind::Exact => exact_seeds(self.log_std.clone()),
            FisherKind::Sampled | FisherKind::Empirical => {
                let sigma = self.log_std.clone().exp().unsqueeze_dims::<3>(&[0, 1]);
                let actions = mean.clone().unsqueeze_dim::<3>(0) + self.noise.clone() * sigma;
                score_seeds(actions, mean.clone(), self.log_std.clone())
            }
        }
    }

    /// Floating-point operations of one [`run`](Self::run) at the least.
    pub fn operations(&self) -> Operations {
        Operations::new(self.policy.spec(), self.rows, self.kind)
    }

    /// Times each part of an update by itself, `repeats` times one after another, and takes the least: anything slower was
    /// disturbed, or a warm-up.
    ///
    /// The parts do not quite add up to [`run`](Self::run), which also has the small tensor operations between them.
    ///
    /// # Errors
    /// None in practice: the damping is a constant.
    pub fn parts(&mut self, repeats: usize) -> Result<PartSeconds, KfacError> {
        let device = self.log_std.device();
        let mut times: [Vec<f64>; 7] = Default::default();
        let mut clock = |part: usize, start: Instant| -> Result<(), KfacError> {
            device.sync().map_err(|error| KfacError::Device(format!("{error:?}")))?;
            times[part].push(start.elapsed().as_secs_f64());
            Ok(())
        };
        for _ in 0..repeats.max(1) {
            let start = Instant::now();
            let pass = self.policy.forward_pass(self.observations.clone());
            clock(0, start)?;
            let seeds = self.seeds(&pass.outputs());
            device.sync().map_err(|error| KfacError::Device(format!("{error:?}")))?;
            let start = Instant::now();
            let statistics = pass.statistics(self.cotangents.clone(), seeds);
            clock(1, start)?;
            let start = Instant::now();
            let _gradients = pass.gradients(self.cotangents.clone());
            clock(2, start)?;
            self.factors.update(&statistics.factors);
            let start = Instant::now();
            let inverses = self.factors.inverse(DAMPING)?;
            clock(3, start)?;
            let start = Instant::now();
            let natural = inverses.natural_gradients(statistics.gradients);
            clock(4, start)?;
            let direction = natural.slice([0..1]).reshape([self.policy.spec().num_params()]);
            let start = Instant::now();
            let _moved = pass.jvp(direction);
            clock(5, start)?;
            drop(pass); // its memory serves the next pass, as in an update
            let start = Instant::now();
            let _outputs = self.policy.forward(self.observations.clone());
            clock(6, start)?;
        }
        let [forward, statistics, gradients, inverse, precondition, jacobian, divergence] =
            times.map(|times| times.into_iter().fold(f64::INFINITY, f64::min));
        Ok(PartSeconds { forward, statistics, gradients, inverse, precondition, jacobian, divergence })
    }
}

/// Seconds of an update's parts; [`Operations`] has their work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartSeconds {
    /// The forward pass that keeps its activations: [`Operations::forward`].
    pub forward: f64,
    /// The pass that makes gradients and factors: [`Operations::statistics`].
    pub statistics: f64,
    /// The same pass without the factors: backward and gradients. It is contained in `statistics`.
    pub gradients: f64,
    /// Damping, inverses, and their residuals: [`Operations::inverse`].
    pub inverse: f64,
    /// Two natural gradients: [`Operations::precondition`].
    pub precondition: f64,
    /// The directional derivative on kept activations: [`Operations::jacobian`] (of [`FisherKind::Exact`]).
    pub jacobian: f64,
    /// A forward pass that keeps nothing: [`Operations::divergence`].
    pub divergence: f64,
}
