//! PPO with a clipped surrogate, and PPOLag: the same on a Lagrangian advantage.
//!
//! OmniSafe's formulas (`policy_gradient.py`, `ppo.py`, `ppo_lag.py`): the epochs of an iteration end when the mean KL
//! from the old policy exceeds `target_kl`; PPOLag's advantage is (A_r - lambda A_c) / (1 + lambda), and lambda takes
//! one Adam ascent step on lambda (J_C - d) an iteration, before the policy. Minibatches are larger than OmniSafe's
//! 64 samples, which a vector environment cannot use well; `ppo.minibatch_size` sets them.

use super::{Algorithm, CostEstimate, Pending, Progress};
use crate::config::{PpoConfig, TrainConfig};
use crate::policy::Actor;
use crate::policy::exported::scalar;
use anyhow::Result;
use burn::tensor::Tensor;
use compute::State;
use compute::noise::{NoiseKey, Stream};
use safe_rl::{Adam, AdamConfig, Lagrange, LagrangeConfig, Samples, lagrangian_advantage, minibatch_indices};

/// PPO, with or without a Lagrange multiplier.
pub struct Ppo {
    config: PpoConfig,
    seed: u64,
    adam: Adam,
    lagrange: Option<Lagrange>,
}

impl Ppo {
    /// PPO on the reward alone.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn unconstrained(config: &TrainConfig, actor: &Actor) -> Result<Self> {
        let settings = AdamConfig {
            learning_rate: config.ppo.learning_rate as f32,
            max_grad_norm: Some(config.ppo.max_grad_norm as f32),
            ..AdamConfig::default()
        };
        let parameters = actor.mean.spec().num_params() + actor.log_std.dims()[0];
        let adam = Adam::new(parameters, settings, &actor.log_std.device())?;
        Ok(Self { config: config.ppo.clone(), seed: config.seed, adam, lagrange: None })
    }

    /// PPOLag.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn lagrangian(config: &TrainConfig, actor: &Actor) -> Result<Self> {
        let settings = LagrangeConfig {
            initial: config.lagrange.initial,
            learning_rate: config.lagrange.learning_rate,
            cost_limit: config.cost_limit,
            ..Default::default()
        };
        Ok(Self { lagrange: Some(Lagrange::new(settings)?), ..Self::unconstrained(config, actor)? })
    }

    /// The advantage that PPO raises, `[1, N]`.
    fn advantage(&self, samples: &Samples) -> Tensor<2> {
        let reward = samples.advantage.clone().narrow(0, 0, 1);
        let cost = samples.advantage.clone().narrow(0, 1, 1);
        match &self.lagrange {
            Some(lagrange) => lagrangian_advantage(reward, cost, lagrange.multiplier()),
            None => reward,
        }
    }

    /// One Adam ascent step on the clipped surrogate of a minisamples.
    fn step(&mut self, actor: &mut Actor, samples: &Samples) {
        let policy = actor.distribution(samples.obs.clone());
        let advantage = self.advantage(samples);
        let clip = Some(self.config.clip as f32);
        let surrogate = policy.surrogate(&samples.action, &samples.log_prob, &advantage, clip);
        let theta = actor.mean.gradients(samples.obs.clone(), surrogate.mean);
        let (params, actions) = (actor.mean.spec().num_params(), actor.log_std.dims()[0]);
        let gradient = Tensor::cat(vec![theta, surrogate.log_std], 1).reshape([params + actions]);
        let current = Tensor::cat(vec![actor.mean.theta().clone(), actor.log_std.clone()], 0);
        // Adam descends; the surrogate is to be raised.
        let next = self.adam.step(current, gradient.neg());
        actor.mean = actor.mean.with_theta(next.clone().narrow(0, 0, params));
        actor.log_std = next.narrow(0, params, actions);
    }
}

impl Algorithm for Ppo {
    fn update(&mut self, actor: &mut Actor, samples: &Samples, cost: CostEstimate, at: Progress) -> Result<Pending> {
        if let Some(lagrange) = &mut self.lagrange {
            // Before any episode has ended the horizon estimate stands in, as for KFCPO.
            lagrange.update(Some(if cost.episodes.is_nan() { cost.rollout } else { cost.episodes }));
        }
        let anneal = if self.config.anneal { 1.0 - at.fraction } else { 1.0 };
        let learning_rate = self.config.learning_rate * anneal;
        // Never zero: Adam's rate must stay positive, and the last update may be as small as it likes.
        self.adam.set_learning_rate((learning_rate as f32).max(f32::MIN_POSITIVE));
        let old_log_std = actor.log_std.clone();
        let (mut kl, mut epochs) = (0.0, 0);
        for epoch in 0..self.config.epochs {
            let step = at.iteration * self.config.epochs as u64 + epoch as u64;
            let key = NoiseKey { seed: self.seed, stream: Stream::PpoOrder, step };
            for index in minibatch_indices(samples.len(), self.config.minibatch_size, key, &samples.obs.device()) {
                self.step(actor, &samples.select(&index));
            }
            epochs = epoch + 1;
            kl = scalar(actor.distribution(samples.obs.clone()).mean_kl(&samples.mean, &old_log_std))?;
            if kl > self.config.target_kl {
                break;
            }
        }
        let multiplier = self.lagrange.as_ref().map(Lagrange::multiplier);
        Ok(Pending::new(vec![actor.log_std.clone().mean()], move |values| {
            let mut metrics = vec![
                ("Train/KL", kl),
                ("Train/Epochs", f64::from(epochs as u32)),
                ("Train/LR", learning_rate),
                ("Train/LogStd", f64::from(values[0][0])),
            ];
            metrics.extend(multiplier.map(|multiplier| ("Metrics/LagrangeMultiplier", multiplier)));
            metrics
        }))
    }

    fn save(&self, state: &mut State) -> Result<()> {
        state.put_part("ppo.adam", self.adam.state()?)?;
        match &self.lagrange {
            Some(lagrange) => Ok(state.put_part("ppo.lagrange", lagrange.state()?)?),
            None => Ok(()),
        }
    }

    fn load(&mut self, state: &State, _actor: &Actor) -> Result<()> {
        self.adam.load_state(&state.part("ppo.adam")?)?;
        if let Some(lagrange) = &mut self.lagrange {
            lagrange.load_state(&state.part("ppo.lagrange")?)?;
        }
        Ok(())
    }
}
