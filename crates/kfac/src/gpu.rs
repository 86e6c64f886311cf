//! Bodies that others put into their own kernels (feature `gpu`).
#![cfg(feature = "gpu")]

pub use crate::mlp::gpu::sample::forward_unit;
