//! Runs that are given another length: where their schedules go on.

use std::path::Path;

use super::*;
use crate::algorithm::kfcpo::KfcpoConfig;
use crate::algorithm::ppo::PpoConfig;
use crate::device::{DeviceChoice, select_device};

/// Iterations of the run as it is first planned, of those done before it is lengthened, and of the lengthened one.
const PLANNED: u64 = 8;
const DONE: u64 = 4;
const LENGTHENED: u64 = 16;

fn resources() -> Resources {
    Resources { device: select_device(DeviceChoice::Cpu).expect("a CPU"), threads: 1 }
}

fn config(algo: &str) -> TrainConfig {
    let mut config = TrainConfig { algo: algo.into(), num_envs: 4, rollout_steps: 8, ..TrainConfig::default() };
    config.total_steps = PLANNED * config.batch_size() as u64;
    (config.policy.hidden, config.critic.hidden) = (vec![8], vec![8]);
    config.section_mut::<PpoConfig>().steps.epochs = 1;
    config
}

/// The value that falls over the run as it was in the last iteration: KFCPO's bound on the KL or PPO's rate, as a share of its
/// first value.
fn scheduled(run: &Training) -> f64 {
    let config = run.config();
    if config.algo == "kfcpo" {
        let state = run.runner().save().expect("readable");
        let now = state.get_f64("algorithm.guard.kl_limit").expect("it is saved");
        return now / config.section::<KfcpoConfig>().guard.target_kl;
    }
    let record = run.last().expect("an iteration was done");
    let rate = record.report.update.metrics.iter().find(|(name, _)| name == "Train/LR").expect("it is told").1;
    rate / config.section::<PpoConfig>().steps.learning_rate
}

/// Iterations until the run has done so many; the scheduled value after each.
fn advance(run: &mut Training, iterations: u64) -> Vec<f64> {
    let mut values = Vec::new();
    while run.runner().iteration() < iterations {
        run.advance().expect("it trains");
        // The first iteration does not learn.
        if run.runner().iteration() > 1 {
            values.push(scheduled(run));
        }
    }
    run.close().expect("it is saved");
    values
}

fn reopened(out: &Path, config: TrainConfig) -> Training {
    let dir = RunDir::open_for_training(out).expect("a run");
    let (checkpoint, _) = dir.checkpoints().load_newest_readable().expect("a checkpoint");
    let plan = RunPlan { dir, config, checkpoint: Some(checkpoint), resumed: true };
    Training::begin(plan, &resources()).expect("it goes on")
}

/// The scheduled values before and after a run is given `LENGTHENED` iterations when `done` are done, and its warnings.
fn lengthened(algo: &str, done: u64, schedule: Lengthening) -> (Vec<f64>, Vec<f64>, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let config = config(algo);
    let dir = RunDir::create(Some(&out), &config).expect("a run");
    let plan = RunPlan { dir, config: config.clone(), checkpoint: None, resumed: false };
    let mut run = Training::begin(plan, &resources()).expect("it begins");
    let before = advance(&mut run, done);
    drop(run);
    let total_steps = LENGTHENED * config.batch_size() as u64;
    let longer = TrainConfig { total_steps, schedule, ..config };
    let mut run = reopened(&out, longer.clone());
    let warnings = run.warnings().to_vec();
    // Interrupted once more on the way: it goes on where it stood.
    let mut after = advance(&mut run, done + 3);
    drop(run);
    after.extend(advance(&mut reopened(&out, longer), LENGTHENED));
    (before, after, warnings)
}

/// The last value: KFCPO's bound falls to a tenth, PPO's rate to nothing.
fn end(algo: &str) -> f64 {
    if algo == "kfcpo" { KfcpoConfig::default().final_kl_share } else { 0.0 }
}

fn assert_near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-6, "{value}, expected {expected}");
}

#[test]
fn a_lengthened_schedule_goes_on_from_the_value_it_has_reached_to_its_end() {
    for algo in ["kfcpo", "ppo"] {
        let (before, after, warnings) = lengthened(algo, DONE, Lengthening::Continue);
        let value = |fraction: f64| 1.0 - (1.0 - end(algo)) * fraction;
        assert_near(before[before.len() - 1], value(0.5));
        assert_eq!(after.len() as u64, LENGTHENED - DONE);
        for (i, now) in after.iter().enumerate() {
            assert_near(*now, value(0.5 + 0.5 * (i + 1) as f64 / (LENGTHENED - DONE) as f64));
        }
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn a_schedule_that_had_ended_stays_there_and_says_so_or_begins_again() {
    for algo in ["kfcpo", "ppo"] {
        let (before, after, warnings) = lengthened(algo, PLANNED, Lengthening::Continue);
        assert_near(before[before.len() - 1], end(algo));
        after.iter().for_each(|now| assert_near(*now, end(algo)));
        assert!(warnings.iter().any(|warning| warning.contains("schedule=restart")), "{warnings:?}");

        let (_, after, warnings) = lengthened(algo, PLANNED, Lengthening::Restart);
        assert_near(after[0], 1.0 - (1.0 - end(algo)) / (LENGTHENED - PLANNED) as f64);
        assert_near(after[after.len() - 1], end(algo));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}
