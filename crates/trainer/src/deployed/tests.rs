//! The deployed policy is measured beside training, without touching it, and steers where it shall.

use burn::tensor::Device;
use envs::{Batched, Env, EnvSpec, Navigation, Outcome, Purpose};

use super::*;
use crate::comm::Alone;
use crate::config::{Actions, CostLimit, TrainConfig};
use crate::policy::exported::host;
use crate::runner::{IterationReport, Runner};
use compute::State;

fn config() -> TrainConfig {
    let mut config = TrainConfig { num_envs: 8, rollout_steps: 16, ..TrainConfig::default() };
    config.total_steps = 12 * config.batch_size() as u64;
    config.policy.hidden = vec![8];
    config.critic.hidden = vec![8];
    config
}

fn runner(config: TrainConfig) -> Runner {
    Runner::new(config, Device::flex()).expect("a valid configuration")
}

fn finish(mut runner: Runner) -> (State, IterationReport) {
    loop {
        let report = runner.iterate().expect("the CPU works");
        if runner.done() {
            return (runner.save().expect("readable"), report);
        }
    }
}

/// The entries of a state that training alone makes.
fn of_training(state: &State) -> Vec<(&String, Vec<u32>)> {
    let own = state.tensors.iter().filter(|(name, _)| !name.starts_with("deployed."));
    own.map(|(name, tensor)| (name, tensor.values.iter().map(|value| value.to_bits()).collect())).collect()
}

#[test]
fn what_is_measured_does_not_touch_training_where_it_does_not_steer() {
    for algo in ["kfcpo", "ppo-lag", "ppo-simmer"] {
        let mut config = TrainConfig { algo: algo.to_owned(), ..config() };
        config.deployed.num_envs = Some(0);
        let (off, report) = finish(runner(config.clone()));
        assert!(report.deployed.is_none() && report.judged_actions() == Actions::Sampled);
        config.deployed.num_envs = Some(3);
        config.deployed.steer = false;
        let (on, report) = finish(runner(config.clone()));
        assert_eq!(report.deployed.as_ref().map(|deployed| deployed.steps), Some(12 * 16 * 3));
        assert_eq!(of_training(&on), of_training(&off), "{algo}");
        config.deployed.steer = true;
        let (steered, report) = finish(runner(config));
        assert_eq!(of_training(&steered).len(), of_training(&off).len());
        let told: Vec<f64> = report.costs.iter().map(|cost| cost.rollout).collect();
        let expected =
            steering(&report.sampled, report.deployed.as_ref().map(|deployed| &deployed.figures), CostSignal::Steps);
        assert_eq!(told, expected.iter().map(|cost| cost.rollout).collect::<Vec<_>>());
    }
}

#[test]
fn sampled_actions_that_are_deployed_need_no_environments() {
    let mut config = config();
    config.deployed.actions = Actions::Sampled;
    let report = runner(config).iterate().expect("the CPU works");
    assert!(report.deployed.is_none());
    assert_eq!(report.judged(), &report.sampled);
}

#[test]
fn the_measured_steps_are_those_of_the_mean_action_under_the_frozen_normaliser() {
    let (config, device) = (config(), Device::flex());
    let mut trained = runner(config.clone());
    trained.iterate().expect("the CPU works");
    let environments = || {
        let spec = envs::find("PointGoal1").expect("an environment");
        Navigation::new(spec, 5, Purpose::Measuring.seed(config.seed), &device).expect("environments")
    };
    let snapshot = trained.snapshot().expect("readable");
    let (policy, normalizer) = (snapshot.policy(&device).unwrap(), snapshot.normalizer(&device).unwrap());
    let mut deployed = Deployed::new(Box::new(environments()), &config);
    deployed.measure(&policy, &normalizer, 7, &Alone).expect("the CPU works");

    let mut env = environments();
    let mut obs = env.reset(true);
    let (mut reward, mut cost) = (0.0, 0.0);
    for _ in 0..7 {
        let step = env.step(policy.forward(normalizer.apply(obs)));
        reward += host(&step.reward).unwrap().into_iter().map(f64::from).sum::<f64>();
        cost += host(&step.costs).unwrap().into_iter().map(f64::from).sum::<f64>();
        obs = step.obs;
    }
    let report = deployed.report();
    assert_eq!(report.steps, 35);
    assert!((report.figures.step_return - 1000.0 * reward / 35.0).abs() < 1e-6);
    assert_eq!(report.figures.step_costs, [1000.0 * cost / 35.0]);
}

#[test]
fn a_measurement_continues_bit_for_bit() {
    let mut whole = runner(config());
    let mut cut = runner(config());
    (0..5).for_each(|_| drop(whole.iterate().expect("the CPU works")));
    (0..3).for_each(|_| drop(cut.iterate().expect("the CPU works")));
    let mut resumed = runner(config());
    resumed.load(&cut.save().expect("readable")).expect("the same configuration");
    (0..2).for_each(|_| drop(resumed.iterate().expect("the CPU works")));
    let state = |runner: &Runner| {
        let mut state = runner.save().expect("readable");
        state.scalars.remove("runner.totals"); // times
        state
    };
    let (whole, resumed) = (state(&whole), state(&resumed));
    assert!(whole.tensors.keys().any(|name| name.starts_with("deployed.env")));
    assert!(whole == resumed);
}

