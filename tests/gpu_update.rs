//! What an update does in a few launches on a GPU, against the CPU backend.

#[path = "gpu_update/actor.rs"]
mod actor;

use burn::tensor::{Device, Tensor};
use compute::noise::{NoiseKey, Stream, normals};
use kfac::{Activation, Factors, FisherSeeds, Mlp, MlpSpec, Statistics};
use safe_rl::{
    Adam, AdamConfig, GaeConfig, KlGuard, KlGuardConfig, MarginWeights, Products, ProjectionKind, Samples, all_finite,
    blend, gae,
};
use test_support::device::cpu_and_gpu;
use test_support::numbers::{apart, tensor, values};
use trainer::algorithm::kfcpo::KfcpoConfig;
use trainer::algorithm::{self, Context, CostEstimate, Progress, ReturnEstimate, Setup};
use trainer::comm::Alone;
use trainer::config::TrainConfig;
use trainer::critics::Critics;
use trainer::policy::Policy;

/// Standard normals, the same on every device.
fn noise(index: u64, shape: [usize; 2], device: &Device) -> Tensor<2> {
    tensor(&normals(NoiseKey { seed: 6, stream: Stream::Other(0), step: index }, shape[0], shape[1]), shape, device)
}

#[test]
fn advantages_in_one_launch_equal_the_cpus() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    for (steps, envs) in [(1, 5), (40, 70), (129, 3)] {
        let numbers = |index: u64, rows: usize| {
            normals(NoiseKey { seed: 4, stream: Stream::Other(0), step: index }, rows * steps, envs)
        };
        let advantages = |device: &Device| {
            let rows = |index| tensor(&numbers(index, 3), [3, steps, envs], device);
            let done = tensor::<2>(&numbers(6, 1), [steps, envs], device).greater_scalar(1.0).float();
            let config = |gamma, gae_lambda| GaeConfig { gamma, gae_lambda };
            let configs = [GaeConfig::default(), config(0.9, 0.5), config(0.5, 1.0)];
            let gae = gae(&rows(0), &rows(1), &rows(2), &done, &configs);
            [gae.advantage, gae.target].map(values::<3>)
        };
        let (host, device) = (advantages(&cpu), advantages(&gpu));
        for (host, device) in host.iter().zip(&device) {
            let worst = apart(host, device);
            assert!(worst < 1e-5, "{steps} x {envs}: {worst}");
        }
    }
}

#[test]
fn the_gradient_of_a_regression_equals_the_cpus() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    let shapes: [(&[usize], Activation, usize); 5] = [
        (&[60, 64, 64, 1], Activation::Tanh, 1024),
        (&[7, 13, 9, 3], Activation::Relu, 130),
        (&[5, 2], Activation::Tanh, 1),
        (&[3, 17, 1], Activation::Tanh, 64),
        (&[3, 160, 2], Activation::Tanh, 65), // too wide for units
    ];
    for (sizes, activation, samples) in shapes {
        let spec = MlpSpec::new(sizes, activation).expect("usable sizes");
        let run = |device: &Device| {
            let mlp = Mlp::init(spec.clone(), 3, 1.0, device);
            // Biases that are not zero.
            let shift = noise(9, [1, spec.num_params()], device).reshape([spec.num_params()]);
            let mlp = mlp.with_theta(mlp.theta().clone() + shift * 0.1);
            let x = noise(1, [samples + 3, spec.input_size()], device).narrow(0, 2, samples);
            let (gradient, loss) = mlp.regression_gradient(x, noise(2, [samples, spec.output_size()], device));
            (values(gradient), values(loss))
        };
        let (host, device) = (run(&cpu), run(&gpu));
        let worst = (apart(&host.0, &device.0), apart(&host.1, &device.1));
        eprintln!("{sizes:?}, {samples} samples: gradient {:.1e}, loss {:.1e}", worst.0, worst.1);
        assert!(worst.0 < 1e-5 && worst.1 < 1e-5, "{sizes:?}: {worst:?}");
    }
}

