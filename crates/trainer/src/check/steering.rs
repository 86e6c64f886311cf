//! The kernels that steer a step: the blend of two gradients, the KL guard, what is not finite.

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use safe_rl::{
    Decision, KlGuard, KlGuardConfig, MarginWeights, Products, ProjectionKind, all_finite, all_finite_in, blend,
};

use super::findings::{Findings, Measure};
use super::numbers::{noise, values, vector};
use super::subject::Subject;

const SCALARS: &str = "float32, a few operations";
const SUMS: &str = "float32, sums in another order";
const FLAGS: &str = "a flag is right or wrong";

/// Projection and blend of two gradients by their products, special numbers included.
pub(super) fn blends(subject: &Subject, findings: &mut Findings) -> Result<()> {
    // Burn's operations take a CPU a millisecond a case: there every eleventh is compared.
    let every = if subject.is_cpu() { 11 } else { 1 };
    for kind in [ProjectionKind::Fisher, ProjectionKind::None, ProjectionKind::Hard] {
        for (weight, strength) in [(0.4, 0.7), (0.0, 0.2), (1.0, 0.5)] {
            let weights =
                MarginWeights { margin: -0.2, offset: 0.1, safety_weight: weight, projection_strength: strength };
            let [expected, got] = subject.both(|device| blended(kind, weights, every, device))?;
            let what = format!("{kind:?}, safety {weight}, strength {strength}");
            findings.compare(what, Measure::Relative(1e-6), [&expected, &got], 2e-5, SCALARS);
        }
    }
    let [expected, got] = subject.both(|device| {
        let (left, right) = (noise(1, [3, 777], device), noise(2, [3, 777], device) + 0.1);
        values(Products::metric(&left, &right).gram)
    })?;
    findings.compare("products of rows", Measure::Absolute, [&expected, &got], 1e-3, SUMS);
    Ok(())
}

/// Everything that the blend gives, for norms and products of every size; of all cases one in `every`.
fn blended(kind: ProjectionKind, weights: MarginWeights, every: usize, device: &Device) -> Result<Vec<f32>> {
    let norms = [0.0, 1e-13, 3e-7, 0.5, 2e4, f32::INFINITY, f32::NAN];
    let inner = [-1.0, -1e-9, 0.0, 0.3, f32::NEG_INFINITY, f32::NAN];
    let bounds = [None, Some(0.0f32), Some(0.2)];
    let mut all = Vec::new();
    for case in (0..norms.len() * norms.len() * inner.len() * bounds.len()).step_by(every) {
        let (rest, bound) = (case / bounds.len(), bounds[case % bounds.len()]);
        let (rest, kappa) = (rest / inner.len(), inner[rest % inner.len()]);
        let (q, s) = (norms[rest / norms.len()], norms[rest % norms.len()]);
        let kappa = if q.is_finite() && s.is_finite() { kappa * (q * s).sqrt() } else { kappa };
        let products = Products { gram: Tensor::from_floats([[q, -kappa], [-kappa, s]], device) };
        let bound = bound.map(|bound| Tensor::<1>::from_floats([bound], device));
        let blend = blend(kind, &products, &products, &[weights], bound.as_ref());
        let natural = Tensor::<2>::from_floats([[1.0, 2.0, -0.5], [3.0, f32::NAN, 0.25]], device);
        let direction = blend.direction(&natural).narrow(0, 2, 1);
        let parts = vec![blend.usable.number(), direction, blend.alpha, blend.beta, blend.safety];
        all.extend(values(Tensor::cat(parts, 0))?);
    }
    Ok(all)
}

