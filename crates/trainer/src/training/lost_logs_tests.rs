//! Runs whose logs go away: no iteration is lost.

use std::fs;

use super::*;
use crate::device::{DeviceChoice, select_device};

/// A run of three tiny iterations that have no checkpoint yet, and the folder that it is in.
fn begun() -> (tempfile::TempDir, Training) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = TrainConfig { num_envs: 4, rollout_steps: 8, ..TrainConfig::default() };
    config.total_steps = 8 * config.batch_size() as u64;
    (config.policy.hidden, config.critic.hidden) = (vec![8], vec![8]);
    let dir = RunDir::create(Some(&folder.path().join("run")), &config).expect("a run");
    let resources = Resources { device: select_device(DeviceChoice::Cpu).expect("a CPU"), threads: 1 };
    let mut run =
        Training::begin(RunPlan { dir, config, checkpoint: None, resumed: false }, &resources).expect("it begins");
    for _ in 0..3 {
        run.advance().expect("it trains");
    }
    (folder, run)
}

/// Where the newest checkpoint stands, in steps.
fn saved(run: &Training) -> Option<u64> {
    run.dir().checkpoints().steps().last().copied()
}

#[test]
fn a_log_that_is_lost_before_a_row_or_its_flush_leaves_a_checkpoint_of_that_iteration() {
    let (_folder, mut run) = begun();
    fs::remove_file(run.dir().metrics()).expect("it was there");
    let told = format!("{:#}", run.close().expect_err("the rows are not safe"));
    assert!(told.contains("a checkpoint was written") && told.contains("metrics.csv was removed"), "{told}");
    assert_eq!(saved(&run), Some(3 * 32));

    let told = format!("{:#}", run.advance().expect_err("the row cannot be written"));
    assert!(told.contains("a checkpoint was written") && told.contains("metrics.csv was removed"), "{told}");
    assert_eq!(saved(&run), Some(4 * 32));
}

#[test]
fn a_directory_that_is_lost_is_named_and_not_begun_anew() {
    for flush in [true, false] {
        let (folder, mut run) = begun();
        fs::rename(run.dir().path(), folder.path().join("elsewhere")).expect("it was there");
        let outcome = if flush { run.close() } else { run.advance() };
        let told = format!("{:#}", outcome.expect_err("there is nowhere to write"));
        assert!(told.contains("the run directory") && told.contains("removed, moved or unmounted"), "{told}");
        assert!(!run.dir().path().exists());
    }
}
