//! Every constrained algorithm solves a small problem whose optimum is known.
//!
//! One step per episode decides: the reward is `-(a_0 - 1)^2 - (a_1 - 1)^2` with noise, the cost is `a_0`. An episode of
//! [`HORIZON`] such steps may cost half of that, so that the best mean action is (1/2, 1) whatever the policy's sigma is;
//! without the limit it is (1, 1).

use burn::tensor::{Device, Tensor};
use compute::noise::{NoiseKey, Stream, normals};
use kfac::FisherKind;
use safe_rl::{ProjectionKind, Samples, center, standardize_with_scale};
use test_support::device::test_device;
use trainer::algorithm::cup::CupConfig;
use trainer::algorithm::focops::FocopsConfig;
use trainer::algorithm::kfcpo::{Curvature, KfcpoConfig, Steering};
use trainer::algorithm::ppo::PpoConfig;
use trainer::algorithm::second_order::TrpoConfig;
use trainer::algorithm::{self, ALGORITHMS, Context, CostEstimate, Progress, ReturnEstimate, Setup};
use trainer::comm::Alone;
use trainer::config::TrainConfig;
use trainer::policy::Policy;
use trainer::policy::exported::host;

const OBS: usize = 3;
const ACTIONS: usize = 2;
const SAMPLES: usize = 1024;
const HORIZON: usize = 50;
const ITERATIONS: u64 = 160;
/// Iterations at the end whose policies are averaged.
const LAST: u64 = 40;
/// Standard deviation of the reward's noise; it keeps the standardised reward's slope of the order of the cost's.
const NOISE: f32 = 2.0;

/// The rows of the table that do not look at the cost.
const UNCONSTRAINED: [&str; 3] = ["ppo", "trpo", "npg"];

fn config(algo: &str) -> TrainConfig {
    let mut config = TrainConfig { algo: algo.into(), cost_limit: 25.0.into(), ..TrainConfig::default() };
    config.policy.hidden = vec![8];
    let ppo = &mut config.section_mut::<PpoConfig>().steps;
    (ppo.learning_rate, ppo.minibatch_size, ppo.epochs) = (3e-3, 256, 5);
    let focops = &mut config.section_mut::<FocopsConfig>().steps;
    (focops.learning_rate, focops.minibatch_size, focops.epochs) = (3e-3, 256, 5);
    config.section_mut::<CupConfig>().target_kl = 0.02;
    // A multiplier learned by Adam circles the optimum, the further the longer the steps are.
    let trpo = config.section_mut::<TrpoConfig>();
    (trpo.target_kl, trpo.cg_damping) = (0.005, 0.05);
    config.section_mut::<KfcpoConfig>().minibatch_size = 256;
    config
}

fn noise(stream: u32, step: u64, rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    let values = normals(NoiseKey { seed: 11, stream: Stream::Other(stream), step }, rows, columns);
    Tensor::<1>::from_floats(values.as_slice(), device).reshape([rows, columns])
}

/// A batch of the policy's actions, what an episode of them costs, and what it earns.
fn gather(policy: &Policy, step: u64) -> (Samples, f64, ReturnEstimate) {
    let device = policy.device();
    let obs = noise(0, step, SAMPLES, OBS, &device);
    let act = policy.act(obs.clone(), NoiseKey { seed: 12, stream: Stream::Other(1), step });
    let row = |i: usize| act.action.clone().narrow(1, i, 1).reshape([1, SAMPLES]);
    let reward = noise(2, step, 1, SAMPLES, &device) * NOISE - (row(0) - 1.0).square() - (row(1) - 1.0).square();
    let cost = host(&row(0).mean()).expect("readable")[0];
    let earned = f64::from(host(&reward.clone().mean()).expect("readable")[0]) * HORIZON as f64;
    let (reward, advantage_scale) = standardize_with_scale(reward);
    let samples = Samples {
        obs,
        advantage: Tensor::cat(vec![reward, center(row(0))], 0),
        action: act.action,
        mean: act.mean,
        log_prob: act.log_prob,
        target: Tensor::zeros([2, SAMPLES], &device),
    };
    (samples, f64::from(cost) * HORIZON as f64, ReturnEstimate { rollout: earned, advantage_scale })
}

/// What an algorithm is told of the policy.
#[derive(Clone, Copy)]
enum Told {
    /// Its cost.
    Cost,
    /// Its cost with noise of this standard deviation, as a share of it, and its return.
    NoisyCostAndReturn(f64),
}

