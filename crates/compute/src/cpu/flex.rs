//! Views of the CPU backend's memory, and memory that is written in place.

use std::ops::Range;

use burn::backend::{DispatchDevice, Flex};
use burn::tensor::{DType, Device, Int, Shape, Tensor, TensorData};
use burn_flex::FlexTensor;

/// Whether tensors on `device` have memory that the host can read: the CPU backend without automatic differentiation.
pub fn is_cpu(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

/// The values of a float32 tensor that lives on the CPU backend.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use compute::cpu::View;
///
/// let x = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &Device::flex());
/// assert_eq!(View::of(&x.transpose()).unwrap().values(), [1.0, 3.0, 2.0, 4.0]);
/// ```
pub struct View {
    tensor: FlexTensor,
    /// Where the values lie in the memory: asked for once, since a development build answers slowly.
    place: Range<usize>,
}

impl View {
    /// A view of `tensor`, or `None` on another backend or another element type. Rows of a larger tensor are read where
    /// they lie; anything that is not contiguous is copied.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        if !is_cpu(&tensor.device()) {
            return None;
        }
        let mut primitive = tensor.clone().try_into_primitive::<Flex>().ok()?;
        if primitive.dtype() != DType::F32 {
            return None;
        }
        if primitive.layout().contiguous_offsets().is_none() {
            primitive = primitive.to_contiguous();
        }
        let (start, end) = primitive.layout().contiguous_offsets()?;
        Some(Self { tensor: primitive, place: start..end })
    }

    /// Row-major values.
    pub fn values(&self) -> &[f32] {
        &self.tensor.storage::<f32>()[self.place.clone()]
    }
}

/// Float32 memory of the CPU backend that may be written.
pub struct Memory(FlexTensor);

impl Memory {
    /// The memory of `tensor`, or `None` on another backend or another element type. Writing copies it first where
    /// somebody else holds it too.
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Option<Self> {
        if !is_cpu(&tensor.device()) {
            return None;
        }
        let primitive = tensor.try_into_primitive::<Flex>().ok()?;
        if primitive.dtype() != DType::F32 {
            return None;
        }
        // Part of a larger tensor would be written together with the rest.
        let bytes = primitive.as_slice::<f32>().map(size_of_val);
        Some(Self(if bytes == Some(primitive.bytes().len()) { primitive } else { primitive.to_contiguous() }))
    }

    /// Row-major values.
    pub fn values_mut(&mut self) -> &mut [f32] {
        self.0.storage_mut::<f32>()
    }

    /// Back to a tensor, without a copy.
    ///
    /// # Panics
    /// If `D` is not the rank the memory was made with.
    pub fn into_tensor<const D: usize>(self) -> Tensor<D> {
        assert_eq!(self.0.layout().shape().num_dims(), D, "the memory's rank");
        Tensor::from_primitive::<Flex>(self.0)
    }
}

/// Buffers handed out before: those that the caller has dropped since are written again.
///
/// A fresh buffer per step would cost more in page faults than the step itself.
#[derive(Debug, Default)]
pub struct Buffers(Vec<FlexTensor>);

impl Buffers {
    /// Buffers remembered: a few of a step, and those of steps the caller still looks at.
    const KEPT: usize = 8;

    /// Memory of this shape that nobody else holds; its numbers are arbitrary.
    pub fn take<const D: usize>(&mut self, shape: [usize; D]) -> Memory {
        let wanted = Shape::from(shape);
        let free = |buffer: &FlexTensor| buffer.is_unique() && *buffer.layout().shape() == wanted;
        Memory(match self.0.iter().position(free) {
            Some(free) => self.0.swap_remove(free),
            // `FlexTensor::zeros` would fill memory of bytes, and copy it to where floats may lie.
            None => flex_tensor(vec![0.0; shape.iter().product()], shape),
        })
    }

    /// Remembers memory that goes out to the caller, forgetting the oldest.
    pub fn remember(&mut self, buffer: &Memory) {
        if self.0.len() >= Self::KEPT {
            self.0.remove(0);
        }
        self.0.push(buffer.0.clone());
    }
}

/// Indices held by an integer tensor `[N]` on the CPU backend, whichever integer type it has, or `None` elsewhere.
pub fn indices(tensor: &Tensor<1, Int>) -> Option<Vec<usize>> {
    if !is_cpu(&tensor.device()) {
        return None;
    }
    let primitive = tensor.clone().try_into_primitive::<Flex>().ok()?.to_contiguous();
    if let Some(values) = primitive.as_slice::<i64>() {
        return Some(values.iter().map(|&value| value as usize).collect());
    }
    let values = primitive.as_slice::<i32>()?;
    Some(values.iter().map(|&value| value as usize).collect())
}

/// A tensor on the CPU backend that owns `values`, row-major.
pub fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(flex_tensor(values, shape))
}

fn flex_tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Tensor<2> {
        tensor((0..6).map(|i| i as f32).collect(), [3, 2])
    }

    #[test]
    fn a_view_reads_parts_and_transposes_in_order() {
        let x = counted();
        assert_eq!(View::of(&x).unwrap().values(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(View::of(&x.clone().narrow(0, 1, 2)).unwrap().values(), [2.0, 3.0, 4.0, 5.0]);
        assert_eq!(View::of(&x.transpose()).unwrap().values(), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        assert!(View::of(&Tensor::<1>::zeros([2], &Device::flex().autodiff())).is_none());
    }

    #[test]
    fn memory_is_written_in_place_and_what_others_hold_is_left_alone() {
        let x = counted();
        let mut part = Memory::of(x.clone().narrow(0, 1, 1)).unwrap();
        part.values_mut().fill(7.0);
        assert_eq!(View::of(&part.into_tensor::<2>()).unwrap().values(), [7.0, 7.0]);
        let mut shared = Memory::of(x.clone()).unwrap();
        shared.values_mut()[0] = 9.0;
        assert_eq!(View::of(&x).unwrap().values()[0], 0.0);
        let at = View::of(&x).unwrap().values().as_ptr();
        let mut own = Memory::of(x).unwrap();
        own.values_mut()[0] = 5.0;
        let x = own.into_tensor::<2>();
        assert_eq!((View::of(&x).unwrap().values().as_ptr(), View::of(&x).unwrap().values()[0]), (at, 5.0));
    }

    #[test]
    fn a_buffer_is_written_again_when_nobody_holds_it() {
        let mut buffers = Buffers::default();
        let mut first = buffers.take([2, 2]);
        let at = first.values_mut().as_ptr();
        buffers.remember(&first);
        let held = first.into_tensor::<2>();
        assert_ne!(buffers.take([2, 2]).values_mut().as_ptr(), at, "the caller holds it");
        drop(held);
        assert_ne!(buffers.take([4]).values_mut().as_ptr(), at, "another shape");
        assert_eq!(buffers.take([2, 2]).values_mut().as_ptr(), at);
    }

    #[test]
    fn indices_are_read_whatever_their_type() {
        let x = Tensor::<1, Int>::from_ints([3, 0, 2], &Device::flex());
        assert_eq!(indices(&x).unwrap(), [3, 0, 2]);
        assert_eq!(indices(&x.cast(DType::I32)).unwrap(), [3, 0, 2]);
    }
}
