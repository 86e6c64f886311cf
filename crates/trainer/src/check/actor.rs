//! The kernels of a minibatch of the actor: advantages, samples, surrogates, divergences, the step.

use anyhow::Result;
use burn::tensor::{Int, Tensor, TensorData};
use compute::noise::{NoiseKey, Stream, normals};
use safe_rl::{
    GaeConfig, Gaussian, KlGuard, KlGuardConfig, Samples, TrustRegionStep, gae, mean_gaussian_kl, permutation,
    trust_region_step,
};

use super::findings::{Findings, Measure};
use super::numbers::{noise, tensor, values, vector};
use super::subject::Subject;

const SCAN: &str = "float32, a scan may add in another order";
const SUMS: &str = "float32, sums in another order";
const CANCEL: &str = "float32: the reference's numbers near one cancel";
const COPY: &str = "a copy does not round";
const SPECIAL: &str = "what is not finite must stand in the same places";

/// Generalised advantage estimates of three objectives.
pub(super) fn advantages(subject: &Subject, findings: &mut Findings) -> Result<()> {
    for (steps, envs) in [(1, 5), (40, 70), (129, 3)] {
        let numbers = |index: u64, rows: usize| {
            normals(NoiseKey { seed: 4, stream: Stream::Other(0), step: index }, rows * steps, envs)
        };
        let [expected, got] = subject.both(|device| {
            let rows = |index| tensor::<3>(&numbers(index, 3), [3, steps, envs], device);
            let done = tensor::<2>(&numbers(6, 1), [steps, envs], device).greater_scalar(1.0).float();
            let config = |gamma, gae_lambda| GaeConfig { gamma, gae_lambda };
            let configs = [GaeConfig::default(), config(0.9, 0.5), config(0.5, 1.0)];
            let gae = gae(&rows(0), &rows(1), &rows(2), &done, &configs);
            Ok([values(gae.advantage)?, values(gae.target)?])
        })?;
        for ((what, expected), got) in ["advantages", "targets"].iter().zip(&expected).zip(&got) {
            let what = format!("{what} of {steps} x {envs}");
            findings.compare(what, Measure::Relative(1.0), [expected, got], 1e-5, SCAN);
        }
    }
    Ok(())
}

/// A minibatch is gathered bit for bit.
pub(super) fn gather(subject: &Subject, findings: &mut Findings) -> Result<()> {
    for (all, inputs, actions, taken) in [(50, 11, 2, 33), (300, 60, 3, 300), (7, 1, 1, 1)] {
        let order = permutation(all, NoiseKey { seed: 3, stream: Stream::Other(1), step: 0 });
        let [expected, got] = subject.both(|device| {
            let order: Vec<i32> = order[..taken].iter().map(|&i| i as i32).collect();
            let index = Tensor::<1, Int>::from_ints(TensorData::new(order, [taken]), device);
            let samples = Samples {
                obs: noise(1, [all, inputs], device).slice_fill([0..1, 0..1], f32::NAN),
                action: noise(2, [all, actions], device),
                mean: noise(3, [all, actions], device),
                log_prob: vector(4, all, device),
                advantage: noise(5, [2, all], device),
                target: noise(6, [3, all], device),
            };
            let taken = samples.select(&index);
            Ok([
                values(taken.obs)?,
                values(taken.action)?,
                values(taken.mean)?,
                values(taken.log_prob)?,
                values(taken.advantage)?,
                values(taken.target)?,
            ])
        })?;
        let names = ["observations", "actions", "means", "log-probabilities", "advantages", "targets"];
        for ((what, expected), got) in names.iter().zip(&expected).zip(&got) {
            let what = format!("{what}, {taken} of {all}");
            findings.compare(what, Measure::Differing, [expected, got], 0.0, COPY);
        }
    }
    Ok(())
}

/// Surrogates, clipped and not, with numbers among them that are not finite.
pub(super) fn surrogates(subject: &Subject, findings: &mut Findings) -> Result<()> {
    for (samples, objectives, actions) in [(1, 1, 1), (130, 2, 2), (5001, 2, 3)] {
        for (clip, bad) in [(None, None), (Some(0.2), None), (None, Some(f32::NAN)), (Some(0.1), Some(f32::INFINITY))] {
            let [expected, got] = subject.both(|device| {
                let log_std = vector(0, actions, device) * 0.3;
                let old = Gaussian::new(noise(1, [samples, actions], device), log_std.clone() + 0.05);
                let mut action = old.mean.clone() + noise(2, [samples, actions], device) * 0.7;
                let old_log_prob = old.log_prob(&action);
                if let Some(bad) = bad {
                    action = action.slice_fill([samples / 2..samples / 2 + 1, 0..1], bad);
                }
                let policy = Gaussian::new(old.mean + noise(3, [samples, actions], device) * 0.1, log_std);
                let advantage = noise(4, [objectives, samples], device);
                let surrogate = policy.surrogate(&action, &old_log_prob, &advantage, clip);
                Ok([values(surrogate.mean)?, values(surrogate.log_std)?, values(surrogate.value)?])
            })?;
            let clip = clip.map_or("no clip".to_owned(), |clip| format!("clip {clip}"));
            let among = bad.map_or(String::new(), |bad| format!(", {bad} among them"));
            for ((what, expected), got) in ["means", "log sigma", "values"].iter().zip(&expected).zip(&got) {
                let what = format!("{what} of {samples} samples, {clip}{among}");
                findings.compare(what, Measure::OfLargest(1e-6), [expected, got], 1e-5, SUMS);
            }
        }
    }
    Ok(())
}

