//! The training loop: rollout, values, advantages, actor update, critic update.

use crate::algorithm::{self, Algorithm, CostEstimate, Metrics, Progress};
use crate::config::TrainConfig;
use crate::critics::Critics;
use crate::policy::Actor;
use crate::policy::exported::PolicySnapshot;
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor};
use compute::State;
use compute::noise::{NoiseKey, Stream};
use envs::{StepBatch, VecEnv};
use safe_rl::{
    EpisodeStatistics, EpisodeTotals, EpisodeTracker, GaeConfig, GaeSignal, Normalizer, NormalizerConfig, Rollout,
    RolloutBuilder, RolloutStep, Samples, center, explained_variance, gae_pair, standardize,
};
use std::time::Instant;

/// A run in progress: environments, networks, statistics and counters.
pub struct Runner {
    config: TrainConfig,
    env: VecEnv,
    obs: Tensor<2>,
    normalizer: Normalizer,
    actor: Actor,
    critics: Critics,
    algorithm: Box<dyn Algorithm>,
    episodes: EpisodeTracker,
    iteration: u64,
    vector_steps: u64,
    totals: Totals,
    #[cfg(feature = "gpu")]
    steps_per_launch: usize,
}

/// A part of an iteration, for those who time it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Observations normalised, their moments counted; every step.
    Normalize,
    /// The policy's forward pass and its actions; every step.
    Act,
    /// The environments' step; every step.
    Step,
    /// All steps of the rollout in one launch: normalised, acted on, simulated, judged.
    Rollout,
    /// The rollout put together, finished episodes read back.
    Assemble,
    /// Both critics' values of every observation.
    Values,
    /// Advantages and value targets.
    Advantages,
    /// The algorithm's update of the actor.
    Actor,
    /// The critics' regression.
    Critics,
}

/// Is told when a phase has ended.
pub type Watch<'a> = &'a mut dyn FnMut(Phase);

/// Sums over the run, for the summary.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    /// Seconds spent in rollouts.
    pub rollout_s: f64,
    /// Seconds spent in updates.
    pub update_s: f64,
    /// Actor steps accepted.
    pub accepted: f64,
    /// Actor steps rolled back.
    pub rollbacks: f64,
    /// Sum over iterations of the mean KL from the old policy.
    pub kl_sum: f64,
    /// Largest mean KL of an iteration.
    pub kl_max: f64,
    /// Iterations with an actor update.
    pub updates: f64,
}

/// What one iteration did.
#[derive(Clone, Debug)]
pub struct IterationReport {
    /// Iterations done, this one included.
    pub iteration: u64,
    /// Environment steps done.
    pub steps: u64,
    /// Environment steps the run will take.
    pub total_steps: u64,
    /// Seconds this iteration spent in its rollout.
    pub rollout_s: f64,
    /// Seconds this iteration spent learning.
    pub update_s: f64,
    /// Whole episodes finished since the start.
    pub episodes: u64,
    /// Figures over the last 100 finished episodes; `None` before the first.
    pub recent: Option<EpisodeStatistics>,
    /// Episode length times the mean step cost of this rollout.
    pub step_cost: f64,
    /// Episode length times the mean step reward of this rollout.
    pub step_return: f64,
    /// The algorithm's own numbers.
    pub metrics: Metrics,
}

impl Runner {
    /// Prepares a run: environments at random episode phases, fresh networks.
    ///
    /// # Errors
    /// A configuration that does not hold, an unknown environment or algorithm, or a device that cannot be used.
    pub fn new(config: TrainConfig, device: Device) -> Result<Self> {
        config.validate()?;
        let spec = envs::find(&config.env)?;
        let (obs_dim, action_dim) = (spec.obs_dim, spec.action_dim);
        let actor = Actor::new(&config, obs_dim, action_dim, &device)?;
        let algorithm = algorithm::build(&config, &actor)?;
        let normalizer =
            NormalizerConfig { clip: config.normalizer.clip as f32, std_floor: config.normalizer.std_floor as f32 };
        let mut env = VecEnv::new(spec, config.num_envs, config.seed, &device)?;
        Ok(Self {
            obs: env.reset_staggered(),
            env,
            normalizer: Normalizer::new(obs_dim, normalizer, &device)?,
            actor,
            critics: Critics::new(&config, obs_dim, &device)?,
            algorithm,
            episodes: EpisodeTracker::new(),
            iteration: 0,
            vector_steps: 0,
            totals: Totals::default(),
            #[cfg(feature = "gpu")]
            steps_per_launch: crate::device::steps_per_launch(&device),
            config,
        })
    }

    /// One rollout and one update.
    ///
    /// The first rollout only sets the observation normaliser: until then inputs are unscaled and updates misled.
    ///
    /// # Errors
    /// When the device fails.
    pub fn iterate(&mut self) -> Result<IterationReport> {
        self.iterate_watched(&mut |_| ())
    }

