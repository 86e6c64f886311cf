//! The kernels of a minibatch of the actor, one by one.

use super::noise;
use burn::tensor::{Device, Int, Tensor, TensorData};
use compute::noise::{NoiseKey, Stream};
use kfac::{Factors, Mlp, MlpSpec};
use safe_rl::{
    Decision, Gaussian, KlGuard, KlGuardConfig, Samples, TrustRegionStep, all_finite_in, mean_gaussian_kl, permutation,
    trust_region_step,
};
use test_support::device::cpu_and_gpu;
use test_support::numbers::{apart, apart_of_largest, bits, values};

fn vector(index: u64, length: usize, device: &Device) -> Tensor<1> {
    noise(index, [1, length], device).reshape([length])
}

#[test]
fn a_minibatch_is_gathered_bit_for_bit() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    for (all, inputs, actions, taken) in [(50, 11, 2, 33), (300, 60, 3, 300), (7, 1, 1, 1)] {
        let order = permutation(all, NoiseKey { seed: 3, stream: Stream::Other(1), step: 0 });
        let run = |device: &Device| {
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
            [
                values(taken.obs),
                values(taken.action),
                values(taken.mean),
                values(taken.log_prob),
                values(taken.advantage),
                values(taken.target),
            ]
        };
        for (host, device) in run(&cpu).iter().zip(run(&gpu)) {
            assert_eq!(bits(host), bits(&device), "{taken} of {all}");
        }
    }
}

#[test]
fn surrogates_equal_the_cpus() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    for (samples, objectives, actions) in [(1, 1, 1), (130, 2, 2), (5001, 2, 3)] {
        for (clip, bad) in [(None, None), (Some(0.2), None), (None, Some(f32::NAN)), (Some(0.1), Some(f32::INFINITY))] {
            let run = |device: &Device| {
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
                [values(surrogate.mean), values(surrogate.log_std), values(surrogate.value)]
            };
            let (host, device) = (run(&cpu), run(&gpu));
            for (name, (host, device)) in ["means", "log sigma", "values"].iter().zip(host.iter().zip(&device)) {
                let worst = apart_of_largest(host, device);
                eprintln!("{samples} samples, clip {clip:?}, {bad:?}, {name}: {worst:.1e}");
                assert!(worst < 1e-5, "{samples} samples, clip {clip:?}, {bad:?}, {name}: {worst}");
            }
        }
    }
}

#[test]
fn divergences_equal_the_cpus() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    for (samples, actions) in [(1, 1), (7, 3), (700, 2), (16_384, 2), (70_001, 2)] {
        for (shift, bad) in [(0.1, None), (1e-3, None), (0.0, None), (3.0, None), (0.1, Some(f32::NAN))] {
            let run = |device: &Device| {
                let (old, old_log_std) = (noise(1, [samples, actions], device), vector(2, actions, device) * 0.3);
                let mut mean = old.clone() + noise(3, [samples, actions], device) * shift;
                if let Some(bad) = bad {
                    mean = mean.slice_fill([samples - 1..samples, 0..1], bad);
                }
                let log_std = old_log_std.clone() + vector(4, actions, device) * shift * 0.3;
                values(mean_gaussian_kl(&old, &old_log_std, &mean, &log_std))[0]
            };
            let (host, device) = (run(&cpu), run(&gpu));
            eprintln!("{samples} x {actions}, moved by {shift}, {bad:?}: {host:e} {device:e}");
            let near = (host - device).abs() <= 1e-5 * host.abs() + 1e-9;
            assert!(near || (host.is_nan() && !device.is_finite()), "{samples} x {actions}, {shift}: {host} {device}");
        }
    }
}

#[test]
fn averages_take_what_the_mask_lets_in() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    let spec = MlpSpec::new([9, 17, 2], kfac::Activation::Tanh).expect("usable sizes");
    let run = |device: &Device| {
        let mlp = Mlp::init(spec.clone(), 3, 1.0, device);
        let seeds = || kfac::exact_seeds(Tensor::<1>::from_floats([-0.5, 0.3], device));
        let sample = |index: u64, scale: f32| {
            let x = noise(index, [40, 9], device) * scale;
            mlp.statistics(x, Tensor::<3>::ones([1, 40, 2], device), seeds()).factors
        };
        let mask = |x: f32| Tensor::<1>::from_floats([x], device);
        let mut factors = Factors::new(&spec, 0.9, device).expect("a valid decay");
        let mut seen = vec![values(factors.flat())];
        for (index, scale, taken) in
            [(1, f32::NAN, 0.0), (2, 1.0, 1.0), (3, 2.0, 0.0), (4, f32::NAN, 0.0), (5, 0.5, 1.0)]
        {
            let before = values(factors.flat());
            factors.update_if(mask(taken), &sample(index, scale));
            seen.push(values(factors.flat()));
            assert!(taken > 0.5 || bits(&before) == bits(&seen[seen.len() - 1]), "a refused sample entered");
        }
        let mut always = factors.clone();
        always.update(&sample(6, 1.0));
        factors.update_if(mask(1.0), &sample(6, 1.0));
        assert_eq!(bits(&values(always.flat())), bits(&values(factors.flat())), "with and without a mask");
        seen.push(values(always.flat()));
        let kfac::FisherSeeds::Constant(seeds) = seeds() else { panic!("the seeds are the same for every sample") };
        seen.push(values(seeds));
        seen
    };
    for (step, (host, device)) in run(&cpu).iter().zip(run(&gpu)).enumerate() {
        let worst = apart(host, &device);
        assert!(worst < 1e-6, "step {step}: {worst}");
    }
}

