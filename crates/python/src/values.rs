//! The values of tensors on the host.

use burn::tensor::Tensor;
use compute::cpu::View;
use compute::read;

/// The values of a tensor: where they lie on the CPU, read back from a GPU.
pub enum Values {
    /// The memory of the CPU backend.
    Here(View),
    /// A copy from another device.
    Read(Vec<f32>),
}

impl Values {
    /// The values of `tensor`, row-major.
    ///
    /// # Panics
    /// Where the device cannot be read.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Self {
        match View::of(tensor) {
            Some(view) => Self::Here(view),
            None => Self::Read(read("a step", tensor.clone()).expect("the device can be read")),
        }
    }
}

impl std::ops::Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Here(view) => view.values(),
            Self::Read(values) => values,
        }
    }
}
