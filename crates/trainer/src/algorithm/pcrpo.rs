//! PCRPO: projection in a conflict between reward and cost, and a soft switch between three kinds of steps.
//!
//! With the limit d and the slacks h- <= 0 <= h+, a policy whose cost is above `d + h+` lowers the cost, one below `d + h-`
//! raises the reward, and one between them follows both gradients: `w = x_r g_r + x_c g_c` where they agree, `g_c` that of
//! falling cost, and where they conflict (`g_r . g_c < 0`) the same of each projected onto the other's normal plane,
//!
//! ```text
//! g_r+ = g_r - (g_r . g_c / |g_c|^2) g_c        g_c+ = g_c - (g_r . g_c / |g_r|^2) g_r
//! ```
//!
//! Gu and others, "Balance Reward and Safety Optimization for Safe Reinforcement Learning: A Perspective of Gradient
//! Manipulation" (arXiv 2405.01677). OmniSafe has no PCRPO. Any w is `alpha g_r + beta g_c`, so the step is TRPO's on the
//! advantage `alpha A_r - beta A_c`. The slacks are this project's choice, and so is what several constraints do: the one
//! furthest beyond its limit counts.

use anyhow::{Result, ensure};
use burn::tensor::Tensor;
use kfac::InitialWeights;
use safe_rl::Samples;
use serde::{Deserialize, Serialize};

use super::crpo::worst;
use super::second_order::TrpoConfig;
use super::trpo::raise;
use super::{Algorithm, AlgorithmInfo, Context, Setup, Update};
use crate::config::{Section, SectionInfo, at_least, within};
use crate::policy::Policy;
use crate::policy::exported::host;

/// PCRPO's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "pcrpo",
    summary: "PCRPO: TRPO on mutually projected gradients near the limit, on one objective away from it",
    sections: &[SectionInfo::of::<TrpoConfig>(), SectionInfo::of::<PcrpoConfig>()],
    protocol: None,
    weights: InitialWeights::Orthogonal,
    build: |setup| Ok(Box::new(Pcrpo::new(setup))),
};

/// What PCRPO sets besides the section `trpo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PcrpoConfig {
    /// How far above the limit the reward still counts, in units of cost (h+).
    pub slack_above: f64,
    /// How far below the limit the cost begins to count, in units of cost (-h-).
    pub slack_below: f64,
    /// Weight of the reward's gradient where both count; the cost's has the rest.
    pub reward_weight: f64,
}

impl Default for PcrpoConfig {
    fn default() -> Self {
        Self { slack_above: 2.5, slack_below: 2.5, reward_weight: 0.5 }
    }
}

impl Section for PcrpoConfig {
    const NAME: &'static str = "pcrpo";

    fn validate(&self) -> Result<()> {
        at_least("pcrpo.slack_above", self.slack_above, 0.0)?;
        at_least("pcrpo.slack_below", self.slack_below, 0.0)?;
        within("pcrpo.reward_weight", self.reward_weight, 0.0, 1.0)
    }
}

/// PCRPO; it remembers nothing.
pub struct Pcrpo {
    config: PcrpoConfig,
    trpo: TrpoConfig,
    limits: Vec<f64>,
}

impl Pcrpo {
    /// The algorithm for these constraints.
    pub fn new(setup: &Setup) -> Self {
        let limits = setup.constraints.iter().map(|constraint| constraint.limit).collect();
        Self { config: setup.config.section(), trpo: setup.config.section(), limits }
    }
}

/// Inner products of the gradients of reward and falling cost.
#[derive(Clone, Copy, Debug)]
struct Gram {
    reward: f64,
    cost: f64,
    both: f64,
}

impl PcrpoConfig {
    /// How the gradients are weighed, `[alpha, beta]`, at a violation `J - d`.
    fn weights(&self, violation: f64, gram: Gram) -> [f64; 2] {
        if violation > self.slack_above {
            return [0.0, 1.0];
        }
        if violation < -self.slack_below {
            return [1.0, 0.0];
        }
        let (x_r, x_c) = (self.reward_weight, 1.0 - self.reward_weight);
        if gram.both >= 0.0 {
            return [x_r, x_c];
        }
        [x_r - x_c * gram.both / gram.reward, x_c - x_r * gram.both / gram.cost]
    }
}

impl Algorithm for Pcrpo {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        let reward = batch.advantage.clone().narrow(0, 0, 1);
        let Some((k, violation)) = worst(context.costs, &self.limits) else {
            return raise(&self.trpo, policy, batch, &reward, context);
        };
        ensure!(batch.advantage.dims()[0] > k + 1, "an advantage per constraint is needed");
        let safety = batch.advantage.clone().narrow(0, k + 1, 1).neg();
        let both = Tensor::cat(vec![reward.clone(), safety.clone()], 0);
        let pass = policy.pass(batch.obs.clone());
        let surrogate = pass.distribution.surrogate(&batch.action, &batch.log_prob, &both, None);
        let gradients = context.comm.mean(pass.gradients(surrogate))?;
        let products = host(&gradients.clone().matmul(gradients.transpose()).reshape([4]))?;
        let gram = Gram { reward: products[0].into(), cost: products[3].into(), both: products[1].into() };
        let [alpha, beta] = self.config.weights(violation, gram);
        let mut update = raise(&self.trpo, policy, batch, &(reward * alpha + safety * beta), context)?;
        update.push("PCRPO/RewardWeight", alpha);
        update.push("PCRPO/CostWeight", beta);
        update.push("PCRPO/Cosine", gram.both / (gram.reward * gram.cost).sqrt());
        Ok(update)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_from_the_limit_one_gradient_counts() {
        let config = PcrpoConfig { slack_above: 3.0, slack_below: 2.0, reward_weight: 0.5 };
        let gram = Gram { reward: 1.0, cost: 1.0, both: -0.5 };
        assert_eq!(config.weights(3.5, gram), [0.0, 1.0]);
        assert_eq!(config.weights(-2.5, gram), [1.0, 0.0]);
        assert_eq!(config.weights(0.0, Gram { both: 0.5, ..gram }), [0.5, 0.5]);
    }

    /// g_r = (2, 0), g_c = (-1, 1): g_r+ = (2, 0) + (-1, 1) = (1, 1), g_c+ = (-1, 1) + 0.5 (2, 0) = (0, 1).
    #[test]
    fn in_a_conflict_each_gradient_leaves_the_other_alone() {
        let config = PcrpoConfig { reward_weight: 0.75, ..PcrpoConfig::default() };
        let [alpha, beta] = config.weights(0.0, Gram { reward: 4.0, cost: 2.0, both: -2.0 });
        let w = [alpha * 2.0 - beta, beta];
        assert_eq!(w, [0.75, 0.75 + 0.25]);
    }
}
