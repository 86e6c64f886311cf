//! The trust region's bookkeeping and the minibatch-level KL rollback.
//!
//! Steps compose in the square root of the KL, so a minibatch may use what the earlier ones left:
//! `rho = fraction * min(sqrt(2 delta_step), [sqrt(2 delta_rb) - sqrt(2 KL_now)]+)`. A candidate is accepted if everything is
//! finite and its KL from the behaviour policy stays within `delta_rb`; otherwise the old parameters return, bit for bit,
//! selected by mask. All counters live on the device and are read once per epoch.
//!
//! That a minibatch whose KL is too large is rolled back is an idea of the KFCPO paper; radius, adaptation and constants
//! are this project's choice.

#[cfg(feature = "gpu")]
mod kernel;
#[cfg(feature = "gpu")]
mod step;

use burn::tensor::{Bool, Device, Tensor};

use crate::{Flag, KlGuardConfig, SafeRlError, Verdict};
use compute::{State, read};

#[cfg(feature = "gpu")]
pub use step::Step;

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
    /// Damping.
    pub damping: f64,
    /// Whether the actor has stopped for this rollout.
    pub stopped: bool,
}

/// Positions in the guard's device vector.
#[derive(Clone, Copy)]
enum Slot {
    StepLimit,
    Damping,
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
const SLOTS: usize = 11;

/// Accepts or rejects candidates, and adapts the step's radius.
#[derive(Debug, Clone)]
pub struct KlGuard {
    config: KlGuardConfig,
    slots: [Tensor<1>; SLOTS],
    /// All slots `[11]`, as kernels keep them; where there are any, those apart are out of date.
    together: Option<Tensor<1>>,
}

impl KlGuard {
    /// A guard at its initial radius.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] if a constant is out of its domain.
    pub fn new(config: KlGuardConfig, device: &Device) -> Result<Self, SafeRlError> {
        config.validate()?;
        let mut values = [0.0; SLOTS];
        values[Slot::StepLimit as usize] = config.kl_limit * config.step_share;
        values[Slot::Damping as usize] = config.damping;
        Ok(Self::of(config, Tensor::from_floats(values, device)))
    }

    /// A guard whose slots are `all` `[11]`.
    fn of(config: KlGuardConfig, all: Tensor<1>) -> Self {
        let slots = std::array::from_fn(|i| all.clone().narrow(0, i, 1));
        #[cfg(feature = "gpu")]
        let together = crate::launch::is_gpu(&all.device()).then_some(all);
        #[cfg(not(feature = "gpu"))]
        let together = None;
        Self { config, slots, together }
    }

    /// Constants in use.
    pub fn config(&self) -> &KlGuardConfig {
        &self.config
    }

    /// Changes `delta_rb` (a schedule, say); `delta_step` changes in proportion. Values that are not positive are ignored.
    pub fn set_kl_limit(&mut self, kl_limit: f32) {
        if kl_limit.is_finite() && kl_limit > 0.0 {
            let scale = kl_limit / self.config.kl_limit;
            #[cfg(feature = "gpu")]
            if let Some(slots) = self.here().and_then(|slots| kernel::begin(&slots, scale, false)) {
                self.together = Some(slots);
                self.config.kl_limit = kl_limit;
                return;
            }
            self.set(Slot::StepLimit, self.get(Slot::StepLimit) * scale);
            self.config.kl_limit = kl_limit;
        }
    }

    /// Starts a rollout: counters return to zero and the actor may move again; radius and damping stay.
    pub fn begin_rollout(&mut self) {
        #[cfg(feature = "gpu")]
        if let Some(slots) = self.here().and_then(|slots| kernel::begin(&slots, 1.0, true)) {
            self.together = Some(slots);
            return;
        }
        self.part();
        let zero = self.get(Slot::StepLimit).zeros_like();
        for slot in &mut self.slots[Slot::Consecutive as usize..] {
            *slot = zero.clone();
        }
    }

