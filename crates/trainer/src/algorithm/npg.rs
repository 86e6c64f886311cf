//! Natural policy gradient, and RCPO: the same on a Lagrangian advantage.
//!
//! One step per iteration along `F^-1 g`, by conjugate gradients, of the length at which the KL's quadratic model reaches
//! `target_kl`; unlike TRPO, nothing checks where it led. Kakade, "A Natural Policy Gradient" (2001); Tessler, Mankowitz and
//! Mannor, "Reward Constrained Policy Optimization" (arXiv 1805.11074).
//!
//! As in OmniSafe's `natural_pg.py` and `rcpo.py`. The paper's RCPO adds the cost to the reward as a penalty and runs any
//! actor-critic; OmniSafe's weighs the advantages, `(A_r - lambda A_c) / (1 + lambda)`, with a multiplier learned by Adam.

use anyhow::Result;
use burn::tensor::Tensor;
use compute::State;
use kfac::InitialWeights;
use safe_rl::{AdamMultiplierConfig, Samples};

use super::lagrangian::Lagrangian;
use super::second_order::{TrpoConfig, TrustRegion};
use super::{Algorithm, AlgorithmInfo, Context, Number, Setup, Update};
use crate::config::SectionInfo;
use crate::policy::Policy;

/// The natural policy gradient's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "npg",
    summary: "Natural policy gradient: one full step by conjugate gradients; ignores cost",
    sections: &[SectionInfo::of::<TrpoConfig>()],
    protocol: None,
    weights: InitialWeights::Orthogonal,
    build: |setup| Ok(Box::new(NaturalPolicyGradient::new(setup, Lagrangian::none()))),
};

/// RCPO's row of the table.
pub const LAGRANGIAN: AlgorithmInfo = AlgorithmInfo {
    name: "rcpo",
    summary: "RCPO: natural policy gradient on (A_r - lambda A_c) / (1 + lambda), lambda learned by Adam",
    sections: &[SectionInfo::of::<TrpoConfig>(), SectionInfo::of::<AdamMultiplierConfig>()],
    protocol: None,
    weights: InitialWeights::Orthogonal,
    build: |setup| Ok(Box::new(NaturalPolicyGradient::new(setup, Lagrangian::learned(setup, None)?))),
};

/// The natural policy gradient, with or without Lagrange multipliers.
pub struct NaturalPolicyGradient {
    config: TrpoConfig,
    lagrangian: Lagrangian,
}

impl NaturalPolicyGradient {
    /// Steps on the advantage that the multipliers make.
    pub fn new(setup: &Setup, lagrangian: Lagrangian) -> Self {
        Self { config: setup.config.section(), lagrangian }
    }
}

impl Algorithm for NaturalPolicyGradient {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        self.lagrangian.update(context.costs);
        let advantage = self.lagrangian.advantage(&batch.advantage);
        let region = TrustRegion::new(&self.config, policy, batch, context);
        let (_, gradients) = region.gradients(&advantage)?;
        let natural = region.natural(&gradients.squeeze_dim(0))?;
        let usable = natural.squared.is_finite() && natural.squared >= 0.0;
        let old_log_std = policy.log_std().clone();
        if usable {
            let length = Tensor::from_floats([region.length(natural.squared) as f32], &policy.device());
            *policy = policy.step(&natural.direction, &length);
        }
        let kl = policy.distribution(batch.obs.clone()).mean_kl(&batch.mean, &old_log_std);
        let kl = Number::from(context.comm.mean(kl)?);
        let mut update = Update {
            kl: Some(kl.clone()),
            skipped: Some(Number::Known(f64::from(u8::from(!usable)))),
            ..Update::default()
        };
        update.push("Train/KL", kl);
        update.push("Train/LogStd", policy.log_std().clone().mean());
        update.push("NPG/xHx", natural.squared);
        self.lagrangian.report(&mut update);
        Ok(update)
    }

    fn state(&self) -> Result<State> {
        let mut state = State::new();
        self.lagrangian.save(&mut state)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        self.lagrangian.load(state)
    }
}
