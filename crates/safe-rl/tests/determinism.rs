//! The same bits for any number of threads, and the same results from the references as from the CPU leaves.
//!
//! An autodiff device stands in for every other backend: its tensors offer no direct access to memory, so each operation
//! takes its reference in tensor operations (`KFCPO_TEST_DEVICE` puts a GPU there instead).

use burn::tensor::{Device, Tensor};
use compute::noise::{NoiseKey, Stream, normals};
use safe_rl::{
    Adam, AdamConfig, EpisodeTotals, GaeConfig, Gaussian, KlGuard, KlGuardConfig, Margin, MarginConfig, Normalizer,
    NormalizerConfig, Products, ProjectionKind, RolloutBuilder, RolloutStep, Samples, all_finite, blend, center, gae,
    minibatch_indices, standardize,
};
use test_support::device::plain_device;
use test_support::numbers::{self, tensor};

const ENVS: usize = 300;
const STEPS: usize = 12;
const OBS: usize = 7;
const ACTIONS: usize = 2;

/// Names and values of everything the chain computed.
type Trace = Vec<(&'static str, Vec<f32>)>;

fn key(stream: u32, step: u64) -> NoiseKey {
    NoiseKey { seed: 21, stream: Stream::Other(stream), step }
}

fn noise<const D: usize>(stream: u32, step: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    tensor(&normals(key(stream, step), shape.iter().product(), 1), shape, device)
}

/// A rollout with a linear policy and critic, then one update, all through the public interface.
fn chain(device: &Device) -> Trace {
    let mut trace = Trace::new();
    let mut theta: Tensor<2> = noise(1, 0, [OBS, ACTIONS], device) * 0.1;
    let log_std = Tensor::<1>::from_floats([-0.5, -0.2], device);
    let mut normalizer = Normalizer::new(OBS, NormalizerConfig::default(), device).unwrap();
    normalizer.observe(noise(2, 999, [ENVS, OBS], device) * 2.0 + 3.0);
    normalizer.commit();

    let mut builder = RolloutBuilder::with_capacity(STEPS);
    for t in 0..STEPS as u64 {
        let obs = normalizer.observe(noise(2, t, [ENVS, OBS], device) * 2.0 + 3.0);
        let policy = Gaussian::new(obs.clone().matmul(theta.clone()), log_std.clone());
        let (action, log_prob) = policy.act(key(3, t));
        let flag = |stream| noise::<1>(stream, t, [ENVS], device).greater_scalar(1.8).float();
        let step = RolloutStep {
            obs,
            mean: policy.mean,
            reward: action.clone().sum_dim(1).squeeze_dim(1),
            costs: action.clone().square().mean_dim(1).transpose(),
            action,
            log_prob,
            terminated: flag(4),
            truncated: flag(5),
            final_obs: noise(6, t, [ENVS, OBS], device),
            episode: EpisodeTotals {
                episode_return: noise(7, t, [ENVS], device),
                costs: noise(8, t, [1, ENVS], device),
                length: noise(9, t, [ENVS], device),
                partial: flag(10),
            },
        };
        builder.push(step).unwrap();
    }
    let last = normalizer.apply(noise(2, 500, [ENVS, OBS], device));
    let rollout = builder.finish(last, log_std.clone(), |raw| normalizer.apply(raw)).unwrap();
    normalizer.commit();
    trace.push(("normalizer mean", numbers::values(normalizer.mean())));
    trace.push(("normalizer std", numbers::values(normalizer.std())));
    trace.push(("costs", rollout.finished.iter().map(|e| e.costs[0]).collect()));
    assert!(rollout.bootstraps() > 20 && rollout.finished.len() > rollout.bootstraps());

    let critic = noise(11, 0, [OBS, 1], device);
    let value = rollout.critic_inputs().matmul(critic).transpose();
    let critics = rollout.values(Tensor::cat(vec![value.clone(), value], 0));
    let configs = [GaeConfig::default(); 2];
    let gae = gae(&rollout.signals, &critics.value, &critics.next_value, &rollout.done, &configs);
    let row = |s: usize| gae.advantage.clone().narrow(0, s, 1).reshape([1, STEPS * ENVS]);
    let advantage = Tensor::cat(vec![standardize(row(0)), center(row(1))], 0);
    trace.push(("advantage", numbers::values(advantage.clone())));
    let samples = Samples {
        obs: rollout.obs.clone(),
        action: rollout.action.clone(),
        mean: rollout.mean.clone(),
        log_prob: rollout.log_prob.clone(),
        advantage,
        target: gae.target.reshape([2, STEPS * ENVS]),
    };

    let weights = Margin::new(25.0, MarginConfig { margin_start: 0.0, ..Default::default() }).unwrap().weights(0.04);
    let mut guard = KlGuard::new(KlGuardConfig { target_kl: 0.01, ..Default::default() }, device).unwrap();
    let mut adam = Adam::new(1, OBS, AdamConfig::default(), device).unwrap();
    let mut value = Tensor::zeros([OBS], device);
    for index in minibatch_indices(rollout.samples(), 1000, key(12, 0), device) {
        let batch = samples.select(&index);
        let policy = Gaussian::new(batch.obs.clone().matmul(theta.clone()), log_std.clone());
        let surrogate = policy.surrogate(&batch.action, &batch.log_prob, &batch.advantage, None);
        let gradients = batch.obs.clone().transpose().unsqueeze::<3>().matmul(surrogate.mean);
        let gradients = gradients.reshape([2, OBS * ACTIONS]);
        let natural = gradients.clone() * 0.5;
        let products = Products::metric(&gradients, &natural);
        let blended = blend(ProjectionKind::Fisher, &products, &products, &[weights], None);
        let direction = blended.direction(&natural).reshape([OBS, ACTIONS]);
        let radius = guard.radius(&policy.mean_kl(&batch.mean, &log_std));
        let candidate = theta.clone() + direction * radius.unsqueeze();
        let kl =
            Gaussian::new(batch.obs.clone().matmul(candidate.clone()), log_std.clone()).mean_kl(&batch.mean, &log_std);
        trace.push(("blend", numbers::values(blended.summary())));
        trace.push(("kl", numbers::values(kl.clone())));
        let decision = guard.accept_or_reject(&kl, all_finite(&candidate), blended.usable);
        theta = decision.select(candidate, theta);
        let error = batch.obs.clone().matmul(value.clone().unsqueeze_dim(1)) - batch.target.narrow(0, 0, 1).transpose();
        let gradient = (batch.obs * error).mean_dim(0).squeeze_dim(0);
        value = adam.step(value, gradient);
    }
    trace.push(("theta", numbers::values(theta)));
    trace.push(("value", numbers::values(value)));
    trace.push(("guard", guard.state().unwrap().tensors["slots"].values.clone()));
    trace
}

#[test]
fn the_references_give_the_results_of_the_cpu_leaves() {
    let (fused, plain) = (chain(&Device::flex()), chain(&plain_device()));
    assert_eq!(fused.len(), plain.len());
    for ((name, a), (_, b)) in fused.iter().zip(&plain) {
        let size = b.iter().fold(0.0f32, |size, x| size.max(x.abs()));
        assert_eq!(a.len(), b.len(), "{name}");
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= 1e-4 * size, "{name}: {a} {b} of {size}");
        }
    }
}

#[test]
fn an_autodiff_device_does_take_the_references() {
    let mask = Tensor::<1>::ones([1], &Device::flex().autodiff()).greater_scalar(0.5);
    assert_eq!(safe_rl::Decision::new(mask).known(), None);
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let trace = pool.install(|| chain(&Device::flex()));
        trace
            .into_iter()
            .map(|(name, x)| (name, x.iter().map(|x| x.to_bits()).collect()))
            .collect::<Vec<(_, Vec<u32>)>>()
    };
    let one = run(1);
    assert_eq!(one, run(1), "the same seed twice");
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}
