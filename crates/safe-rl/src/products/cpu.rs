//! The Gram matrix on the CPU, its sums in float64.

use burn::tensor::Tensor;
use compute::cpu::{View, tensor};

/// [`super::Products::metric`], or `None` on another backend.
pub(super) fn gram(left: &Tensor<2>, right: &Tensor<2>) -> Option<Tensor<2>> {
    let [objectives, parameters] = left.dims();
    let (left, right) = (View::of(left)?, View::of(right)?);
    let row = |i: usize| i * parameters..(i + 1) * parameters;
    let entry = |i: usize, j: usize| dot(&left.values()[row(i)], &right.values()[row(j)]);
    let mean = |k: usize| {
        let (i, j) = (k / objectives, k % objectives);
        (0.5 * (entry(i, j) + entry(j, i))) as f32
    };
    Some(tensor((0..objectives * objectives).map(mean).collect(), [objectives, objectives]))
}

/// Inner product in float64, in eight interleaved sums that a compiler can vectorise.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 =
        a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += f64::from(*x) * f64::from(*y);
        }
    }
    sums.iter().sum::<f64>() + rest
}
