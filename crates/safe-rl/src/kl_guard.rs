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
mod tests {
    use super::*;
    use crate::decision::all_finite;
    use crate::test_device::{on_cpu, test_device};

    fn scalar(value: f32) -> Tensor<1> {
        Tensor::from_floats([value], &test_device())
    }

    fn flag(value: bool) -> Tensor<1, Bool> {
        scalar(if value { 1.0 } else { 0.0 }).greater_scalar(0.5)
    }

    fn guard() -> KlGuard {
        KlGuard::new(KlGuardConfig { target_kl: 0.01, ..Default::default() }, &test_device()).unwrap()
    }

    fn accepts(guard: &mut KlGuard, kl: f32) -> bool {
        decided(&guard.accept_or_reject(&scalar(kl), flag(true), flag(true)))
    }

    /// What the device decided, and the host too where that is the CPU.
    fn decided(decision: &Decision) -> bool {
        let accept = read("d", decision.accept.clone().number()).unwrap() == [1.0];
        assert_eq!(decision.known(), on_cpu().then_some(accept));
        accept
    }

    #[test]
    fn accepted_steps_stay_within_the_limit_and_others_return_the_old_bits() {
        let device = test_device();
        let mut guard = guard();
        let (old, new) =
            (Tensor::<1>::from_floats([1.0, -0.0], &device), Tensor::from_floats([2.0, f32::NAN], &device));
        for (kl, expected) in [(0.0, true), (0.01, true), (0.010_001, false), (f32::NAN, false), (f32::INFINITY, false)]
        {
            guard.begin_rollout();
            let decision = guard.accept_or_reject(&scalar(kl), flag(true), flag(true));
            assert_eq!(decided(&decision), expected, "KL {kl}");
            for chosen in [decision.select(new.clone(), old.clone()), decision.select_by_mask(new.clone(), old.clone())]
            {
                let bits: Vec<u32> = read("c", chosen).unwrap().iter().map(|x| x.to_bits()).collect();
                let source = read("s", if expected { new.clone() } else { old.clone() }).unwrap();
                assert_eq!(bits, source.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_candidate_with_parameters_that_are_not_finite_is_rejected() {
        let device = test_device();
        let bad = Tensor::<2>::from_floats([[0.0, 1.0], [f32::INFINITY, 0.0]], &device);
        let decision = guard().accept_or_reject(&scalar(0.0), all_finite(&bad), flag(true));
        assert!(!decided(&decision));
        assert!(read("f", all_finite(&bad.zeros_like()).number()).unwrap() == [1.0]);
    }

    #[test]
    fn the_radius_shares_what_the_earlier_steps_left() {
        let guard = guard();
        let radius = |kl: f32| read("r", guard.radius(&scalar(kl))).unwrap()[0];
        // sqrt(2 * 0.0025) is the step's own bound; it binds while sqrt(2 KL) is below half of sqrt(2 * 0.01).
        let step = 0.9 * 0.005f32.sqrt();
        assert!((radius(0.0) - step).abs() < 1e-7 && (radius(0.0024) - step).abs() < 1e-7);
        let left = 0.9 * (0.02f32.sqrt() - (2.0 * 0.0081f32).sqrt());
        assert!((radius(0.0081) - left).abs() < 1e-7);
        assert_eq!((radius(0.01), radius(0.5), radius(f32::NAN)), (0.0, 0.0, 0.0));
    }

    #[test]
    fn rejections_shrink_the_step_and_three_in_a_row_stop_the_actor() {
        let mut guard = guard();
        assert!(accepts(&mut guard, 0.005));
        let grown = guard.report().unwrap().step_limit;
        assert!((grown - 0.002_75).abs() < 1e-9, "{grown}");
        assert!(!accepts(&mut guard, 0.02) && !accepts(&mut guard, 0.02));
        assert!(accepts(&mut guard, 0.004), "two rejections do not stop it");
        let report = guard.report().unwrap();
        let expected = 0.0025 * 1.1 * 0.5 * 0.5 * 1.1;
        assert!((report.step_limit - expected).abs() < 1e-9);
        assert!(!accepts(&mut guard, 0.02) && !accepts(&mut guard, 0.02) && !accepts(&mut guard, 0.02));
        assert!(!accepts(&mut guard, 0.001), "stopped");
        let report = guard.report().unwrap();
        assert_eq!((report.accepted, report.rejected, report.ignored, report.stopped), (2, 5, 1, true));
        assert!((report.kl_mean - 0.0045).abs() < 1e-8 && (report.kl_max - 0.005).abs() < 1e-8);
        guard.begin_rollout();
        assert!(accepts(&mut guard, 0.001), "the next rollout moves again");
    }

    #[test]
    fn the_step_limit_stays_within_its_bounds() {
        let mut guard = guard();
        for _ in 0..100 {
            accepts(&mut guard, 0.001);
        }
        assert!((guard.report().unwrap().step_limit - 0.01).abs() < 1e-8);
        for _ in 0..100 {
            guard.begin_rollout();
            accepts(&mut guard, 1.0);
        }
        assert!((guard.report().unwrap().step_limit - 0.0001).abs() < 1e-8);
    }

    #[test]
    fn an_unusable_minibatch_is_skipped_without_any_adaptation() {
        let mut guard = guard();
        let before = guard.report().unwrap();
        let decision = guard.accept_or_reject(&scalar(f32::NAN), flag(false), flag(false));
        assert!(!decided(&decision));
        let after = guard.report().unwrap();
        assert_eq!(after, GuardReport { skipped: 1, ..before });
    }

    #[test]
    fn an_epoch_beyond_the_limit_returns_the_snapshot_and_stops_the_actor() {
        let mut guard = guard();
        assert!(decided(&guard.accept_or_restore(&scalar(0.0149))));
        assert!(!decided(&guard.accept_or_restore(&scalar(0.0151))));
        let report = guard.report().unwrap();
        assert_eq!((report.restored, report.stopped), (1, true));
        assert!((report.step_limit - 0.00125).abs() < 1e-9);
        assert!(!decided(&guard.accept_or_restore(&scalar(f32::NAN))));
    }

    /// Slots before, KL, finite and usable of some decisions that take every branch.
    fn cases() -> Vec<([f32; SLOTS], f32, bool, bool)> {
        let slots = [0.0025, 1.0, 0.0, 3.0, 2.0, 1.0, 0.0, 0.0, 0.006, 0.004];
        let with = |which: Slot, value: f32| {
            let mut changed = slots;
            changed[which as usize] = value;
            changed
        };
        let mut cases = Vec::new();
        for slots in [slots, with(Slot::Stopped, 1.0), with(Slot::Consecutive, 2.0), with(Slot::StepLimit, 0.0095)] {
            for kl in [0.0, 0.005, 0.01, 0.0100001, 0.0151, f32::NAN, f32::INFINITY] {
                for (finite, usable) in [(true, true), (false, true), (true, false)] {
                    cases.push((slots, kl, finite, usable));
                }
            }
        }
        cases
    }

    #[test]
    fn every_leaf_equals_the_reference() {
        let device = test_device();
        for (slots, kl, finite, usable) in cases() {
            let mut guard = guard();
            guard.slots = Tensor::from_floats(slots, &device);
            let (bounds, kl) = (guard.bounds(), scalar(kl));
            let (finite, usable): (Flag, Flag) = (flag(finite).into(), flag(usable).into());
            let values = |x: Tensor<1>| read("v", x).unwrap();
            assert_eq!(values(guard.radius(&kl)), values(radius(&bounds, &guard.slots, &kl)));
            let mut restored = guard.clone();
            let keep = restored.accept_or_restore(&kl).accept.number();
            let (slots, flag) = accept_or_restore(&bounds, &guard.slots, &kl);
            assert_eq!((values(restored.slots), values(keep)), (values(slots), values(flag.number())));
            let (slots, flag) = accept_or_reject(&bounds, &guard.slots, &kl, &finite, &usable);
            let accept = guard.accept_or_reject(&kl, finite, usable).accept.number();
            assert_eq!((values(guard.slots), values(accept)), (values(slots), values(flag.number())));
        }
    }

    #[test]
    fn a_restored_guard_continues_bit_for_bit() {
        let mut a = guard();
        accepts(&mut a, 0.003);
        accepts(&mut a, 0.03);
        let mut b = guard();
        b.load_state(&a.state().unwrap()).unwrap();
        accepts(&mut a, 0.002);
        accepts(&mut b, 0.002);
        assert_eq!(a.state().unwrap(), b.state().unwrap());
    }
}
