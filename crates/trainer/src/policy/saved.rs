//! The policy of a checkpoint, without the environments and critics around it.

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use compute::State;
use kfac::MlpSpec;
use safe_rl::Normalizer;

use crate::checkpoint::Checkpoint;
use crate::policy::Policy;
use crate::policy::exported::PolicySnapshot;

/// The entry of a state that holds the policy to deploy, where it is another than the one that gathers rollouts.
pub const DEPLOYED_POLICY: &str = "policy.deployed";

/// The entry of a checkpoint's state that holds its policy to deploy.
fn deployed_entry(state: &State) -> &'static str {
    if state.tensors.contains_key(DEPLOYED_POLICY) { DEPLOYED_POLICY } else { "policy.params" }
}

/// Takes the policy to deploy and observation normaliser out of a checkpoint. The sizes of observations and actions are those of its
/// arrays: whatever environment it was trained in need not be there.
///
/// # Errors
/// When the checkpoint lacks a part of them, belongs to another network or holds a policy that is not finite.
pub fn saved_policy(checkpoint: &Checkpoint, device: &Device) -> Result<PolicySnapshot> {
    let (config, state) = (&checkpoint.config, &checkpoint.state);
    let statistics = state.part("normalizer")?;
    let [obs_dim] = statistics.host("mean")?.shape[..] else {
        anyhow::bail!("state `normalizer.mean` is no vector");
    };
    let entry = deployed_entry(state);
    let [length] = state.host(entry)?.shape[..] else {
        anyhow::bail!("state `{entry}` is no vector");
    };
    let action_dim = action_dim(length, obs_dim, &config.policy.hidden).with_context(|| {
        format!("{length} parameters are no policy of {obs_dim} observations and the configured widths")
    })?;
    let sizes = [&[obs_dim], config.policy.hidden.as_slice(), &[action_dim]].concat();
    let network = MlpSpec::new(sizes, config.policy.activation)?;
    let params = state.tensor(entry, [length], device)?;
    let policy = Policy::from_params(network, params)?;
    let mut normalizer = Normalizer::new(obs_dim, config.normalizer, device)?;
    normalizer.load_state(&statistics).context("state `normalizer`")?;
    let snapshot = PolicySnapshot::capture(config, &policy, &normalizer)?;
    ensure!(snapshot.is_finite(), "the policy after {} steps is not finite: it acts at random", checkpoint.steps);
    Ok(snapshot)
}

/// The number of actions of a policy with so many parameters: behind the hidden layers each has a weight per unit, a bias and
/// a log sigma.
fn action_dim(length: usize, obs_dim: usize, hidden: &[usize]) -> Option<usize> {
    let widths = [&[obs_dim], hidden].concat();
    let inner = widths.windows(2).try_fold(0usize, |sum, pair| sum.checked_add((pair[0] + 1).checked_mul(pair[1])?))?;
    let (rest, each) = (length.checked_sub(inner)?, widths[widths.len() - 1] + 2);
    (rest > 0 && rest.is_multiple_of(each)).then_some(rest / each)
}