/// The guard's decisions over two rollouts.
pub(super) fn guard(subject: &Subject, findings: &mut Findings) -> Result<()> {
    // KL of the candidate, whether it is finite, whether the minibatch is usable, KL before.
    let tries = [
        (0.001, 1.0, 1.0, 0.0),
        (0.02, 1.0, 1.0, 0.002),
        (0.009, 0.0, 1.0, 0.02),
        (0.003, 1.0, 0.0, f32::NAN),
        (0.004, 1.0, 1.0, f32::INFINITY),
        (f32::NAN, 1.0, 1.0, -1e-7),
        (f32::INFINITY, 1.0, 1.0, 0.005),
        (0.5, 1.0, 1.0, 0.0),
        (0.001, 1.0, 1.0, 0.001), // stopped by now
    ];
    let [expected, got] = subject.both(|device| {
        let config = KlGuardConfig { target_kl: 0.01, ..KlGuardConfig::default() };
        let mut guard = KlGuard::new(config, device)?;
        let scalar = |x: f32| Tensor::<1>::from_floats([x], device);
        let mut seen = Vec::new();
        for round in 0..2 {
            guard.begin_rollout();
            guard.set_target_kl(0.01 / (1.0 + f64::from(round)));
            for (kl, finite, usable, before) in tries {
                seen.extend(values(guard.radius(&scalar(before)))?);
                let flag = |x: f32| scalar(x).greater_scalar(0.5);
                let decision = guard.accept_or_reject(&scalar(kl), flag(finite), flag(usable));
                seen.extend(values(decision.accept.number())?);
                seen.extend(values(guard.counters())?);
            }
            seen.extend(values(guard.accept_or_restore(&scalar(0.1)).accept.number())?);
            seen.extend(values(guard.counters())?);
        }
        Ok(seen)
    })?;
    findings.compare("radii, verdicts, counters", Measure::Relative(1.0), [&expected, &got], 1e-6, SCALARS);
    Ok(())
}

/// What is not finite is found, and what is refused does not enter.
pub(super) fn finite(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let device = subject.device();
    let lengths = [1, 777, 40_000];
    let part = |i: usize| vector(i as u64, lengths[i], device);
    let parts = || [0, 1, 2].map(part);
    let says = |tensors: [Tensor<1>; 3]| values(all_finite_in(tensors).number());
    let (mut expected, mut got, mut alone) = (vec![1.0], says(parts())?, Vec::new());
    for i in 0..3 {
        for at in [0, lengths[i] / 2, lengths[i] - 1] {
            for (bad, flag) in [(f32::NAN, 0.0), (f32::NEG_INFINITY, 0.0), (-f32::MAX, 1.0)] {
                let mut tensors = parts();
                tensors[i] = tensors[i].clone().slice_fill([at..at + 1], bad);
                expected.push(flag);
                got.extend(says(tensors)?);
                let one = all_finite_in([part(i).slice_fill([at..at + 1], bad)]);
                alone.extend(values(one.mask().float())?);
            }
        }
    }
    findings.compare("three vectors at once", Measure::Differing, [&expected, &got], 0.0, FLAGS);
    findings.compare("one vector", Measure::Differing, [&expected[1..], &alone], 0.0, FLAGS);
    let rows: Result<Vec<f32>> =
        [f32::NAN, f32::INFINITY, f32::MAX].into_iter().try_fold(Vec::new(), |mut all, bad| {
            let rows = noise(1, [3, 777], device).slice_fill([1..2, 700..701], bad);
            all.extend(values(all_finite(&rows).number())?);
            Ok(all)
        });
    findings.compare("rows", Measure::Differing, [&[0.0, 0.0, 1.0], &rows?], 0.0, FLAGS);
    // A flag from a mask of tensor operations decides as one from a kernel.
    for number in [1.0f32, 0.0] {
        let flag = Tensor::<1>::from_floats([number], device).greater_scalar(0.5);
        let kernel = all_finite_in([Tensor::<1>::from_floats([if number > 0.5 { 1.0 } else { f32::NAN }], device)]);
        for (way, decision) in [("a mask", Decision::new(flag)), ("a kernel", Decision::new(kernel))] {
            let current = [4, 5, 6].map(|i| vector(i, lengths[i as usize - 4], device));
            let candidate = parts().map(|x| x.slice_fill([0..1], f32::NAN));
            let pairs = [0, 1, 2].map(|i| (candidate[i].clone(), current[i].clone()));
            let source = if number > 0.5 { candidate } else { current };
            let [source, chosen] =
                [source, decision.select_all(pairs)].map(|parts| values(Tensor::cat(parts.into(), 0)));
            let what = format!("what {way} of {number} selects");
            findings.compare(what, Measure::Differing, [&source?, &chosen?], 0.0, FLAGS);
        }
    }
    Ok(())
}
