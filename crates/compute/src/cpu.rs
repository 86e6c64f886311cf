//! The memory of the CPU backend's tensors (`flex`): the basis of every CPU leaf.
//!
//! A leaf asks for a [`View`] of each input (or, to write in place, for its [`Memory`]). On any other backend, with
//! automatic differentiation, or for another element type there is none, and the caller goes on to the next leaf. Results
//! are built from host vectors without a copy. Without the feature `flex` no view exists, and the leaves compile all the
//! same.

#[cfg(not(feature = "flex"))]
mod absent;
#[cfg(feature = "flex")]
mod flex;

#[cfg(not(feature = "flex"))]
pub use absent::{Buffers, Memory, View, indices, is_cpu, tensor};
#[cfg(feature = "flex")]
pub use flex::{Buffers, Memory, View, indices, is_cpu, tensor};

/// Rows handled by one task of a parallel pass that sums. Fixed, so that the order of summation, and with it every bit of
/// the result, does not depend on the number of threads.
pub const SHARD_ROWS: usize = 1024;
