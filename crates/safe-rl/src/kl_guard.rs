//! The trust region's bookkeeping and the minibatch-level KL rollback.
//!
//! Steps compose in the square root of the KL, so a minibatch may use what the earlier ones left:
//! `rho = fraction * min(sqrt(2 delta_step), [sqrt(2 delta_rb) - sqrt(2 KL_now)]+)`. A candidate is accepted if everything is
//! finite and its KL from the behaviour policy stays within `delta_rb`; otherwise the old parameters return, bit for bit,
//! selected by mask. All counters live on the device and are read once per iteration.
//!
//! That a minibatch whose KL is too large is rolled back is an idea of the KFCPO paper; radius, adaptation and constants
//! are this project's choice.

mod config;
mod cpu;
pub(crate) mod gpu;

use burn::tensor::{Bool, Device, Tensor};
use compute::{State, first_of, read};

use crate::decision::{Decision, Flag};
use crate::error::SafeRlError;

pub(crate) use config::Bounds;
pub use config::KlGuardConfig;
use config::{GROW, SHRINK};

/// What happened since the rollout began, read back in one transfer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuardReport {
    /// Candidates accepted.
    pub accepted: u64,
    /// Candidates rejected.
    pub rejected: u64,
    /// Minibatches skipped: gradient or reward not finite, or no direction.
    pub skipped: u64,
    /// Minibatches passed over after the actor stopped.
    pub ignored: u64,
    /// Epochs whose full-batch KL was too large, so that the snapshot returned.
    pub restored: u64,
    /// Mean KL of the accepted candidates; zero without any.
    pub kl_mean: f64,
    /// Largest KL of an accepted candidate.
    pub kl_max: f64,
    /// `delta_step`.
    pub step_limit: f64,
    /// Whether the actor has stopped for this rollout.
    pub stopped: bool,
}

/// Positions in the guard's device vector. All but the first return to zero with every rollout.
#[derive(Clone, Copy)]
enum Slot {
    StepLimit,
    Consecutive,
    Stopped,
    Accepted,
    Rejected,
    Skipped,
    Ignored,
    Restored,
    KlSum,
    KlMax,
}

/// Number of slots.
const SLOTS: usize = 10;

/// Accepts or rejects candidates, and adapts the step's radius.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use safe_rl::{Flag, KlGuard, KlGuardConfig};
///
/// # fn main() -> Result<(), safe_rl::SafeRlError> {
/// let device = Device::flex();
/// let number = |x: f32| Tensor::<1>::from_floats([x], &device);
/// let yes = Flag::of_number(number(1.0));
/// let mut guard = KlGuard::new(KlGuardConfig { target_kl: 0.01, ..Default::default() }, &device)?;
/// guard.begin_rollout();
/// let close = guard.accept_or_reject(&number(0.004), yes.clone(), yes.clone());
/// let far = guard.accept_or_reject(&number(0.02), yes.clone(), yes);
/// assert_eq!((close.known(), far.known()), (Some(true), Some(false)));
/// assert_eq!(guard.report()?.rejected, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct KlGuard {
    config: KlGuardConfig,
    /// `delta_rb` at present.
    kl_limit: f32,
    /// Every number that changes, by [`Slot`], `[10]`.
    slots: Tensor<1>,
}

impl KlGuard {
    /// A guard at its initial radius.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] if a constant is out of its domain.
    pub fn new(config: KlGuardConfig, device: &Device) -> Result<Self, SafeRlError> {
        config.validate()?;
        let kl_limit = config.target_kl as f32;
        let mut slots = [0.0; SLOTS];
        slots[Slot::StepLimit as usize] = kl_limit * config.step_kl_share as f32;
        Ok(Self { config, kl_limit, slots: Tensor::from_floats(slots, device) })
    }

    /// Changes `delta_rb` (a schedule, say); `delta_step` changes in proportion. Values that are not positive are ignored.
    pub fn set_target_kl(&mut self, target_kl: f64) {
        let kl_limit = target_kl as f32;
        if kl_limit.is_finite() && kl_limit > 0.0 {
            let scale = kl_limit / self.kl_limit;
            self.slots = first_of!(gpu::scale_or_clear(&self.slots, scale, false), self.scaled(scale, 1.0));
            self.kl_limit = kl_limit;
        }
    }