/// Mean divergences, small and large.
pub(super) fn divergences(subject: &Subject, findings: &mut Findings) -> Result<()> {
    for (samples, actions) in [(1, 1), (7, 3), (700, 2), (16_384, 2), (70_001, 2)] {
        for (shift, bad) in [(0.1, None), (1e-3, None), (0.0, None), (3.0, None), (0.1, Some(f32::NAN))] {
            let [expected, got] = subject.both(|device| {
                let (old, old_log_std) = (noise(1, [samples, actions], device), vector(2, actions, device) * 0.3);
                let mut mean = old.clone() + noise(3, [samples, actions], device) * shift;
                if let Some(bad) = bad {
                    mean = mean.slice_fill([samples - 1..samples, 0..1], bad);
                }
                let log_std = old_log_std.clone() + vector(4, actions, device) * shift * 0.3;
                values(mean_gaussian_kl(&old, &old_log_std, &mean, &log_std))
            })?;
            let what = format!("{samples} x {actions}, moved by {shift}");
            match bad {
                None => {
                    // Burn's operations, a CPU's reference, take small divergences from the difference of numbers near one.
                    let (floor, reason) = if subject.is_cpu() { (1e-2, CANCEL) } else { (1e-4, SUMS) };
                    findings.compare(what, Measure::Relative(floor), [&expected, &got], 1e-5, reason);
                }
                Some(bad) => {
                    let what = format!("{what}, {bad} among them");
                    findings.compare(what, Measure::OfLargest(1.0), [&expected, &got], 0.0, SPECIAL);
                }
            }
        }
    }
    Ok(())
}

/// A step is as long as on the reference, or is not taken there either.
pub(super) fn step(subject: &Subject, findings: &mut Findings) -> Result<()> {
    // Samples, parameters, distance covered, length of the direction, longest step, a number among the moved means.
    let cases = [
        (1, 1, 0.0, 1.0, 10.0, None),
        (333, 700, 0.02, 0.3, 10.0, None),
        (333, 700, 0.5, 0.3, 10.0, None), // nothing left
        (20_000, 65, 0.02, 5.0, 10.0, None),
        (130, 65, 0.02, 0.3, 0.01, None), // the longest step binds
        (130, 65, 0.02, 0.0, 10.0, None),
        (130, 65, 0.02, 0.3, 10.0, Some(f32::NAN)),
        (130, 65, 0.02, 0.3, 10.0, Some(f32::INFINITY)),
        (130, 65, f32::NAN, 0.3, 10.0, None),
    ];
    for (samples, params, covered, length, max_step, among) in cases {
        let [expected, got] = subject.both(|device| {
            let mut guard = KlGuard::new(KlGuardConfig { target_kl: 0.01, ..Default::default() }, device)?;
            guard.begin_rollout();
            let old_log_std = Tensor::<1>::from_floats([-0.4, 1.9], device);
            let old_mean = noise(1, [samples, 2], device);
            let mean = old_mean.clone() + noise(2, [samples, 2], device) * covered;
            let policy = Gaussian::new(mean, old_log_std.clone() + 0.01);
            // Small parameters, so that what is added to them is not rounded away.
            let theta = vector(3, params, device) * 1e-3;
            let parameters = Tensor::cat(vec![theta.clone(), policy.log_std.clone()], 0);
            let direction = vector(4, params + 2, device) * length;
            let mut moved = noise(5, [samples, 2], device) * length;
            if let Some(number) = among {
                moved = moved.slice_fill([samples - 1..samples, 1..2], number);
            }
            let step = TrustRegionStep {
                policy: &policy,
                params: &parameters,
                old_mean: &old_mean,
                old_log_std: &old_log_std,
                direction: &direction,
                moved: &moved,
                max_step,
            };
            let next = trust_region_step(&guard, &step);
            let (next, log_std) = (next.clone().narrow(0, 0, params), next.narrow(0, params, 2));
            Ok([values(theta)?, values(next)?, values(log_std)?])
        })?;
        let among = among.map_or(String::new(), |number: f32| format!(", {number} among them"));
        let what = format!("{samples} samples, {covered} covered, direction {length}, at most {max_step}{among}");
        findings.compare(format!("{what}: begin"), Measure::Differing, [&expected[0], &got[0]], 0.0, COPY);
        if expected[1].iter().all(|x| x.is_finite()) {
            let moved =
                |[theta, next, _]: &[Vec<f32>; 3]| next.iter().zip(theta).map(|(a, b)| a - b).collect::<Vec<_>>();
            let pair = [moved(&expected), moved(&got)];
            findings.compare(format!("{what}: moves"), Measure::OfLargest(1e-6), [&pair[0], &pair[1]], 1e-5, SUMS);
            let log_std = [&expected[2][..], &got[2]];
            findings.compare(format!("{what}: log sigma"), Measure::Relative(1.0), log_std, 1e-6, SUMS);
        } else {
            let finite = |numbers: &[f32]| [f32::from(u8::from(numbers.iter().all(|x| x.is_finite())))];
            let pair = [finite(&expected[1]), finite(&got[1])];
            findings.compare(format!("{what}: not finite"), Measure::Differing, [&pair[0], &pair[1]], 0.0, SPECIAL);
        }
    }
    Ok(())
}
