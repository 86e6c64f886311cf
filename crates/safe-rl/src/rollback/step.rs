//! A step in two launches on a GPU: what it is measured by, then its length and the candidate that it leads to.

#![allow(unused_assignments, clippy::manual_div_ceil, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::KlGuard;
use super::kernel::{STEP_LIMIT, radius_of};
use crate::kl::kernel::{lane_squares, spread};
use crate::{Gaussian, LOG_STD_FISHER, LOG_STD_RANGE, MAX_LOG_STD_STEP};
use compute::gpu::finite::finite;
use compute::gpu::sum::{UNITS, fold};
use compute::gpu::{empty_like, into_tensor, is_gpu, primitive};

/// Numbers of a cube of the first launch.
const PART: usize = 1 << 12;
/// Units a cube of the second.
const CUBE: u32 = 64;
/// All bits but the sign, and the exponent alone: a NaN has more of the former than the latter.
const MAGNITUDE: u32 = 0x7fff_ffff;
const EXPONENT: u32 = 0x7f80_0000;

/// A step to be taken from a policy of P network parameters and A log standard deviations.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The policy at N states, and its network's parameters `[P]`.
    pub policy: &'a Gaussian,
    /// See `policy`.
    pub theta: &'a Tensor<1>,
    /// The behaviour policy's means `[N, A]` at the same states.
    pub old_mean: &'a Tensor<2>,
    /// Its log standard deviations `[A]`.
    pub old_log_std: &'a Tensor<1>,
    /// Where to, `[P + A]`.
    pub direction: &'a Tensor<1>,
    /// How the means move along the direction, `[N, A]`.
    pub moved: &'a Tensor<2>,
    /// The longest step, as a multiple of the radius: where the objectives nearly cancel, what is left of the direction is
    /// noise and must not be blown up.
    pub max_step: f32,
}

/// Each cube's part of the sum of squares between the policies, then of those along the direction: `[2, cubes]`.
#[cube(launch)]
fn squares_kernel(
    old_mean: &[f32],
    mean: &[f32],
    moved: &[f32],
    log_std: &[f32],
    sums: &mut [f32],
    numbers: usize,
    actions: usize,
    cubes: usize,
) {
    let mut shared = Shared::<[f32]>::new_slice(2 * UNITS);
    let lane = UNIT_POS as usize;
    let begin = CUBE_POS * PART;
    let mut end = begin + PART;
    if end > numbers {
        end = numbers;
    }
    shared[lane] = lane_squares(old_mean, mean, log_std, begin, end, actions, lane, 0u32);
    shared[UNITS + lane] = lane_squares(moved, moved, log_std, begin, end, actions, lane, 1u32);
    fold(&mut shared, 0usize, lane);
    fold(&mut shared, UNITS, lane);
    if lane == 0 {
        sums[CUBE_POS] = shared[0];
        sums[cubes + CUBE_POS] = shared[UNITS];
    }
}

/// `theta + length direction`, and the log standard deviations within their bounds. Every unit finds the length for itself.
#[cube(launch)]
fn candidate_kernel(
    sums: &[f32],
    slots: &[f32],
    theta: &[f32],
    log_std: &[f32],
    old_log_std: &[f32],
    direction: &[f32],
    next_theta: &mut [f32],
    next_log_std: &mut [f32],
    samples: usize,
    params: usize,
    actions: usize,
    cubes: usize,
    root: f32,
    fraction: f32,
    max_step: f32,
    largest: f32,
    tiny: f32,
    most: f32,
    low: f32,
    high: f32,
    not_a_number: f32,
) {
    if ABSOLUTE_POS < params + actions {
        let mut shift = 0.0f32;
        let mut quadratic = 0.0f32;
        for cube in 0..cubes {
            shift += sums[cube];
            quadratic += sums[cubes + cube];
        }
        let mut of_log_std = 0.0f32;
        for k in 0..actions {
            of_log_std += direction[params + k] * direction[params + k];
        }
        let kl = shift * 0.5f32 / (samples as f32) + spread(old_log_std, log_std, actions);
        quadratic = quadratic / (samples as f32) + of_log_std * LOG_STD_FISHER;
        let radius = radius_of(slots[STEP_LIMIT], kl, root, fraction);
        // Along an infinite quadratic there is no step, along one that is not a number nothing to be trusted.
        let mut length = 0.0f32;
        if finite(quadratic) {
            length = (radius / (quadratic.sqrt() + tiny)).min(largest).min(radius * max_step);
        }
        let d = direction[ABSOLUTE_POS];
        let change = d * length;
        let mut next = 0.0f32;
        if ABSOLUTE_POS < params {
            next = theta[ABSOLUTE_POS] + change;
        } else {
            let limited = change.max(-most).min(most);
            next = (log_std[ABSOLUTE_POS - params] + limited).max(low).min(high);
        }
        if (u32::reinterpret(quadratic) & MAGNITUDE) > EXPONENT || !finite(d) {
            next = not_a_number;
        }
        if ABSOLUTE_POS < params {
            next_theta[ABSOLUTE_POS] = next;
        } else {
            next_log_std[ABSOLUTE_POS - params] = next;
        }
    }
}

