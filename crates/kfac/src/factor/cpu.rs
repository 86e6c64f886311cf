//! The factors' moving average on the CPU, one pass over the memory.

use burn::tensor::Tensor;

use super::Average;
use compute::cpu::{View, tensor};

/// Average `[F]` and weight `[1]` after a sample, or `None` where the tensors are of another kind.
pub(super) fn update(
    old: Average<'_>,
    sample: &Tensor<1>,
    mask: Option<&Tensor<1>>,
    decay: f32,
) -> Option<(Tensor<1>, Tensor<1>)> {
    let (average, weight, sample) = (View::of(old.average)?, View::of(old.weight)?, View::of(sample)?);
    let taken = match mask {
        Some(mask) => View::of(mask)?.values()[0] > 0.5,
        None => true,
    };
    if !taken {
        return Some((old.average.clone(), old.weight.clone()));
    }
    let new = 1.0 - decay;
    let pairs = average.values().iter().zip(sample.values());
    let average: Vec<f32> = pairs.map(|(a, s)| decay * a + new * s).collect();
    let length = average.len();
    Some((tensor(average, [length]), tensor(vec![weight.values()[0] * decay + new], [1])))
}
