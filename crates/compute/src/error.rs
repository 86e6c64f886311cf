//! What can go wrong between the host and a device, and in a saved state.

use thiserror::Error;

/// Errors of this crate. Shape mistakes inside one call panic with a message instead, as burn's own operations do.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ComputeError {
    /// The device failed while a result was read back.
    #[error("reading back {what} failed: {reason}")]
    ReadBack {
        /// What was read.
        what: String,
        /// The backend's message.
        reason: String,
    },
    /// The number of values is not the product of the sizes.
    #[error("{values} values do not fill the shape {shape:?}")]
    Unfilled {
        /// Sizes given.
        shape: Vec<usize>,
        /// Number of values given.
        values: usize,
    },
    /// A saved state lacks an entry.
    #[error("the state has no entry `{name}`")]
    Missing {
        /// Name of the entry.
        name: String,
    },
    /// Two entries of a state bear the same name.
    #[error("state `{name}` was stored twice")]
    Twice {
        /// Name of the entry.
        name: String,
    },
    /// A saved array belongs to another configuration.
    #[error("state `{name}` has shape {got:?}, but this configuration needs {expected:?}")]
    Shape {
        /// Name of the entry.
        name: String,
        /// Shape that fits.
        expected: Vec<usize>,
        /// Shape found.
        got: Vec<usize>,
    },
    /// A saved scalar cannot be written as JSON, or is not of the type asked for.
    #[error("state `{name}`: {reason}")]
    Value {
        /// Name of the entry.
        name: String,
        /// What is wrong.
        reason: String,
    },
}