    /// [`Self::iterate`], with `watch` called at the end of every phase.
    ///
    /// # Errors
    /// When the device fails.
    pub fn iterate_watched(&mut self, watch: Watch) -> Result<IterationReport> {
        let start = Instant::now();
        let rollout = self.collect(watch)?;
        let rollout_s = start.elapsed().as_secs_f64();
        let metrics = if self.iteration == 0 { Metrics::new() } else { self.update(&rollout, watch)? };
        self.normalizer.commit();
        self.iteration += 1;
        let update_s = start.elapsed().as_secs_f64() - rollout_s;
        self.tally(rollout_s, update_s, &metrics);
        let horizon = self.env.spec().max_episode_steps as f64;
        Ok(IterationReport {
            iteration: self.iteration,
            steps: self.steps(),
            total_steps: self.config.total_steps,
            rollout_s,
            update_s,
            episodes: self.episodes.finished(),
            recent: self.episodes.statistics(),
            step_cost: horizon * rollout.mean_step_cost,
            step_return: horizon * rollout.mean_step_reward,
            metrics,
        })
    }

    /// T steps of every environment under the current policy: in one launch where the device can.
    fn collect(&mut self, watch: Watch) -> Result<Rollout> {
        let rollout = match self.collect_fused(watch)? {
            Some(rollout) => rollout,
            None => self.collect_stepwise(watch)?,
        };
        self.episodes.record(&rollout.finished);
        watch(Phase::Assemble);
        Ok(rollout)
    }

    #[cfg(feature = "gpu")]
    fn collect_fused(&mut self, watch: Watch) -> Result<Option<Rollout>> {
        let key = NoiseKey { seed: self.config.seed, stream: Stream::Action, step: self.vector_steps };
        let steps = self.config.rollout_steps;
        let (env, obs, normalizer) = (&mut self.env, &mut self.obs, &mut self.normalizer);
        let arrays =
            crate::policy::rollout_gpu::collect(env, obs, normalizer, &self.actor, key, steps, self.steps_per_launch);
        let Some(arrays) = arrays else { return Ok(None) };
        self.vector_steps += steps as u64;
        watch(Phase::Rollout);
        Ok(Some(Rollout::from_arrays(arrays, |obs| self.normalizer.apply(obs))?))
    }

    #[cfg(not(feature = "gpu"))]
    fn collect_fused(&mut self, _watch: Watch) -> Result<Option<Rollout>> {
        Ok(None)
    }

    /// The same step by step, nothing read back before the end: the CPU's way.
    fn collect_stepwise(&mut self, watch: Watch) -> Result<Rollout> {
        let mut builder = RolloutBuilder::with_capacity(self.config.rollout_steps);
        for _ in 0..self.config.rollout_steps {
            let obs = self.normalizer.observe(self.obs.clone());
            watch(Phase::Normalize);
            let key = NoiseKey { seed: self.config.seed, stream: Stream::Action, step: self.vector_steps };
            let act = self.actor.act(obs.clone(), key);
            watch(Phase::Act);
            let step = self.env.step(act.action.clone());
            self.obs = step.obs.clone();
            self.vector_steps += 1;
            builder.push(rollout_step(obs, act.action, act.mean, act.log_prob, step))?;
            watch(Phase::Step);
        }
        let last = self.normalizer.apply(self.obs.clone());
        Ok(builder.finish(last, self.actor.log_std.clone(), |obs| self.normalizer.apply(obs))?)
    }

    /// Values, advantages, the algorithm's actor update, the critics' regression.
    fn update(&mut self, rollout: &Rollout, watch: Watch) -> Result<Metrics> {
        let (samples, explained) = self.samples(rollout, watch);
        let horizon = self.env.spec().max_episode_steps as f64;
        let cost = CostEstimate {
            rollout: horizon * rollout.mean_step_cost,
            episodes: self.episodes.statistics().map_or(f64::NAN, |s| s.cost_mean),
        };
        let at = Progress {
            fraction: (self.steps() as f64 / self.config.total_steps as f64).min(1.0),
            iteration: self.iteration,
        };
        let numbers = self.algorithm.update(&mut self.actor, &samples, cost, at)?;
        watch(Phase::Actor);
        let (reward_loss, cost_loss) = self.critics.fit(&samples, self.iteration);
        watch(Phase::Critics);
        let critics = [
            ("Loss/RewardCritic", reward_loss),
            ("Loss/CostCritic", cost_loss),
            ("Value/RewardExplained", explained.0),
            ("Value/CostExplained", explained.1),
        ];
        numbers.with(critics).read()
    }

