//! FOCOPS: first-order constrained optimisation in policy space.
//!
//! The optimal policy of a trust-region problem has a closed form; each Adam step moves the parametric policy towards it by
//! the loss `KL(pi || pi_old) - rho A / lambda`, taken over the states whose KL is at most eta. `rho` is the likelihood
//! ratio and `A = (A_r - nu A_c) / (1 + nu)`.
//!
//! Zhang, Vuong and Ross, "First Order Constrained Optimization in Policy Space" (arXiv 2002.06506), eq. 14 and algorithm
//! 1; the multiplier and the advantage as in OmniSafe's `focops.py`.

use anyhow::Result;
use burn::tensor::Tensor;
use compute::State;
use compute::noise::Stream;
use kfac::InitialWeights;
use safe_rl::{AdamMultiplierConfig, Gaussian, Samples, Surrogate, gaussian_kl};
use serde::{Deserialize, Serialize};

use super::first_order::{FirstOrder, FirstOrderSettings};
use super::lagrangian::Lagrangian;
use super::{Algorithm, AlgorithmInfo, Context, Setup, Update};
use crate::config::{Section, SectionInfo, positive};
use crate::policy::Policy;

/// FOCOPS's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "focops",
    summary: "FOCOPS: first-order steps towards the trust region's optimal policy, lambda learned by Adam",
    sections: &[SectionInfo::of::<FocopsConfig>(), SectionInfo::of::<AdamMultiplierConfig>()],
    protocol: None,
    weights: InitialWeights::Uniform,
    build: |setup| Ok(Box::new(Focops::new(setup)?)),
};

/// Settings of FOCOPS (OmniSafe's unless said).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FocopsConfig {
    /// Epochs, minibatches and Adam's steps.
    #[serde(flatten)]
    pub steps: FirstOrderSettings,
    /// Temperature of the optimal policy: the larger, the shyer the step.
    pub lambda: f64,
    /// KL of a state beyond which it no longer counts, in nats.
    pub eta: f64,
    /// Largest multiplier.
    pub max_multiplier: f64,
}

impl Default for FocopsConfig {
    fn default() -> Self {
        Self { steps: FirstOrderSettings::default(), lambda: 1.5, eta: 0.02, max_multiplier: 2.0 }
    }
}

impl Section for FocopsConfig {
    const NAME: &'static str = "focops";

    fn validate(&self) -> Result<()> {
        self.steps.validate(Self::NAME)?;
        positive("focops.lambda", self.lambda)?;
        positive("focops.eta", self.eta)?;
        positive("focops.max_multiplier", self.max_multiplier)
    }
}

/// The algorithm's state between iterations.
pub struct Focops {
    config: FocopsConfig,
    optimizer: FirstOrder,
    lagrangian: Lagrangian,
}

impl Focops {
    /// The algorithm for a policy of this shape.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(setup: &Setup) -> Result<Self> {
        let config: FocopsConfig = setup.config.section();
        let lagrangian = Lagrangian::learned(setup, Some(config.max_multiplier))?;
        Ok(Self { optimizer: FirstOrder::new(config.steps, Stream::FocopsOrder, setup)?, lagrangian, config })
    }
}

impl Algorithm for Focops {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        self.lagrangian.update(context.costs);
        let (config, lagrangian, old_log_std) = (&self.config, &self.lagrangian, policy.log_std().clone());
        let mut update = self.optimizer.improve(policy, batch, context, |pass, minibatch| {
            let advantage = lagrangian.advantage(&minibatch.advantage) * (1.0 / config.lambda);
            Ok(kl_regularized(&pass.distribution, minibatch, &advantage, &old_log_std, config.eta))
        })?;
        self.lagrangian.report(&mut update);
        Ok(update)
    }

    fn state(&self) -> Result<State> {
        let mut state = State::new();
        state.put_part("adam", self.optimizer.state()?)?;
        self.lagrangian.save(&mut state)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        self.optimizer.load_state(&state.part("adam")?)?;
        self.lagrangian.load(state)
    }
}

