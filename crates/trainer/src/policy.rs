//! The policy network: an MLP for the mean, one log sigma per action dimension.

pub mod exported;
#[cfg(feature = "gpu")]
pub mod rollout_gpu;
pub mod saved;

use crate::config::TrainConfig;
use crate::policy::exported::{activation, upload};
use anyhow::Result;
use burn::tensor::{Device, Tensor};
use compute::State;
use compute::noise::NoiseKey;
use kfac::{Mlp, MlpSpec};
use safe_rl::Gaussian;

/// A Gaussian policy pi(a|s) = N(mean(s), diag exp(2 log_std)).
#[derive(Clone)]
pub struct Actor {
    /// The mean network, `[N, obs_dim]` to `[N, act_dim]`.
    pub mean: Mlp,
    /// Log standard deviation, `[act_dim]`.
    pub log_std: Tensor<1>,
}

/// What the policy did on one batch of observations.
pub struct Act {
    /// Sampled actions, `[B, act_dim]`, unclipped.
    pub action: Tensor<2>,
    /// Means they were drawn around, `[B, act_dim]`.
    pub mean: Tensor<2>,
    /// Log density of the actions, `[B]`.
    pub log_prob: Tensor<1>,
}

impl Actor {
    /// A fresh policy of the configured shape.
    ///
    /// # Errors
    /// When the layer widths are not usable.
    pub fn new(config: &TrainConfig, obs_dim: usize, act_dim: usize, device: &Device) -> Result<Self> {
        let policy = &config.policy;
        let sizes = [&[obs_dim], policy.hidden.as_slice(), &[act_dim]].concat();
        let spec = MlpSpec::new(sizes, activation(policy.activation))?;
        Ok(Self {
            mean: Mlp::init(spec, config.seed, policy.output_gain as f32, device),
            log_std: upload(&vec![policy.initial_log_std as f32; act_dim], device),
        })
    }

    /// The policy's distribution at normalised observations `[N, obs_dim]`.
    pub fn distribution(&self, obs: Tensor<2>) -> Gaussian {
        Gaussian::new(self.mean.forward(obs), self.log_std.clone())
    }

    /// Samples one action a row of normalised observations `[B, obs_dim]`, by the noise of `key` and the row.
    pub fn act(&self, obs: Tensor<2>, key: NoiseKey) -> Act {
        let policy = self.distribution(obs);
        let (action, log_prob) = policy.act(key);
        Act { action, mean: policy.mean, log_prob }
    }

    /// Adds the parameters to a checkpoint.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn save(&self, state: &mut State) -> Result<()> {
        state.put_tensor("actor.theta", self.mean.theta())?;
        Ok(state.put_tensor("actor.log_std", &self.log_std)?)
    }

    /// Takes the parameters from a checkpoint.
    ///
    /// # Errors
    /// When a tensor is missing or has another size.
    pub fn load(&mut self, state: &State) -> Result<()> {
        let device = self.log_std.device();
        let theta = state.tensor("actor.theta", self.mean.theta().dims(), &device)?;
        self.mean = self.mean.with_theta(theta);
        self.log_std = state.tensor("actor.log_std", self.log_std.dims(), &device)?;
        Ok(())
    }
}
