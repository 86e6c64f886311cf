//! Surrogates on the CPU: one pass over the samples, shards of fixed size in parallel, their sums added in order.

use burn::tensor::Tensor;
use compute::cpu::{SHARD_ROWS, View, tensor};
use rayon::prelude::*;

use super::Surrogate;
use crate::policy::{Gaussian, HALF_LN_TAU};

/// What one shard of rows contributes.
struct Shard {
    /// `[S, rows, A]`.
    mean: Vec<f32>,
    /// `[S, A]`.
    log_std: Vec<f32>,
    /// `[S]`.
    value: Vec<f32>,
}

/// [`Gaussian::surrogate`], or `None` on another backend.
pub(super) fn surrogate(
    policy: &Gaussian,
    action: &Tensor<2>,
    old_log_prob: &Tensor<1>,
    advantage: &Tensor<2>,
    clip: Option<f32>,
) -> Option<Surrogate> {
    let [objectives, samples] = advantage.dims();
    let [_, actions] = action.dims();
    let (mean, log_std) = (View::of(&policy.mean)?, View::of(&policy.log_std)?);
    let (action, old_log_prob, advantage) = (View::of(action)?, View::of(old_log_prob)?, View::of(advantage)?);
    let (mean, action) = (mean.values(), action.values());
    let (old_log_prob, advantage) = (old_log_prob.values(), advantage.values());
    let inv_std: Vec<f32> = log_std.values().iter().map(|value| (-value).exp()).collect();
    let at_mean = -log_std.values().iter().map(|value| value + HALF_LN_TAU).sum::<f32>();
    let scale = 1.0 / samples as f32;

    let shards: Vec<Shard> = (0..samples.div_ceil(SHARD_ROWS))
        .into_par_iter()
        .map(|shard| {
            let first = shard * SHARD_ROWS;
            let rows = SHARD_ROWS.min(samples - first);
            let mut out = Shard {
                mean: vec![0.0; objectives * rows * actions],
                log_std: vec![0.0; objectives * actions],
                value: vec![0.0; objectives],
            };
            let mut z = vec![0.0; actions];
            for row in 0..rows {
                let n = first + row;
                let mut squares = 0.0;
                for k in 0..actions {
                    z[k] = (action[n * actions + k] - mean[n * actions + k]) * inv_std[k];
                    squares += z[k] * z[k];
                }
                let ratio = (at_mean - 0.5 * squares - old_log_prob[n]).exp();
                for s in 0..objectives {
                    let a = advantage[s * samples + n] * scale;
                    let mut weight = ratio * a;
                    let mut value = weight;
                    if let Some(epsilon) = clip {
                        let clipped = ratio.clamp(1.0 - epsilon, 1.0 + epsilon) * a;
                        if clipped < weight {
                            value = clipped;
                            weight = 0.0;
                        }
                    }
                    out.value[s] += value;
                    let cotangent = &mut out.mean[(s * rows + row) * actions..][..actions];
                    for k in 0..actions {
                        cotangent[k] = weight * z[k] * inv_std[k];
                        out.log_std[s * actions + k] += weight * (z[k] * z[k] - 1.0);
                    }
                }
            }
            out
        })
        .collect();

    let mut mean = Vec::with_capacity(objectives * samples * actions);
    for s in 0..objectives {
        for shard in &shards {
            let part = shard.mean.len() / objectives;
            mean.extend_from_slice(&shard.mean[s * part..(s + 1) * part]);
        }
    }
    let mut log_std = vec![0.0; objectives * actions];
    let mut value = vec![0.0; objectives];
    for shard in &shards {
        log_std.iter_mut().zip(&shard.log_std).for_each(|(total, part)| *total += part);
        value.iter_mut().zip(&shard.value).for_each(|(total, part)| *total += part);
    }
    Some(Surrogate {
        mean: tensor(mean, [objectives, samples, actions]),
        log_std: tensor(log_std, [objectives, actions]),
        value: tensor(value, [objectives]),
    })
}
