//! PPO with a clipped surrogate, and PPOLag: the same on a Lagrangian advantage.
//!
//! OmniSafe's formulas (`policy_gradient.py`, `ppo.py`, `ppo_lag.py`): the epochs of an iteration end when the mean KL
//! from the old policy exceeds `target_kl`; PPOLag's advantage is (A_r - lambda A_c) / (1 + lambda), and lambda takes
//! one Adam ascent step on lambda (J_C - d) an iteration, before the policy. Minibatches are larger than OmniSafe's
//! 64 samples, which a vector environment cannot use well; `ppo.minibatch_size` sets them.

use super::{Algorithm, AlgorithmInfo, Context, Number, Setup, Update};
use crate::config::{Section, SectionInfo, at_least, count, positive};
use crate::policy::Policy;
use crate::policy::exported::scalar;
use anyhow::Result;
use burn::tensor::Tensor;
use compute::State;
use compute::noise::{NoiseKey, Stream};
use safe_rl::{
    Adam, AdamConfig, AdamMultiplier, AdamMultiplierConfig, Multiplier, Samples, lagrangian_advantage,
    minibatch_indices,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// PPO's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "ppo",
    summary: "PPO with a clipped surrogate; ignores cost (the unconstrained yardstick)",
    sections: &[SectionInfo::of::<PpoConfig>()],
    build: |setup| Ok(Box::new(Ppo::unconstrained(setup)?)),
};

/// PPOLag's row of the table.
pub const LAGRANGIAN: AlgorithmInfo = AlgorithmInfo {
    name: "ppo-lag",
    summary: "PPO on (A_r - lambda A_c) / (1 + lambda), lambda learned by Adam (OmniSafe's PPOLag)",
    sections: &[SectionInfo::of::<PpoConfig>(), SectionInfo::of::<AdamMultiplierConfig>()],
    build: |setup| Ok(Box::new(Ppo::lagrangian(setup)?)),
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

/// The multipliers of PPOLag.
impl Section for AdamMultiplierConfig {
    const NAME: &'static str = "lagrange";

    fn validate(&self) -> Result<()> {
        at_least("lagrange.initial", self.initial, 0.0)?;
        positive("lagrange.learning_rate", self.learning_rate)
    }
}

/// PPO, with or without a Lagrange multiplier.
pub struct Ppo {
    config: PpoConfig,
    seed: u64,
    adam: Adam,
    /// One per constraint; none where only the reward counts.
    multipliers: Vec<Box<dyn Multiplier>>,
}

impl Ppo {
    /// PPO on the reward alone.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn unconstrained(setup: &Setup) -> Result<Self> {
        let config: PpoConfig = setup.config.section();
        let settings = AdamConfig {
            learning_rate: config.learning_rate,
            max_grad_norm: Some(config.max_grad_norm),
            ..AdamConfig::default()
        };
        let adam = Adam::new(1, setup.policy.num_params(), settings, &setup.policy.device())?;
        Ok(Self { config, seed: setup.config.seed, adam, multipliers: Vec::new() })
    }

    /// PPOLag.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn lagrangian(setup: &Setup) -> Result<Self> {
        let config: AdamMultiplierConfig = setup.config.section();
        let multiplier = |limit| Ok(Box::new(AdamMultiplier::new(limit, config)?) as Box<dyn Multiplier>);
        let multipliers = setup.constraints.iter().map(|constraint| multiplier(constraint.limit));
        Ok(Self { multipliers: multipliers.collect::<Result<_>>()?, ..Self::unconstrained(setup)? })
    }

    /// The advantage that PPO raises, `[1, N]`.
    fn advantage(&self, samples: &Samples) -> Tensor<2> {
        if self.multipliers.is_empty() {
            return samples.advantage.clone().narrow(0, 0, 1);
        }
        let values: Vec<f64> = self.multipliers.iter().map(|multiplier| multiplier.value()).collect();
        lagrangian_advantage(&samples.advantage, &values)
    }

    /// One Adam ascent step on the clipped surrogate of a minibatch.
    fn step(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<()> {
        let pass = policy.pass(batch.obs.clone());
        let clip = Some(self.config.clip as f32);
        let surrogate = pass.distribution.surrogate(&batch.action, &batch.log_prob, &self.advantage(batch), clip);
        let gradient = context.comm.mean(pass.gradients(surrogate))?.squeeze_dim::<1>(0);
        // Adam descends; the surrogate is to be raised.
        *policy = policy.with_params(self.adam.step(policy.params().clone(), gradient.neg()));
        Ok(())
    }
}

impl Algorithm for Ppo {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        let progress = context.progress;
        for (multiplier, cost) in self.multipliers.iter_mut().zip(context.costs) {
            multiplier.update(Some(cost.of_episodes()));
        }
        let anneal = if self.config.anneal { 1.0 - progress.fraction } else { 1.0 };
        let learning_rate = self.config.learning_rate * anneal;
        // Never zero: Adam's rate must stay positive, and the last update may be as small as it likes.
        self.adam.set_learning_rate(learning_rate.max(f32::MIN_POSITIVE.into()));
        let old_log_std = policy.log_std().clone();
        let (mut kl, mut epochs) = (0.0, 0);
        for epoch in 0..self.config.epochs {
            let step = progress.iteration * self.config.epochs as u64 + epoch as u64;
            let key = NoiseKey { seed: self.seed, stream: Stream::PpoOrder, step };
            for index in minibatch_indices(batch.len(), self.config.minibatch_size, key, &batch.obs.device()) {
                self.step(policy, &batch.select(&index), context)?;
            }
            epochs = epoch + 1;
            let divergence = policy.distribution(batch.obs.clone()).mean_kl(&batch.mean, &old_log_std);
            kl = scalar(context.comm.mean(divergence)?)?;
            if kl > self.config.target_kl {
                break;
            }
        }
        let mut update = Update { kl: Some(Number::Known(kl)), ..Update::default() };
        update.push("Train/KL", kl);
        update.push("Train/Epochs", epochs as f64);
        update.push("Train/LR", learning_rate);
        update.push("Train/LogStd", policy.log_std().clone().mean());
        for (k, multiplier) in self.multipliers.iter().enumerate() {
            let name = match k {
                0 => Cow::from("Metrics/LagrangeMultiplier"),
                _ => Cow::from(format!("Metrics/LagrangeMultiplier{}", k + 1)),
            };
            update.push(name, multiplier.value());
        }
        Ok(update)
    }

    fn state(&self) -> Result<State> {
        let mut state = State::new();
        state.put_part("adam", self.adam.state()?)?;
        for (k, multiplier) in self.multipliers.iter().enumerate() {
            state.put_part(&format!("multiplier.{k}"), multiplier.state()?)?;
        }
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        self.adam.load_state(&state.part("adam")?)?;
        for (k, multiplier) in self.multipliers.iter_mut().enumerate() {
            multiplier.load_state(&state.part(&format!("multiplier.{k}"))?)?;
        }
        Ok(())
    }
}
