//! PPO with a clipped surrogate, and PPOLag: the same on a Lagrangian advantage.
//!
//! OmniSafe's formulas (`policy_gradient.py`, `ppo.py`, `ppo_lag.py`): the epochs of an iteration end when the mean KL
//! from the old policy exceeds `target_kl`; PPOLag's advantage is (A_r - lambda A_c) / (1 + lambda), and lambda takes
//! one Adam ascent step on lambda (J_C - d) an iteration, before the policy. Minibatches are larger than OmniSafe's
//! 64 samples, which a vector environment cannot use well; `ppo.minibatch_size` sets them.

use anyhow::Result;
use compute::State;
use compute::noise::Stream;
use kfac::InitialWeights;
use safe_rl::{AdamMultiplierConfig, PidMultiplierConfig, Samples};
use serde::{Deserialize, Serialize};

use super::first_order::{FirstOrder, FirstOrderSettings};
use super::lagrangian::Lagrangian;
use super::{Algorithm, AlgorithmInfo, Context, Setup, Update};
use crate::config::{Section, SectionInfo, positive};
use crate::policy::Policy;

/// PPO's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "ppo",
    summary: "PPO with a clipped surrogate; ignores cost (the unconstrained yardstick)",
    sections: &[SectionInfo::of::<PpoConfig>()],
    protocol: None,
    weights: InitialWeights::Uniform,
    build: |setup| Ok(Box::new(Ppo::unconstrained(setup)?)),
};

/// PPOLag's row of the table.
pub const LAGRANGIAN: AlgorithmInfo = AlgorithmInfo {
    name: "ppo-lag",
    summary: "PPO on (A_r - lambda A_c) / (1 + lambda), lambda learned by Adam (OmniSafe's PPOLag)",
    sections: &[SectionInfo::of::<PpoConfig>(), SectionInfo::of::<AdamMultiplierConfig>()],
    protocol: None,
    weights: InitialWeights::Uniform,
    build: |setup| Ok(Box::new(Ppo::lagrangian(setup)?)),
};

/// PPO-PID's row of the table.
pub const PID: AlgorithmInfo = AlgorithmInfo {
    name: "ppo-pid",
    summary: "PPO on (A_r - lambda A_c) / (1 + lambda), lambda moved by a PID controller (OmniSafe's CPPOPID)",
    sections: &[SectionInfo::of::<PpoConfig>(), SectionInfo::of::<PidMultiplierConfig>()],
    protocol: None,
    weights: InitialWeights::Uniform,
    build: |setup| Ok(Box::new(Ppo::pid(setup)?)),
};

/// PPO with a clipped surrogate (OmniSafe's settings unless said).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PpoConfig {
    /// Epochs, minibatches and Adam's steps.
    #[serde(flatten)]
    pub steps: FirstOrderSettings,
    /// Clip range of the likelihood ratio.
    pub clip: f64,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self { steps: FirstOrderSettings::default(), clip: 0.2 }
    }
}

impl Section for PpoConfig {
    const NAME: &'static str = "ppo";

    fn validate(&self) -> Result<()> {
        self.steps.validate(Self::NAME)?;
        positive("ppo.clip", self.clip)
    }
}

/// PPO, with or without Lagrange multipliers.
pub struct Ppo {
    clip: f32,
    optimizer: FirstOrder,
    lagrangian: Lagrangian,
}

impl Ppo {
    /// PPO on the reward alone.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn unconstrained(setup: &Setup) -> Result<Self> {
        Self::new(setup, Lagrangian::none())
    }

    /// PPOLag.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn lagrangian(setup: &Setup) -> Result<Self> {
        Self::new(setup, Lagrangian::learned(setup, None)?)
    }

    /// PPO with multipliers that a PID controller moves.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn pid(setup: &Setup) -> Result<Self> {
        Self::new(setup, Lagrangian::controlled(setup)?)
    }

    fn new(setup: &Setup, lagrangian: Lagrangian) -> Result<Self> {
        let config: PpoConfig = setup.config.section();
        let optimizer = FirstOrder::new(config.steps, Stream::PpoOrder, setup)?;
        Ok(Self { clip: config.clip as f32, optimizer, lagrangian })
    }
}

impl Algorithm for Ppo {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        self.lagrangian.update(context.costs);
        let (clip, lagrangian) = (Some(self.clip), &self.lagrangian);
        let mut update = self.optimizer.improve(policy, batch, context, |pass, minibatch| {
            let advantage = lagrangian.advantage(&minibatch.advantage);
            Ok(pass.distribution.surrogate(&minibatch.action, &minibatch.log_prob, &advantage, clip))
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
