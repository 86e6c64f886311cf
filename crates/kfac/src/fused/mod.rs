//! The fused path of the CPU backend (`flex`): the same mathematics as [`crate::plain`], one pass over the batch.
//!
//! A call takes this path when all its tensors are plain float32 tensors on `flex`; anything else (a GPU, autodiff,
//! another type) takes the path of tensor operations.

mod activation;
mod chunk;
mod collect;
mod eliminate;
mod hidden;
mod invert;
mod kernel;
#[cfg(test)]
mod kernel_tests;
mod network;
mod pack;
mod peak;
mod plan;
mod recycle;
mod scratch;
mod seeds;
mod sums;
mod vector;
mod weights;

use burn::backend::{DispatchDevice, Flex};
use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::FlexTensor;

pub(crate) use hidden::Hidden;
pub(crate) use invert::{InverseResult, inverse};
pub(crate) use network::Network;
pub(crate) use peak::{product_peak, register_peak};
pub(crate) use sums::{Cotangents, Input, Seeds};
pub(crate) use vector::{moving_average, precondition};

/// A contiguous float32 tensor of the CPU backend.
pub(crate) struct Host(FlexTensor);

impl Host {
    /// The tensor's memory, or `None` where the fused path does not apply.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Host> {
        if !matches!(tensor.device().as_dispatch(), DispatchDevice::Flex(_)) {
            return None;
        }
        let primitive = tensor.clone().try_into_primitive::<Flex>().ok()?;
        // Rows of a larger tensor are contiguous where they lie: `to_contiguous` would copy them.
        let in_place = primitive.as_slice::<f32>().is_some();
        (primitive.dtype() == DType::F32).then(|| Host(if in_place { primitive } else { primitive.to_contiguous() }))
    }

    pub fn values(&self) -> &[f32] {
        self.0.as_slice::<f32>().unwrap_or(&[])
    }
}

/// Wraps host values as a tensor of the CPU backend without a copy.
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(FlexTensor::from_data(TensorData::new(values, shape)))
}
