//! KFCPO's update as a whole, on hand-made samples: the trust region holds, and bad numbers change nothing.

#[path = "support/device.rs"]
mod device;

use burn::tensor::{Device, Tensor};
use compute::noise::{NoiseKey, Stream, normals};
use device::test_device;
use safe_rl::Samples;
use trainer::algorithm::{self, Algorithm, CostEstimate, Metrics, Progress};
use trainer::config::TrainConfig;
use trainer::policy::Actor;
use trainer::policy::exported::{host, scalar};
use trainer::runner::Runner;

const OBS: usize = 6;
const ACTIONS: usize = 2;
const SAMPLES: usize = 4096;

fn config() -> TrainConfig {
    let mut config = TrainConfig::default();
    config.policy.hidden = vec![16, 16];
    config.kfcpo.minibatch_size = 1024;
    config
}

fn noise(step: u64, rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    let values = normals(NoiseKey { seed: 4, stream: Stream::Other(0), step }, rows, columns);
    Tensor::<1>::from_floats(values.as_slice(), device).reshape([rows, columns])
}

/// Samples whose reward advantage rises and whose cost advantage falls with the first action.
fn samples(actor: &Actor, step: u64) -> Samples {
    let device = actor.log_std.device();
    let obs = noise(2 * step, SAMPLES, OBS, &device);
    let act = actor.act(obs.clone(), NoiseKey { seed: 9, stream: Stream::Other(1), step });
    let first = act.action.clone().narrow(1, 0, 1).reshape([1, SAMPLES]);
    let second = act.action.clone().narrow(1, 1, 1).reshape([1, SAMPLES]);
    Samples {
        obs,
        action: act.action,
        mean: act.mean,
        log_prob: act.log_prob,
        advantage: Tensor::cat(vec![first, second], 0),
        target: Tensor::zeros([2, SAMPLES], &device),
    }
}

fn update(algorithm: &mut dyn Algorithm, actor: &mut Actor, samples: &Samples, cost: f64, iteration: u64) -> Metrics {
    let cost = CostEstimate { rollout: cost, episodes: cost };
    let at = Progress { fraction: 0.0, iteration };
    let numbers = algorithm.update(actor, samples, cost, at).expect("the CPU can be read");
    numbers.read().expect("the CPU can be read")
}

fn value(metrics: &Metrics, name: &str) -> f64 {
    metrics.iter().find(|(key, _)| *key == name).expect("a metric of this name").1
}

fn parameters(actor: &Actor) -> Vec<f32> {
    [host(actor.mean.theta()).expect("readable"), host(&actor.log_std).expect("readable")].concat()
}

#[test]
fn accepted_steps_stay_within_the_trust_region_and_raise_the_surrogate() {
    let config = config();
    let mut actor = Actor::new(&config, OBS, ACTIONS, &test_device()).expect("a valid shape");
    let mut kfcpo = algorithm::build(&config, &actor).expect("a known algorithm");
    for iteration in 0..20 {
        let samples = samples(&actor, iteration);
        let before = actor.clone();
        let metrics = update(&mut *kfcpo, &mut actor, &samples, 0.0, iteration);
        assert!(value(&metrics, "KFCPO/Accepted") >= 1.0, "{metrics:?}");
        let kl = actor.distribution(samples.obs.clone()).mean_kl(&samples.mean, &before.log_std);
        let kl = scalar(kl).expect("readable");
        assert!(kl > 0.0 && kl <= 1.5 * config.kfcpo.target_kl, "KL {kl}");
        // Far below the limit the direction is the reward's: the mean of the first action rises.
        let rise = actor.mean.forward(samples.obs.clone()) - before.mean.forward(samples.obs.clone());
        let rise = host(&rise.narrow(1, 0, 1).mean()).expect("readable")[0];
        assert!(rise > 0.0, "iteration {iteration}: {rise}");
    }
}

#[test]
fn far_beyond_the_limit_the_cost_surrogate_falls() {
    let config = config();
    let mut actor = Actor::new(&config, OBS, ACTIONS, &test_device()).expect("a valid shape");
    let mut kfcpo = algorithm::build(&config, &actor).expect("a known algorithm");
    for iteration in 0..5 {
        let samples = samples(&actor, iteration);
        let before = actor.mean.forward(samples.obs.clone());
        update(&mut *kfcpo, &mut actor, &samples, 500.0, iteration);
        let rise = actor.mean.forward(samples.obs.clone()) - before;
        let rise = host(&rise.narrow(1, 1, 1).mean()).expect("readable")[0];
        assert!(rise < 0.0, "iteration {iteration}: {rise}");
    }
}

#[test]
fn numbers_that_are_not_finite_leave_the_policy_bit_for_bit() {
    let config = config();
    let mut actor = Actor::new(&config, OBS, ACTIONS, &test_device()).expect("a valid shape");
    let mut kfcpo = algorithm::build(&config, &actor).expect("a known algorithm");
    let good = samples(&actor, 0);
    update(&mut *kfcpo, &mut actor, &good, 30.0, 0);
    let before = parameters(&actor);
    let good = samples(&actor, 1);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut poisoned = good.clone();
        poisoned.advantage = Tensor::full([2, SAMPLES], bad, &actor.log_std.device());
        let metrics = update(&mut *kfcpo, &mut actor, &poisoned, 30.0, 1);
        assert_eq!(value(&metrics, "KFCPO/Accepted"), 0.0);
        assert_eq!(parameters(&actor), before);
        let mut poisoned = good.clone();
        poisoned.obs = Tensor::full([SAMPLES, OBS], bad, &actor.log_std.device());
        update(&mut *kfcpo, &mut actor, &poisoned, f64::NAN, 2);
        assert_eq!(parameters(&actor), before);
    }
    // Nothing stuck: the next good batch is learned from.
    let metrics = update(&mut *kfcpo, &mut actor, &good, 30.0, 3);
    assert!(value(&metrics, "KFCPO/Accepted") >= 1.0, "{metrics:?}");
    let after = parameters(&actor);
    assert!(after != before && after.iter().all(|x| x.is_finite()));
}

#[test]
fn a_restored_run_takes_the_same_steps_bit_for_bit_under_its_schedules() {
    for algo in ["kfcpo", "ppo", "ppo-lag"] {
        let mut config = TrainConfig { algo: algo.into(), num_envs: 16, rollout_steps: 16, ..TrainConfig::default() };
        config.total_steps = 8 * config.batch_size() as u64;
        (config.ppo.epochs, config.ppo.minibatch_size, config.critic.minibatch_size) = (2, 64, 64);
        let mut whole = Runner::new(config.clone(), test_device()).expect("a valid configuration");
        (0..4).for_each(|_| drop(whole.iterate().expect("the CPU works")));
        let saved = whole.save().expect("readable");
        let mut resumed = Runner::new(config, test_device()).expect("a valid configuration");
        resumed.load(&saved).expect("the same configuration");
        for runner in [&mut whole, &mut resumed] {
            while !runner.done() {
                runner.iterate().expect("the CPU works");
            }
        }
        let (a, b) = (whole.save().expect("readable"), resumed.save().expect("readable"));
        for (name, tensor) in &a.tensors {
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&tensor.values), bits(&b.tensors[name].values), "{algo}: {name}");
        }
        let timeless = |name: &str| name != "runner.totals";
        for (name, value) in a.scalars.iter().filter(|(name, _)| timeless(name)) {
            assert_eq!(value, &b.scalars[name], "{algo}: {name}");
        }
    }
}
