//! The policy of a checkpoint, without the environments and critics around it.

use anyhow::{Context, Result};
use burn::tensor::Device;
use safe_rl::Normalizer;

use crate::checkpoint::Checkpoint;
use crate::policy::Policy;
use crate::policy::exported::PolicySnapshot;

/// Takes policy and observation normaliser out of a checkpoint.
///
/// # Errors
/// When the checkpoint lacks a part of them or belongs to another network.
pub fn saved_policy(checkpoint: &Checkpoint, device: &Device) -> Result<PolicySnapshot> {
    let (config, state) = (&checkpoint.config, &checkpoint.state);
    let spec = envs::find(&config.env)?;
    let mut policy = Policy::new(&config.policy, spec.env.obs_dim, spec.env.action_dim, config.seed, device)?;
    policy.load(state)?;
    let mut normalizer = Normalizer::new(spec.env.obs_dim, config.normalizer, device)?;
    normalizer.load_state(&state.part("normalizer")?).context("state `normalizer`")?;
    PolicySnapshot::capture(config, &policy, &normalizer)
}
