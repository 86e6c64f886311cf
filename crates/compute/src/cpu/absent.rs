//! Without the CPU backend: types that have no value, so that every leaf goes on to the next.

use burn::tensor::{Device, Int, Tensor};

/// Whether tensors on `device` have memory that the host can read: none have.
pub fn is_cpu(_device: &Device) -> bool {
    false
}

/// There is no view without the CPU backend.
pub enum View {}

impl View {
    /// No view.
    pub fn of<const D: usize>(_tensor: &Tensor<D>) -> Option<Self> {
        None
    }

    /// Never called.
    pub fn values(&self) -> &[f32] {
        match *self {}
    }
}

/// There is no memory without the CPU backend.
pub enum Memory {}

impl Memory {
    /// No memory.
    pub fn of<const D: usize>(_tensor: Tensor<D>) -> Option<Self> {
        None
    }

    /// Never called.
    pub fn values_mut(&mut self) -> &mut [f32] {
        match *self {}
    }

    /// Never called.
    pub fn into_tensor<const D: usize>(self) -> Tensor<D> {
        match self {}
    }
}

/// No buffers.
#[derive(Debug, Default)]
pub struct Buffers(());

impl Buffers {
    /// Never called: a leaf that takes a buffer has found memory before.
    ///
    /// # Panics
    /// Always.
    pub fn take<const D: usize>(&mut self, _shape: [usize; D]) -> Memory {
        unreachable!("no memory exists without the CPU backend")
    }

    /// Never called.
    pub fn remember(&mut self, buffer: &Memory) {
        match *buffer {}
    }
}

/// No indices.
pub fn indices(_tensor: &Tensor<1, Int>) -> Option<Vec<usize>> {
    None
}

/// Never called: a leaf that makes a tensor has found a view before.
///
/// # Panics
/// Always.
pub fn tensor<const D: usize>(_values: Vec<f32>, _shape: [usize; D]) -> Tensor<D> {
    unreachable!("no view exists without the CPU backend")
}
