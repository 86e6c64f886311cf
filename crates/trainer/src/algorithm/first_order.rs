//! What first-order algorithms share: epochs of Adam steps on a surrogate, ended by the KL divergence.

use anyhow::Result;
use burn::tensor::Tensor;
use compute::State;
use compute::noise::{NoiseKey, Stream};
use safe_rl::{Adam, AdamConfig, Samples, Surrogate};
use serde::{Deserialize, Serialize};

use super::{Context, Number, Setup, Update};
use crate::config::{count, positive};
use crate::policy::exported::scalar;
use crate::policy::{Policy, PolicyPass};

/// How the policy is improved: keys of the section of every first-order algorithm that has settings of its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirstOrderSettings {
    /// Passes over a rollout; ends early at `target_kl` (OmniSafe: 40, which a vector environment's time is too dear for).
    pub epochs: usize,
    /// Samples of one Adam step (OmniSafe: 64; larger batches suit vector environments).
    pub minibatch_size: usize,
    /// Adam's learning rate (OmniSafe: 3e-4, decayed linearly to zero).
    pub learning_rate: f64,
    /// Whether the learning rate falls linearly to zero over the run.
    pub anneal: bool,
    /// Mean KL that ends the epochs of an iteration, in nats.
    pub target_kl: f64,
    /// Bound on the norm of the gradient.
    pub max_grad_norm: f64,
}

impl Default for FirstOrderSettings {
    fn default() -> Self {
        Self {
            epochs: 10,
            minibatch_size: 512,
            learning_rate: 3e-4,
            anneal: true,
            target_kl: 0.02,
            max_grad_norm: 40.0,
        }
    }
}

impl FirstOrderSettings {
    /// Checks every value; an error names the key in this section.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn validate(&self, section: &str) -> Result<()> {
        let key = |name: &str| format!("{section}.{name}");
        count(&key("epochs"), self.epochs)?;
        count(&key("minibatch_size"), self.minibatch_size)?;
        positive(&key("learning_rate"), self.learning_rate)?;
        positive(&key("target_kl"), self.target_kl)?;
        positive(&key("max_grad_norm"), self.max_grad_norm)
    }
}

/// Adam on a policy's parameters, minibatch after minibatch.
pub struct FirstOrder {
    settings: FirstOrderSettings,
    seed: u64,
    stream: Stream,
    adam: Adam,
}

impl FirstOrder {
    /// An optimiser for the policy of `setup` that takes the samples in the order of the noise of `stream`.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(settings: FirstOrderSettings, stream: Stream, setup: &Setup) -> Result<Self> {
        let config = AdamConfig {
            learning_rate: settings.learning_rate,
            max_grad_norm: Some(settings.max_grad_norm),
            ..AdamConfig::default()
        };
        let adam = Adam::new(1, setup.policy.num_params(), config, &setup.policy.device())?;
        Ok(Self { settings, seed: setup.config.seed, stream, adam })
    }

    /// Raises a surrogate until the epochs are over or the policy has moved `target_kl` away.
    ///
    /// `surrogate` is what one minibatch is to raise, with its derivatives, at the policy that the pass went through.
    ///
    /// # Errors
    /// When the device cannot be read, and those of `surrogate`.
    pub fn improve(
        &mut self,
        policy: &mut Policy,
        batch: &Samples,
        context: &Context,
        surrogate: impl Fn(&PolicyPass, &Samples) -> Result<Surrogate>,
    ) -> Result<Update> {
        let (settings, progress) = (self.settings, context.progress);
        let learning_rate = settings.learning_rate * if settings.anneal { 1.0 - progress.fraction } else { 1.0 };
        // Never zero: Adam's rate must stay positive, and the last update may be as small as it likes.
        self.adam.set_learning_rate(learning_rate.max(f32::MIN_POSITIVE.into()));
        let (old_log_std, device) = (policy.log_std().clone(), batch.obs.device());
        let (mut kl, mut epochs, skipped) = (0.0, 0, self.adam.skipped());
        for epoch in 0..settings.epochs {
            let step = progress.iteration * settings.epochs as u64 + epoch as u64;
            let key = NoiseKey { seed: self.seed, stream: self.stream, step };
            for index in context.minibatches(batch.len(), settings.minibatch_size, key, &device) {
                let minibatch = batch.select(&index);
                let pass = policy.pass(minibatch.obs.clone());
                let gradients = pass.gradients(surrogate(&pass, &minibatch)?);
                let gradient: Tensor<1> = context.comm.mean(gradients)?.squeeze_dim(0);
                // Adam descends; the surrogate is to be raised.
                *policy = policy.with_params(self.adam.step(policy.params().clone(), gradient.neg())).bounded();
            }
            epochs = epoch + 1;
            let divergence = policy.distribution(batch.obs.clone()).mean_kl(&batch.mean, &old_log_std);
            kl = scalar(context.comm.mean(divergence)?)?;
            if kl > settings.target_kl {
                break;
            }
        }
        let skipped = self.adam.skipped() - skipped;
        let mut update = Update { kl: Some(Number::Known(kl)), skipped: Some(skipped.into()), ..Update::default() };
        update.push("Train/KL", kl);
        update.push("Train/Epochs", epochs as f64);
        update.push("Train/LR", learning_rate);
        update.push("Train/LogStd", policy.log_std().clone().mean());
        Ok(update)
    }

    /// What a continuation needs.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn state(&self) -> Result<State> {
        Ok(self.adam.state()?)
    }

    /// Takes what [`Self::state`] gave.
    ///
    /// # Errors
    /// When an entry is missing or of another shape.
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        Ok(self.adam.load_state(state)?)
    }
}
