//! FOCOPS: first-order constrained optimisation in policy space.
//!
//! The optimal policy of a trust-region problem has a closed form; each Adam step moves the parametric policy towards it by
//! the loss `KL(pi || pi_old) - rho A / lambda`, taken over the states whose KL is at most eta. `rho` is the likelihood
//! ratio and `A = (A_r - nu A_c) / (1 + nu)`.
//!
//! Zhang, Vuong and Ross, "First Order Constrained Optimization in Policy Space" (arXiv 2002.06506), eq. 14 and algorithm
//! 1; the multiplier and the advantage as in OmniSafe's `focops.py`.

use anyhow::Result;
use compute::State;
use compute::noise::Stream;
use kfac::InitialWeights;
use safe_rl::{AdamMultiplierConfig, Gaussian, Samples};
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
            let old = Gaussian::new(minibatch.mean.clone(), old_log_std.clone());
            let Samples { action, log_prob, .. } = minibatch;
            Ok(pass.distribution.regularized_surrogate(&old, action, log_prob, &advantage, config.eta as f32))
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
