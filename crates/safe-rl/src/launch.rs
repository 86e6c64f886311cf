//! What every kernel of this crate needs to be launched on tensors.

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{Cube, CubeBackend};

/// Whether `tensor` lives where kernels are launched.
pub(crate) fn lives_here<const D: usize>(tensor: &Tensor<D>) -> bool {
    matches!(tensor.device().as_dispatch(), DispatchDevice::Cube(_))
}

/// The tensor as kernels take it, or `None` elsewhere (autodiff included).
pub(crate) fn primitive<const D: usize>(tensor: &Tensor<D>) -> Option<CubeTensor> {
    tensor.clone().try_into_primitive::<Cube>().ok().map(into_contiguous)
}

/// A float32 tensor `[length]` beside `other`, its numbers arbitrary.
pub(crate) fn empty_like(other: &CubeTensor, length: usize) -> CubeTensor {
    let (client, device) = (other.client.clone(), other.device.clone());
    empty_device_contiguous_dtype(client, device, Shape::from([length]), DType::F32)
}

/// Back to a tensor.
pub(crate) fn tensor(primitive: CubeTensor) -> Tensor<1> {
    Tensor::from_primitive::<CubeBackend>(primitive)
}
