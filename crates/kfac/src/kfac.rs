use burn::tensor::{Device, Tensor};

use crate::{Factors, FisherSeeds, InverseSet, KfacError, Mlp, MlpSpec, trust_region};

/// Settings of [`Kfac`].
#[derive(Clone, Debug, PartialEq)]
pub struct KfacConfig {
    /// Damping of the factors.
    pub damping: f32,
    /// Decay of the factors' moving average.
    pub decay: f32,
    /// Steps between inversions; the first step always inverts.
    pub inverse_interval: usize,
    /// Longest step in the output's metric: root mean square change of the outputs.
    pub radius: f32,
    /// Longest multiple of the natural gradient.
    pub max_step: f32,
}

impl Default for KfacConfig {
    fn default() -> Self {
        KfacConfig { damping: 1e-2, decay: 0.95, inverse_interval: 5, radius: 0.5, max_step: 10.0 }
    }
}

/// What one step did; everything stays on the device.
#[derive(Clone, Debug)]
pub struct KfacReport {
    /// Loss before the step, `mean_n sum_o (f - t)^2`, `[1]`.
    pub loss: Tensor<1>,
    /// Multiple of the natural gradient that was taken, `[1]`.
    pub step: Tensor<1>,
    /// `d^T F d` of the natural gradient, `[1]`.
    pub quadratic: Tensor<1>,
}

/// Natural-gradient least squares: K-FAC with the Fisher matrix of `N(f(x), I)`, i.e. Gauss-Newton.
///
/// Each step takes the natural gradient as direction and the minimiser of the exact Gauss-Newton model along it as
/// length (one forward-mode pass), within a trust region. No learning rate is tuned.
#[derive(Clone, Debug)]
pub struct Kfac {
    config: KfacConfig,
    factors: Factors,
    seeds: FisherSeeds,
    inverses: Option<InverseSet>,
    steps: usize,
}

impl Kfac {
    /// An optimiser for networks of this shape.
    ///
    /// # Errors
    /// A decay outside [0, 1) or a damping that is not positive and finite.
    pub fn new(spec: &MlpSpec, config: KfacConfig, device: &Device) -> Result<Self, KfacError> {
        if !(config.damping > 0.0 && config.damping.is_finite()) {
            return Err(KfacError::Damping(config.damping));
        }
        let factors = Factors::new(spec, config.decay, device)?;
        let seeds = FisherSeeds::Constant(Tensor::eye(spec.output_size(), device));
        Ok(Kfac { config, factors, seeds, inverses: None, steps: 0 })
    }

    /// The factors so far.
    pub fn factors(&self) -> &Factors {
        &self.factors
    }

    /// One step on inputs `[N, in]` and targets `[N, out]`; returns the moved network.
    ///
    /// # Errors
    /// None after [`new`](Self::new) has accepted the configuration; the signature keeps [`Factors::inverse`]'s.
    pub fn step(&mut self, mlp: &Mlp, x: Tensor<2>, targets: Tensor<2>) -> Result<(Mlp, KfacReport), KfacError> {
        let (statistics, loss) = mlp.regression_statistics(x.clone(), targets, self.seeds.clone());
        self.factors.update(&statistics.factors);
        let due = self.steps.is_multiple_of(self.config.inverse_interval.max(1));
        self.steps += 1;
        let inverses = match self.inverses.take() {
            Some(inverses) if !due => inverses,
            _ => self.factors.inverse(self.config.damping)?,
        };
        let gradient = statistics.gradients;
        let natural = inverses.natural_gradients(gradient.clone());
        self.inverses = Some(inverses);
        let params = mlp.spec().num_params();
        let (gradient, natural) = (gradient.reshape([params]), natural.reshape([params]));

        // Loss along -eta n: loss - eta g.n + eta^2 n^T F n, F = E[J^T J] the output Fisher of N(f, I).
        let ones = Tensor::ones([mlp.spec().output_size()], &x.device());
        let quadratic = trust_region::gaussian_quadratic(mlp.jvp(x, natural.clone()), ones);
        let slope = (gradient * natural.clone()).sum();
        let best = slope / quadratic.clone().mul_scalar(2.0).add_scalar(f32::MIN_POSITIVE);
        let radius = Tensor::full([1], self.config.radius, &natural.device());
        let longest = trust_region::step_length(quadratic.clone(), radius, self.config.max_step);
        let step = best.min_pair(longest);
        let theta = mlp.theta().clone() - natural * step.clone();
        Ok((mlp.with_theta(theta), KfacReport { loss, step, quadratic }))
    }
}
