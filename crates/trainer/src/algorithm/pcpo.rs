//! PCPO: a trust-region step for the reward, projected back to where a linear model of the cost holds the limit.
//!
//! With `g` and `b` the gradients of reward and cost, `c` the violation, `q = g F^-1 g`, `r = g F^-1 b` and `s = b F^-1 b`:
//!
//! ```text
//! x = sqrt(2 delta / q) F^-1 g - [(sqrt(2 delta / q) r + c) / s]+ F^-1 b
//! ```
//!
//! Yang and others, "Projection-Based Constrained Policy Optimization" (arXiv 2010.03152), eq. 5, with the projection in the
//! KL's metric and OmniSafe's line search (`pcpo.py`, `cpo.py`).
//!
//! OmniSafe's `pcpo.py` differs from the paper in two places, which `pcpo.variant` chooses between. Its reward term is
//! `F (F^-1 g)`, that is, the plain gradient g; and its c is the violation of a whole episode, while b is the slope of the
//! cost per step, so that beyond the limit the step is nearly one along `-F^-1 b` and the line search finds its length.

use anyhow::{Result, ensure};
use burn::tensor::Tensor;
use kfac::InitialWeights;
use safe_rl::Samples;
use serde::{Deserialize, Serialize};

use super::second_order::{Trial, TrpoConfig, TrustRegion, Variant, take};
use super::{Algorithm, AlgorithmInfo, Context, Setup, Update};
use crate::config::{Section, SectionInfo, count};
use crate::error::UsageError;
use crate::policy::Policy;
use crate::policy::exported::scalar;

/// PCPO's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "pcpo",
    summary: "PCPO: a trust-region step for the reward, projected back onto the constraint",
    sections: &[SectionInfo::of::<TrpoConfig>(), SectionInfo::of::<PcpoConfig>()],
    protocol: None,
    weights: InitialWeights::Orthogonal,
    build: |setup| Ok(Box::new(Pcpo::new(setup)?)),
};

/// What PCPO sets besides the section `trpo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PcpoConfig {
    /// Whose formula: `omnisafe` (the plain gradient for the reward, the violation per episode) or `paper`.
    pub variant: Variant,
    /// Step lengths that the line search tries (OmniSafe: 200); it stands in for `trpo.search_steps`.
    pub search_steps: usize,
}

impl Default for PcpoConfig {
    fn default() -> Self {
        Self { variant: Variant::Omnisafe, search_steps: 200 }
    }
}

impl Section for PcpoConfig {
    const NAME: &'static str = "pcpo";

    fn validate(&self) -> Result<()> {
        count("pcpo.search_steps", self.search_steps)
    }
}

/// Keeps divisions finite.
const TINY: f64 = 1e-8;

/// PCPO, for one constraint; it remembers nothing.
pub struct Pcpo {
    config: TrpoConfig,
    variant: Variant,
    limit: f64,
    /// Steps that the violation is measured by.
    per: f64,
}

impl Pcpo {
    /// The algorithm for one constraint.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub fn new(setup: &Setup) -> Result<Self> {
        let count = setup.constraints.len();
        ensure!(count == 1, UsageError::new(format!("pcpo takes one constraint, the environment has {count}")));
        let PcpoConfig { variant, search_steps } = setup.config.section();
        let config = TrpoConfig { search_steps, ..setup.config.section() };
        Ok(Self { config, variant, limit: setup.constraints[0].limit, per: variant.steps_of_violation(setup.horizon) })
    }
}

/// The step as `reward` times the direction of the reward less `cost` times `F^-1 b`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Weights {
    reward: f64,
    cost: f64,
}

impl Weights {
    fn new(q: f64, r: f64, s: f64, violation: f64, delta: f64) -> Self {
        let reward = (2.0 * delta / (q + TINY)).sqrt();
        Self { reward, cost: ((reward * r + violation) / (s + TINY)).max(0.0) }
    }
}

impl Algorithm for Pcpo {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        let cost = context.costs.first().map_or(f64::NAN, |cost| cost.of_episodes());
        let violation = (cost - self.limit) / self.per;
        let region = TrustRegion::new(&self.config, policy, batch, context);
        let (before, gradients) = region.gradients(&batch.advantage)?;
        let row = |i: usize| gradients.clone().narrow(0, i, 1).squeeze_dim::<1>(0);
        let (g, b): (Tensor<1>, Tensor<1>) = (row(0), row(1));
        let (x, p) = (region.natural(&g)?, region.natural(&b)?);
        let r = scalar((g.clone() * p.direction.clone()).sum())?;
        let weights = Weights::new(x.squared, r, p.squared, violation, region.radius());
        let usable = weights.reward.is_finite() && weights.cost.is_finite();
        let found = usable.then(|| {
            // OmniSafe's matrix is per action dimension: its F^-1 g is as many times ours, and so is what F makes of it.
            let along = if self.variant == Variant::Paper { x.direction } else { g / region.actions() as f32 };
            let step = along * weights.reward as f32 - p.direction * weights.cost as f32;
            let acceptable = |trial: &Trial| trial.values[1] - before[1] <= (-violation).max(0.0);
            region.search(&step, &batch.advantage, acceptable)
        });
        let mut update = take("PCPO", policy, found.transpose()?);
        update.push("PCPO/RewardWeight", weights.reward);
        update.push("PCPO/CostWeight", weights.cost);
        update.push("PCPO/Violation", violation);
        Ok(update)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F = I, the trust region the unit disc (delta = 0.5), g = (1, 1), b = (1, 0): q = 2, r = 1, s = 1.
    #[test]
    fn the_step_is_projected_onto_the_constraint() {
        let step = |violation: f64| {
            let weights = Weights::new(2.0, 1.0, 1.0, violation, 0.5);
            [weights.reward - weights.cost, weights.reward]
        };
        let edge = 0.5f64.sqrt();
        // All of the step is safe; half of it is; the old policy is beyond the limit by a quarter.
        for (violation, expected) in [(-2.0, [edge, edge]), (-0.5, [0.5, edge]), (0.25, [-0.25, edge])] {
            for (got, expected) in step(violation).into_iter().zip(expected) {
                assert!((got - expected).abs() < 1e-6, "{violation}: {got} {expected}");
            }
        }
    }
}
