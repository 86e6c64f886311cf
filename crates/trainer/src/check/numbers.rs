//! Numbers of the check: inputs that are the same on every device, and the way back from one.

use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use compute::noise::{NoiseKey, Stream, normals};

/// Standard normals, the same on every device.
pub(super) fn noise(index: u64, shape: [usize; 2], device: &Device) -> Tensor<2> {
    let key = NoiseKey { seed: 6, stream: Stream::Other(0), step: index };
    tensor(&normals(key, shape[0], shape[1]), shape, device)
}

/// The same as a vector.
pub(super) fn vector(index: u64, length: usize, device: &Device) -> Tensor<1> {
    noise(index, [1, length], device).reshape([length])
}

/// A tensor of these numbers, row-major.
pub(super) fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// The numbers of a tensor, row-major.
pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    Ok(compute::read("a result of the check", tensor)?)
}
