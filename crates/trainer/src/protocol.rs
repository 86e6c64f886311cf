//! Protocols: environments changed for an algorithm's sake.
//!
//! Sauté and Simmer show the policy how much of its budget of cost is left and change the reward once it is spent; what they
//! optimise is another task than everybody else's, and so their rows of the table name the protocol. Episodes' returns and
//! costs stay those of the task itself.

mod saute;

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use compute::State;
use envs::{EnvError, EnvSpec, StepBatch, VecEnv};

use crate::algorithm;
use crate::config::TrainConfig;

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
    /// Makes it for a number of environments of a kind.
    pub build: fn(&TrainConfig, &EnvSpec, usize, &Device) -> Box<dyn Protocol>,
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
    let protocol = algorithm::find(&config.algo)?.protocol;
    Ok(protocol.map(|protocol| (protocol.build)(config, spec, num_envs, device)))
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
