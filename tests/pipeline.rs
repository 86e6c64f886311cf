//! Updates as a whole, on hand-made samples: the trust region holds, bad numbers change nothing, and every rival does what
//! it claims.

use burn::tensor::{Device, Tensor};
use compute::noise::{NoiseKey, Stream, normals};
use safe_rl::{AdamMultiplierConfig, Samples};
use test_support::device::test_device;
use trainer::algorithm::first_order::FirstOrderSettings;
use trainer::algorithm::focops::FocopsConfig;
use trainer::algorithm::kfcpo::KfcpoConfig;
use trainer::algorithm::ppo::PpoConfig;
use trainer::algorithm::{self, Algorithm, Context, CostEstimate, Progress, ReturnEstimate, Setup, UpdateReport};
use trainer::comm::Alone;
use trainer::config::TrainConfig;
use trainer::policy::Policy;
use trainer::policy::exported::{host, scalar};
use trainer::runner::Runner;

const OBS: usize = 6;
const ACTIONS: usize = 2;
const SAMPLES: usize = 4096;

fn config() -> TrainConfig {
    let mut config = TrainConfig::default();
    config.policy.hidden = vec![16, 16];
    config.section_mut::<KfcpoConfig>().minibatch_size = 1024;
    config
}

fn noise(step: u64, rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    let values = normals(NoiseKey { seed: 4, stream: Stream::Other(0), step }, rows, columns);
    Tensor::<1>::from_floats(values.as_slice(), device).reshape([rows, columns])
}

/// Samples whose reward advantage rises and whose cost advantage falls with the first action.
fn samples(policy: &Policy, step: u64) -> Samples {
    let device = policy.device();
    let obs = noise(2 * step, SAMPLES, OBS, &device);
    let act = policy.act(obs.clone(), NoiseKey { seed: 9, stream: Stream::Other(1), step });
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

fn start(config: &TrainConfig) -> (Policy, Box<dyn Algorithm>) {
    let policy = Policy::new(&config.policy, OBS, ACTIONS, config.seed, &test_device()).expect("a valid shape");
    let constraints = config.cost_limit.of(&["cost".to_owned()]).expect("one limit");
    let setup = Setup { config, policy: &policy, constraints: &constraints, horizon: 1000 };
    let algorithm = algorithm::build(&setup).expect("a known algorithm");
    (policy, algorithm)
}

fn update(
    algorithm: &mut dyn Algorithm,
    policy: &mut Policy,
    samples: &Samples,
    cost: f64,
    iteration: u64,
) -> UpdateReport {
    let costs = [CostEstimate { rollout: cost, episodes: cost }];
    let earned = ReturnEstimate::unknown(&test_device());
    let context =
        Context { costs: &costs, earned: &earned, progress: Progress { fraction: 0.0, iteration }, comm: &Alone };
    let update = algorithm.update(policy, samples, &context).expect("the CPU can be read");
    update.read().expect("the CPU can be read")
}

fn accepted(update: &UpdateReport) -> f64 {
    update.accepted.expect("KFCPO counts its steps")
}

fn parameters(policy: &Policy) -> Vec<f32> {
    host(policy.params()).expect("readable")
}

#[test]
fn accepted_steps_stay_within_the_trust_region_and_raise_the_surrogate() {
    let config = config();
    let (mut policy, mut kfcpo) = start(&config);
    for iteration in 0..20 {
        let samples = samples(&policy, iteration);
        let before = policy.clone();
        let metrics = update(&mut *kfcpo, &mut policy, &samples, 0.0, iteration);
        // Every minibatch tries a step, and most are kept: what the quadratic model allows the divergence confirms.
        let steps = (KfcpoConfig::default().epochs * SAMPLES / 1024) as f64;
        let [rejected, skipped] =
            [metrics.rejected, metrics.skipped].map(|count| count.expect("KFCPO counts its steps"));
        assert_eq!((accepted(&metrics) + rejected, skipped), (steps, 0.0), "{metrics:?}");
        assert!(accepted(&metrics) >= 0.75 * steps, "{metrics:?}");
        let kl = policy.distribution(samples.obs.clone()).mean_kl(&samples.mean, before.log_std());
        let kl = scalar(kl).expect("readable");
        assert!(kl > 0.0 && kl <= 1.5 * KfcpoConfig::default().guard.target_kl, "KL {kl}");
        // Far below the limit the direction is the reward's: the mean of the first action rises.
        let rise = policy.forward(samples.obs.clone()) - before.forward(samples.obs.clone());
        let rise = host(&rise.narrow(1, 0, 1).mean()).expect("readable")[0];
        assert!(rise > 0.0, "iteration {iteration}: {rise}");
    }
}

#[test]
fn far_beyond_the_limit_the_cost_surrogate_falls() {
    let config = config();
    let (mut policy, mut kfcpo) = start(&config);
    for iteration in 0..5 {
        let samples = samples(&policy, iteration);
        let before = policy.forward(samples.obs.clone());
        update(&mut *kfcpo, &mut policy, &samples, 500.0, iteration);
        let rise = policy.forward(samples.obs.clone()) - before;
        let rise = host(&rise.narrow(1, 1, 1).mean()).expect("readable")[0];
        assert!(rise < 0.0, "iteration {iteration}: {rise}");
    }
}

#[test]
fn numbers_that_are_not_finite_leave_the_policy_bit_for_bit() {
    let config = config();
    let (mut policy, mut kfcpo) = start(&config);
    let good = samples(&policy, 0);
    update(&mut *kfcpo, &mut policy, &good, 30.0, 0);
    let before = parameters(&policy);
    let good = samples(&policy, 1);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut poisoned = good.clone();
        poisoned.advantage = Tensor::full([2, SAMPLES], bad, &policy.device());
        let metrics = update(&mut *kfcpo, &mut policy, &poisoned, 30.0, 1);
        assert_eq!(accepted(&metrics), 0.0);
        assert_eq!(parameters(&policy), before);
        let mut poisoned = good.clone();
        poisoned.obs = Tensor::full([SAMPLES, OBS], bad, &policy.device());
        update(&mut *kfcpo, &mut policy, &poisoned, f64::NAN, 2);
        assert_eq!(parameters(&policy), before);
    }
    // Nothing stuck: the next good batch is learned from.
    let metrics = update(&mut *kfcpo, &mut policy, &good, 30.0, 3);
    assert!(accepted(&metrics) >= 1.0, "{metrics:?}");
    let after = parameters(&policy);
    assert!(after != before && after.iter().all(|x| x.is_finite()));
}