#[test]
fn the_passes_of_an_update_equal_the_cpus() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    let shapes: [(&[usize], Activation, usize, bool); 4] = [
        (&[60, 64, 64, 2], Activation::Tanh, 300, true),
        (&[9, 13, 21, 3], Activation::Relu, 129, false),
        (&[5, 2], Activation::Tanh, 1, true),
        (&[8, 150, 2], Activation::Tanh, 70, false), // too wide for units
    ];
    for (sizes, activation, samples, constant) in shapes {
        let spec = MlpSpec::new(sizes, activation).expect("usable sizes");
        let outputs = spec.output_size();
        let run = |device: &Device| {
            let params = spec.num_params();
            let vector = |index: u64| noise(index, [1, params], device).reshape([params]);
            let mlp = Mlp::init(spec.clone(), 3, 1.0, device);
            let mlp = mlp.with_theta(mlp.theta().clone() + vector(9) * 0.1);
            let x = noise(1, [samples, spec.input_size()], device);
            let stack =
                |index: u64, n: usize| noise(index, [n * samples, outputs], device).reshape([n, samples, outputs]);
            let seeds = if constant {
                FisherSeeds::Constant(noise(5, [2, outputs], device))
            } else {
                FisherSeeds::PerSample(stack(6, 3))
            };
            let pass = mlp.forward_pass(x.clone());
            let Statistics { gradients, factors } = pass.statistics(stack(2, 2) / samples as f32, seeds);
            [
                values(mlp.forward(x.clone())),
                values(pass.outputs()),
                values(pass.jvp(vector(4))),
                values(pass.jvp(Tensor::cat(vec![vector(4), vector(5).narrow(0, 0, 1)], 0))), // longer than theta
                values(gradients),
                values(factors.flat().clone()),
                values(mlp.gradients(x, stack(7, 1) / samples as f32)),
            ]
        };
        let names = ["forward", "outputs", "tangents", "longer tangents", "gradients", "factors", "gradients alone"];
        for ((name, host), device) in names.into_iter().zip(run(&cpu)).zip(run(&gpu)) {
            let largest = host.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
            let worst = host.iter().zip(&device).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
            eprintln!("{sizes:?}, {name}: {worst:.1e} of the largest");
            assert!(host.len() == device.len() && worst < 1e-5, "{sizes:?}, {name}: {worst}");
        }
    }
}

#[test]
fn adam_equals_the_cpus_and_skips_what_is_not_finite() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    const NETWORKS: usize = 3;
    const PARAMETERS: usize = 700;
    const ALL: usize = NETWORKS * PARAMETERS;
    for max_grad_norm in [None, Some(0.5)] {
        let run = |device: &Device| {
            let config = AdamConfig { learning_rate: 0.01, max_grad_norm, ..AdamConfig::default() };
            let mut adam = Adam::new(NETWORKS, PARAMETERS, config, device).expect("valid constants");
            let mut theta = noise(0, [1, ALL], device).reshape([ALL]);
            for step in 1..12 {
                let mut gradient = noise(step, [1, ALL], device).reshape([ALL]) + theta.clone();
                match step {
                    4 => gradient = gradient.slice_fill(1300..1301, f32::NAN),
                    7 => gradient = gradient.slice_fill(3..4, f32::NEG_INFINITY),
                    _ => {}
                }
                theta = adam.step(theta, gradient);
            }
            let moments = adam.state().expect("a device that works").tensors;
            let numbers: Vec<f32> = moments.into_values().flat_map(|tensor| tensor.values).collect();
            (values(theta), numbers, values(adam.skipped()))
        };
        let (host, device) = (run(&cpu), run(&gpu));
        let worst = (apart(&host.0, &device.0), apart(&host.1, &device.1));
        eprintln!("norm limit {max_grad_norm:?}: parameters {:.1e}, moments {:.1e}", worst.0, worst.1);
        assert!(worst.0 < 1e-5 && worst.1 < 1e-5, "{max_grad_norm:?}: {worst:?}");
        assert_eq!(device.2, [1.0, 1.0, 0.0], "steps that each network skipped");
    }
}

