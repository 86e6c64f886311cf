//! Evaluation of a policy on fresh episodes, its normaliser frozen.

use crate::config::Actions;
use crate::policy::Policy;
use crate::policy::exported::{PolicySnapshot, host};
use anyhow::{Result, ensure};
use burn::tensor::Tensor;
use compute::noise::{NoiseKey, Stream};
use envs::{CostKind, StepBatch, VecEnv};
use safe_rl::Normalizer;

/// One finished episode.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeResult {
    /// Undiscounted return.
    pub ret: f64,
    /// Undiscounted costs, one per constraint.
    pub costs: Vec<f64>,
    /// Steps.
    pub length: u64,
    /// Steps that each kind of cost ([`CostKind::ALL`]) was brought in; empty where kinds are not told apart.
    pub kinds: Vec<u64>,
}

/// A policy at play: fresh episodes at once, one an environment.
pub struct Evaluator {
    policy: Policy,
    normalizer: Normalizer,
    env: Box<dyn VecEnv>,
    obs: Tensor<2>,
    seed: u64,
    actions: Actions,
    step: u64,
}

impl Evaluator {
    /// Begins an episode in every environment. The policy acts by its mean, or by samples that follow from `seed`; the
    /// environment clips actions to [-1, 1].
    ///
    /// # Errors
    /// When policy and environment do not fit.
    pub fn new(policy: &PolicySnapshot, mut env: Box<dyn VecEnv>, seed: u64, actions: Actions) -> Result<Self> {
        let (spec, device) = (env.spec(), env.device().clone());
        ensure!(
            policy.sizes[0] == spec.obs_dim,
            "the policy expects {} observations, {} has {}",
            policy.sizes[0],
            spec.id,
            spec.obs_dim
        );
        let (network, normalizer) = (policy.policy(&device)?, policy.normalizer(&device)?);
        ensure!(
            network.action_dim() == spec.action_dim,
            "the policy has {} actions, {} takes {}",
            network.action_dim(),
            spec.id,
            spec.action_dim
        );
        let obs = env.reset(false);
        Ok(Self { policy: network, normalizer, env, obs, seed, actions, step: 0 })
    }

    /// The environments.
    pub fn env(&mut self) -> &mut dyn VecEnv {
        self.env.as_mut()
    }

    /// What the policy sees now, `[episodes, obs_dim]`.
    pub fn obs(&self) -> &Tensor<2> {
        &self.obs
    }

    /// Takes one step in every environment. An episode that ends is followed by another at once.
    pub fn advance(&mut self) -> StepBatch {
        self.advance_with_actions().0
    }

    /// [`Self::advance`], and the actions `[episodes, action_dim]` that it took, unclipped.
    pub fn advance_with_actions(&mut self) -> (StepBatch, Tensor<2>) {
        let input = self.normalizer.apply(self.obs.clone());
        let action = match self.actions {
            Actions::Mean => self.policy.forward(input),
            Actions::Sampled => {
                let key = NoiseKey { seed: self.seed, stream: Stream::Evaluation, step: self.step };
                self.policy.act(input, key).action
            }
        };
        let batch = self.env.step(action.clone());
        self.obs = batch.obs.clone();
        self.step += 1;
        (batch, action)
    }
}

/// Runs one fresh episode in every environment and returns them in environment order.
///
/// # Errors
/// When policy and environment do not fit, or the device fails.
pub fn evaluate(
    policy: &PolicySnapshot,
    env: Box<dyn VecEnv>,
    seed: u64,
    actions: Actions,
) -> Result<Vec<EpisodeResult>> {
    let episodes = env.num_envs();
    let mut evaluator = Evaluator::new(policy, env, seed, actions)?;
    let mut results: Vec<Option<EpisodeResult>> = vec![None; episodes];
    let mut kinds: Vec<Vec<u64>> = vec![Vec::new(); episodes];
    while results.iter().any(Option::is_none) {
        let batch = evaluator.advance();
        if let Some(bits) = &batch.kinds {
            let running = host(bits)?.into_iter().zip(&mut kinds).zip(&results).filter(|(_, result)| result.is_none());
            for ((bits, kinds), _) in running {
                kinds.resize(CostKind::COUNT, 0);
                for (kind, count) in CostKind::ALL.iter().zip(kinds) {
                    *count += u64::from(bits as u32 & kind.bit() != 0);
                }
            }
        }
        let done = host(&(batch.terminated + batch.truncated))?;
        if done.iter().any(|d| *d > 0.0) {
            let returns = host(&batch.episode_return)?;
            let costs = host(&batch.episode_costs)?; // row after row
            let length = host(&batch.episode_length)?;
            for (i, result) in results.iter_mut().enumerate().filter(|(i, r)| done[*i] > 0.0 && r.is_none()) {
                let costs = costs.iter().skip(i).step_by(episodes).map(|cost| f64::from(*cost)).collect();
                let kinds = std::mem::take(&mut kinds[i]);
                *result = Some(EpisodeResult { ret: returns[i].into(), costs, length: length[i] as u64, kinds });
            }
        }
    }
    Ok(results.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;
    use crate::runner::Runner;
    use burn::tensor::Device;
    use envs::Navigation;

    fn environments(id: &str, episodes: usize) -> Box<dyn VecEnv> {
        let spec = envs::find(id).expect("a known environment");
        Box::new(Navigation::new(spec, episodes, 7, &Device::flex()).expect("it fits"))
    }

    fn policy() -> PolicySnapshot {
        let config = TrainConfig { num_envs: 4, rollout_steps: 4, ..TrainConfig::default() };
        let runner = Runner::new(config, Device::flex()).expect("a valid configuration");
        runner.snapshot().expect("readable")
    }

    #[test]
    fn every_environment_plays_one_whole_episode_and_the_same_one_again() {
        let run = |actions| evaluate(&policy(), environments("PointGoal1", 3), 5, actions).expect("it runs");
        let episodes = run(Actions::Mean);
        assert_eq!(episodes.len(), 3);
        assert!(episodes.iter().all(|e| e.length == 1000 && e.costs.len() == 1 && e.ret.is_finite()));
        assert_eq!(run(Actions::Mean), episodes);
        assert_ne!(run(Actions::Sampled), episodes);
        assert_eq!(run(Actions::Sampled), run(Actions::Sampled));
    }

    #[test]
    fn steps_are_counted_by_the_kind_of_cost_they_bring() {
        let config = TrainConfig { env: "PointGoal2".into(), num_envs: 4, rollout_steps: 4, ..TrainConfig::default() };
        let runner = Runner::new(config, Device::flex()).expect("a valid configuration");
        let policy = runner.snapshot().expect("readable");
        let episodes = evaluate(&policy, environments("PointGoal2", 20), 5, Actions::Sampled).expect("it runs");
        for EpisodeResult { costs, kinds, .. } in &episodes {
            let (most, all) = (*kinds.iter().max().unwrap() as f64, kinds.iter().sum::<u64>() as f64);
            assert!(most <= costs[0] && costs[0] <= all, "{costs:?} {kinds:?}");
        }
        let hazards: u64 = episodes.iter().map(|episode| episode.kinds[CostKind::Hazards as usize]).sum();
        assert!(hazards > 0);
        let single = evaluate(&self::policy(), environments("PointGoal1", 1), 5, Actions::Mean).expect("it runs");
        assert!(single[0].kinds.is_empty());
    }

    #[test]
    fn a_policy_of_another_environment_is_refused() {
        let error = evaluate(&policy(), environments("PointPush1", 1), 5, Actions::Mean).unwrap_err().to_string();
        assert!(error.contains("observations"), "{error}");
    }
}