    /// The radius `rho` `[1]` left to the next step, given the KL `[1]` of the present policy from the behaviour policy on
    /// the same minibatch. Zero where nothing is left or the KL is not finite.
    pub fn radius(&self, kl_now: &Tensor<1>) -> Tensor<1> {
        #[cfg(feature = "gpu")]
        if let Some(radius) = self.together.as_ref().and_then(|slots| kernel::radius(&self.config, slots, kl_now)) {
            return radius;
        }
        let limit = (2.0 * self.config.kl_limit).sqrt();
        let used = (kl_now.clone().clamp_min(0.0) * 2.0).sqrt();
        let unknown = used.clone().is_finite().bool_not();
        let left = (-used + limit).clamp_min(0.0).mask_fill(unknown, 0.0);
        let step = (self.get(Slot::StepLimit) * 2.0).sqrt();
        left.min_pair(step) * self.config.radius_fraction
    }

    /// Judges a candidate.
    ///
    /// `kl` `[1]` is its KL from the behaviour policy on the minibatch, `finite` whether its parameters are finite,
    /// `usable` whether the minibatch had a finite gradient and a direction at all: if not, it is skipped, and neither
    /// radius nor damping changes. Both are flags or masks `[1]`.
    pub fn judge(&mut self, kl: &Tensor<1>, finite: impl Into<Flag>, usable: impl Into<Flag>) -> Verdict {
        let config = self.config;
        let (finite, usable) = (finite.into(), usable.into());
        #[cfg(feature = "gpu")]
        if let Some((slots, accept)) =
            self.here().and_then(|slots| kernel::judge(&config, &slots, kl, &finite, &usable))
        {
            self.together = Some(slots);
            return Verdict::new(accept);
        }
        let (finite, usable) = (finite.mask(), usable.mask());
        let stopped = self.get(Slot::Stopped).greater_scalar(0.5);
        let active = stopped.clone().bool_not();
        // A NaN compares false, so it rejects.
        let good = kl.clone().lower_equal_scalar(config.kl_limit).bool_and(kl.clone().is_finite()).bool_and(finite);
        let tried = active.clone().bool_and(usable.clone());
        let accept = tried.clone().bool_and(good.clone());
        let reject = tried.bool_and(good.bool_not());
        let skip = active.bool_and(usable.bool_not());

        let bounds = (config.kl_limit * config.min_step_share, config.kl_limit);
        self.adapt(Slot::StepLimit, &accept, &reject, (config.grow, config.shrink), bounds);
        if config.adapt_damping {
            let (up, down) = config.damping_factors;
            self.adapt(Slot::Damping, &accept, &reject, (down, up), config.damping_range);
        }
        self.count(Slot::Accepted, &accept);
        self.count(Slot::Rejected, &reject);
        self.count(Slot::Skipped, &skip);
        self.count(Slot::Ignored, &stopped);
        let consecutive = self.get(Slot::Consecutive).mask_fill(accept.clone(), 0.0) + reject.float();
        let too_many = consecutive.clone().greater_scalar(config.max_rejections as f32 - 0.5);
        self.set(Slot::Consecutive, consecutive);
        self.set(Slot::Stopped, self.get(Slot::Stopped).mask_fill(too_many, 1.0));
        let kl = kl.clone().mask_fill(accept.clone().bool_not(), 0.0);
        self.set(Slot::KlSum, self.get(Slot::KlSum) + kl.clone());
        self.set(Slot::KlMax, self.get(Slot::KlMax).max_pair(kl));
        Verdict::new(accept)
    }

    /// Judges an epoch by its full-batch KL `[1]`: a refused one means that the last good snapshot must return. The radius
    /// shrinks, and the actor stops for this rollout.
    pub fn judge_epoch(&mut self, full_kl: &Tensor<1>) -> Verdict {
        #[cfg(feature = "gpu")]
        if let Some((slots, keep)) = self.here().and_then(|slots| kernel::judge_epoch(&self.config, &slots, full_kl)) {
            self.together = Some(slots);
            return Verdict::new(keep);
        }
        let limit = self.config.kl_limit * self.config.epoch_factor;
        let keep = full_kl.clone().lower_equal_scalar(limit).bool_and(full_kl.clone().is_finite());
        let restore = keep.clone().bool_not();
        let bounds = (self.config.kl_limit * self.config.min_step_share, self.config.kl_limit);
        self.adapt(Slot::StepLimit, &keep, &restore, (1.0, self.config.shrink), bounds);
        self.count(Slot::Restored, &restore);
        self.set(Slot::Stopped, self.get(Slot::Stopped).mask_fill(restore, 1.0));
        Verdict::new(keep)
    }

