//! What can be wrong with the input of this crate.

use compute::ComputeError;
use thiserror::Error;

/// What can be wrong with the input of this crate.
///
/// Numerical trouble (a factor that cannot be inverted, a step that is not finite) is not an error: it is a value in
/// the report ([`crate::InverseSet::fallbacks`]).
#[derive(Debug, Error, Clone, PartialEq)]
pub enum KfacError {
    /// A network needs an input and an output size.
    #[error("a network needs at least an input and an output size, got {0:?}")]
    TooFewSizes(Vec<usize>),
    /// A layer of width zero.
    #[error("every layer size must be positive, got {0:?}")]
    ZeroSize(Vec<usize>),
    /// The flat parameter vector does not fit the network.
    #[error("the parameter vector has {found} elements, the network {expected}")]
    ThetaLength {
        /// Parameters of the network.
        expected: usize,
        /// Elements of the given vector.
        found: usize,
    },
    /// Damping must be positive and finite.
    #[error("damping must be positive and finite, got {0}")]
    Damping(f32),
    /// The decay of the moving average must lie in [0, 1).
    #[error("the decay of the factors must lie in [0, 1), got {0}")]
    Decay(f32),
    /// The device failed while it was waited for; only [`crate::benchmark`] waits.
    #[error("the device failed: {0}")]
    Device(String),
    /// A result could not be read back, or a checkpoint is of another network.
    #[error(transparent)]
    State(#[from] ComputeError),
}