/// The mean action, averaged over the last policies.
fn solve(config: TrainConfig, told: Told) -> [f64; ACTIONS] {
    let mut policy = Policy::new(&config.policy, OBS, ACTIONS, 3, &test_device()).expect("a valid shape");
    let constraints = config.cost_limit.of(&["cost".to_owned()]).expect("one limit");
    let setup = Setup { config: &config, policy: &policy, constraints: &constraints, horizon: HORIZON };
    let mut algorithm = algorithm::build(&setup).expect("a known algorithm");
    let mut mean = [0.0; ACTIONS];
    for iteration in 0..ITERATIONS {
        let (samples, mut cost, mut earned) = gather(&policy, iteration);
        match told {
            Told::Cost => earned = ReturnEstimate::unknown(&test_device()),
            Told::NoisyCostAndReturn(share) => {
                let key = NoiseKey { seed: 13, stream: Stream::Other(3), step: iteration };
                cost *= (1.0 + share * f64::from(normals(key, 1, 1)[0])).max(0.0);
            }
        }
        let costs = [CostEstimate { rollout: cost, episodes: cost }];
        let progress = Progress { fraction: iteration as f64 / ITERATIONS as f64, iteration };
        let context = Context { costs: &costs, earned: &earned, progress, comm: &Alone };
        let update = algorithm.update(&mut policy, &samples, &context).expect("the CPU can be read");
        update.read().expect("the CPU can be read");
        if iteration >= ITERATIONS - LAST {
            let outputs = host(&policy.forward(samples.obs).mean_dim(0).reshape([ACTIONS])).expect("readable");
            for (mean, output) in mean.iter_mut().zip(outputs) {
                *mean += f64::from(output) / LAST as f64;
            }
        }
    }
    mean
}

/// Solves the problem in each of these ways at once, and holds the mean actions against the optimum.
fn assert_solved(ways: Vec<(&str, TrainConfig)>, told: Told, optimum: [f64; ACTIONS]) {
    std::thread::scope(|scope| {
        let start = |(name, config)| (name, scope.spawn(move || solve(config, told)));
        let threads: Vec<_> = ways.into_iter().map(start).collect();
        for (name, thread) in threads {
            let mean = thread.join().expect("no algorithm panics");
            let near = mean.iter().zip(optimum).all(|(mean, best)| (mean - best).abs() < 0.1);
            assert!(near, "{name}: {mean:?} is not {optimum:?}");
        }
    });
}

#[test]
fn solves_a_small_constrained_problem_with_a_known_optimum() {
    // A protocol's constraint is in its environments, which are not here.
    let rows = ALGORITHMS.iter().filter(|row| row.protocol.is_none() && !UNCONSTRAINED.contains(&row.name));
    let ways: Vec<_> = rows.map(|row| (row.name, config(row.name))).collect();
    assert!(ways.len() >= 14, "the table has {} constrained rows", ways.len());
    assert_solved(ways, Told::Cost, [0.5, 1.0]);
}

#[test]
fn without_a_limit_the_whole_optimum_is_found() {
    assert_solved(UNCONSTRAINED.map(|name| (name, config(name))).to_vec(), Told::Cost, [1.0, 1.0]);
}

#[test]
fn a_trust_region_of_the_second_order_rivals_is_per_action_dimension() {
    let config = TrainConfig { algo: "trpo".into(), ..TrainConfig::default() };
    let mut policy = Policy::new(&config.policy, OBS, ACTIONS, 3, &test_device()).expect("a valid shape");
    let setup = Setup { config: &config, policy: &policy, constraints: &[], horizon: HORIZON };
    let mut trpo = algorithm::build(&setup).expect("a known algorithm");
    let (samples, ..) = gather(&policy, 0);
    let earned = ReturnEstimate::unknown(&test_device());
    let progress = Progress { fraction: 0.0, iteration: 0 };
    let context = Context { costs: &[], earned: &earned, progress, comm: &Alone };
    let update = trpo.update(&mut policy, &samples, &context).expect("the CPU can be read");
    let kl = update.read().expect("the CPU can be read").kl.expect("TRPO measures it");
    // Of 0.01 for each of two actions; damping takes some of it.
    assert!(kl > 0.012 && kl <= 0.02, "KL {kl}");
}

#[test]
fn every_ablation_of_kfcpo_solves_it_too() {
    let way = |name, change: fn(&mut KfcpoConfig)| {
        let mut config = config("kfcpo");
        change(config.section_mut());
        (name, config)
    };
    let ways = vec![
        way("a controller", |kfcpo| kfcpo.steering = Steering::Pid),
        // The Fisher matrix is not averaged over minibatches then, and follows the noise of a small one unless damped more.
        way("conjugate gradients", |kfcpo| (kfcpo.curvature, kfcpo.damping) = (Curvature::Cg, 1.0)),
        way("no rollback", |kfcpo| kfcpo.rollback = false),
        way("no projection", |kfcpo| kfcpo.projection = ProjectionKind::None),
        way("a Euclidean projection", |kfcpo| kfcpo.projection = ProjectionKind::Euclidean),
        way("a hard switch", |kfcpo| kfcpo.projection = ProjectionKind::Hard),
        way("a sampled Fisher", |kfcpo| kfcpo.fisher = FisherKind::Sampled),
        way("an empirical Fisher", |kfcpo| kfcpo.fisher = FisherKind::Empirical),
    ];
    assert_solved(ways, Told::Cost, [0.5, 1.0]);
}

/// KFCPO bounds the price of cost in proportion to the return, or steers by it, and this return is never positive.
#[test]
fn a_limit_holds_where_every_return_is_negative_and_the_cost_is_noise() {
    let mut priced = config("kfcpo");
    priced.section_mut::<KfcpoConfig>().price.price_noisy = Some(0.25);
    let ways = vec![("a bounded price", config("kfcpo")), ("a price that steers", priced)];
    assert_solved(ways, Told::NoisyCostAndReturn(0.3), [0.5, 1.0]);
}
