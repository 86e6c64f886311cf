//! Gathering samples: the rollout of an iteration, and the steps of the policy to deploy beside it.

use super::pooled::Seen;
use super::{Phase, PhaseObserver, Runner, shapes};
use crate::policy::rollout::Collected;
use anyhow::Result;
use burn::tensor::Tensor;
use compute::noise::{NoiseKey, Stream};
use envs::StepBatch;
use safe_rl::{EpisodeTotals, Rollout, RolloutBuilder, RolloutStep};

impl Runner {
    /// T steps of every environment under the current policy: in one launch where the device can.
    pub(super) fn collect(&mut self, observer: PhaseObserver) -> Result<Rollout> {
        self.kinds.clear();
        self.normalizer.begin_by(&self.obs, |mean| self.comm.mean(mean))?;
        let mut rollout = match self.collect_in_kernel(observer)? {
            Some(rollout) => rollout,
            None => self.collect_stepwise(observer)?,
        };
        let seen = Seen {
            finished: std::mem::take(&mut rollout.finished),
            mean_reward: rollout.mean_step_reward,
            mean_costs: std::mem::take(&mut rollout.mean_step_costs),
        };
        let seen = seen.by_all(self.comm.as_ref())?;
        self.sampled.record(&seen.finished, seen.mean_reward, &seen.mean_costs);
        (rollout.finished, rollout.mean_step_reward, rollout.mean_step_costs) =
            (seen.finished, seen.mean_reward, seen.mean_costs);
        observer(Phase::Assemble);
        Ok(rollout)
    }

    /// As many steps of the mean actions of the policy to deploy, where they are measured.
    pub(super) fn measure(&mut self, observer: PhaseObserver) -> Result<()> {
        let policy = self.deployed_policy();
        if let Some(deployed) = &mut self.deployed {
            deployed.measure(&policy, &self.normalizer, self.config.rollout_steps, self.comm.as_ref())?;
            observer(Phase::Deployed);
        }
        Ok(())
    }

    fn collect_in_kernel(&mut self, observer: PhaseObserver) -> Result<Option<Rollout>> {
        let key = NoiseKey { seed: self.config.seed, stream: Stream::Action, step: self.vector_steps };
        let steps = self.config.rollout_steps;
        let (env, obs, normalizer) = (self.env.as_mut(), &mut self.obs, &mut self.normalizer);
        let Some(collected) = self.kernel.collect(env, obs, normalizer, &self.policy, key, steps) else {
            return Ok(None);
        };
        let Collected { arrays, kinds } = collected;
        self.kinds.push(Some(kinds));
        self.vector_steps += steps as u64;
        observer(Phase::Rollout);
        Ok(Some(Rollout::from_arrays(arrays, |obs| self.normalizer.apply(obs))?))
    }

    /// The same step by step, nothing read back before the end: the CPU's way.
    fn collect_stepwise(&mut self, observer: PhaseObserver) -> Result<Rollout> {
        let mut builder = RolloutBuilder::with_capacity(self.config.rollout_steps);
        for _ in 0..self.config.rollout_steps {
            let obs = self.normalizer.observe(self.obs.clone());
            observer(Phase::Normalize);
            let key = NoiseKey { seed: self.config.seed, stream: Stream::Action, step: self.vector_steps };
            let act = self.policy.act(obs.clone(), key);
            observer(Phase::Act);
            let step = self.env.step(act.action.clone());
            shapes::ensure_step(self.env.as_ref(), &step)?;
            self.obs = step.obs.clone();
            self.kinds.push(step.kinds.clone());
            self.vector_steps += 1;
            builder.push(rollout_step(obs, act.action, act.mean, act.log_prob, step))?;
            observer(Phase::Step);
        }
        let last = self.normalizer.apply(self.obs.clone());
        Ok(builder.finish(last, self.policy.log_std().clone(), |obs| self.normalizer.apply(obs))?)
    }
}

/// What a vector step adds to a rollout; `obs` is normalised.
pub fn rollout_step(
    obs: Tensor<2>,
    action: Tensor<2>,
    mean: Tensor<2>,
    log_prob: Tensor<1>,
    step: StepBatch,
) -> RolloutStep {
    RolloutStep {
        obs,
        action,
        mean,
        log_prob,
        reward: step.reward,
        costs: step.costs,
        terminated: step.terminated,
        truncated: step.truncated,
        final_obs: step.final_obs,
        episode: EpisodeTotals {
            episode_return: step.episode_return,
            costs: step.episode_costs,
            length: step.episode_length,
            partial: step.episode_partial,
        },
    }
}
