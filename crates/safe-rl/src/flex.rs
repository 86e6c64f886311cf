//! Direct access to the memory of the CPU backend (`flex`), the basis of every fused path.
//!
//! A fused path asks for a [`View`] of each input. On any other backend there is none, and the caller takes the plain
//! path. Results are built from host vectors without a copy.

use burn::tensor::{Int, Tensor, TensorData};
#[cfg(feature = "flex")]
use burn_flex::{Flex, FlexTensor};

/// Rows handled by one task of a parallel fused pass. Fixed, so that the order of summation, and with it every bit of
/// the result, does not depend on the number of threads.
pub(crate) const SHARD_ROWS: usize = 1024;

/// The values of a float tensor that lives on the CPU backend.
#[cfg(feature = "flex")]
pub(crate) struct View(FlexTensor);

#[cfg(feature = "flex")]
impl View {
    /// Row-major values.
    pub(crate) fn values(&self) -> &[f32] {
        self.0.as_slice::<f32>().expect("a view is contiguous float32")
    }
}

/// A view of `tensor`, or `None` on another backend or another element type.
#[cfg(feature = "flex")]
pub(crate) fn view<const D: usize>(tensor: &Tensor<D>) -> Option<View> {
    let primitive = tensor.clone().try_into_primitive::<Flex>().ok()?;
    if primitive.as_slice::<f32>().is_some() {
        return Some(View(primitive));
    }
    let contiguous = primitive.to_contiguous();
    contiguous.as_slice::<f32>().is_some().then(|| View(contiguous))
}

/// Row indices held by an integer tensor on the CPU backend, whichever integer type it has.
#[cfg(feature = "flex")]
pub(crate) fn indices(tensor: &Tensor<1, Int>) -> Option<Vec<usize>> {
    let primitive = tensor.clone().try_into_primitive::<Flex>().ok()?.to_contiguous();
    if let Some(values) = primitive.as_slice::<i64>() {
        return Some(values.iter().map(|&value| value as usize).collect());
    }
    let values = primitive.as_slice::<i32>()?;
    Some(values.iter().map(|&value| value as usize).collect())
}

/// A tensor on the CPU backend that owns `values`.
#[cfg(feature = "flex")]
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(FlexTensor::from_data(TensorData::new(values, shape)))
}

#[cfg(not(feature = "flex"))]
pub(crate) enum View {}

#[cfg(not(feature = "flex"))]
impl View {
    pub(crate) fn values(&self) -> &[f32] {
        match *self {}
    }
}

#[cfg(not(feature = "flex"))]
pub(crate) fn view<const D: usize>(_tensor: &Tensor<D>) -> Option<View> {
    None
}

#[cfg(not(feature = "flex"))]
pub(crate) fn indices(_tensor: &Tensor<1, Int>) -> Option<Vec<usize>> {
    None
}

#[cfg(not(feature = "flex"))]
pub(crate) fn tensor<const D: usize>(_values: Vec<f32>, _shape: [usize; D]) -> Tensor<D> {
    unreachable!("no view exists without the CPU backend")
}
