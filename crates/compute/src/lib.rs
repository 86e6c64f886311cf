//! How tensors are reached: what `kfac`, `safe-rl` and `envs` share, and none of their mathematics.
//!
//! - [`cpu`]: the memory of the CPU backend's tensors, read and written in place.
//! - `gpu` (feature `gpu`): what a kernel needs to be launched on tensors; sums within a cube.
//! - [`first_of!`]: the one line that routes an operation to its CPU leaf, its GPU leaf or its reference.
//! - [`noise`]: random numbers as a hash of (seed, stream, step, element), and the register of all streams.
//! - [`State`]: named arrays and scalars on the host, from which a run continues.
//! - [`Uploaded`]: numbers that are copied to a device once.
//! - [`Graph`]: a function of tensors whose launches a GPU records and replays as one.
//! - [`read`]: the one way back from a device, counted by [`read_backs`].
//!
//! # One operation, one folder
//!
//! `op.rs` documents the operation, holds its types and its reference (tensor operations, for every backend and for
//! automatic differentiation), and routes in one line. `op/cpu.rs` works on the CPU backend's memory, `op/gpu.rs` launches
//! kernels. A leaf returns `None` where it does not apply: another backend, another element type, sizes it is not made
//! for. Unit tests hold the leaves equal to the reference.
#![warn(missing_docs)]

pub mod cpu;
mod error;
mod first_of;
pub mod gpu;
mod graph;
pub mod noise;
mod read;
mod state;
mod uploaded;

#[cfg(test)]
use test_support::device as test_device;

pub use error::ComputeError;
pub use graph::{Graph, GraphUse, replays};
pub use read::{read, read_backs};
pub use state::{HostTensor, State};
pub use uploaded::Uploaded;
