//! The policy that will be deployed, measured while it is trained: environments of its own in which it acts by its mean.
//!
//! They are of the training's kind, with layouts of their own, begin at random phases, and take as many steps per iteration
//! as the rollout, under the policy that gathered it and its frozen normaliser. What they cost corrects what the rollout,
//! the larger sample, says of the sampled actions; see [`steering`].

use anyhow::{Context, Result, ensure};
use burn::tensor::Tensor;
use compute::noise::{NoiseKey, Stream};
use compute::{State, read};
use envs::{StepBatch, VecEnv};
use safe_rl::{Normalizer, StepScalars};

use crate::algorithm::CostEstimate;
use crate::comm::Comm;
use crate::config::{CostSignal, TrainConfig};
use crate::figures::{FigureTracker, Figures};
use crate::policy::Policy;
use crate::policy::rollout::RolloutKernel;
use crate::runner::pooled::Seen;

/// Environments in which the mean actions are measured.
pub struct Deployed {
    env: Box<dyn VecEnv>,
    obs: Tensor<2>,
    tracker: FigureTracker,
    kernel: RolloutKernel,
    seed: u64,
    vector_steps: u64,
    /// Shards that measure in as many environments each.
    shards: usize,
}

/// What the measurement has come to.
#[derive(Clone, Debug)]
pub struct DeployedReport {
    /// Figures of the mean actions.
    pub figures: Figures,
    /// Environment steps taken for it since the start; they are not among the run's.
    pub steps: u64,
}

impl Deployed {
    /// Begins in these environments, as many for each shard of the run that `config` describes.
    pub fn new(mut env: Box<dyn VecEnv>, config: &TrainConfig) -> Self {
        let (horizon, constraints) = (env.spec().max_episode_steps, env.spec().constraints.len());
        let samples = env.num_envs() * config.shards * config.rollout_steps;
        let tracker = FigureTracker::new(horizon, constraints, config.deployed.average_decay, samples);
        let kernel = RolloutKernel::new(env.device());
        let (seed, shards) = (config.seed, config.shards);
        Self { obs: env.reset(true), env, tracker, kernel, seed, vector_steps: 0, shards }
    }

    /// Takes `steps` steps in every environment under the mean of `policy`; the figures are of all shards' environments.
    ///
    /// # Errors
    /// When the device cannot be read or another shard fails.
    pub fn measure(&mut self, policy: &Policy, normalizer: &Normalizer, steps: usize, comm: &dyn Comm) -> Result<()> {
        let scalars = match self.measure_in_kernel(policy, normalizer, steps)? {
            Some(scalars) => scalars,
            None => self.measure_stepwise(policy, normalizer, steps)?,
        };
        self.vector_steps += steps as u64;
        let (finished, mean_reward) = (scalars.finished(), scalars.mean_reward());
        let seen = Seen { finished, mean_reward, mean_costs: scalars.mean_costs() }.by_all(comm)?;
        self.tracker.record(&seen.finished, seen.mean_reward, &seen.mean_costs);
        Ok(())
    }

    /// All steps in one launch, where the device can. The kernel draws actions always: here around the mean by less than
    /// a float32 resolves.
    fn measure_in_kernel(
        &mut self,
        policy: &Policy,
        normalizer: &Normalizer,
        steps: usize,
    ) -> Result<Option<StepScalars>> {
        let samples = steps * self.env.num_envs();
        let key = NoiseKey { seed: self.seed, stream: Stream::Deployed, step: self.vector_steps };
        // What it records of the observations goes with the copy.
        let mut frozen = normalizer.clone();
        let (env, obs) = (self.env.as_mut(), &mut self.obs);
        let Some(collected) = self.kernel.collect(env, obs, &mut frozen, &policy.noiseless(), key, steps) else {
            return Ok(None);
        };
        let numbers = read("steps of the deployed policy", collected.arrays.scalars.flatten::<1>(0, 1))?;
        Ok(Some(StepScalars::new(numbers, samples)?))
    }

    /// The same step by step, read back once.
    fn measure_stepwise(&mut self, policy: &Policy, normalizer: &Normalizer, steps: usize) -> Result<StepScalars> {
        let mut rows: Vec<Vec<Tensor<1>>> = Vec::new();
        for _ in 0..steps {
            let batch = self.env.step(policy.forward(normalizer.apply(self.obs.clone())));
            self.obs = batch.obs.clone();
            let numbers = step_scalars(batch);
            rows.resize_with(numbers.len(), || Vec::with_capacity(steps));
            rows.iter_mut().zip(numbers).for_each(|(row, number)| row.push(number));
        }
        Ok(StepScalars::gather(rows)?)
    }

