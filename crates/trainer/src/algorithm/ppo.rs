//! PPO with a clipped surrogate, and PPOLag: the same on a Lagrangian advantage.
//!
//! OmniSafe's formulas (`policy_gradient.py`, `ppo.py`, `ppo_lag.py`): the epochs of an iteration end when the mean KL
//! from the old policy exceeds `target_kl`; PPOLag's advantage is (A_r - lambda A_c) / (1 + lambda), and lambda takes
//! one Adam ascent step on lambda (J_C - d) an iteration, before the policy. Minibatches are larger than OmniSafe's
//! 64 samples, which a vector environment cannot use well; `ppo.minibatch_size` sets them.

use anyhow::Result;
use compute::State;
use compute::noise::Stream;
use safe_rl::{AdamMultiplierConfig, PidMultiplierConfig, Samples};
use serde::{Deserialize, Serialize};

use super::first_order::{FirstOrder, FirstOrderSettings};
use super::lagrangian::Lagrangian;
use super::{Algorithm, AlgorithmInfo, Context, Setup, Update};
use crate::config::{Section, SectionInfo, count, positive};
use crate::policy::Policy;

/// PPO's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "ppo",
    summary: "PPO with a clipped surrogate; ignores cost (the unconstrained yardstick)",
    sections: &[SectionInfo::of::<PpoConfig>()],
    protocol: None,
    build: |setup| Ok(Box::new(Ppo::unconstrained(setup)?)),
};

/// PPOLag's row of the table.
pub const LAGRANGIAN: AlgorithmInfo = AlgorithmInfo {
    name: "ppo-lag",
    summary: "PPO on (A_r - lambda A_c) / (1 + lambda), lambda learned by Adam (OmniSafe's PPOLag)",
    sections: &[SectionInfo::of::<PpoConfig>(), SectionInfo::of::<AdamMultiplierConfig>()],
    protocol: None,
    build: |setup| Ok(Box::new(Ppo::lagrangian(setup)?)),
};

/// PPO-PID's row of the table.
pub const PID: AlgorithmInfo = AlgorithmInfo {
    name: "ppo-pid",
    summary: "PPO on (A_r - lambda A_c) / (1 + lambda), lambda moved by a PID controller (OmniSafe's CPPOPID)",
    sections: &[SectionInfo::of::<PpoConfig>(), SectionInfo::of::<PidMultiplierConfig>()],
    protocol: None,
    build: |setup| Ok(Box::new(Ppo::pid(setup)?)),
};

/// PPO with a clipped surrogate (OmniSafe's settings unless said).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PpoConfig {
    /// Passes over a rollout; ends early at `target_kl` (OmniSafe: 40, which a vector environment's time is too dear for).
    pub epochs: usize,
    /// Samples of one Adam step (OmniSafe: 64; larger batches suit vector environments).
    pub minibatch_size: usize,
    /// Adam's learning rate (OmniSafe: 3e-4, decayed linearly to zero).
    pub learning_rate: f64,
    /// Whether the learning rate falls linearly to zero over the run.
    pub anneal: bool,
    /// Clip range of the likelihood ratio.
    pub clip: f64,
    /// Mean KL that ends the epochs of an iteration.
    pub target_kl: f64,
    /// Bound on the norm of the actor's gradient.
    pub max_grad_norm: f64,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            minibatch_size: 512,
            learning_rate: 3e-4,
            anneal: true,
            clip: 0.2,
            target_kl: 0.02,
            max_grad_norm: 40.0,
        }
    }
}

impl Section for PpoConfig {
    const NAME: &'static str = "ppo";

    fn validate(&self) -> Result<()> {
        count("ppo.epochs", self.epochs)?;
        count("ppo.minibatch_size", self.minibatch_size)?;
        positive("ppo.learning_rate", self.learning_rate)?;
        positive("ppo.clip", self.clip)?;
        positive("ppo.target_kl", self.target_kl)?;
        positive("ppo.max_grad_norm", self.max_grad_norm)
    }
}

impl From<&PpoConfig> for FirstOrderSettings {
    fn from(config: &PpoConfig) -> Self {
        Self {
            epochs: config.epochs,
            minibatch_size: config.minibatch_size,
            learning_rate: config.learning_rate,
            anneal: config.anneal,
            target_kl: config.target_kl,
            max_grad_norm: config.max_grad_norm,
        }
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
        let optimizer = FirstOrder::new(FirstOrderSettings::from(&config), Stream::PpoOrder, setup)?;
        Ok(Self { clip: config.clip as f32, optimizer, lagrangian })
    }
}

impl Algorithm for Ppo {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        self.lagrangian.update(context.costs);
        let (clip, lagrangian) = (Some(self.clip), &self.lagrangian);
        let mut update = self.optimizer.improve(policy, batch, context, |pass, minibatch| {
            let advantage = lagrangian.advantage(&minibatch.advantage);
            pass.distribution.surrogate(&minibatch.action, &minibatch.log_prob, &advantage, clip)
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
