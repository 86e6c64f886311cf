//! The examples of the crate `trainer` run to their end.

#[path = "../crates/trainer/examples/load_a_policy.rs"]
mod load_a_policy;
#[path = "../crates/trainer/examples/read_a_policy.rs"]
#[allow(dead_code)] // its `main` reads arguments and stdin
mod read_a_policy;
#[path = "../crates/trainer/examples/train.rs"]
mod train;
#[path = "../crates/trainer/examples/write_a_vectorised_environment.rs"]
mod write_a_vectorised_environment;
#[path = "../crates/trainer/examples/write_an_algorithm.rs"]
mod write_an_algorithm;
#[path = "../crates/trainer/examples/write_an_environment.rs"]
mod write_an_environment;

use burn::tensor::{Device, Tensor};
use trainer::checkpoint::Checkpoint;
use trainer::config::{Actions, TrainConfig};
use trainer::device::{DeviceChoice, select_device};
use trainer::evaluate::evaluate;
use trainer::policy::source::PolicySource;
use trainer::run_dir::RunDir;
use trainer::runner::Runner;
use trainer::training::{Resources, RunPlan, Training};

#[test]
fn a_policy_is_trained() {
    train::main().expect("the example holds");
}

#[test]
fn an_algorithm_is_written() {
    write_an_algorithm::main().expect("the example holds");
}

#[test]
fn a_policy_is_loaded() {
    load_a_policy::main().expect("the example holds");
}

/// The page on files shows the reader, and it acts as the policy does.
#[test]
fn an_exported_policy_is_read_by_safetensors_alone() {
    let (page, source) =
        (include_str!("../assets/docs/src/files.md"), include_str!("../crates/trainer/examples/read_a_policy.rs"));
    let reader =
        &source[source.find("use anyhow").unwrap()..source.find("/// Acts by the file that is named").unwrap()];
    assert!(page.contains(reader.trim_end()), "the page's reader is another");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("policy.safetensors");
    let config = TrainConfig { num_envs: 4, rollout_steps: 4, ..TrainConfig::default() };
    let mut runner = Runner::new(config, Device::flex()).expect("a configuration");
    (0..3).for_each(|_| drop(runner.iterate().expect("it trains")));
    let policy = runner.snapshot().expect("readable");
    policy.write_safetensors(&path).expect("writable");
    let bytes = std::fs::read(&path).expect("readable");
    let reader = read_a_policy::Reader::new(&bytes).expect("a policy");
    let device = Device::flex();
    for step in 0..20 {
        let obs: Vec<f32> = (0..policy.sizes[0]).map(|i| ((i * 7 + step * 13) as f32).sin() * 3.0).collect();
        let batch = Tensor::<1>::from_floats(obs.as_slice(), &device).unsqueeze::<2>();
        let own = policy.policy(&device).unwrap().forward(policy.normalizer(&device).unwrap().apply(batch));
        let own = compute::read("the actions", own.clamp(-1.0, 1.0)).expect("readable");
        for (own, read) in own.iter().zip(reader.act(&obs).expect("it acts")) {
            assert!((own - read).abs() < 1e-5, "{own} {read}");
        }
    }
}

/// The optimum is 21.9 with all water given to the driest quarter of the days; given evenly it would be 12.5.
#[test]
fn a_vectorised_environment_is_solved_within_its_limit() {
    write_a_vectorised_environment::main().expect("the example holds");
}

/// The optimum is 9.6 m; whoever ignores the limit drives up to 50 m at a cost of 90.
#[test]
fn a_written_environment_is_solved_within_its_limit() {
    write_an_environment::main().expect("the example holds");
}

/// Trains in carts until so many iterations are done, from a checkpoint where there is one; the run is saved.
fn train_in_carts(config: &TrainConfig, dir: RunDir, checkpoint: Option<Checkpoint>, iterations: u64) {
    let resumed = checkpoint.is_some();
    let device = select_device(DeviceChoice::Cpu).expect("a CPU");
    let runner = Runner::with_env(
        config.clone(),
        write_an_environment::carts(config.num_envs).expect("carts"),
        device.device.clone(),
    );
    let runner = runner.and_then(|runner| runner.with_deployed_env(write_an_environment::carts(2)?)).expect("a runner");
    let plan = RunPlan { dir, config: config.clone(), checkpoint, resumed };
    let mut run = Training::begin_with(runner, plan, &Resources { device, threads: 1 }).expect("it begins");
    while run.runner().iteration() < iterations {
        run.advance().expect("it trains");
    }
    run.close().expect("it is saved");
}

#[test]
fn runs_in_a_written_environment_are_resumed_evaluated_and_told_in_curves() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = write_an_environment::carts(1).expect("a cart").spec().clone();
    let mut config = TrainConfig { env: (&spec).into(), num_envs: 8, rollout_steps: 30, ..TrainConfig::default() };
    config.cost_limit = 5.0.into();
    config.total_steps = 6 * config.batch_size() as u64;
    (config.policy.hidden, config.critic.hidden) = (vec![8], vec![8]);
    let [whole, cut] = ["whole", "cut"].map(|name| folder.path().join(name));
    train_in_carts(&config, RunDir::create(Some(&whole), &config).expect("a run"), None, 6);
    train_in_carts(&config, RunDir::create(Some(&cut), &config).expect("a run"), None, 3);
    let dir = RunDir::open_for_training(&cut).expect("a run");
    let (saved, warning) = dir.config().expect("it is readable");
    assert_eq!((saved.env.id(), &saved, warning), ("Cart-v0", &config, None));
    let (checkpoint, _) = dir.checkpoints().load_newest_readable().expect("a checkpoint");
    train_in_carts(&config, dir, Some(checkpoint), 6);

    let device = Device::flex();
    let [one, other] = [whole, cut]
        .map(|run| PolicySource::open(&run, None).and_then(|source| source.policy(&device)).expect("a policy"));
    assert_eq!(one, other);
    let episodes = evaluate(&one, write_an_environment::carts(3).expect("carts"), 0, Actions::Mean).expect("it plays");
    assert!(episodes.len() == 3 && episodes.iter().all(|episode| episode.length == 100), "{episodes:?}");
    #[cfg(feature = "cli")]
    {
        let limits = config.cost_limit.of(&spec.constraints).expect("one limit");
        let carts = write_an_environment::carts(2).expect("carts");
        let page = trainer::cli::numbers::page(&one, carts, &limits, 0, Actions::Mean).expect("a page");
        assert!(page.contains("Cart-v0") && page.contains("speeding") && page.matches("<svg").count() == 8);
    }
}
