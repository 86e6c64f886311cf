//! An optimiser put together from the crate's pieces: natural-gradient least squares.

use burn::tensor::{Device, Tensor};

use crate::error::KfacError;
use crate::factor::Factors;
use crate::fisher::FisherSeeds;
use crate::inverse::InverseSet;
use crate::mlp::Mlp;
use crate::mlp::spec::MlpSpec;

/// Settings of [`Kfac`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct KfacConfig {
    /// Damping of the factors and of the quadratic model.
    pub damping: f32,
    /// Decay of the factors' moving average.
    pub decay: f32,
    /// Steps between inversions; the first step always inverts.
    pub inverse_interval: usize,
    /// Longest step in the outputs' metric: root mean square change of the outputs.
    pub radius: f32,
    /// Whether a step also continues the previous one.
    pub momentum: bool,
}

impl Default for KfacConfig {
    fn default() -> Self {
        KfacConfig { damping: 1e-5, decay: 0.95, inverse_interval: 5, radius: 1.0, momentum: true }
    }
}

/// What one step did; everything stays on the device.
#[derive(Clone, Debug)]
pub struct KfacReport {
    /// Loss before the step, `mean_n sum_o (f - t)^2`, `[1]`.
    pub loss: Tensor<1>,
    /// Multiple of the negative natural gradient that was taken, `[1]`.
    pub step: Tensor<1>,
    /// Multiple of the previous step that was added, `[1]`.
    pub momentum: Tensor<1>,
    /// Mean squared change of the outputs to first order, `[1]`.
    pub change: Tensor<1>,
}

/// Natural-gradient least squares: K-FAC with the Fisher matrix of `N(f(x), I)`, i.e. Gauss-Newton.
///
/// A step combines the natural gradient and the previous step; both multiples minimise the exact Gauss-Newton model of
/// the batch (two forward-mode passes), within a trust region. No learning rate is tuned. Source: Martens and Grosse,
/// arXiv 1503.05671, sections 6.4 and 7.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kfac::{Activation, Kfac, KfacConfig, Mlp, MlpSpec};
///
/// # fn main() -> Result<(), kfac::KfacError> {
/// let device = Device::flex();
/// let spec = MlpSpec::new([1, 16, 1], Activation::Tanh)?;
/// let mut network = Mlp::init(spec.clone(), 0, 1.0, &device);
/// let mut kfac = Kfac::new(&spec, KfacConfig::default(), &device)?;
/// let x: Vec<f32> = (0..64).map(|i| i as f32 / 32.0 - 1.0).collect();
/// let y: Vec<f32> = x.iter().map(|x| (3.0 * x).sin()).collect();
/// let column = |values: &[f32]| Tensor::<1>::from_floats(values, &device).reshape([64, 1]);
/// for _ in 0..20 {
///     (network, _) = kfac.step(&network, column(&x), column(&y))?;
/// }
/// let (_, loss) = network.regression_gradient(column(&x), column(&y));
/// assert!(loss.into_scalar::<f32>() < 0.01);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Kfac {
    config: KfacConfig,
    factors: Factors,
    seeds: FisherSeeds,
    inverses: Option<InverseSet>,
    /// The last step, `[P]`.
    previous: Option<Tensor<1>>,
    steps: usize,
}

/// Below this the two directions are too parallel to tell apart in float32: `1 - cos^2`.
const PARALLEL: f32 = 1e-4;

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
        Ok(Kfac { config, factors, seeds, inverses: None, previous: None, steps: 0 })
    }

    /// The factors so far.
    pub fn factors(&self) -> &Factors {
        &self.factors
    }

    /// One step on inputs `[N, in]` and targets `[N, out]`; returns the moved network.
    ///
    /// # Errors
    /// None after [`new`](Self::new) has accepted the configuration; the signature keeps [`Factors::inverse`]'s.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn step(&mut self, mlp: &Mlp, x: Tensor<2>, targets: Tensor<2>) -> Result<(Mlp, KfacReport), KfacError> {
        let rows = x.dims()[0] as f32;
        let params = mlp.spec().num_params();
        let pass = mlp.forward_pass(x);
        let error = pass.outputs() - targets;
        let loss = (error.clone() * error.clone()).sum().div_scalar(rows);
        let statistics = pass.statistics(error.mul_scalar(2.0 / rows).unsqueeze_dim(0), self.seeds.clone());
        self.factors.update(&statistics.factors);
        let due = self.steps.is_multiple_of(self.config.inverse_interval.max(1));
        self.steps += 1;
        let inverses = match self.inverses.take() {
            Some(inverses) if !due => inverses,
            _ => self.factors.inverse(self.config.damping)?,
        };
        let gradient = statistics.gradients.clone().reshape([params]);
        let direction = inverses.natural_gradients(statistics.gradients).reshape([params]).neg();
        self.inverses = Some(inverses);

        let dot = |a: &Tensor<1>, b: &Tensor<1>| (a.clone() * b.clone()).sum();
        let mean = |a: &Tensor<2>, b: &Tensor<2>| (a.clone() * b.clone()).sum().div_scalar(rows);
        // Model of the loss along a step s: loss + g.s + s^T (F + damping I) s, F = E[J^T J].
        let damped =
            |f: &Tensor<1>, a: &Tensor<1>, b: &Tensor<1>| f.clone() + dot(a, b).mul_scalar(self.config.damping);
        let along = pass.jvp(direction.clone());
        let f11 = mean(&along, &along);
        let m11 = damped(&f11, &direction, &direction);
        let b1 = dot(&gradient, &direction).mul_scalar(-0.5);
        let alone = b1.clone() / m11.clone().add_scalar(f32::MIN_POSITIVE);
        let (mut step, mut momentum) = (alone.clone(), alone.zeros_like());
        let mut change = f11.clone() * step.clone() * step.clone();
        let previous = self.previous.take().filter(|_| self.config.momentum);
        if let Some(previous) = &previous {
            let again = pass.jvp(previous.clone());
            let (f12, f22) = (mean(&along, &again), mean(&again, &again));
            let (m12, m22) = (damped(&f12, &direction, previous), damped(&f22, previous, previous));
            let b2 = dot(&gradient, previous).mul_scalar(-0.5);
            let product = m11.clone() * m22.clone();
            let determinant = product.clone() - m12.clone() * m12.clone();
            let apart = determinant.clone().greater(product.mul_scalar(PARALLEL));
            let both = (m22 * b1.clone() - m12.clone() * b2.clone()) / determinant.clone();
            let more = (m11 * b2 - m12 * b1) / determinant;
            step = step.mask_where(apart.clone(), both);
            momentum = momentum.mask_where(apart, more);
            change = f11 * step.clone() * step.clone()
                + f12.mul_scalar(2.0) * step.clone() * momentum.clone()
                + f22 * momentum.clone() * momentum.clone();
        }
        // A step beyond the radius is shortened as a whole.
        let length = change.clone().clamp_min(0.0).sqrt();
        let scale = length.add_scalar(f32::MIN_POSITIVE).recip().mul_scalar(self.config.radius).clamp_max(1.0);
        let (step, momentum) = (step * scale.clone(), momentum * scale.clone());
        let mut total = direction * step.clone();
        if let Some(previous) = previous {
            total = total + previous * momentum.clone();
        }
        let moved = mlp.with_theta(mlp.theta().clone() + total.clone());
        self.previous = Some(total);
        Ok((moved, KfacReport { loss, step, momentum, change: change * scale.clone() * scale }))
    }
}