#[test]
fn inverses_equal_the_cpus_the_hopeless_ones_included() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    let spec = MlpSpec::new([20, 33, 6, 2], Activation::Tanh).expect("usable sizes");
    for (what, scale, damping) in [("ordinary", 1.0, 0.1), ("strong", 30.0, 1e-3), ("not finite", f32::NAN, 0.1)] {
        let run = |device: &Device| {
            let mlp = Mlp::init(spec.clone(), 5, 1.0, device);
            let x = noise(1, [300, 20], device) * scale;
            let cotangents = Tensor::<3>::ones([1, 300, 2], device) / 300.0;
            let seeds = kfac::exact_seeds(Tensor::<1>::from_floats([-0.5, 0.3], device));
            let mut factors = Factors::new(&spec, 0.9, device).expect("a valid decay");
            factors.update(&mlp.statistics(x, cotangents, seeds).factors);
            let inverse = factors.inverse(damping).expect("a valid damping");
            let counts = Tensor::cat(vec![inverse.raised(), inverse.fallbacks()], 0);
            let natural = inverse.natural_gradients(noise(8, [2, spec.num_params()], device));
            let with_log_std = inverse.natural_gradients(noise(9, [2, spec.num_params() + 3], device));
            (values(inverse.flat().clone()), values(counts), [values(natural), values(with_log_std)])
        };
        let (host, device) = (run(&cpu), run(&gpu));
        assert_eq!(host.1, device.1, "{what}: matrices damped more, matrices given up");
        let largest = host.0.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        let worst = host.0.iter().zip(&device.0).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
        eprintln!("{what}: {worst:.1e} of the largest entry, {largest:.1e}; {:?}", host.1);
        assert!(worst < 2e-4, "{what}: {worst}");
        for (host, device) in host.2.iter().zip(&device.2) {
            let largest = host.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            let worst = host.iter().zip(device).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
            eprintln!("{what}, natural gradients: {worst:.1e} of the largest");
            assert!(host.len() == device.len() && worst < 2e-4, "{what}, natural gradients: {worst}");
        }
    }
}

#[test]
fn steering_numbers_equal_the_cpus_special_ones_included() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    let norms = [0.0, 1e-13, 3e-7, 0.5, 2e4, f32::INFINITY, f32::NAN];
    let inner = [-1.0, -1e-9, 0.0, 0.3, f32::NEG_INFINITY, f32::NAN];
    let kinds = [ProjectionKind::Fisher, ProjectionKind::None, ProjectionKind::Hard];
    let weights =
        |w: f64, p: f64| MarginWeights { margin: -0.2, offset: 0.1, safety_weight: w, projection_strength: p };
    for (q, s) in norms.iter().flat_map(|q| norms.map(|s| (*q, s))) {
        for kappa in inner {
            let kappa = if q.is_finite() && s.is_finite() { kappa * (q * s).sqrt() } else { kappa };
            for (kind, weights) in kinds.into_iter().zip([weights(0.4, 0.7), weights(0.0, 0.2), weights(1.0, 0.5)]) {
                let run = |device: &Device, bound: Option<f32>| {
                    let products = Products { gram: Tensor::from_floats([[q, -kappa], [-kappa, s]], device) };
                    let bound = bound.map(|bound| Tensor::<1>::from_floats([bound], device));
                    let blend = blend(kind, &products, &products, &[weights], bound.as_ref());
                    let natural = Tensor::<2>::from_floats([[1.0, 2.0, -0.5], [3.0, f32::NAN, 0.25]], device);
                    let usable = values(blend.usable.number());
                    let direction = values(blend.direction(&natural).narrow(0, 2, 1));
                    [values(blend.alpha), values(blend.beta), usable, direction, values(blend.safety)].concat()
                };
                for bound in [None, Some(0.0), Some(0.2)] {
                    let (host, device) = (run(&cpu, bound), run(&gpu, bound));
                    for (a, b) in host.iter().zip(&device) {
                        let same = (a - b).abs() <= 2e-5 * a.abs().max(1e-6);
                        assert!(same, "{kind:?}, q {q}, s {s}, kappa {kappa}, {bound:?}: {host:?} {device:?}");
                    }
                }
            }
        }
    }
    let rows = |device: &Device| (noise(1, [3, 777], device), noise(2, [3, 777], device) + 0.1);
    let products = |device: &Device| {
        let (left, right) = rows(device);
        values(Products::metric(&left, &right).gram)
    };
    for (a, b) in products(&cpu).iter().zip(products(&gpu)) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
    for (bad, expected) in [(f32::NAN, 0.0), (f32::INFINITY, 0.0), (f32::MAX, 1.0)] {
        let flag = values(all_finite(&rows(&gpu).0.slice_fill([1..2, 700..701], bad)).number());
        assert_eq!(flag, [expected], "{bad}");
    }
}

