//! What can go wrong in this crate.

use compute::ComputeError;
use thiserror::Error;

/// Errors of this crate. Shape mistakes inside one call panic with a message instead, as burn's own operations do.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SafeRlError {
    /// A configuration value lies outside its domain.
    #[error("{name} = {value}: {reason}")]
    InvalidConfig {
        /// Name of the setting.
        name: &'static str,
        /// The value given.
        value: f64,
        /// What is expected.
        reason: &'static str,
    },
    /// A rollout was finished before any step was pushed.
    #[error("the rollout holds no step")]
    EmptyRollout,
    /// A step's tensor has another shape than the rollout's first step.
    #[error("{what}: expected shape {expected:?}, got {got:?}")]
    ShapeMismatch {
        /// Name of the tensor.
        what: &'static str,
        /// Expected shape.
        expected: Vec<usize>,
        /// Shape given.
        got: Vec<usize>,
    },
    /// A saved state does not fit, or the device failed while a result was read back.
    #[error(transparent)]
    Compute(#[from] ComputeError),
}

/// Checks a setting's domain.
pub(crate) fn ensure(holds: bool, name: &'static str, value: f64, reason: &'static str) -> Result<(), SafeRlError> {
    if holds { Ok(()) } else { Err(SafeRlError::InvalidConfig { name, value, reason }) }
}