    /// The rollout as samples with advantages and value targets; also the critics' explained variances.
    fn samples(&self, rollout: &Rollout, watch: Watch) -> (Samples, (Tensor<1>, Tensor<1>)) {
        let (reward, cost) = self.critics.values(rollout.critic_inputs());
        watch(Phase::Values);
        let (reward, cost) = (rollout.values(reward), rollout.values(cost));
        let config = |lambda: f64| GaeConfig { gamma: self.config.gamma as f32, lambda: lambda as f32 };
        let (reward_config, cost_config) = (config(self.config.gae_lambda), config(self.config.cost_gae_lambda));
        let (r, c) = gae_pair(
            &GaeSignal::new(&rollout.reward, &reward, reward_config),
            &GaeSignal::new(&rollout.cost, &cost, cost_config),
            &rollout.done,
        );
        let explained = (explained_variance(&reward.value, &r.target), explained_variance(&cost.value, &c.target));
        let row = |x: Tensor<2>| x.reshape([1, rollout.samples()]);
        let samples = Samples {
            obs: rollout.obs.clone(),
            action: rollout.action.clone(),
            mean: rollout.mean.clone(),
            log_prob: rollout.log_prob.clone(),
            advantage: Tensor::cat(vec![row(standardize(r.advantage)), row(center(c.advantage))], 0),
            target: Tensor::cat(vec![row(r.target), row(c.target)], 0),
        };
        watch(Phase::Advantages);
        (samples, explained)
    }

    fn tally(&mut self, rollout_s: f64, update_s: f64, metrics: &Metrics) {
        let value = |name| metrics.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        self.totals.rollout_s += rollout_s;
        self.totals.update_s += update_s;
        self.totals.accepted += value("KFCPO/Accepted").unwrap_or(0.0);
        self.totals.rollbacks += value("KFCPO/Rollbacks").unwrap_or(0.0);
        if let Some(kl) = value("Train/KL") {
            self.totals.kl_sum += kl;
            self.totals.kl_max = self.totals.kl_max.max(kl);
            self.totals.updates += 1.0;
        }
    }

    /// The run's configuration.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Whether the configured number of environment steps is reached.
    pub fn done(&self) -> bool {
        self.steps() >= self.config.total_steps
    }

    /// Environment steps done.
    pub fn steps(&self) -> u64 {
        self.vector_steps * self.config.num_envs as u64
    }

    /// Iterations done.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// Sums over the run.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Whole episodes finished since the start.
    pub fn finished_episodes(&self) -> u64 {
        self.episodes.finished()
    }

    /// Figures over the last 100 finished episodes; `None` before the first.
    pub fn recent(&self) -> Option<EpisodeStatistics> {
        self.episodes.statistics()
    }

    /// A host copy of the policy.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn policy(&self) -> Result<PolicySnapshot> {
        PolicySnapshot::capture(&self.config, &self.actor, &self.normalizer)
    }

    /// Everything a bit-for-bit continuation needs, apart from the configuration.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn save(&self) -> Result<State> {
        let mut state = State::new();
        self.actor.save(&mut state)?;
        self.critics.save(&mut state)?;
        self.algorithm.save(&mut state)?;
        state.put_part("normalizer", self.normalizer.state()?)?;
        state.put_part("episodes", self.episodes.state()?)?;
        state.put_tensor("env.state", &self.env.state())?;
        state.put_tensor("env.obs", &self.obs)?;
        state.put("runner.iteration", self.iteration)?;
        state.put("runner.vector_steps", self.vector_steps)?;
        state.put("runner.totals", self.totals)?;
        Ok(state)
    }

    /// Continues from [`Self::save`] under the same configuration.
    ///
    /// # Errors
    /// When an entry is missing or belongs to another configuration (it is named).
    pub fn load(&mut self, state: &State) -> Result<()> {
        let device = self.obs.device();
        self.actor.load(state)?;
        self.critics.load(state)?;
        self.algorithm.load(state, &self.actor)?;
        self.normalizer.load_state(&state.part("normalizer")?).context("state `normalizer`")?;
        self.episodes.load_state(&state.part("episodes")?).context("state `episodes`")?;
        self.env
            .set_state(state.tensor("env.state", self.env.state().dims(), &device)?)
            .context("state `env.state`")?;
        self.obs = state.tensor("env.obs", self.obs.dims(), &device)?;
        self.iteration = state.get("runner.iteration")?;
        self.vector_steps = state.get("runner.vector_steps")?;
        self.totals = state.get("runner.totals")?;
        Ok(())
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
        cost: step.cost,
        terminated: step.terminated,
        truncated: step.truncated,
        final_obs: step.final_obs,
        episode: EpisodeTotals {
            episode_return: step.episode_return,
            cost: step.episode_cost,
            length: step.episode_length,
            partial: step.episode_partial,
        },
    }
}