#[test]
fn the_guard_decides_as_on_the_cpu() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
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
    let run = |device: &Device| {
        let config = KlGuardConfig { target_kl: 0.01, ..KlGuardConfig::default() };
        let mut guard = KlGuard::new(config, device).expect("valid constants");
        let scalar = |x: f32| Tensor::<1>::from_floats([x], device);
        let mut seen = Vec::new();
        for round in 0..2 {
            guard.begin_rollout();
            guard.set_target_kl(0.01 / (1.0 + f64::from(round)));
            for (kl, finite, usable, before) in tries {
                seen.extend(values(guard.radius(&scalar(before))));
                let flag = |x: f32| scalar(x).greater_scalar(0.5);
                let decision = guard.accept_or_reject(&scalar(kl), flag(finite), flag(usable));
                seen.extend(values(decision.accept.number()));
                seen.extend(values(guard.counters()));
            }
            seen.extend(values(guard.accept_or_restore(&scalar(0.1)).accept.number()));
            seen.extend(values(guard.counters()));
        }
        seen
    };
    let worst = apart(&run(&cpu), &run(&gpu));
    assert!(worst < 1e-6, "{worst}");
}

/// A whole update of actor and critics from the same samples.
#[test]
fn an_update_equals_the_cpus() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    const OBS: usize = 11;
    let mut config = TrainConfig { seed: 2, ..TrainConfig::default() };
    config.policy.hidden = vec![16, 24];
    config.policy.output_gain = 0.5;
    config.critic.hidden = vec![24, 16];
    config.critic.minibatch_size = 100;
    config.section_mut::<KfcpoConfig>().minibatch_size = 100;
    config.section_mut::<KfcpoConfig>().price.price_bound = 1.0;
    let run = |device: &Device| {
        let mut policy = Policy::new(&config.policy, OBS, 2, config.seed, device).expect("a usable shape");
        let obs = noise(1, [800, OBS], device);
        let behaviour = policy.distribution(obs.clone());
        let action = behaviour.mean.clone() + noise(2, [800, 2], device) * 0.6;
        let samples = Samples {
            log_prob: behaviour.log_prob(&action),
            mean: behaviour.mean,
            action,
            advantage: noise(3, [2, 800], device) + obs.clone().narrow(1, 0, 2).transpose(),
            target: noise(4, [2, 800], device),
            obs,
        };
        let before = values(policy.network().theta().clone());
        let constraints = config.cost_limit.of(&["cost".to_owned()]).expect("one limit");
        let setup = Setup { config: &config, policy: &policy, constraints: &constraints, horizon: 1000 };
        let mut kfcpo = algorithm::build(&setup).expect("a known algorithm");
        let mut metrics = Vec::new();
        for iteration in 1..3 {
            let costs = [CostEstimate { rollout: 30.0, episodes: 30.0 }];
            let earned = ReturnEstimate { rollout: 10.0, advantage_scale: Tensor::full([1], 0.5, device) };
            let context = Context {
                costs: &costs,
                earned: &earned,
                progress: Progress { fraction: 0.1, iteration },
                comm: &Alone,
            };
            let update = kfcpo.update(&mut policy, &samples, &context).expect("an update");
            metrics = update.read().expect("numbers").metrics;
        }
        let mut critics = Critics::new(&config, 2, OBS, device).expect("a usable shape");
        let losses = critics.fit(&samples, 1);
        let predicted = critics.values(samples.obs);
        let moved: Vec<f32> =
            values(policy.network().theta().clone()).iter().zip(before).map(|(after, before)| after - before).collect();
        let critics = [values(losses), values(predicted)].concat();
        (moved, [values(policy.log_std().clone()), critics].concat(), metrics)
    };
    let (host, device) = (run(&cpu), run(&gpu));
    let length = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let difference: Vec<f32> = host.0.iter().zip(&device.0).map(|(a, b)| a - b).collect();
    let share = length(&difference) / length(&host.0);
    let rest = apart(&host.1, &device.1);
    eprintln!("the step differs by {share:.1e} of its length, log sigma, losses and values by {rest:.1e}");
    assert!(length(&host.0) > 1e-3, "the actor did not move");
    assert!(share < 1e-3 && rest < 1e-4, "{share} {rest}");
    for ((name, a), (_, b)) in host.2.iter().zip(&device.2) {
        assert!((a - b).abs() <= 1e-3 * a.abs().max(1e-2), "{name}: {a} {b}");
    }
}
