//! The guard's decisions on the CPU: its numbers read, changed and written back, instead of forty operations on one number.

use burn::tensor::Tensor;
use compute::cpu::{View, tensor};

use super::{Bounds, GROW, SHRINK, SLOTS, Slot};
use crate::decision::Flag;

/// The guard's numbers on the host.
struct Numbers([f32; SLOTS]);

impl Numbers {
    fn of(slots: &Tensor<1>) -> Option<Self> {
        Some(Self(View::of(slots)?.values().try_into().ok()?))
    }

    fn get(&self, slot: Slot) -> f32 {
        self.0[slot as usize]
    }

    fn set(&mut self, slot: Slot, value: f32) {
        self.0[slot as usize] = value;
    }

    fn count(&mut self, slot: Slot) {
        self.0[slot as usize] += 1.0;
    }

    /// Multiplies the step limit, within its bounds.
    fn scale(&mut self, bounds: &Bounds, factor: f32) {
        self.set(Slot::StepLimit, (self.get(Slot::StepLimit) * factor).clamp(bounds.least, bounds.kl_limit));
    }

    fn back(self) -> Tensor<1> {
        tensor(self.0.to_vec(), [SLOTS])
    }
}

/// The number of a `[1]` tensor.
fn number(x: &Tensor<1>) -> Option<f32> {
    View::of(x)?.values().first().copied()
}

fn flag(yes: bool) -> Flag {
    Flag::of_number(tensor(vec![f32::from(u8::from(yes))], [1]))
}

/// [`super::KlGuard::radius`], or `None` on another backend.
pub(super) fn radius(bounds: &Bounds, slots: &Tensor<1>, kl: &Tensor<1>) -> Option<Tensor<1>> {
    let (step_limit, kl) = (Numbers::of(slots)?.get(Slot::StepLimit), number(kl)?);
    // The larger of two numbers is the other one where one is NaN: it must not pass for a divergence of zero.
    let left = if kl.is_finite() { (bounds.root - (kl.max(0.0) * 2.0).sqrt()).max(0.0) } else { 0.0 };
    Some(tensor(vec![left.min((step_limit * 2.0).sqrt()) * bounds.fraction], [1]))
}

/// [`super::KlGuard::accept_or_reject`]: the slots after it and whether the candidate is taken, or `None` on another
/// backend.
pub(super) fn accept_or_reject(
    bounds: &Bounds,
    slots: &Tensor<1>,
    kl: &Tensor<1>,
    finite: &Flag,
    usable: &Flag,
) -> Option<(Tensor<1>, Flag)> {
    let (mut numbers, kl) = (Numbers::of(slots)?, number(kl)?);
    let (finite, usable) = (number(&finite.number())? > 0.5, number(&usable.number())? > 0.5);
    let accept = finite && kl.is_finite() && kl <= bounds.kl_limit;
    if numbers.get(Slot::Stopped) > 0.5 {
        numbers.count(Slot::Ignored);
        return Some((numbers.back(), flag(false)));
    }
    if !usable {
        numbers.count(Slot::Skipped);
        return Some((numbers.back(), flag(false)));
    }
    if accept {
        numbers.scale(bounds, GROW);
        numbers.set(Slot::Consecutive, 0.0);
        numbers.count(Slot::Accepted);
        numbers.set(Slot::KlSum, numbers.get(Slot::KlSum) + kl);
        numbers.set(Slot::KlMax, numbers.get(Slot::KlMax).max(kl));
    } else {
        numbers.scale(bounds, SHRINK);
        numbers.count(Slot::Rejected);
        numbers.count(Slot::Consecutive);
        if numbers.get(Slot::Consecutive) > bounds.max_rejects - 0.5 {
            numbers.set(Slot::Stopped, 1.0);
        }
    }
    Some((numbers.back(), flag(accept)))
}

/// [`super::KlGuard::accept_or_restore`]: the slots after it and whether the epoch stands, or `None` on another backend.
pub(super) fn accept_or_restore(bounds: &Bounds, slots: &Tensor<1>, kl: &Tensor<1>) -> Option<(Tensor<1>, Flag)> {
    let (mut numbers, kl) = (Numbers::of(slots)?, number(kl)?);
    let keep = kl.is_finite() && kl <= bounds.epoch_limit;
    numbers.scale(bounds, if keep { 1.0 } else { SHRINK });
    if !keep {
        numbers.count(Slot::Restored);
        numbers.set(Slot::Stopped, 1.0);
    }
    Some((numbers.back(), flag(keep)))
}
