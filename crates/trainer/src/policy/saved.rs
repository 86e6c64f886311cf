//! The policy of a checkpoint, without the environments and critics around it.

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use kfac::MlpSpec;
use safe_rl::Normalizer;

use crate::checkpoint::Checkpoint;
use crate::policy::Policy;
use crate::policy::exported::PolicySnapshot;
use crate::protocol;

/// Takes policy and observation normaliser out of a checkpoint.
///
/// # Errors
/// When the checkpoint lacks a part of them, belongs to another network or holds a policy that is not finite.
pub fn saved_policy(checkpoint: &Checkpoint, device: &Device) -> Result<PolicySnapshot> {
    let (config, state) = (&checkpoint.config, &checkpoint.state);
    let spec = config.env.spec()?;
    let protocol = protocol::configured(config, &spec.env, 1, device)?;
    let obs_dim = spec.env.obs_dim + protocol.map_or(0, |protocol| protocol.extra_obs());
    let sizes = [&[obs_dim], config.policy.hidden.as_slice(), &[spec.env.action_dim]].concat();
    let network = MlpSpec::new(sizes, config.policy.activation)?;
    // Its size is held against the file's before anything of that size is made.
    let params = state.tensor("policy.params", [network.num_params() + spec.env.action_dim], device)?;
    let policy = Policy::from_params(network, params)?;
    let mut normalizer = Normalizer::new(obs_dim, config.normalizer, device)?;
    normalizer.load_state(&state.part("normalizer")?).context("state `normalizer`")?;
    let snapshot = PolicySnapshot::capture(config, &policy, &normalizer)?;
    ensure!(snapshot.is_finite(), "the policy after {} steps is not finite: it acts at random", checkpoint.steps);
    Ok(snapshot)
}
