//! Acting on the CPU: noise becomes actions in place, in parallel where there are many.

use burn::tensor::Tensor;
use compute::cpu::{SHARD_ROWS, View, tensor};
use compute::noise::{NoiseKey, normals};
use rayon::prelude::*;

use super::{Gaussian, HALF_LN_TAU};

/// [`Gaussian::act`], or `None` on another backend.
pub(super) fn act(policy: &Gaussian, key: NoiseKey) -> Option<(Tensor<2>, Tensor<1>)> {
    let [rows, columns] = policy.mean.dims();
    let (mean, log_std) = (View::of(&policy.mean)?, View::of(&policy.log_std)?);
    let std: Vec<f32> = log_std.values().iter().map(|value| value.exp()).collect();
    let at_mean = -log_std.values().iter().map(|value| value + HALF_LN_TAU).sum::<f32>();
    let mut action = normals(key, rows, columns);
    let mut log_prob = vec![0.0; rows];
    let columns = columns.max(1);
    let pass = |action: &mut [f32], mean: &[f32], log_prob: &mut [f32]| {
        for ((action, mean), log_prob) in action.chunks_exact_mut(columns).zip(mean.chunks_exact(columns)).zip(log_prob)
        {
            let mut squares = 0.0;
            for ((value, mean), std) in action.iter_mut().zip(mean).zip(&std) {
                squares += *value * *value;
                *value = mean + *value * std;
            }
            *log_prob = at_mean - 0.5 * squares;
        }
    };
    if rows <= SHARD_ROWS {
        pass(&mut action, mean.values(), &mut log_prob);
    } else {
        let shard = SHARD_ROWS * columns;
        action
            .par_chunks_mut(shard)
            .zip(mean.values().par_chunks(shard))
            .zip(log_prob.par_chunks_mut(SHARD_ROWS))
            .for_each(|((action, mean), log_prob)| pass(action, mean, log_prob));
    }
    Some((tensor(action, policy.mean.dims()), tensor(log_prob, [rows])))
}
