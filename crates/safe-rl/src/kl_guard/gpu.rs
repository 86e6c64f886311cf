//! The guard's decisions by one unit of a GPU: a launch each instead of dozens on one number.

#![cfg(feature = "gpu")]
#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use compute::gpu::finite::finite;
use compute::gpu::{empty_like, into_tensor, is_gpu, primitive};
use cubecl::prelude::*;

use super::{Bounds, GROW, SHRINK, SLOTS, Slot};
use crate::decision::Flag;

pub(crate) const STEP_LIMIT: usize = Slot::StepLimit as usize;
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

/// The slots after a candidate, and whether it is taken.
#[cube(launch)]
fn candidate_kernel(
    // in
    slots: &[f32],
    kl: &[f32],
    finite_parameters: &[f32],
    usable: &[f32],
    kl_limit: f32,
    least: f32,
    grow: f32,
    shrink: f32,
    max_rejects: f32,
    // out
    slots_out: &mut [f32],
    accept_out: &mut [f32],
) {
    if ABSOLUTE_POS == 0 {
        for i in 0..SLOTS {
            slots_out[i] = slots[i];
        }
        accept_out[0] = 0.0f32;
        let kl = kl[0];
        let good = finite(kl) && kl <= kl_limit && finite_parameters[0] > 0.5f32;
        if slots[STOPPED] > 0.5f32 {
            slots_out[IGNORED] = slots[IGNORED] + 1.0f32;
        } else {
            if usable[0] < 0.5f32 {
                slots_out[SKIPPED] = slots[SKIPPED] + 1.0f32;
            } else {
                if good {
                    accept_out[0] = 1.0f32;
                    slots_out[STEP_LIMIT] = within(slots[STEP_LIMIT] * grow, least, kl_limit);
                    slots_out[CONSECUTIVE] = 0.0f32;
                    slots_out[ACCEPTED] = slots[ACCEPTED] + 1.0f32;
                    slots_out[KL_SUM] = slots[KL_SUM] + kl;
                    slots_out[KL_MAX] = slots[KL_MAX].max(kl);
                } else {
                    slots_out[STEP_LIMIT] = within(slots[STEP_LIMIT] * shrink, least, kl_limit);
                    slots_out[REJECTED] = slots[REJECTED] + 1.0f32;
                    slots_out[CONSECUTIVE] = slots[CONSECUTIVE] + 1.0f32;
                    if slots_out[CONSECUTIVE] > max_rejects - 0.5f32 {
                        slots_out[STOPPED] = 1.0f32;
                    }
                }
            }
        }
    }
}

/// [`super::KlGuard::accept_or_reject`]: the slots after it and whether the candidate is taken, or `None` on a device
/// without kernels.
pub(super) fn accept_or_reject(
    bounds: &Bounds,
    slots: &Tensor<1>,
    kl: &Tensor<1>,
    finite: &Flag,
    usable: &Flag,
) -> Option<(Tensor<1>, Flag)> {
    if !is_gpu(&slots.device()) {
        return None;
    }
    let slots = primitive(slots)?;
    let (out, accept) = (empty_like(&slots, [SLOTS]), empty_like(&slots, [1]));
    candidate_kernel::launch(
        &slots.client.clone(),
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(1),
        slots.into_buffer_arg(),
        primitive(kl)?.into_buffer_arg(),
        primitive(&finite.number())?.into_buffer_arg(),
        primitive(&usable.number())?.into_buffer_arg(),
        bounds.kl_limit,
        bounds.least,
        GROW,
        SHRINK,
        bounds.max_rejects,
        out.clone().into_buffer_arg(),
        accept.clone().into_buffer_arg(),
    );
    Some((into_tensor(out), Flag::of_number(into_tensor(accept))))
}

/// The slots with the step limit multiplied, the others kept or cleared.
#[cube(launch)]
fn scale_kernel(
    // in
    slots: &[f32],
    scale: f32,
    clears: u32,
    // out
    slots_out: &mut [f32],
) {
    if ABSOLUTE_POS < SLOTS {
        let mut value = slots[ABSOLUTE_POS];
        if ABSOLUTE_POS == STEP_LIMIT {
            value = value * scale;
        } else {
            if clears == 1 {
                value = 0.0f32;
            }
        }
        slots_out[ABSOLUTE_POS] = value;
    }
}

