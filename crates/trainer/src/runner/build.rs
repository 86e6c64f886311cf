//! Preparing a run: its environments, networks and algorithm.

use anyhow::{Result, ensure};
use burn::tensor::Device;
use envs::{Navigation, Purpose, VecEnv};
use safe_rl::Normalizer;

use super::kinds::Kinds;
use super::{Runner, Totals, shapes};
use crate::algorithm::{self, Algorithm, Setup};
use crate::comm::{Alone, Comm};
use crate::config::{Actions, PolicyConfig, TrainConfig};
use crate::critics::Critics;
use crate::deployed::Deployed;
use crate::figures::FigureTracker;
use crate::policy::Policy;
use crate::policy::rollout::RolloutKernel;
use crate::protocol;
use crate::schedule::Schedule;

/// Samples of an iteration: they are numbered by 32-bit integers.
const MAX_SAMPLES: usize = i32::MAX as usize;

impl Runner {
    /// Prepares a run of the configured environment: environments at random episode phases, fresh networks.
    ///
    /// # Errors
    /// A configuration that does not hold, an unknown environment or algorithm, or a device that cannot be used.
    pub fn new(config: TrainConfig, device: Device) -> Result<Self> {
        Self::of_shard(config, device, Box::new(Alone))
    }

    /// [`Self::new`] for one shard of a run: it has the shard's part of the environments, and the update is that of all shards
    /// together, each of which must be used alike.
    ///
    /// # Errors
    /// As [`Self::new`]; also where the configuration is of another number of shards.
    pub fn of_shard(config: TrainConfig, device: Device, comm: Box<dyn Comm>) -> Result<Self> {
        config.validate()?;
        let (seed, shards) = (comm.own_seed(config.seed), comm.size());
        let environments = |spec, num_envs: usize, purpose: Purpose| {
            Navigation::new(spec, num_envs, purpose.seed(seed), &device).map(Box::new)
        };
        let env = environments(protocol::training_spec(&config)?, config.num_envs / shards, Purpose::Training)?;
        // The level itself, whatever a protocol makes of it for training.
        let measured = match config.deployed.measured_envs(config.num_envs) {
            0 => None,
            num_envs => Some(environments(config.env.spec()?, num_envs.div_ceil(shards), Purpose::Measuring)?),
        };
        let runner = Self::of_shard_with_env(config, env, device, comm)?;
        match measured {
            Some(env) => runner.with_deployed_env(env),
            None => Ok(runner),
        }
    }

    /// Prepares a run of these environments, whatever the configuration calls them. The deployed policy is measured where
    /// [`Self::with_deployed_env`] brings environments for it; until then sampled actions are judged.
    ///
    /// # Errors
    /// A configuration that does not hold or does not fit the environments, an unknown algorithm, or a device that cannot
    /// be used.
    pub fn with_env(config: TrainConfig, env: Box<dyn VecEnv>, device: Device) -> Result<Self> {
        Self::of_shard_with_env(config, env, device, Box::new(Alone))
    }

    fn of_shard_with_env(
        config: TrainConfig,
        mut env: Box<dyn VecEnv>,
        device: Device,
        comm: Box<dyn Comm>,
    ) -> Result<Self> {
        config.validate()?;
        ensure!(
            config.shards == comm.size(),
            "shards = {}: here are {} (a run of several shards is trained by Shards)",
            config.shards,
            comm.size()
        );
        let samples = config.num_envs.checked_mul(config.rollout_steps).filter(|samples| *samples <= MAX_SAMPLES);
        ensure!(
            samples.is_some(),
            "num_envs x rollout_steps = {} x {}: must be at most {MAX_SAMPLES}",
            config.num_envs,
            config.rollout_steps
        );
        ensure!(
            env.num_envs() * config.shards == config.num_envs,
            "num_envs = {}: these are {} environments of {}",
            config.num_envs,
            env.num_envs(),
            env.spec().id
        );
        protocol::ensure_trains(&config, env.as_mut())?;
        let kinds = Kinds::of(env.as_mut());
        let mut env = protocol::wrap(&config, env)?;
        let (obs_dim, action_dim) = (env.spec().obs_dim, env.spec().action_dim);
        let constraints = config.cost_limit.of(&env.spec().constraints)?;
        let weights = Some(config.first_weights(config.policy.weights));
        let first = PolicyConfig { weights, ..config.policy.clone() };
        let policy = Policy::new(&first, obs_dim, action_dim, config.seed, &device)?;
        let horizon = env.spec().max_episode_steps;
        let setup = Setup { config: &config, policy: &policy, constraints: &constraints, horizon };
        let algorithm = algorithm::build(&setup)?;
        let (constrained, decay) = (env.spec().constraints.len(), config.deployed.average_decay);
        let sampled = FigureTracker::new(horizon, constrained, decay, config.batch_size());
        let obs = env.reset(true);
        shapes::ensure_obs(env.as_ref(), &obs)?;
        Ok(Self {
            obs,
            env,
            normalizer: Normalizer::new(obs_dim, config.normalizer, &device)?,
            policy,
            critics: Critics::new(&config, 1 + constraints.len(), obs_dim, &device)?,
            algorithm,
            comm,
            sampled,
            kinds,
            deployed: None,
            iteration: 0,
            vector_steps: 0,
            totals: Totals::default(),
            schedule: Schedule::default(),
            kernel: RolloutKernel::new(&device),
            constraints,
            config,
        })
    }

    /// Measures the mean actions in these environments while it trains, where they are the deployed ones. They should draw
    /// their episodes from other seeds than the training's.
    ///
    /// # Errors
    /// When they are of another kind than the training's.
    pub fn with_deployed_env(mut self, env: Box<dyn VecEnv>) -> Result<Self> {
        if self.config.deployed.actions == Actions::Sampled {
            return Ok(self);
        }
        let env = protocol::wrap(&self.config, env)?;
        let deployed = Deployed::new(env, &self.config);
        deployed.ensure_like(self.env.as_ref())?;
        self.deployed = Some(deployed);
        Ok(self)
    }

    /// Trains by another algorithm than the configured one: one that is in no table.
    ///
    /// # Errors
    /// What `build` refuses.
    pub fn with_algorithm(mut self, build: impl FnOnce(&Setup) -> Result<Box<dyn Algorithm>>) -> Result<Self> {
        let (config, horizon) = (&self.config, self.env.spec().max_episode_steps);
        let setup = Setup { config, policy: &self.policy, constraints: &self.constraints, horizon };
        self.algorithm = build(&setup)?;
        Ok(self)
    }
}
