//! The guard's decisions, its radius and its state.

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
    let (old, new) = (Tensor::<1>::from_floats([1.0, -0.0], &device), Tensor::from_floats([2.0, f32::NAN], &device));
    for (kl, expected) in [(0.0, true), (0.01, true), (0.010_001, false), (f32::NAN, false), (f32::INFINITY, false)] {
        guard.begin_rollout();
        let decision = guard.accept_or_reject(&scalar(kl), flag(true), flag(true));
        assert_eq!(decided(&decision), expected, "KL {kl}");
        for chosen in [decision.select(new.clone(), old.clone()), decision.select_by_mask(new.clone(), old.clone())] {
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