#[test]
fn what_is_not_finite_is_found_and_what_is_refused_does_not_enter() {
    let Some([_, gpu]) = cpu_and_gpu() else { return };
    let lengths = [1, 777, 40_000];
    let part = |i: usize| vector(i as u64, lengths[i], &gpu);
    let parts = || [0, 1, 2].map(part);
    let says = |tensors: [Tensor<1>; 3]| values(all_finite_in(tensors).number());
    assert_eq!(says(parts()), [1.0]);
    for i in 0..3 {
        for at in [0, lengths[i] / 2, lengths[i] - 1] {
            for (bad, expected) in [(f32::NAN, 0.0), (f32::NEG_INFINITY, 0.0), (-f32::MAX, 1.0)] {
                let mut tensors = parts();
                tensors[i] = tensors[i].clone().slice_fill([at..at + 1], bad);
                assert_eq!(says(tensors), [expected], "{bad} at {at} of part {i}");
                let one = all_finite_in([part(i).slice_fill([at..at + 1], bad)]);
                assert_eq!(values(one.mask().float()), [expected], "{bad} at {at} of {}", lengths[i]);
            }
        }
    }
    // A flag from a mask of tensor operations decides as one from a kernel.
    for (number, expected) in [(1.0f32, true), (0.0, false)] {
        let flag = Tensor::<1>::from_floats([number], &gpu).greater_scalar(0.5);
        let kernel = all_finite_in([Tensor::<1>::from_floats([if expected { 1.0 } else { f32::NAN }], &gpu)]);
        for decision in [Decision::new(flag), Decision::new(kernel)] {
            let current = [4, 5, 6].map(|i| vector(i, lengths[i as usize - 4], &gpu));
            let candidate = parts().map(|x| x.slice_fill([0..1], f32::NAN));
            let pairs = [0, 1, 2].map(|i| (candidate[i].clone(), current[i].clone()));
            let chosen = decision.select_all(pairs);
            for i in 0..3 {
                let source = if expected { &candidate[i] } else { &current[i] };
                assert_eq!(bits(&values(chosen[i].clone())), bits(&values(source.clone())), "part {i}");
            }
        }
    }
}

#[test]
fn a_step_is_as_long_as_on_the_cpu() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
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
        let run = |device: &Device| {
            let mut guard =
                KlGuard::new(KlGuardConfig { target_kl: 0.01, ..Default::default() }, device).expect("valid constants");
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
            let next = trust_region_step(
                &guard,
                &TrustRegionStep {
                    policy: &policy,
                    params: &parameters,
                    old_mean: &old_mean,
                    old_log_std: &old_log_std,
                    direction: &direction,
                    moved: &moved,
                    max_step,
                },
            );
            let (next, log_std) = (next.clone().narrow(0, 0, params), next.narrow(0, params, 2));
            (values(next), values(log_std), values(theta))
        };
        let (host, device) = (run(&cpu), run(&gpu));
        let what = format!("{samples} samples, {covered} covered, direction {length}, {among:?}");
        assert_eq!(host.2, device.2, "{what}: both begin at the same parameters");
        let finite = host.0.iter().all(|x| x.is_finite());
        assert_eq!(finite, device.0.iter().all(|x| x.is_finite()), "{what}");
        if finite {
            let moved = |next: &[f32]| next.iter().zip(&host.2).map(|(a, b)| a - b).collect::<Vec<f32>>();
            let (a, b) = (moved(&host.0), moved(&device.0));
            let longest = a.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            let worst = (apart_of_largest(&a, &b), apart(&host.1, &device.1));
            eprintln!("{what}: moves by up to {longest:e}, apart {worst:?}");
            assert!(worst.0 < 1e-5 && worst.1 < 1e-6, "{what}: {worst:?}");
        }
    }
}
