//! Protocols: environments changed for an algorithm's sake.
//!
//! Early termination ends an episode once its cost exceeds the limit: the level of the training environments says so. Sauté and Simmer show the policy how much of its budget of cost is left and change the reward once it is spent; what they
//! optimise is another task than everybody else's, and so their rows of the table name the protocol. Episodes' returns and
//! costs stay those of the task itself.

mod early_terminated;
mod saute;

use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor};
use compute::State;
use envs::{EnvError, EnvSpec, Level, NavigationSpec, StepBatch, VecEnv};

use crate::algorithm;
use crate::config::TrainConfig;

pub use early_terminated::EARLY_TERMINATED;
pub use saute::{SAUTE, SIMMER, Saute, SauteConfig, SimmerConfig};

/// What is done to the steps of environments before a learner sees them.
pub trait Protocol: Send {
    /// How many numbers it adds behind an observation.
    fn extra_obs(&self) -> usize;

    /// Observations `[B, D]` of new episodes, in every environment, as the policy sees them.
    fn reset(&mut self, obs: Tensor<2>) -> Tensor<2>;

    /// A step as the learner sees it. Sums over episodes are left alone.
    fn step(&mut self, batch: StepBatch) -> StepBatch;

    /// What a continuation needs.
    ///
    /// # Errors
    /// When the device cannot be read.
    fn state(&self) -> Result<State, EnvError>;

    /// Takes what [`Self::state`] gave.
    ///
    /// # Errors
    /// When an entry is missing or of another shape.
    fn load_state(&mut self, state: &State) -> Result<(), EnvError>;
}

/// A row of the algorithms' table that needs a protocol says which.
#[derive(Clone, Copy)]
pub struct ProtocolInfo {
    /// Its name in tables.
    pub name: &'static str,
    /// What it does.
    pub means: Means,
}

/// How a protocol changes an environment.
#[derive(Clone, Copy)]
pub enum Means {
    /// Around the environments, wherever the policy acts: it makes the wrapper for a number of environments of a kind.
    Steps(fn(&TrainConfig, &EnvSpec, usize, &Device) -> Box<dyn Protocol>),
    /// In the level that is trained in; the policy is judged in the level itself.
    Level(fn(&TrainConfig, &mut Level)),
}

/// The environment that the configured algorithm trains in.
///
/// # Errors
/// An unknown algorithm or environment, or a limit that cannot stand in a level.
pub fn training_spec(config: &TrainConfig) -> Result<NavigationSpec> {
    let spec = config.env.spec()?;
    let Some(ProtocolInfo { means: Means::Level(change), .. }) = algorithm::find(&config.algo)?.protocol else {
        return Ok(spec);
    };
    let mut level = Level::clone(&spec.level);
    change(config, &mut level);
    Ok(NavigationSpec::new(spec.agent, level)?)
}

/// Whether the configured algorithm can train in these environments.
///
/// # Errors
/// An unknown algorithm, or one whose protocol changes the level, which these environments do not have or have not had
/// changed.
pub fn ensure_trains(config: &TrainConfig, env: &mut dyn VecEnv) -> Result<()> {
    let Some(ProtocolInfo { name, means: Means::Level(change) }) = algorithm::find(&config.algo)?.protocol else {
        return Ok(());
    };
    let changed = env.navigation().is_some_and(|navigation| {
        let level = Level::clone(&navigation.navigation_spec().level);
        let mut changed = level.clone();
        change(config, &mut changed);
        changed == level
    });
    ensure!(changed, "{}: its protocol {name} changes a level: train it in the configured environment", config.algo);
    Ok(())
}

/// The protocol of the configured algorithm for a number of environments of a kind, where it has one.
///
/// # Errors
/// An unknown algorithm.
pub fn configured(
    config: &TrainConfig,
    spec: &EnvSpec,
    num_envs: usize,
    device: &Device,
) -> Result<Option<Box<dyn Protocol>>> {
    Ok(match algorithm::find(&config.algo)?.protocol {
        Some(ProtocolInfo { means: Means::Steps(build), .. }) => Some(build(config, spec, num_envs, device)),
        _ => None,
    })
}

/// These environments under the configured algorithm's protocol, where it has one.
///
/// # Errors
/// An unknown algorithm.
pub fn wrap(config: &TrainConfig, env: Box<dyn VecEnv>) -> Result<Box<dyn VecEnv>> {
    Ok(match configured(config, env.spec(), env.num_envs(), env.device())? {
        Some(protocol) => Box::new(Protected::new(env, protocol)),
        None => env,
    })
}

/// Environments under a protocol.
pub struct Protected {
    env: Box<dyn VecEnv>,
    protocol: Box<dyn Protocol>,
    spec: EnvSpec,
}

impl Protected {
    /// These environments under this protocol.
    pub fn new(env: Box<dyn VecEnv>, protocol: Box<dyn Protocol>) -> Self {
        let spec = EnvSpec { obs_dim: env.spec().obs_dim + protocol.extra_obs(), ..env.spec().clone() };
        Self { env, protocol, spec }
    }
}

impl VecEnv for Protected {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn num_envs(&self) -> usize {
        self.env.num_envs()
    }

    fn device(&self) -> &Device {
        self.env.device()
    }

    fn reset(&mut self, staggered: bool) -> Tensor<2> {
        self.protocol.reset(self.env.reset(staggered))
    }

    fn step(&mut self, action: Tensor<2>) -> StepBatch {
        self.protocol.step(self.env.step(action))
    }

    fn state(&self) -> Result<State, EnvError> {
        let mut state = State::new();
        state.put_part("env", self.env.state()?)?;
        state.put_part("protocol", self.protocol.state()?)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.env.load_state(&state.part("env")?)?;
        self.protocol.load_state(&state.part("protocol")?)
    }
}