#[test]
fn the_cost_that_steers_is_the_rollouts_corrected_by_the_averaged_difference() {
    let figures = |costs: [f64; 2], average: [f64; 2]| Figures {
        episodes: 0,
        recent: None,
        step_return: 0.0,
        step_costs: costs.to_vec(),
        average_return: 0.0,
        average_costs: average.to_vec(),
        recent_costs: vec![10.0, 6.0],
        length_share: 0.5,
    };
    let sampled = figures([20.0, 3.0], [18.0, 4.0]);
    let deployed = figures([90.0, 90.0], [30.0, 3.5]);
    let estimates = |deployed, signal| steering(&sampled, deployed, signal);
    let rollout = |deployed| estimates(deployed, CostSignal::Steps).iter().map(|cost| cost.rollout).collect::<Vec<_>>();
    assert_eq!(rollout(None), [20.0, 3.0]);
    assert_eq!(rollout(Some(&deployed)), [32.0, 2.5]);
    let costs = |deployed, signal| {
        let estimates = estimates(deployed, signal);
        estimates.iter().map(|cost| cost.of_episodes()).collect::<Vec<_>>()
    };
    // Recent steps, the difference, and episodes half as long as the longest.
    assert_eq!(costs(None, CostSignal::Steps), [5.0, 3.0]);
    assert_eq!(costs(Some(&deployed), CostSignal::Steps), [11.0, 2.75]);
    // No episode has ended: the rollout stands in.
    assert_eq!(costs(Some(&deployed), CostSignal::Episodes), [32.0, 2.5]);
}

/// A point on a line that is pushed to the right: what it moves is the reward, where it is costs, and so does the force.
#[derive(Default)]
struct Slider(f64);

impl Env<2> for Slider {
    fn spec(&self) -> EnvSpec {
        EnvSpec {
            id: "Slider-v0".to_owned(),
            obs_dim: 1,
            action_dim: 1,
            max_episode_steps: 20,
            constraints: vec!["right".to_owned(), "force".to_owned()],
        }
    }

    fn reset(&mut self, _seed: u64, obs: &mut [f32]) {
        self.0 = 0.0;
        obs[0] = 0.0;
    }

    fn step(&mut self, action: &[f32], obs: &mut [f32]) -> Outcome<2> {
        let force = f64::from(action[0]);
        self.0 += 0.1 * force;
        obs[0] = self.0 as f32;
        let costs = [f32::from(self.0 > 0.5), force.abs() as f32];
        Outcome { reward: 0.1 * force as f32, costs, terminated: false, truncated: false }
    }

    fn state(&self) -> Vec<f64> {
        vec![self.0]
    }

    fn load_state(&mut self, state: &[f64]) {
        self.0 = state[0];
    }
}

fn sliders(num_envs: usize, purpose: Purpose) -> Box<dyn VecEnv> {
    Box::new(Batched::new(num_envs, purpose.seed(0), &Device::flex(), |_| Slider::default()).expect("environments"))
}

#[test]
fn every_constraint_of_environments_of_ones_own_is_measured_and_judged() {
    let config = TrainConfig { cost_limit: CostLimit::new([5.0, 8.0]), rollout_steps: 20, ..config() };
    let mut config = TrainConfig { total_steps: 8 * config.batch_size() as u64, ..config };
    config.deployed.cost_signal = CostSignal::Episodes;
    let runner = Runner::with_env(config.clone(), sliders(8, Purpose::Training), Device::flex()).expect("it fits");
    assert_eq!(runner.judged_actions(), Actions::Sampled);
    let runner = runner.with_deployed_env(sliders(4, Purpose::Measuring)).expect("of the same kind");
    let (_, report) = finish(runner);
    let figures = report.judged();
    assert!(figures.episodes > 4 && figures.step_costs.len() == 2 && report.costs.len() == 2, "{figures:?}");
    let recent = figures.recent.as_ref().expect("episodes have ended");
    // The mean of a policy that has hardly learned pushes less than its samples do.
    let sampled = report.sampled.recent.as_ref().expect("episodes have ended");
    assert!(recent.cost_mean[1] < 0.5 * sampled.cost_mean[1], "{recent:?} {sampled:?}");
    assert_eq!((report.costs[0].episodes, report.costs[1].episodes), (recent.cost_mean[0], recent.cost_mean[1]));
    let numbers = crate::log::Record { report: &report, samples: 160, wall_s: 1.0 }.numbers();
    let named = |name: &str| {
        let number = numbers.iter().find(|number| number.column.as_deref() == Some(name));
        number.unwrap_or_else(|| panic!("no {name}")).value
    };
    assert_eq!((named("Deployed/EpCost"), named("Deployed/EpCost2")), (recent.cost_mean[0], recent.cost_mean[1]));
    assert_eq!(named("Metrics/EpCost2"), sampled.cost_mean[1]);
    assert_eq!(named("Metrics/SteeringCost2"), report.costs[1].rollout);
    assert!(named("Deployed/StepCost2").is_finite());
}

#[test]
fn environments_of_another_kind_are_refused() {
    let runner = runner(config());
    let error = runner.with_deployed_env(sliders(4, Purpose::Measuring)).err().expect("another kind").to_string();
    assert!(error.contains("right") && error.contains("cost"), "{error}");
}