    /// Starts a rollout: counters return to zero and the actor may move again; the radius stays.
    pub fn begin_rollout(&mut self) {
        self.slots = first_of!(gpu::scale_or_clear(&self.slots, 1.0, true), self.scaled(1.0, 0.0));
    }

    /// The slots with the step limit multiplied by one number and all others by another.
    fn scaled(&self, step_limit: f32, others: f32) -> Tensor<1> {
        let mut factors = [others; SLOTS];
        factors[Slot::StepLimit as usize] = step_limit;
        self.slots.clone() * Tensor::from_floats(factors, &self.slots.device())
    }

    /// The radius `rho` `[1]` left to the next step, given the KL `[1]` of the present policy from the behaviour policy on
    /// the same minibatch. Zero where nothing is left or the KL is not finite.
    pub fn radius(&self, kl_now: &Tensor<1>) -> Tensor<1> {
        let bounds = self.bounds();
        first_of!(
            cpu::radius(&bounds, &self.slots, kl_now),
            gpu::radius(&bounds, &self.slots, kl_now),
            radius(&bounds, &self.slots, kl_now)
        )
    }

    /// Accepts or rejects a candidate.
    ///
    /// `kl` `[1]` is its KL from the behaviour policy on the minibatch, `finite` whether its parameters are finite,
    /// `usable` whether the minibatch had a finite gradient and a direction at all: if not, it is skipped, and the radius
    /// does not change. Both are flags or masks `[1]`.
    pub fn accept_or_reject(&mut self, kl: &Tensor<1>, finite: impl Into<Flag>, usable: impl Into<Flag>) -> Decision {
        let (bounds, finite, usable) = (self.bounds(), finite.into(), usable.into());
        let (slots, accept) = first_of!(
            cpu::accept_or_reject(&bounds, &self.slots, kl, &finite, &usable),
            gpu::accept_or_reject(&bounds, &self.slots, kl, &finite, &usable),
            accept_or_reject(&bounds, &self.slots, kl, &finite, &usable)
        );
        self.slots = slots;
        Decision::new(accept)
    }

    /// Accepts an epoch by its full-batch KL `[1]`, or rejects it: the last good snapshot must return then. The radius
    /// shrinks, and the actor stops for this rollout.
    pub fn accept_or_restore(&mut self, full_kl: &Tensor<1>) -> Decision {
        let bounds = self.bounds();
        let (slots, keep) = first_of!(
            cpu::accept_or_restore(&bounds, &self.slots, full_kl),
            gpu::accept_or_restore(&bounds, &self.slots, full_kl),
            accept_or_restore(&bounds, &self.slots, full_kl)
        );
        self.slots = slots;
        Decision::new(keep)
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds::new(&self.config, self.kl_limit)
    }

    /// Reads every counter back in one transfer.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if the device fails.
    pub fn report(&self) -> Result<GuardReport, SafeRlError> {
        Ok(Self::report_of(&read("the guard's counters", self.counters())?))
    }

    /// Every counter, `[10]`, for whoever reads more than them in one transfer.
    pub fn counters(&self) -> Tensor<1> {
        self.slots.clone()
    }

    /// What the values of [`counters`](Self::counters) say.
    ///
    /// # Panics
    /// If there are fewer values.
    pub fn report_of(values: &[f32]) -> GuardReport {
        let value = |slot: Slot| f64::from(values[slot as usize]);
        let count = |slot: Slot| value(slot) as u64;
        GuardReport {
            accepted: count(Slot::Accepted),
            rejected: count(Slot::Rejected),
            skipped: count(Slot::Skipped),
            ignored: count(Slot::Ignored),
            restored: count(Slot::Restored),
            kl_mean: value(Slot::KlSum) / value(Slot::Accepted).max(1.0),
            kl_max: value(Slot::KlMax),
            step_limit: value(Slot::StepLimit),
            stopped: value(Slot::Stopped) > 0.5,
        }
    }

    /// Everything needed to continue bit for bit.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if the device fails.
    pub fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        state.put_tensor("slots", &self.slots)?;
        state.put_f64("kl_limit", self.kl_limit.into())?;
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry is missing or of another shape.
    pub fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        let slots = state.tensor("slots", [SLOTS], &self.slots.device())?;
        self.kl_limit = state.get_f64("kl_limit")? as f32;
        self.slots = slots;
        Ok(())
    }
}

