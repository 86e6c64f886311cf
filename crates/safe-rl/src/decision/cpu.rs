//! Whether numbers on the CPU are finite: a look at each, no mask.

use burn::tensor::Tensor;
use compute::cpu::{View, tensor};

use super::Flag;

/// [`super::all_finite_in`], or `None` on another backend.
pub(super) fn all_finite(tensors: &[Tensor<1>]) -> Option<Flag> {
    let mut finite = true;
    for x in tensors {
        // All of them, without an early end: so the loop runs in vectors.
        finite &= View::of(x)?.values().iter().fold(true, |finite, x| finite & x.is_finite());
    }
    Some(Flag::of_number(tensor(vec![f32::from(u8::from(finite))], [1])))
}