/// The slots `[10]` with another step limit, or of a new rollout; `None` on a device without kernels.
pub(super) fn scale_or_clear(slots: &Tensor<1>, scale: f32, clears: bool) -> Option<Tensor<1>> {
    let slots = primitive(slots)?;
    let out = empty_like(&slots, [SLOTS]);
    scale_kernel::launch(
        &slots.client.clone(),
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(32),
        slots.into_buffer_arg(),
        scale,
        u32::from(clears),
        out.clone().into_buffer_arg(),
    );
    Some(into_tensor(out))
}

/// The slots after an epoch, and whether it stands.
#[cube(launch)]
fn epoch_kernel(
    // in
    slots: &[f32],
    kl: &[f32],
    kl_limit: f32,
    epoch_limit: f32,
    least: f32,
    shrink: f32,
    // out
    slots_out: &mut [f32],
    keep_out: &mut [f32],
) {
    if ABSOLUTE_POS == 0 {
        for i in 0..SLOTS {
            slots_out[i] = slots[i];
        }
        let mut factor = 1.0f32;
        keep_out[0] = 1.0f32;
        if !finite(kl[0]) || kl[0] > epoch_limit {
            factor = shrink;
            keep_out[0] = 0.0f32;
            slots_out[RESTORED] = slots[RESTORED] + 1.0f32;
            slots_out[STOPPED] = 1.0f32;
        }
        slots_out[STEP_LIMIT] = within(slots[STEP_LIMIT] * factor, least, kl_limit);
    }
}

/// [`super::KlGuard::accept_or_restore`]: the slots after it and whether the epoch stands, or `None` on a device without
/// kernels.
pub(super) fn accept_or_restore(bounds: &Bounds, slots: &Tensor<1>, kl: &Tensor<1>) -> Option<(Tensor<1>, Flag)> {
    if !is_gpu(&slots.device()) {
        return None;
    }
    let slots = primitive(slots)?;
    let (out, keep) = (empty_like(&slots, [SLOTS]), empty_like(&slots, [1]));
    epoch_kernel::launch(
        &slots.client.clone(),
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(1),
        slots.into_buffer_arg(),
        primitive(kl)?.into_buffer_arg(),
        bounds.kl_limit,
        bounds.epoch_limit,
        bounds.least,
        SHRINK,
        out.clone().into_buffer_arg(),
        keep.clone().into_buffer_arg(),
    );
    Some((into_tensor(out), Flag::of_number(into_tensor(keep))))
}

/// `fraction * min(sqrt(2 delta_step), [root - sqrt(2 kl)]+)`; zero where the divergence is not finite.
#[cube]
pub(crate) fn radius_of(step_limit: f32, kl: f32, root: f32, fraction: f32) -> f32 {
    let mut left = 0.0f32;
    if finite(kl) {
        left = (root - (kl.max(0.0f32) * 2.0f32).sqrt()).max(0.0f32);
    }
    left.min((step_limit * 2.0f32).sqrt()) * fraction
}

#[cube(launch)]
fn radius_kernel(
    // in
    slots: &[f32],
    kl: &[f32],
    root: f32,
    fraction: f32,
    // out
    radius_out: &mut [f32],
) {
    if ABSOLUTE_POS == 0 {
        radius_out[0] = radius_of(slots[STEP_LIMIT], kl[0], root, fraction);
    }
}

/// [`super::KlGuard::radius`], or `None` on a device without kernels.
pub(super) fn radius(bounds: &Bounds, slots: &Tensor<1>, kl: &Tensor<1>) -> Option<Tensor<1>> {
    if !is_gpu(&slots.device()) {
        return None;
    }
    let slots = primitive(slots)?;
    let radius = empty_like(&slots, [1]);
    radius_kernel::launch(
        &slots.client.clone(),
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(1),
        slots.into_buffer_arg(),
        primitive(kl)?.into_buffer_arg(),
        bounds.root,
        bounds.fraction,
        radius.clone().into_buffer_arg(),
    );
    Some(into_tensor(radius))
}