/// A slot `[1]`.
fn slot(slots: &Tensor<1>, slot: Slot) -> Tensor<1> {
    slots.clone().narrow(0, slot as usize, 1)
}

/// [`KlGuard::radius`] by tensor operations.
fn radius(bounds: &Bounds, slots: &Tensor<1>, kl: &Tensor<1>) -> Tensor<1> {
    let used = (kl.clone().clamp_min(0.0) * 2.0).sqrt();
    let unknown = used.clone().is_finite().bool_not();
    let left = (-used + bounds.root).clamp_min(0.0).mask_fill(unknown, 0.0);
    let step = (slot(slots, Slot::StepLimit) * 2.0).sqrt();
    left.min_pair(step) * bounds.fraction
}

/// A step limit `[1]`, multiplied by a factor, within its bounds.
fn scaled(bounds: &Bounds, limit: &Tensor<1>, factor: f32) -> Tensor<1> {
    (limit.clone() * factor).clamp(bounds.least, bounds.kl_limit)
}

/// [`KlGuard::accept_or_reject`] by tensor operations: the slots `[10]` after it, and whether the candidate is taken.
fn accept_or_reject(
    bounds: &Bounds,
    slots: &Tensor<1>,
    kl: &Tensor<1>,
    finite: &Flag,
    usable: &Flag,
) -> (Tensor<1>, Flag) {
    let get = |which: Slot| slot(slots, which);
    let stopped = get(Slot::Stopped).greater_scalar(0.5);
    let active = stopped.clone().bool_not();
    // A NaN compares false, so it rejects.
    let within = kl.clone().lower_equal_scalar(bounds.kl_limit).bool_and(kl.clone().is_finite());
    let good = within.bool_and(finite.mask());
    let tried = active.clone().bool_and(usable.mask());
    let accept = tried.clone().bool_and(good.clone());
    let reject = tried.bool_and(good.bool_not());
    let skip = active.bool_and(usable.mask().bool_not());
    let counted = |which: Slot, happened: &Tensor<1, Bool>| get(which) + happened.clone().float();

    let limit = get(Slot::StepLimit);
    let (up, down) = (scaled(bounds, &limit, GROW), scaled(bounds, &limit, SHRINK));
    let consecutive = get(Slot::Consecutive).mask_fill(accept.clone(), 0.0) + reject.clone().float();
    let too_many = consecutive.clone().greater_scalar(bounds.max_rejects - 0.5);
    let kl = kl.clone().mask_fill(accept.clone().bool_not(), 0.0);
    let slots = vec![
        limit.mask_where(accept.clone(), up).mask_where(reject.clone(), down),
        consecutive,
        get(Slot::Stopped).mask_fill(too_many, 1.0),
        counted(Slot::Accepted, &accept),
        counted(Slot::Rejected, &reject),
        counted(Slot::Skipped, &skip),
        counted(Slot::Ignored, &stopped),
        get(Slot::Restored),
        get(Slot::KlSum) + kl.clone(),
        get(Slot::KlMax).max_pair(kl),
    ];
    (Tensor::cat(slots, 0), accept.into())
}

/// [`KlGuard::accept_or_restore`] by tensor operations: the slots `[10]` after it, and whether the epoch stands.
fn accept_or_restore(bounds: &Bounds, slots: &Tensor<1>, kl: &Tensor<1>) -> (Tensor<1>, Flag) {
    let keep = kl.clone().lower_equal_scalar(bounds.epoch_limit).bool_and(kl.clone().is_finite());
    let restore = keep.clone().bool_not();
    let limit = slot(slots, Slot::StepLimit);
    let (same, down) = (scaled(bounds, &limit, 1.0), scaled(bounds, &limit, SHRINK));
    let between = |first: Slot, end: usize| slots.clone().narrow(0, first as usize, end - first as usize);
    let slots = vec![
        same.mask_where(restore.clone(), down),
        slot(slots, Slot::Consecutive),
        slot(slots, Slot::Stopped).mask_fill(restore.clone(), 1.0),
        between(Slot::Accepted, Slot::Restored as usize),
        slot(slots, Slot::Restored) + restore.float(),
        between(Slot::KlSum, SLOTS),
    ];
    (Tensor::cat(slots, 0), keep.into())
}

#[cfg(test)]
mod tests;
