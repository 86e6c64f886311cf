//! The mean divergence on the CPU: shards of fixed size in parallel, their sums added in order.

use burn::tensor::Tensor;
use compute::cpu::{SHARD_ROWS, View, tensor};
use rayon::prelude::*;

/// [`super::mean_gaussian_kl`], or `None` on another backend.
pub(super) fn mean_kl(
    old_mean: &Tensor<2>,
    old_log_std: &Tensor<1>,
    mean: &Tensor<2>,
    log_std: &Tensor<1>,
) -> Option<Tensor<1>> {
    let [rows, columns] = mean.dims();
    let (old, new) = (View::of(old_mean)?, View::of(mean)?);
    let (old_log_std, log_std) = (View::of(old_log_std)?, View::of(log_std)?);
    let inv_std: Vec<f32> = log_std.values().iter().map(|value| (-value).exp()).collect();
    let log_std_term: f32 = log_std
        .values()
        .iter()
        .zip(old_log_std.values())
        .map(|(new, old)| {
            let d = new - old;
            0.5 * ((-2.0 * d).exp_m1() + 2.0 * d)
        })
        .sum();
    let shard = SHARD_ROWS * columns.max(1);
    let partial: Vec<f64> = old
        .values()
        .par_chunks(shard)
        .zip(new.values().par_chunks(shard))
        .map(|(old, new)| {
            let mut sum = 0.0f32;
            for (old, new) in old.chunks_exact(columns).zip(new.chunks_exact(columns)) {
                for ((old, new), inv) in old.iter().zip(new).zip(&inv_std) {
                    let z = (old - new) * inv;
                    sum += z * z;
                }
            }
            f64::from(sum)
        })
        .collect();
    let shift = (0.5 * partial.iter().sum::<f64>() / rows as f64) as f32;
    Some(tensor(vec![shift + log_std_term], [1]))
}