impl KlGuard {
    /// The candidate at the end of the longest step that the trust region leaves, `theta` `[P]` and log standard deviations
    /// `[A]`, or `None` on a device without kernels.
    ///
    /// The step has the length `min(rho / sqrt(d^T F d), max_step rho)`, `rho` as [`KlGuard::radius`] finds it and
    /// `d^T F d = mean_n sum_k (J d)_nk^2 / sigma_k^2 + 2 |d_sigma|^2`. A quadratic form that is not a number leads to a
    /// candidate that is none, for [`KlGuard::judge`] to refuse.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn launch_step(&self, step: &Step) -> Option<(Tensor<1>, Tensor<1>)> {
        if !is_gpu(&step.theta.device()) {
            return None;
        }
        let ([samples, actions], [params]) = (step.policy.mean.dims(), step.theta.dims());
        assert!(step.old_mean.dims() == [samples, actions] && step.moved.dims() == [samples, actions], "[N, A] each");
        assert_eq!(step.direction.dims(), [params + actions], "the direction is [P + A]");
        let numbers = samples * actions;
        if numbers == 0 {
            return None;
        }
        let (theta, direction) = (primitive(step.theta)?, primitive(step.direction)?);
        let log_std = primitive(&step.policy.log_std)?;
        let client = theta.client.clone();
        let cubes = numbers.div_ceil(PART);
        let sums = empty_like(&theta, [2 * cubes]);
        squares_kernel::launch(
            &client,
            CubeCount::Static(cubes as u32, 1, 1),
            CubeDim::new_1d(UNITS as u32),
            primitive(step.old_mean)?.into_buffer_arg(),
            primitive(&step.policy.mean)?.into_buffer_arg(),
            primitive(step.moved)?.into_buffer_arg(),
            log_std.clone().into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            numbers,
            actions,
            cubes,
        );
        let (next_theta, next_log_std) = (empty_like(&theta, [params]), empty_like(&theta, [actions]));
        let dim = CubeDim::new_1d(CUBE);
        candidate_kernel::launch(
            &client,
            calculate_cube_count_elemwise(&client, params + actions, dim),
            dim,
            sums.into_buffer_arg(),
            primitive(&self.counters())?.into_buffer_arg(),
            theta.into_buffer_arg(),
            log_std.into_buffer_arg(),
            primitive(step.old_log_std)?.into_buffer_arg(),
            direction.into_buffer_arg(),
            next_theta.clone().into_buffer_arg(),
            next_log_std.clone().into_buffer_arg(),
            samples,
            params,
            actions,
            cubes,
            (2.0 * self.config.kl_limit).sqrt(),
            self.config.radius_fraction,
            step.max_step,
            f32::MAX,
            f32::MIN_POSITIVE,
            MAX_LOG_STD_STEP,
            LOG_STD_RANGE.0,
            LOG_STD_RANGE.1,
            f32::NAN,
        );
        Some((into_tensor(next_theta), into_tensor(next_log_std)))
    }
}
