//! Surrogates in two launches on a GPU: every sample's derivatives, then the sums over the samples.

#![cfg(feature = "gpu")]
#![allow(clippy::manual_div_ceil, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use compute::gpu::sum::{UNITS, fold};
use compute::gpu::{empty_like, grid, into_tensor, is_gpu, primitive};
use cubecl::prelude::*;

use super::Surrogate;
use crate::policy::{Gaussian, HALF_LN_TAU};

/// Samples per cube of the first launch.
const CUBE: u32 = 64;
/// Samples that a unit asks for at once: one after another, each would wait for the memory.
const AHEAD: usize = 4;

/// One sample per unit: derivatives with respect to the means `[S, N, A]`, and what the sums are made of: `weights` `[S, N]`,
/// the factors of the derivatives, and `shares` `[S, N]`, the samples' parts of the surrogates.
#[cube(launch)]
fn sample_kernel(
    // sizes
    samples: usize,
    objectives: usize,
    actions: usize,
    // in
    mean: &[f32],
    log_std: &[f32],
    action: &[f32],
    old_log_prob: &[f32],
    advantage: &[f32],
    clips: u32,
    low: f32,
    high: f32,
    scale: f32,
    // out
    cotangents_out: &mut [f32],
    weights_out: &mut [f32],
    shares_out: &mut [f32],
) {
    if ABSOLUTE_POS < samples {
        let n = ABSOLUTE_POS;
        let mut squares = 0.0f32;
        let mut at_mean = 0.0f32;
        for k in 0..actions {
            let z = (action[n * actions + k] - mean[n * actions + k]) * (-log_std[k]).exp();
            squares += z * z;
            at_mean -= log_std[k] + HALF_LN_TAU;
        }
        let ratio = (at_mean - 0.5f32 * squares - old_log_prob[n]).exp();
        for s in 0..objectives {
            let a = advantage[s * samples + n] * scale;
            let mut weight = ratio * a;
            let mut share = weight;
            if clips == 1 {
                let clipped = ratio.max(low).min(high) * a;
                // Where the clipped term is the smaller one it is constant, and so is the minimum.
                if clipped < weight {
                    share = clipped;
                    weight = 0.0f32;
                }
            }
            weights_out[s * samples + n] = weight;
            shares_out[s * samples + n] = share;
            for k in 0..actions {
                let inv_std = (-log_std[k]).exp();
                let z = (action[n * actions + k] - mean[n * actions + k]) * inv_std;
                cotangents_out[(s * samples + n) * actions + k] = weight * z * inv_std;
            }
        }
    }
}

/// One sum per cube: of objective s first `[A]` derivatives with respect to the log standard deviations, then the surrogate.
#[cube(launch)]
fn sums_kernel(
    // sizes
    samples: usize,
    actions: usize,
    // in
    mean: &[f32],
    log_std: &[f32],
    action: &[f32],
    weights: &[f32],
    shares: &[f32],
    // out
    of_log_std_out: &mut [f32],
    value_out: &mut [f32],
) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    let s = CUBE_POS / (actions + 1);
    let k = CUBE_POS % (actions + 1);
    let mut sum = 0.0f32;
    for round in 0..(samples + AHEAD * UNITS - 1) / (AHEAD * UNITS) {
        #[unroll]
        for ahead in 0..AHEAD {
            let n = (round * AHEAD + ahead) * UNITS + unit;
            if n < samples {
                if k == actions {
                    sum += shares[s * samples + n];
                } else {
                    let z = (action[n * actions + k] - mean[n * actions + k]) * (-log_std[k]).exp();
                    sum += weights[s * samples + n] * (z * z - 1.0f32);
                }
            }
        }
    }
    shared[unit] = sum;
    fold(&mut shared, 0usize, unit);
    if unit == 0 {
        if k == actions {
            value_out[s] = shared[0];
        } else {
            of_log_std_out[s * actions + k] = shared[0];
        }
    }
}

/// [`Gaussian::surrogate`], or `None` on a device without kernels.
pub(super) fn surrogate(
    policy: &Gaussian,
    action: &Tensor<2>,
    old_log_prob: &Tensor<1>,
    advantage: &Tensor<2>,
    clip: Option<f32>,
) -> Option<Surrogate> {
    if !is_gpu(&policy.mean.device()) {
        return None;
    }
    let ([objectives, samples], [_, actions]) = (advantage.dims(), action.dims());
    let (mean, log_std, action) = (primitive(&policy.mean)?, primitive(&policy.log_std)?, primitive(action)?);
    let (old_log_prob, advantage) = (primitive(old_log_prob)?, primitive(advantage)?);
    let client = mean.client.clone();
    let cotangents = empty_like(&mean, [objectives, samples, actions]);
    let (weights, shares) = (empty_like(&mean, [objectives * samples]), empty_like(&mean, [objectives * samples]));
    let (of_log_std, value) = (empty_like(&mean, [objectives, actions]), empty_like(&mean, [objectives]));
    let (low, high) = clip.map_or((1.0, 1.0), |epsilon| (1.0 - epsilon, 1.0 + epsilon));
    let (count, dim) = grid(&mean, samples, CUBE);
    sample_kernel::launch(
        &client,
        count,
        dim,
        samples,
        objectives,
        actions,
        mean.clone().into_buffer_arg(),
        log_std.clone().into_buffer_arg(),
        action.clone().into_buffer_arg(),
        old_log_prob.into_buffer_arg(),
        advantage.into_buffer_arg(),
        u32::from(clip.is_some()),
        low,
        high,
        1.0 / samples as f32,
        cotangents.clone().into_buffer_arg(),
        weights.clone().into_buffer_arg(),
        shares.clone().into_buffer_arg(),
    );
    sums_kernel::launch(
        &client,
        CubeCount::Static((objectives * (actions + 1)) as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        samples,
        actions,
        mean.into_buffer_arg(),
        log_std.into_buffer_arg(),
        action.into_buffer_arg(),
        weights.into_buffer_arg(),
        shares.into_buffer_arg(),
        of_log_std.clone().into_buffer_arg(),
        value.clone().into_buffer_arg(),
    );
    Some(Surrogate { mean: into_tensor(cotangents), log_std: into_tensor(of_log_std), value: into_tensor(value) })
}