    /// Damping `[1]`, on the device.
    pub fn damping(&self) -> Tensor<1> {
        self.get(Slot::Damping)
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
        self.together.clone().unwrap_or_else(|| Tensor::cat(self.slots.to_vec(), 0))
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
            damping: value(Slot::Damping),
            stopped: value(Slot::Stopped) > 0.5,
        }
    }

    /// Everything needed to continue bit for bit.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if the device fails.
    pub fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        state.put_tensor("slots", &self.counters())?;
        state.put_f64("kl_limit", self.config.kl_limit.into())?;
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry is missing or of another shape.
    pub fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        let device = self.slots[0].device();
        let slots = state.tensor("slots", [SLOTS], &device)?;
        let config = KlGuardConfig { kl_limit: state.get_f64("kl_limit")? as f32, ..self.config };
        *self = Self::of(config, slots);
        Ok(())
    }

    /// All slots, where kernels can be launched on them.
    #[cfg(feature = "gpu")]
    fn here(&self) -> Option<Tensor<1>> {
        compute::gpu::is_gpu(&self.slots[0].device()).then(|| self.counters())
    }

    /// Takes the slots apart, to change some of them.
    fn part(&mut self) {
        if let Some(slots) = self.together.take() {
            self.slots = std::array::from_fn(|i| slots.clone().narrow(0, i, 1));
        }
    }

    fn get(&self, slot: Slot) -> Tensor<1> {
        match &self.together {
            Some(slots) => slots.clone().narrow(0, slot as usize, 1),
            None => self.slots[slot as usize].clone(),
        }
    }

    fn set(&mut self, slot: Slot, value: Tensor<1>) {
        self.part();
        self.slots[slot as usize] = value;
    }

    fn count(&mut self, slot: Slot, happened: &Tensor<1, Bool>) {
        self.set(slot, self.get(slot) + happened.clone().float());
    }

    /// Multiplies a slot by one factor on acceptance and by another on rejection, within bounds.
    fn adapt(
        &mut self,
        slot: Slot,
        accept: &Tensor<1, Bool>,
        reject: &Tensor<1, Bool>,
        (on_accept, on_reject): (f32, f32),
        (low, high): (f32, f32),
    ) {
        let value = self.get(slot);
        let scaled = |factor: f32| (value.clone() * factor).clamp(low, high);
        let (up, down) = (scaled(on_accept), scaled(on_reject));
        self.set(slot, value.mask_where(accept.clone(), up).mask_where(reject.clone(), down));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        all_finite,
        test_device::{on_cpu, test_device},
    };

    fn scalar(value: f32) -> Tensor<1> {
        Tensor::from_floats([value], &test_device())
    }

    fn flag(value: bool) -> Tensor<1, Bool> {
        scalar(if value { 1.0 } else { 0.0 }).greater_scalar(0.5)
    }

    fn guard() -> KlGuard {
        KlGuard::new(KlGuardConfig::default(), &test_device()).unwrap()
    }

    fn judge(guard: &mut KlGuard, kl: f32) -> bool {
        decided(&guard.judge(&scalar(kl), flag(true), flag(true)))
    }

    /// What the device decided, and the host too where that is the CPU.
    fn decided(verdict: &Verdict) -> bool {
        let accept = read("d", verdict.accept.clone().float()).unwrap() == [1.0];
        assert_eq!(verdict.known(), on_cpu().then_some(accept));
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
            let verdict = guard.judge(&scalar(kl), flag(true), flag(true));
            assert_eq!(decided(&verdict), expected, "KL {kl}");
            for chosen in [verdict.select(new.clone(), old.clone()), verdict.select_plain(new.clone(), old.clone())] {
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
        let verdict = guard().judge(&scalar(0.0), all_finite(&bad), flag(true));
        assert!(!decided(&verdict));
        assert!(read("f", all_finite(&bad.zeros_like()).float()).unwrap() == [1.0]);
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
        assert!(judge(&mut guard, 0.005));
        let grown = guard.report().unwrap().step_limit;
        assert!((grown - 0.002_75).abs() < 1e-9, "{grown}");
        assert!(!judge(&mut guard, 0.02) && !judge(&mut guard, 0.02));
        assert!(judge(&mut guard, 0.004), "two rejections do not stop it");
        let report = guard.report().unwrap();
        let expected = 0.0025 * 1.1 * 0.5 * 0.5 * 1.1;
        assert!((report.step_limit - expected).abs() < 1e-9);
        assert!(!judge(&mut guard, 0.02) && !judge(&mut guard, 0.02) && !judge(&mut guard, 0.02));
        assert!(!judge(&mut guard, 0.001), "stopped");
        let report = guard.report().unwrap();
        assert_eq!((report.accepted, report.rejected, report.ignored, report.stopped), (2, 5, 1, true));
        assert!((report.kl_mean - 0.0045).abs() < 1e-8 && (report.kl_max - 0.005).abs() < 1e-8);
        guard.begin_rollout();
        assert!(judge(&mut guard, 0.001), "the next rollout starts anew");
    }

    #[test]
    fn the_step_limit_stays_within_its_bounds() {
        let mut guard = guard();
        for _ in 0..100 {
            judge(&mut guard, 0.001);
        }
        assert!((guard.report().unwrap().step_limit - 0.01).abs() < 1e-8);
        for _ in 0..100 {
            guard.begin_rollout();
            judge(&mut guard, 1.0);
        }
        assert!((guard.report().unwrap().step_limit - 0.0001).abs() < 1e-8);
    }

    #[test]
    fn an_unusable_minibatch_is_skipped_without_any_adaptation() {
        let mut guard = guard();
        let before = guard.report().unwrap();
        let verdict = guard.judge(&scalar(f32::NAN), flag(false), flag(false));
        assert!(!decided(&verdict));
        let after = guard.report().unwrap();
        assert_eq!(after, GuardReport { skipped: 1, ..before });
    }

    #[test]
    fn an_epoch_beyond_the_limit_returns_the_snapshot_and_stops_the_actor() {
        let mut guard = guard();
        assert!(decided(&guard.judge_epoch(&scalar(0.0149))));
        assert!(!decided(&guard.judge_epoch(&scalar(0.0151))));
        let report = guard.report().unwrap();
        assert_eq!((report.restored, report.stopped), (1, true));
        assert!((report.step_limit - 0.00125).abs() < 1e-9);
        assert!(!decided(&guard.judge_epoch(&scalar(f32::NAN))));
    }

    #[test]
    fn damping_adapts_only_when_asked_to_and_stays_finite() {
        let mut fixed = guard();
        judge(&mut fixed, f32::NAN);
        assert!((fixed.report().unwrap().damping - 0.1).abs() < 1e-8);
        let config = KlGuardConfig { adapt_damping: true, ..Default::default() };
        let mut adaptive = KlGuard::new(config, &test_device()).unwrap();
        judge(&mut adaptive, f32::NAN);
        assert!((adaptive.report().unwrap().damping - 0.15).abs() < 1e-7);
        for _ in 0..50 {
            adaptive.begin_rollout();
            judge(&mut adaptive, f32::NAN);
        }
        assert_eq!(adaptive.report().unwrap().damping, 1.0);
    }

    #[test]
    fn a_restored_guard_continues_bit_for_bit() {
        let mut a = guard();
        judge(&mut a, 0.003);
        judge(&mut a, 0.03);
        let mut b = guard();
        b.load_state(&a.state().unwrap()).unwrap();
        judge(&mut a, 0.002);
        judge(&mut b, 0.002);
        assert_eq!(a.state().unwrap(), b.state().unwrap());
    }
}