#[test]
fn a_restored_run_takes_the_same_steps_bit_for_bit_under_its_schedules() {
    for algo in algorithm::ALGORITHMS.iter().map(|info| info.name) {
        let mut config = TrainConfig { algo: algo.into(), num_envs: 16, rollout_steps: 16, ..TrainConfig::default() };
        config.total_steps = 8 * config.batch_size() as u64;
        config.critic.minibatch_size = 64;
        *config.section_mut() = PpoConfig {
            steps: FirstOrderSettings { epochs: 2, minibatch_size: 64, ..Default::default() },
            ..Default::default()
        };
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

/// How much the reward's and the cost's surrogate rise by updates of an algorithm, each from new samples, and the last KL.
fn rises(config: &TrainConfig, cost: f64, updates: u64) -> ([f64; 2], f64) {
    let (mut policy, mut algorithm) = start(config);
    let (mut sums, mut kl) = ([0.0; 2], 0.0);
    for iteration in 1..=updates {
        let samples = samples(&policy, iteration);
        kl = update(&mut *algorithm, &mut policy, &samples, cost, iteration).kl.expect("every algorithm tells its KL");
        let after = policy.distribution(samples.obs.clone());
        let surrogate = after.surrogate(&samples.action, &samples.log_prob, &samples.advantage, None);
        let before = host(&samples.advantage.mean_dim(1)).expect("readable");
        for (k, after) in host(&surrogate.value).expect("readable").into_iter().enumerate() {
            sums[k] += f64::from(after - before[k]);
        }
    }
    (sums, kl)
}

fn config_of(algo: &str) -> TrainConfig {
    let mut config = TrainConfig { algo: algo.into(), ..config() };
    // A first-order step small enough that the advantages, of size 1, and not the steps' number decide.
    config.section_mut::<PpoConfig>().steps.learning_rate = 1e-3;
    config.section_mut::<FocopsConfig>().steps.learning_rate = 1e-3;
    config
}

#[test]
fn every_algorithm_raises_the_rewards_surrogate_where_cost_does_not_matter() {
    for info in algorithm::ALGORITHMS {
        let ([reward, _], kl) = rises(&config_of(info.name), 0.0, 3);
        assert!(reward > 0.01, "{}: {reward}", info.name);
        assert!(kl > 0.0 && kl < 0.1, "{}: KL {kl}", info.name);
    }
}

#[test]
fn a_positive_multiplier_lowers_the_cost() {
    let with = |algo: &str, initial: f64| {
        let mut config = config_of(algo);
        config.section_mut::<AdamMultiplierConfig>().initial = initial;
        rises(&config, 25.0, 3).0
    };
    for algo in ["ppo-lag", "focops", "trpo-lag"] {
        let ([_, free], [reward, cost]) = (with(algo, 0.0), with(algo, 2.0));
        assert!(
            cost < -0.005 && cost < free - 0.005,
            "{algo}: the cost rises by {cost}, without a multiplier by {free}"
        );
        assert!(reward > -0.05, "{algo}: the reward is not thrown away: {reward}");
    }
}

#[test]
fn a_controller_and_cpo_lower_the_cost_beyond_the_limit() {
    for algo in ["ppo-pid", "cpo"] {
        let (far, near) = (rises(&config_of(algo), 500.0, 3).0[1], rises(&config_of(algo), 0.0, 3).0[1]);
        assert!(far < -0.005 && far < near, "{algo}: beyond the limit {far}, below it {near}");
    }
}

#[test]
fn the_clip_holds_ppo_near_the_old_policy() {
    let kl = |clip: f64| {
        let mut config = config_of("ppo");
        *config.section_mut() = PpoConfig {
            clip,
            steps: FirstOrderSettings { target_kl: 1e3, learning_rate: 3e-3, epochs: 20, ..Default::default() },
        };
        rises(&config, 0.0, 1).1
    };
    let (clipped, free) = (kl(0.1), kl(1e3));
    assert!(clipped < 0.25 * free, "KL {clipped} with the clip, {free} without");
}
