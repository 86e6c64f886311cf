//! The loop on small runs.

use super::*;
use crate::algorithm::kfcpo::KfcpoConfig;
use crate::algorithm::{Number, Update};
use crate::checkpoint::{Checkpoint, Session};
use crate::policy::exported::host;
use burn::tensor::Device;

fn config() -> TrainConfig {
    let mut config = TrainConfig { num_envs: 8, rollout_steps: 8, ..TrainConfig::default() };
    config.total_steps = 6 * config.batch_size() as u64;
    config.policy.hidden = vec![8];
    config.critic.hidden = vec![8];
    config
}

fn runner(config: TrainConfig) -> Runner {
    Runner::new(config, Device::flex()).expect("a valid configuration")
}

fn parameters(runner: &Runner) -> Vec<f32> {
    host(runner.policy().params()).expect("readable")
}

#[test]
fn the_first_iteration_sets_the_normaliser_and_does_not_learn() {
    let mut runner = runner(config());
    let (policy, normalizer) = (parameters(&runner), runner.snapshot().expect("readable").obs_mean);
    let report = runner.iterate().expect("the CPU works");
    assert_eq!(parameters(&runner), policy);
    assert_ne!(runner.snapshot().expect("readable").obs_mean, normalizer);
    assert_eq!(report.update, UpdateReport::default());
    let report = runner.iterate().expect("the CPU works");
    assert_ne!(parameters(&runner), policy);
    assert!(report.update.kl.is_some_and(|kl| kl > 0.0));
    assert_eq!(runner.totals().updates, 1.0);
}

#[test]
fn a_run_ends_after_its_steps_and_counts_them() {
    let mut runner = runner(config());
    let mut iterations = 0;
    while !runner.done() {
        let report = runner.iterate().expect("the CPU works");
        iterations += 1;
        assert_eq!((report.iteration, report.steps), (iterations, iterations * 64));
    }
    assert_eq!(iterations, 6);
}

#[test]
fn what_the_algorithm_deploys_is_exported_saved_and_found_again() {
    let entry = crate::policy::saved::DEPLOYED_POLICY;
    for share in [0.05, 0.0] {
        let mut config = config();
        config.sections.get_mut::<KfcpoConfig>().policy_average = share;
        let mut runner = runner(config.clone());
        for _ in 0..4 {
            runner.iterate().expect("the CPU works");
        }
        let deployed = host(runner.deployed_policy().params()).expect("readable");
        assert_eq!(deployed != parameters(&runner), share > 0.0, "share {share}");
        let state = runner.save().expect("readable");
        assert_eq!(state.tensors.contains_key(entry), share > 0.0);
        let checkpoint = Checkpoint { config, steps: 256, session: Session::default(), state };
        let found = crate::policy::saved::saved_policy(&checkpoint, &Device::flex()).expect("a policy");
        assert_eq!(found, runner.snapshot().expect("readable"));
        assert_eq!([found.theta, found.log_std].concat(), deployed);
    }
}

/// An algorithm that only counts.
struct Idle(u64);

impl Algorithm for Idle {
    fn update(&mut self, _policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        self.0 += 1;
        assert_eq!((batch.len(), context.costs.len(), context.comm.size()), (64, 1, 1));
        let mut update = Update { rejected: Some(Number::Known(2.0)), ..Update::default() };
        update.push("Idle/Updates", self.0 as f64);
        Ok(update)
    }
}

#[test]
fn an_algorithm_from_outside_is_run_and_its_numbers_are_reported() {
    let mut runner = runner(config()).with_algorithm(|_| Ok(Box::new(Idle(0)))).expect("it is built");
    let before = parameters(&runner);
    let reports: Vec<IterationReport> = (0..3).map(|_| runner.iterate().expect("the CPU works")).collect();
    assert_eq!(parameters(&runner), before);
    let numbers = &reports[2].update.metrics;
    assert_eq!(numbers[0], ("Idle/Updates".into(), 2.0));
    assert!(numbers.iter().any(|(name, loss)| name == "Loss/RewardCritic" && loss.is_finite()));
    assert_eq!((reports[2].update.kl, runner.totals().rollbacks), (None, 4.0));
}

#[test]
fn limits_must_fit_the_environment() {
    let config = TrainConfig { cost_limit: crate::config::CostLimit::new([25.0, 10.0]), ..config() };
    let error = Runner::new(config, Device::flex()).err().expect("one constraint, two limits").to_string();
    assert!(error.contains("1 constraint (cost)"), "{error}");
}
