//! The guard's decisions by one unit of a GPU: a launch each instead of dozens on one number.

#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::{SLOTS, Slot};
use crate::{Flag, KlGuardConfig};
use compute::gpu::finite::finite;
use compute::gpu::{empty_like, into_tensor, is_gpu, primitive};

pub(super) const STEP_LIMIT: usize = Slot::StepLimit as usize;
const DAMPING: usize = Slot::Damping as usize;
const CONSECUTIVE: usize = Slot::Consecutive as usize;
const STOPPED: usize = Slot::Stopped as usize;
const ACCEPTED: usize = Slot::Accepted as usize;
const REJECTED: usize = Slot::Rejected as usize;
const SKIPPED: usize = Slot::Skipped as usize;
const IGNORED: usize = Slot::Ignored as usize;
const KL_SUM: usize = Slot::KlSum as usize;
const KL_MAX: usize = Slot::KlMax as usize;
const RESTORED: usize = Slot::Restored as usize;

#[cube]
fn within(x: f32, low: f32, high: f32) -> f32 {
    x.max(low).min(high)
}

#[cube(launch)]
fn judge_kernel(
    slots: &[f32],
    kl: &[f32],
    sound: &[f32],
    usable: &[f32],
    out: &mut [f32],
    accept: &mut [f32],
    kl_limit: f32,
    least: f32,
    grow: f32,
    shrink: f32,
    damping_accept: f32,
    damping_reject: f32,
    damping_low: f32,
    damping_high: f32,
    max_rejections: f32,
) {
    if ABSOLUTE_POS == 0 {
        for i in 0..SLOTS {
            out[i] = slots[i];
        }
        accept[0] = 0.0f32;
        let kl = kl[0];
        let good = finite(kl) && kl <= kl_limit && sound[0] > 0.5f32;
        if slots[STOPPED] > 0.5f32 {
            out[IGNORED] = slots[IGNORED] + 1.0f32;
        } else {
            if usable[0] < 0.5f32 {
                out[SKIPPED] = slots[SKIPPED] + 1.0f32;
            } else {
                if good {
                    accept[0] = 1.0f32;
                    out[STEP_LIMIT] = within(slots[STEP_LIMIT] * grow, least, kl_limit);
                    out[DAMPING] = within(slots[DAMPING] * damping_accept, damping_low, damping_high);
                    out[CONSECUTIVE] = 0.0f32;
                    out[ACCEPTED] = slots[ACCEPTED] + 1.0f32;
                    out[KL_SUM] = slots[KL_SUM] + kl;
                    out[KL_MAX] = slots[KL_MAX].max(kl);
                } else {
                    out[STEP_LIMIT] = within(slots[STEP_LIMIT] * shrink, least, kl_limit);
                    out[DAMPING] = within(slots[DAMPING] * damping_reject, damping_low, damping_high);
                    out[REJECTED] = slots[REJECTED] + 1.0f32;
                    out[CONSECUTIVE] = slots[CONSECUTIVE] + 1.0f32;
                    if out[CONSECUTIVE] > max_rejections - 0.5f32 {
                        out[STOPPED] = 1.0f32;
                    }
                }
            }
        }
    }
}

/// The counters `[11]` after a candidate and whether it is taken, or `None` on a device without kernels.
pub(super) fn judge(
    config: &KlGuardConfig,
    slots: &Tensor<1>,
    kl: &Tensor<1>,
    sound: &Flag,
    usable: &Flag,
) -> Option<(Tensor<1>, Flag)> {
    if !is_gpu(&slots.device()) {
        return None;
    }
    let slots = primitive(slots)?;
    let (client, out, accept) = (slots.client.clone(), empty_like(&slots, [SLOTS]), empty_like(&slots, [1]));
    let unbounded = (1.0, 1.0, f32::MIN, f32::MAX);
    let (on_accept, on_reject, low, high) = if config.adapt_damping {
        let (up, down) = config.damping_factors;
        (down, up, config.damping_range.0, config.damping_range.1)
    } else {
        unbounded
    };
    judge_kernel::launch(
        &client,
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(1),
        slots.into_buffer_arg(),
        primitive(kl)?.into_buffer_arg(),
        primitive(&sound.float())?.into_buffer_arg(),
        primitive(&usable.float())?.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        accept.clone().into_buffer_arg(),
        config.kl_limit,
        config.kl_limit * config.min_step_share,
        config.grow,
        config.shrink,
        on_accept,
        on_reject,
        low,
        high,
        config.max_rejections as f32,
    );
    Some((into_tensor(out), Flag::of_number(into_tensor(accept))))
}

