//! One pass over the samples on the CPU, shards of fixed size in parallel, their sums added in order: some twenty operations of a
//! few hundred numbers each would take longer to ask for than to do.

use burn::tensor::Tensor;
use compute::cpu::{SHARD_ROWS, View, tensor};
use rayon::prelude::*;

use super::super::Surrogate;
use crate::policy::{Gaussian, HALF_LN_TAU};

/// What one shard of rows contributes.
struct Shard {
    /// `[rows, A]`.
    mean: Vec<f32>,
    /// `[A]`.
    log_std: Vec<f32>,
    value: f32,
}

/// [`Gaussian::regularized_surrogate`], or `None` on another backend.
pub(super) fn surrogate(
    policy: &Gaussian,
    old: &Gaussian,
    action: &Tensor<2>,
    old_log_prob: &Tensor<1>,
    advantage: &Tensor<2>,
    bound: f32,
) -> Option<Surrogate> {
    let [samples, actions] = action.dims();
    let (mean, log_std) = (View::of(&policy.mean)?, View::of(&policy.log_std)?);
    let (old_mean, old_log_std) = (View::of(&old.mean)?, View::of(&old.log_std)?);
    let (action, old_log_prob, advantage) = (View::of(action)?, View::of(old_log_prob)?, View::of(advantage)?);
    let (mean, old_mean, action) = (mean.values(), old_mean.values(), action.values());
    let (old_log_prob, advantage) = (old_log_prob.values(), advantage.values());
    let inverses = |log_std: &[f32]| log_std.iter().map(|value| (-value).exp()).collect::<Vec<f32>>();
    let (inv_std, old_inv_std) = (inverses(log_std.values()), inverses(old_log_std.values()));
    let at_mean = -log_std.values().iter().map(|value| value + HALF_LN_TAU).sum::<f32>();
    let wider: Vec<f32> =
        log_std.values().iter().zip(old_log_std.values()).map(|(new, old)| 2.0 * (new - old)).collect();
    let widening: Vec<f32> = wider.iter().map(|twice| twice.exp_m1()).collect();
    // 1/2 (exp(2 d) - 1 - 2 d) an action.
    let widened = widening.iter().zip(&wider).map(|(growth, twice)| 0.5 * (growth - twice)).sum::<f32>();
    let scale = 1.0 / samples as f32;

    let shards: Vec<Shard> = (0..samples.div_ceil(SHARD_ROWS))
        .into_par_iter()
        .map(|shard| {
            let rows = shard * SHARD_ROWS..samples.min((shard + 1) * SHARD_ROWS);
            let mut out = Shard { mean: vec![0.0; rows.len() * actions], log_std: vec![0.0; actions], value: 0.0 };
            let (mut z, mut pull) = (vec![0.0; actions], vec![0.0; actions]);
            for (row, cotangent) in rows.zip(out.mean.chunks_exact_mut(actions.max(1))) {
                let (mut squares, mut shift) = (0.0, 0.0);
                for k in 0..actions {
                    let n = row * actions + k;
                    z[k] = (action[n] - mean[n]) * inv_std[k];
                    pull[k] = (mean[n] - old_mean[n]) * old_inv_std[k];
                    squares += z[k] * z[k];
                    shift += pull[k] * pull[k];
                }
                let kl = 0.5 * shift + widened;
                // What is no number must not pass for far away: it is to be seen in the gradient.
                if kl <= bound || kl.is_nan() {
                    let weight = (at_mean - 0.5 * squares - old_log_prob[row]).exp() * (advantage[row] * scale);
                    out.value += weight - kl * scale;
                    for k in 0..actions {
                        cotangent[k] = weight * z[k] * inv_std[k] - pull[k] * old_inv_std[k] * scale;
                        out.log_std[k] += weight * (z[k] * z[k] - 1.0) - widening[k] * scale;
                    }
                }
            }
            out
        })
        .collect();

    let mut mean = Vec::with_capacity(samples * actions);
    let (mut log_std, mut value) = (vec![0.0; actions], 0.0);
    for shard in &shards {
        mean.extend_from_slice(&shard.mean);
        log_std.iter_mut().zip(&shard.log_std).for_each(|(total, part)| *total += part);
        value += shard.value;
    }
    Some(Surrogate {
        mean: tensor(mean, [1, samples, actions]),
        log_std: tensor(log_std, [1, actions]),
        value: tensor(vec![value], [1]),
    })
}