    /// What it has come to.
    pub fn report(&self) -> DeployedReport {
        let steps = self.vector_steps * (self.env.num_envs() * self.shards) as u64;
        DeployedReport { figures: self.tracker.figures(), steps }
    }

    /// Everything needed to continue bit for bit.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn state(&self) -> Result<State> {
        let mut state = State::new();
        state.put_part("env", self.env.state()?)?;
        state.put_part("figures", self.tracker.state()?)?;
        state.put_tensor("obs", &self.obs)?;
        state.put("vector_steps", self.vector_steps)?;
        Ok(state)
    }

    /// Takes what [`Self::state`] gave.
    ///
    /// # Errors
    /// When an entry is missing or of another shape.
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        self.env.load_state(&state.part("env")?).context("`env`")?;
        self.tracker.load_state(&state.part("figures")?)?;
        self.obs = state.tensor("obs", self.obs.dims(), &self.obs.device())?;
        self.vector_steps = state.get("vector_steps")?;
        Ok(())
    }

    /// Refuses environments of another kind than the training's.
    ///
    /// # Errors
    /// When a size or the constraints differ.
    pub fn ensure_like(&self, training: &dyn VecEnv) -> Result<()> {
        let sizes = |env: &dyn VecEnv| {
            let spec = env.spec();
            (spec.obs_dim, spec.action_dim, spec.max_episode_steps, spec.constraints.clone())
        };
        let (own, other) = (sizes(self.env.as_ref()), sizes(training));
        ensure!(
            own == other,
            "environments of sizes {own:?} cannot measure a policy of environments of sizes {other:?}"
        );
        Ok(())
    }
}

/// The numbers of a step as [`StepScalars`] has them, each `[B]`.
fn step_scalars(batch: StepBatch) -> Vec<Tensor<1>> {
    let each = |costs: Tensor<2>| {
        let [constraints, envs] = costs.dims();
        let flat = costs.reshape([constraints * envs]);
        (0..constraints).map(move |k| flat.clone().slice([k * envs..(k + 1) * envs]))
    };
    let mut scalars = vec![batch.reward];
    scalars.extend(each(batch.costs));
    scalars.extend([batch.terminated, batch.truncated, batch.episode_return]);
    scalars.extend(each(batch.episode_costs));
    scalars.extend([batch.episode_length, batch.episode_partial]);
    scalars
}

/// The costs that steer, per constraint: of the sampled actions, and where the deployed policy is measured, its.
///
/// `rollout` is the estimate from this rollout's sampled steps, the larger sample, plus the difference of the two kinds of
/// actions, averaged over some iterations: `H c_t + (avg(H c_deployed) - avg(H c_sampled))` with H the episode's length, c the
/// mean step cost of a rollout and `avg` the same exponential average of both.
///
/// `episodes` is, by `signal`, the same with c_t averaged over as many iterations as 100 episodes have steps, and with the
/// mean length of the last episodes for H where some have ended; or the mean over the last 100 finished episodes.
pub fn steering(sampled: &Figures, deployed: Option<&Figures>, signal: CostSignal) -> Vec<CostEstimate> {
    let finished = |figures: &Figures, k: usize| {
        let mean = figures.recent.as_ref().and_then(|recent| recent.cost_mean.get(k));
        mean.copied().unwrap_or(f64::NAN)
    };
    let difference = |k: usize| deployed.map_or(0.0, |deployed| deployed.average_costs[k] - sampled.average_costs[k]);
    let estimate = |(k, cost): (usize, &f64)| CostEstimate {
        rollout: cost + difference(k),
        episodes: match signal {
            CostSignal::Steps => (sampled.recent_costs[k] + difference(k)) * sampled.length_share,
            CostSignal::Episodes => finished(deployed.unwrap_or(sampled), k),
        },
    };
    sampled.step_costs.iter().enumerate().map(estimate).collect()
}

/// The return of the actions whose costs [`steering`] gives, estimated in the same way.
pub fn earned(sampled: &Figures, deployed: Option<&Figures>) -> f64 {
    let difference = deployed.map_or(0.0, |deployed| deployed.average_return - sampled.average_return);
    sampled.step_return + difference
}

#[cfg(test)]
mod tests;