#[cube(launch)]
fn begin_kernel(slots: &[f32], out: &mut [f32], scale: f32, clears: u32) {
    if ABSOLUTE_POS < SLOTS {
        let mut value = slots[ABSOLUTE_POS];
        if ABSOLUTE_POS == STEP_LIMIT {
            value = value * scale;
        }
        if clears == 1 && ABSOLUTE_POS >= CONSECUTIVE {
            value = 0.0f32;
        }
        out[ABSOLUTE_POS] = value;
    }
}

/// The counters `[11]` with another step limit, or of a new rollout; `None` on a device without kernels.
pub(super) fn begin(slots: &Tensor<1>, scale: f32, clears: bool) -> Option<Tensor<1>> {
    let slots = primitive(slots)?;
    let (client, out) = (slots.client.clone(), empty_like(&slots, [SLOTS]));
    begin_kernel::launch(
        &client,
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(32),
        slots.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        scale,
        u32::from(clears),
    );
    Some(into_tensor(out))
}

#[cube(launch)]
fn epoch_kernel(
    slots: &[f32],
    kl: &[f32],
    out: &mut [f32],
    keep: &mut [f32],
    kl_limit: f32,
    epoch_limit: f32,
    least: f32,
    shrink: f32,
) {
    if ABSOLUTE_POS == 0 {
        for i in 0..SLOTS {
            out[i] = slots[i];
        }
        let mut factor = 1.0f32;
        keep[0] = 1.0f32;
        if !finite(kl[0]) || kl[0] > epoch_limit {
            factor = shrink;
            keep[0] = 0.0f32;
            out[RESTORED] = slots[RESTORED] + 1.0f32;
            out[STOPPED] = 1.0f32;
        }
        out[STEP_LIMIT] = within(slots[STEP_LIMIT] * factor, least, kl_limit);
    }
}

/// The counters `[11]` after an epoch and whether it stands, or `None` on a device without kernels.
pub(super) fn judge_epoch(config: &KlGuardConfig, slots: &Tensor<1>, kl: &Tensor<1>) -> Option<(Tensor<1>, Flag)> {
    let slots = primitive(slots)?;
    let (client, out, keep) = (slots.client.clone(), empty_like(&slots, [SLOTS]), empty_like(&slots, [1]));
    epoch_kernel::launch(
        &client,
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(1),
        slots.into_buffer_arg(),
        primitive(kl)?.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        keep.clone().into_buffer_arg(),
        config.kl_limit,
        config.kl_limit * config.epoch_factor,
        config.kl_limit * config.min_step_share,
        config.shrink,
    );
    Some((into_tensor(out), Flag::of_number(into_tensor(keep))))
}

/// `fraction * min(sqrt(2 delta_step), [root - sqrt(2 kl)]+)`; zero where the divergence is not finite.
#[cube]
pub(super) fn radius_of(step_limit: f32, kl: f32, root: f32, fraction: f32) -> f32 {
    let mut left = 0.0f32;
    if finite(kl) {
        left = (root - (kl.max(0.0f32) * 2.0f32).sqrt()).max(0.0f32);
    }
    left.min((step_limit * 2.0f32).sqrt()) * fraction
}

#[cube(launch)]
fn radius_kernel(slots: &[f32], kl: &[f32], radius: &mut [f32], root: f32, fraction: f32) {
    if ABSOLUTE_POS == 0 {
        radius[0] = radius_of(slots[STEP_LIMIT], kl[0], root, fraction);
    }
}

/// The radius `[1]`, or `None` on a device without kernels.
pub(super) fn radius(config: &KlGuardConfig, slots: &Tensor<1>, kl: &Tensor<1>) -> Option<Tensor<1>> {
    if !is_gpu(&slots.device()) {
        return None;
    }
    let slots = primitive(slots)?;
    let (client, out) = (slots.client.clone(), empty_like(&slots, [1]));
    radius_kernel::launch(
        &client,
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(1),
        slots.into_buffer_arg(),
        primitive(kl)?.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        (2.0 * config.kl_limit).sqrt(),
        config.radius_fraction,
    );
    Some(into_tensor(out))
}
