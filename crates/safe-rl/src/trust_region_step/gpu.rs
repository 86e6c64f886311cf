//! A step in two launches on a GPU: what it is measured by, then its length and the candidate that it leads to.
#![cfg(feature = "gpu")]
#![allow(unused_assignments, clippy::manual_div_ceil, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use compute::gpu::finite::finite;
use compute::gpu::sum::{UNITS, fold};
use compute::gpu::{empty_like, grid, into_tensor, is_gpu, primitive};
use cubecl::prelude::*;

use super::TrustRegionStep;
use crate::kl::gpu::{log_std_term, unit_squares};
use crate::kl_guard::KlGuard;
use crate::kl_guard::gpu::{STEP_LIMIT, radius_of};
use crate::policy::{LOG_STD_FISHER, LOG_STD_RANGE, MAX_LOG_STD_STEP};

/// Numbers of a cube of the first launch.
const PART: usize = 1 << 12;
/// Units of a cube of the second.
const CUBE: u32 = 64;
/// All bits but the sign, and the exponent alone: a NaN has more of the former than the latter.
const MAGNITUDE: u32 = 0x7fff_ffff;
const EXPONENT: u32 = 0x7f80_0000;

/// Each cube's part of the sum of squares between the policies, then of those along the direction: `[2, cubes]`.
#[cube(launch)]
fn squares_kernel(
    // sizes
    numbers: usize,
    actions: usize,
    cubes: usize,
    // in
    old_mean: &[f32],
    mean: &[f32],
    moved: &[f32],
    log_std: &[f32],
    // out
    sums_out: &mut [f32],
) {
    let mut shared = Shared::<[f32]>::new_slice(2 * UNITS);
    let unit = UNIT_POS as usize;
    let begin = CUBE_POS * PART;
    let mut end = begin + PART;
    if end > numbers {
        end = numbers;
    }
    shared[unit] = unit_squares(old_mean, mean, log_std, begin, end, actions, unit, 0u32);
    shared[UNITS + unit] = unit_squares(moved, moved, log_std, begin, end, actions, unit, 1u32);
    fold(&mut shared, 0usize, unit);
    fold(&mut shared, UNITS, unit);
    if unit == 0 {
        sums_out[CUBE_POS] = shared[0];
        sums_out[cubes + CUBE_POS] = shared[UNITS];
    }
}

/// `theta + length direction`, the log standard deviations at its end within their bounds. Every unit finds the length for itself.
#[cube(launch)]
fn candidate_kernel(
    // sizes
    samples: usize,
    params: usize,
    actions: usize,
    cubes: usize,
    // in
    sums: &[f32],
    slots: &[f32],
    theta: &[f32],
    log_std: &[f32],
    old_log_std: &[f32],
    direction: &[f32],
    root: f32,
    fraction: f32,
    max_step: f32,
    largest: f32,
    tiny: f32,
    most: f32,
    low: f32,
    high: f32,
    not_a_number: f32,
    // out
    theta_out: &mut [f32],
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
        let kl = shift * 0.5f32 / (samples as f32) + log_std_term(old_log_std, log_std, actions);
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
            next = (theta[ABSOLUTE_POS] + limited).max(low).min(high);
        }
        if (u32::reinterpret(quadratic) & MAGNITUDE) > EXPONENT || !finite(d) {
            next = not_a_number;
        }
        theta_out[ABSOLUTE_POS] = next;
    }
}

/// [`super::trust_region_step`], or `None` on a device without kernels.
pub(super) fn trust_region_step(guard: &KlGuard, step: &TrustRegionStep) -> Option<Tensor<1>> {
    let ([samples, actions], [all]) = (step.policy.mean.dims(), step.params.dims());
    let numbers = samples * actions;
    if !is_gpu(&step.params.device()) || numbers == 0 {
        return None;
    }
    let (params, direction) = (primitive(step.params)?, primitive(step.direction)?);
    let log_std = primitive(&step.policy.log_std)?;
    let client = params.client.clone();
    let cubes = numbers.div_ceil(PART);
    let sums = empty_like(&params, [2 * cubes]);
    squares_kernel::launch(
        &client,
        CubeCount::Static(cubes as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        numbers,
        actions,
        cubes,
        primitive(step.old_mean)?.into_buffer_arg(),
        primitive(&step.policy.mean)?.into_buffer_arg(),
        primitive(step.moved)?.into_buffer_arg(),
        log_std.clone().into_buffer_arg(),
        sums.clone().into_buffer_arg(),
    );
    let next = empty_like(&params, [all]);
    let (count, dim) = grid(&params, all, CUBE);
    let bounds = guard.bounds();
    candidate_kernel::launch(
        &client,
        count,
        dim,
        samples,
        all - actions,
        actions,
        cubes,
        sums.into_buffer_arg(),
        primitive(&guard.counters())?.into_buffer_arg(),
        params.into_buffer_arg(),
        log_std.into_buffer_arg(),
        primitive(step.old_log_std)?.into_buffer_arg(),
        direction.into_buffer_arg(),
        bounds.root,
        bounds.fraction,
        step.max_step as f32,
        f32::MAX,
        f32::MIN_POSITIVE,
        MAX_LOG_STD_STEP,
        LOG_STD_RANGE.0,
        LOG_STD_RANGE.1,
        f32::NAN,
        next.clone().into_buffer_arg(),
    );
    Some(into_tensor(next))
}
