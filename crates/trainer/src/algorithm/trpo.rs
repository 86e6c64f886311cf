//! TRPO, and TRPOLag: the same on a Lagrangian advantage.
//!
//! One step per iteration: the natural gradient by conjugate gradients on products with the exact Fisher matrix, scaled to
//! the trust region's edge and shortened until the surrogate has risen and the KL fits. Schulman and others, "Trust Region
//! Policy Optimization" (arXiv 1502.05477), appendix C; settings and the line search as in OmniSafe's `trpo.py`.

use anyhow::Result;
use burn::tensor::Tensor;
use compute::State;
use kfac::InitialWeights;
use safe_rl::{AdamMultiplierConfig, PidMultiplierConfig, Samples};

use super::lagrangian::Lagrangian;
use super::second_order::{TrpoConfig, TrustRegion, take};
use super::{Algorithm, AlgorithmInfo, Context, Setup, Update};
use crate::config::SectionInfo;
use crate::policy::Policy;

/// TRPO's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "trpo",
    summary: "TRPO: natural gradient by conjugate gradients, line search; ignores cost",
    sections: &[SectionInfo::of::<TrpoConfig>()],
    protocol: None,
    weights: InitialWeights::Orthogonal,
    build: |setup| Ok(Box::new(Trpo::new(setup, Lagrangian::none()))),
};

/// TRPOLag's row of the table.
pub const LAGRANGIAN: AlgorithmInfo = AlgorithmInfo {
    name: "trpo-lag",
    summary: "TRPO on (A_r - lambda A_c) / (1 + lambda), lambda learned by Adam (OmniSafe's TRPOLag)",
    sections: &[SectionInfo::of::<TrpoConfig>(), SectionInfo::of::<AdamMultiplierConfig>()],
    protocol: None,
    weights: InitialWeights::Orthogonal,
    build: |setup| Ok(Box::new(Trpo::new(setup, Lagrangian::learned(setup, None)?))),
};

/// TRPO-PID's row of the table.
pub const PID: AlgorithmInfo = AlgorithmInfo {
    name: "trpo-pid",
    summary: "TRPO on (A_r - lambda A_c) / (1 + lambda), lambda moved by a PID controller (OmniSafe's TRPOPID)",
    sections: &[SectionInfo::of::<TrpoConfig>(), SectionInfo::of::<PidMultiplierConfig>()],
    protocol: None,
    weights: InitialWeights::Orthogonal,
    build: |setup| Ok(Box::new(Trpo::new(setup, Lagrangian::controlled(setup)?))),
};

/// TRPO, with or without Lagrange multipliers.
pub struct Trpo {
    config: TrpoConfig,
    lagrangian: Lagrangian,
}

impl Trpo {
    /// TRPO on the advantage that the multipliers make.
    pub fn new(setup: &Setup, lagrangian: Lagrangian) -> Self {
        Self { config: setup.config.section(), lagrangian }
    }
}

/// One step of a policy that raises the surrogate of an advantage `[1, N]` within the trust region.
///
/// # Errors
/// When the device cannot be read.
pub fn raise(
    config: &TrpoConfig,
    policy: &mut Policy,
    batch: &Samples,
    advantage: &Tensor<2>,
    context: &Context,
) -> Result<Update> {
    let region = TrustRegion::new(config, policy, batch, context);
    let (before, gradients) = region.gradients(advantage)?;
    let natural = region.natural(&gradients.squeeze_dim(0))?;
    let usable = natural.squared.is_finite() && natural.squared >= 0.0;
    let found = usable.then(|| {
        let step = natural.direction * region.length(natural.squared) as f32;
        region.search(&step, advantage, |trial| trial.values[0] >= before[0])
    });
    let mut update = take("TRPO", policy, found.transpose()?);
    update.push("TRPO/xHx", natural.squared);
    Ok(update)
}

impl Algorithm for Trpo {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        self.lagrangian.update(context.costs);
        let advantage = self.lagrangian.advantage(&batch.advantage);
        let mut update = raise(&self.config, policy, batch, &advantage, context)?;
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
