//! What a kernel needs to be launched on tensors of a CubeCL backend (CUDA, wgpu, Vulkan).
#![cfg(feature = "gpu")]

pub mod finite;
pub mod sum;

pub use burn_cubecl::tensor::CubeTensor;

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Int, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::{Cube, CubeBackend};
use cubecl::MemoryScope;
use cubecl::prelude::{CubeCount, CubeDim};

/// Whether kernels can be launched on `device`.
pub fn is_gpu(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Cube(_))
}

/// The tensor as kernels take it, contiguous, or `None` elsewhere (automatic differentiation included).
pub fn primitive<const D: usize>(tensor: &Tensor<D>) -> Option<CubeTensor> {
    if !is_gpu(&tensor.device()) {
        return None;
    }
    tensor.clone().try_into_primitive::<Cube>().ok().map(into_contiguous)
}

/// The tensor for a kernel that writes in place, or `None` elsewhere: a copy where somebody else holds it too.
pub fn writable<const D: usize>(tensor: Tensor<D>) -> Option<CubeTensor> {
    if !is_gpu(&tensor.device()) {
        return None;
    }
    let tensor = into_contiguous(tensor.try_into_primitive::<Cube>().ok()?);
    Some(if tensor.can_mut() { tensor } else { into_contiguous(tensor.copy()) })
}

/// A float32 tensor of `shape` on the device of `other`, its numbers arbitrary.
pub fn empty_like<const D: usize>(other: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    let (client, device) = (other.client.clone(), other.device.clone());
    empty_device_contiguous_dtype(client, device, Shape::from(shape), DType::F32)
}

/// Back to a tensor; `D` must be its rank.
pub fn into_tensor<const D: usize>(primitive: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<CubeBackend>(primitive)
}

/// Cubes of `per_cube` units, as many as give one unit to each of `count` elements.
pub fn grid(client_of: &CubeTensor, count: usize, per_cube: u32) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(per_cube);
    (cubecl::calculate_cube_count_elemwise(&client_of.client, count, dim), dim)
}

/// Float32 numbers in the largest buffer that kernels can bind on the device of `tensor`; a kernel's indices have 32 bits.
pub fn largest_buffer(tensor: &CubeTensor) -> usize {
    let bytes = tensor.client.properties().memory.max_page_size.min(u64::from(u32::MAX));
    bytes as usize / size_of::<f32>()
}

/// Bytes that the device of `tensor` has for everything at once; CUDA, Vulkan and Metal tell, wgpu's other backends do not.
pub fn total_memory(tensor: &CubeTensor) -> Option<u64> {
    tensor.client.properties().memory.max_memory()
}

/// Bytes that all queues of the device of `tensor` have set aside together, in use or not.
pub fn memory_reserved(tensor: &CubeTensor) -> u64 {
    tensor.client.memory_report(MemoryScope::Device).usage().bytes_reserved
}

/// Indices `[N]` as kernels take them, of 32 bits, or `None` elsewhere.
pub fn indices(tensor: &Tensor<1, Int>) -> Option<CubeTensor> {
    if !is_gpu(&tensor.device()) {
        return None;
    }
    let index = into_contiguous(tensor.clone().try_into_primitive::<Cube>().ok()?);
    (index.dtype == DType::I32).then_some(index)
}
