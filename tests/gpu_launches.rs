//! What an iteration of training asks of a GPU. Alone in its program: launches are counted for the whole process.

use burn::tensor::Device;
use test_support::device::gpu;
use trainer::algorithm::kfcpo::KfcpoConfig;
use trainer::cli::launches::{LaunchCounter, Launched};
use trainer::config::TrainConfig;
use trainer::runner::{Phase, Runner};

/// Launches and read-backs of an iteration of training: one launch a step at most, and two moments of waiting.
#[test]
fn an_iteration_launches_little() {
    let Some(gpu) = gpu() else { return };
    let mut config =
        TrainConfig { env: "PointCircle0".into(), num_envs: 32, rollout_steps: 16, ..TrainConfig::default() };
    config.policy.hidden = vec![16, 16];
    config.critic.hidden = vec![16, 16];
    config.critic.minibatch_size = 128;
    config.section_mut::<KfcpoConfig>().minibatch_size = 128;
    config.deployed.num_envs = Some(0);
    let plain = assert_launches_little(&config, gpu.clone(), 2);
    // A recorded regression is one launch, its arguments and results copied in and out.
    config.critic.graph = true;
    let replayed = assert_launches_little(&config, gpu.clone(), 2);
    config.critic.graph = false;
    let most = ARGUMENTS + RESULTS + 1;
    assert!(replayed <= most && replayed < plain, "{replayed} launches of the critics, {plain} without a graph");
    // The deployed policy's steps are one launch each at most, and one read-back more.
    config.deployed.num_envs = Some(8);
    assert_launches_little(&config, gpu, 3);
}

/// Arguments of a regression that are copied: parameters, three of Adam's, its rates, observations, targets, the order of each pass.
const ARGUMENTS: u64 = 7 + 3;
/// And its results: parameters, three of Adam's, losses.
const RESULTS: u64 = 5;

/// Returns the launches of the critics' regression.
fn assert_launches_little(config: &TrainConfig, gpu: Device, most_read_backs: u64) -> u64 {
    let mut runner = Runner::new(config.clone(), gpu).expect("a GPU");
    // The first iteration only sets the normaliser; the second records, where launches are recorded.
    for _ in 0..1 + usize::from(config.critic.graph) {
        runner.iterate().expect("a device that works");
    }
    let mut counter = LaunchCounter::new();
    let mut phases: Vec<(Phase, Launched)> = Vec::new();
    runner.iterate_observed(&mut |phase| phases.push((phase, counter.take()))).expect("a device that works");
    let rest = counter.take();
    for (phase, launched) in &phases {
        eprintln!(
            "{phase:?}: {} launches, {} of them replays, {} read-backs: {:?}",
            launched.total(),
            launched.replays,
            launched.read_backs,
            launched.kernels
        );
    }
    eprintln!("rest: {} launches, {} read-backs: {:?}", rest.total(), rest.read_backs, rest.kernels);
    let (_, rollout) = phases.iter().find(|(phase, _)| *phase == Phase::Rollout).expect("a fused rollout");
    let steps: u64 = rollout.kernels.iter().filter(|(name, _)| name.contains("Rollout")).map(|(_, n)| n).sum();
    assert!(steps <= config.rollout_steps as u64, "{steps} launches for {} steps", config.rollout_steps);
    // A device that gets one step a launch puts the launches' results together, too.
    let others = rollout.total() - steps - if steps > 1 { steps } else { 0 };
    assert!(others <= 6, "{others} launches around the steps");
    let (_, actor) = phases.iter().find(|(phase, _)| *phase == Phase::Actor).expect("an update");
    let minibatches = (config.num_envs * config.rollout_steps / config.section::<KfcpoConfig>().minibatch_size) as u64;
    // As gpu.md states: 30 a minibatch, three more with new inverses (every fifth), 38 around them.
    let most = 30 * minibatches + 3 * minibatches.div_ceil(5) + 38;
    assert!(actor.total() <= most, "{} launches for {minibatches} minibatches", actor.total());
    let read_backs: u64 = phases.iter().map(|(_, launched)| launched.read_backs).sum::<u64>() + rest.read_backs;
    assert_eq!(read_backs, most_read_backs, "one after the rollout, one after the update, one after a measurement");
    if let Some((_, deployed)) = phases.iter().find(|(phase, _)| *phase == Phase::Deployed) {
        assert!(deployed.total() <= 2 * steps + 12, "{} launches to measure", deployed.total());
    }
    phases.iter().find(|(phase, _)| *phase == Phase::Critics).expect("an update").1.total()
}