/// `mean_n 1[KL_n <= eta] (rho_n A_n - KL_n)` with `KL_n = KL(pi || pi_old)` at state n, `pi_old` of the batch's means: with
/// advantages divided by lambda, FOCOPS's loss negated.
///
/// With respect to the mean, KL's derivative is `(mu - mu_old) / sigma_old^2`; to log sigma, `(sigma / sigma_old)^2 - 1`.
///
/// # Shapes
/// `advantage` `[1, N]`, `old_log_std` `[A]`.
pub(super) fn kl_regularized(
    policy: &Gaussian,
    batch: &Samples,
    advantage: &Tensor<2>,
    old_log_std: &Tensor<1>,
    eta: f64,
) -> Surrogate {
    let samples = batch.len();
    let kl = gaussian_kl(&policy.mean, &policy.log_std, &batch.mean, old_log_std);
    let near = kl.clone().lower_equal_elem(eta).float();
    let advantage = advantage.clone() * near.clone().unsqueeze();
    let raised = policy.surrogate(&batch.action, &batch.log_prob, &advantage, None);

    let weight = near * (1.0 / samples as f32); // [N]
    let inverse_variance = (old_log_std.clone() * -2.0).exp();
    let pull =
        (policy.mean.clone() - batch.mean.clone()) * inverse_variance.unsqueeze() * weight.clone().unsqueeze_dim(1);
    let widening = ((policy.log_std.clone() - old_log_std.clone()) * 2.0).exp() - 1.0;
    Surrogate {
        mean: raised.mean - pull.unsqueeze(),
        log_std: raised.log_std - (widening * weight.clone().sum()).unsqueeze(),
        value: raised.value - (kl * weight).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::exported::host;
    use burn::tensor::Device;

    /// One state and one action: everything can be worked by hand.
    fn sample(mean: f32, old_mean: f32, action: f32) -> (Gaussian, Samples, Tensor<1>) {
        let device = Device::flex();
        let matrix = |value: f32| Tensor::<2>::from_floats([[value]], &device);
        let old_log_std = Tensor::<1>::from_floats([0.0], &device);
        let old = Gaussian::new(matrix(old_mean), old_log_std.clone());
        let batch = Samples {
            obs: matrix(0.0),
            log_prob: old.log_prob(&matrix(action)),
            action: matrix(action),
            mean: matrix(old_mean),
            advantage: Tensor::zeros([2, 1], &device),
            target: Tensor::zeros([2, 1], &device),
        };
        (Gaussian::new(matrix(mean), Tensor::from_floats([0.0], &device)), batch, old_log_std)
    }

    fn numbers(mean: f32, eta: f64) -> [f32; 3] {
        let (policy, batch, old_log_std) = sample(mean, 0.0, 1.0);
        let advantage = Tensor::<2>::from_floats([[2.0]], &Device::flex());
        let Surrogate { mean, log_std, value } = kl_regularized(&policy, &batch, &advantage, &old_log_std, eta);
        [host(&mean).unwrap()[0], host(&log_std).unwrap()[0], host(&value).unwrap()[0]]
    }

    #[test]
    fn value_and_derivatives_agree_with_numbers_worked_by_hand() {
        // mu 0.1, mu_old 0, sigma 1, a 1: z = 0.9, KL = 0.005, rho = exp((1 - 0.81) / 2) = exp(0.095); A = 2.
        let rho = 0.095f32.exp();
        let expected = [2.0 * rho * 0.9 - 0.1, 2.0 * rho * (0.81 - 1.0), 2.0 * rho - 0.005];
        for (got, expected) in numbers(0.1, 1.0).into_iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
    }

    #[test]
    fn a_state_beyond_eta_counts_no_longer() {
        assert_eq!(numbers(0.1, 0.004), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn derivatives_agree_with_finite_differences_in_log_sigma() {
        let advantage = Tensor::<2>::from_floats([[2.0]], &Device::flex());
        let value = |log_std: f32| {
            let (policy, batch, old_log_std) = sample(0.3, -0.2, 0.7);
            let policy = Gaussian::new(policy.mean, Tensor::from_floats([log_std], &Device::flex()));
            let surrogate = kl_regularized(&policy, &batch, &advantage, &old_log_std, 10.0);
            (host(&surrogate.value).unwrap()[0], host(&surrogate.log_std).unwrap()[0])
        };
        let h = 1e-2;
        let slope = (value(0.2 + h).0 - value(0.2 - h).0) / (2.0 * h);
        assert!((slope - value(0.2).1).abs() < 1e-3, "{slope} {}", value(0.2).1);
    }
}
