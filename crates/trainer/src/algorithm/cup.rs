//! CUP: constrained update projection, a step for the reward and a step back for the cost.
//!
//! Per iteration, first PPO's epochs on the reward alone give `pi_half`; then epochs on
//! `KL(pi || pi_half) + sum_k nu_k (1 - gamma lambda) / (1 - gamma) rho A_k` project it towards the safe policies, `rho` the
//! likelihood ratio to the policy that gathered the batch. Each half ends when the mean KL from its own start exceeds
//! `target_kl`.
//!
//! Yang and others, "Constrained Update Projection Approach to Safe Policy Optimization" (arXiv 2209.07089), algorithm 1;
//! as in OmniSafe's `cup.py`, both halves share one Adam and `nu` is learned by Adam, bounded above, in place of the paper's
//! plain ascent.

use anyhow::Result;
use burn::tensor::Tensor;
use compute::State;
use compute::noise::Stream;
use kfac::InitialWeights;
use safe_rl::{AdamMultiplierConfig, Gaussian, Samples};
use serde::{Deserialize, Serialize};

use super::first_order::{FirstOrder, FirstOrderSettings};
use super::lagrangian::Lagrangian;
use super::ppo::PpoConfig;
use super::{Algorithm, AlgorithmInfo, Context, Setup, Update};
use crate::config::{Section, SectionInfo, positive};
use crate::policy::Policy;

/// CUP's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "cup",
    summary: "CUP: PPO's step for the reward, then a projection back by cost and KL, multiplier learned by Adam",
    sections: &[
        SectionInfo::of::<PpoConfig>(),
        SectionInfo::of::<CupConfig>(),
        SectionInfo::of::<AdamMultiplierConfig>(),
    ],
    protocol: None,
    weights: InitialWeights::Uniform,
    build: |setup| Ok(Box::new(Cup::new(setup)?)),
};

/// What CUP sets besides the section `ppo` (OmniSafe's values).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CupConfig {
    /// Mean KL that ends the epochs of either half, in nats; it stands in for `ppo.target_kl`.
    pub target_kl: f64,
    /// Largest multiplier.
    pub max_multiplier: f64,
}

impl Default for CupConfig {
    fn default() -> Self {
        Self { target_kl: 0.01, max_multiplier: 2.0 }
    }
}

impl Section for CupConfig {
    const NAME: &'static str = "cup";

    fn validate(&self) -> Result<()> {
        positive("cup.target_kl", self.target_kl)?;
        positive("cup.max_multiplier", self.max_multiplier)
    }
}

/// The algorithm's state between iterations.
pub struct Cup {
    clip: f32,
    /// `(1 - gamma lambda) / (1 - gamma)`, which turns an advantage by GAE into a bound on the cost.
    scale: f64,
    optimizer: FirstOrder,
    lagrangian: Lagrangian,
}

impl Cup {
    /// The algorithm for a policy of this shape.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(setup: &Setup) -> Result<Self> {
        let (config, ppo): (CupConfig, PpoConfig) = (setup.config.section(), setup.config.section());
        let settings = FirstOrderSettings { target_kl: config.target_kl, ..ppo.steps };
        Ok(Self {
            clip: ppo.clip as f32,
            scale: cost_scale(setup.config.gamma, setup.config.gae_lambda),
            optimizer: FirstOrder::new(settings, Stream::PpoOrder, setup)?,
            lagrangian: Lagrangian::learned(setup, Some(config.max_multiplier))?,
        })
    }
}

/// `(1 - gamma lambda) / (1 - gamma)`; its limit for lambda = 1 where gamma is 1.
fn cost_scale(gamma: f64, lambda: f64) -> f64 {
    if gamma < 1.0 { (1.0 - gamma * lambda) / (1.0 - gamma) } else { 1.0 }
}

impl Algorithm for Cup {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        self.lagrangian.update(context.costs);
        let (clip, scale, lagrangian) = (Some(self.clip), self.scale, &self.lagrangian);
        let reward = self.optimizer.improve(policy, batch, context, |pass, minibatch| {
            let advantage = minibatch.advantage.clone().narrow(0, 0, 1);
            Ok(pass.distribution.surrogate(&minibatch.action, &minibatch.log_prob, &advantage, clip))
        })?;
        // The second half keeps close to where the first one ended, not to the policy that gathered the batch.
        let half = Samples { mean: policy.forward(batch.obs.clone()), ..batch.clone() };
        let half_log_std = policy.log_std().clone();
        let projected = self.optimizer.improve(policy, &half, context, |pass, minibatch| {
            let safer = priced_cost(&minibatch.advantage, &lagrangian.values()) * -scale;
            let half = Gaussian::new(minibatch.mean.clone(), half_log_std.clone());
            let Samples { action, log_prob, .. } = minibatch;
            Ok(pass.distribution.regularized_surrogate(&half, action, log_prob, &safer, f32::INFINITY))
        })?;
        let mut update = Update { kl: projected.kl, ..reward };
        for (name, number) in projected.numbers.into_iter().filter(|(name, _)| name != "Train/LR") {
            let name = name.replace("Train/", "CUP/Second");
            update.push(name, number);
        }
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

/// `sum_k nu_k A_k`, `[1, N]`, of advantages `[1 + C, N]`.
fn priced_cost(advantage: &Tensor<2>, multipliers: &[f64]) -> Tensor<2> {
    let rows = multipliers.iter().enumerate().map(|(k, price)| advantage.clone().narrow(0, k + 1, 1) * *price);
    rows.reduce(|sum, row| sum + row).unwrap_or_else(|| advantage.clone().narrow(0, 0, 1) * 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::exported::host;
    use burn::tensor::Device;

    #[test]
    fn the_cost_scale_agrees_with_numbers_worked_by_hand() {
        assert!((cost_scale(0.99, 0.95) - 5.95).abs() < 1e-12);
        assert_eq!(cost_scale(0.5, 1.0), 1.0);
        assert_eq!(cost_scale(1.0, 0.95), 1.0);
    }

    #[test]
    fn every_constraint_has_its_price() {
        let advantage = Tensor::<2>::from_floats([[9.0, 9.0], [1.0, -2.0], [4.0, 3.0]], &Device::flex());
        assert_eq!(host(&priced_cost(&advantage, &[2.0, 0.5])).unwrap(), [4.0, -2.5]);
        assert_eq!(host(&priced_cost(&advantage, &[])).unwrap(), [0.0, 0.0]);
    }
}
