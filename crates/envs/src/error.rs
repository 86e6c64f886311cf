//! What can go wrong when an environment is built or restored.

use compute::ComputeError;
use thiserror::Error;

/// Errors of this crate; a shape bug in the caller's tensors panics instead.
#[derive(Debug, Error, PartialEq)]
pub enum EnvError {
    /// No registered environment has this id.
    #[error("unknown environment `{id}`; the valid ids are {}", valid.join(", "))]
    UnknownEnv {
        /// What was asked for.
        id: String,
        /// Every id the registry holds.
        valid: Vec<String>,
    },
    /// An environment that somebody has written: only their program can step it.
    #[error("environment `{0}` is not of the suite: only the program that it is written in can step it")]
    Foreign(String),
    /// A level that cannot be simulated.
    #[error("level `{level}`: {problem}")]
    Level {
        /// The level's name.
        level: String,
        /// What is wrong with it, and what is allowed.
        problem: String,
    },
    /// A specification that cannot be true.
    #[error("environment `{id}`: {problem}")]
    Spec {
        /// The environment's name.
        id: String,
        /// What is wrong.
        problem: String,
    },
    /// A vectorised environment needs at least one environment, and can count them exactly in
    /// float32 only below 2^24.
    #[error("num_envs must be between 1 and 16777215, got {0}")]
    NumEnvs(usize),
    /// The environments have no kernel for the device's backend.
    #[error("environments do not run on {0}: use the CPU backend `flex`, or build with feature `gpu`")]
    UnsupportedDevice(String),
    /// The device cannot bind a buffer that holds the state of so many environments.
    #[error("{num_envs} environments are too many for {device}: its largest buffer holds {most} of this kind")]
    DeviceMemory {
        /// What was asked for.
        num_envs: usize,
        /// The device.
        device: String,
        /// Most environments of this kind there.
        most: usize,
    },
    /// A saved state does not fit the environment it is restored into.
    #[error("state has shape {got:?}, expected {expected:?}")]
    StateShape {
        /// Shape of the given tensor.
        got: Vec<usize>,
        /// Shape that [`crate::Navigation::fields`] would return.
        expected: Vec<usize>,
    },
    /// A state cannot be read from the device, or its entries do not fit the environments.
    #[error(transparent)]
    State(#[from] ComputeError),
    /// A recording lacks an array or has one of the wrong size.
    #[error("recording `{file}`: {problem}")]
    Recording {
        /// Name of the recording, for the message.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
}
