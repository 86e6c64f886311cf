//! Runs that begin with what others have learned.

use super::*;
use std::path::PathBuf;
use test_support::program::latest_checkpoint;

/// A level of other layouts whose observations are those of PointGoal1.
const SPARSE: &str = "--set=env.hazards.count=4";

/// Begins a run of two iterations and returns the line that says what it took.
fn begun(sandbox: &Sandbox, out: &str, extra: &[&str]) -> String {
    let stderr = sandbox.train_tiny(out, 512, extra).stderr;
    stderr.lines().find(|line| line.starts_with("begins from")).expect("it says so").to_owned()
}

fn json(path: PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_run_begins_with_a_runs_policy_critics_and_factors_or_a_files_policy() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("first", 1024, &["--seed=3"]);
    let all = begun(&sandbox, "a", &["--init-from=first", SPARSE, "--cost-limit=10"]);
    assert!(all.contains("first after 1024 steps") && all.contains("critics, the algorithm's statistics"), "{all}");
    // Another algorithm has no use for the factors.
    let rival = begun(&sandbox, "b", &["--init-from=first", "--algo=ppo-lag", "--set=ppo.minibatch_size=128"]);
    assert!(rival.contains("critics") && !rival.contains("statistics"), "{rival}");
    let checkpoint = latest_checkpoint(&sandbox.path("first"));
    let again = begun(&sandbox, "c", &[&format!("--init-from={}", checkpoint.display()), SPARSE, "--cost-limit=10"]);
    assert!(again.contains("after 1024 steps"), "{again}");
    assert_same_outcome(&sandbox.path("a"), &sandbox.path("c"));
    let pointer = begun(&sandbox, "d", &["--init-from=first/checkpoints/latest", SPARSE, "--cost-limit=10"]);
    assert!(pointer.contains("after 1024 steps"), "{pointer}");
    sandbox.succeed(&["export", "first", "--out=p.safetensors"]);
    let exported = begun(&sandbox, "e", &["--init-from=p.safetensors", SPARSE]);
    assert!(exported.contains("p.safetensors: policy, normaliser; the critics are new"), "{exported}");
    let other_critics = begun(&sandbox, "f", &["--init-from=first", "--set=critic.hidden=8"]);
    assert!(other_critics.contains("the critics are new"), "{other_critics}");
    // Every rollout is learned from, the first as well.
    let rows = timeless_metrics(&sandbox.path("a"));
    let kl = rows[0].iter().position(|name| name == "Train/KL").unwrap();
    assert!(rows[1..].iter().all(|row| row[kl].parse::<f64>().is_ok_and(|kl| kl > 0.0)), "{rows:?}");
}

#[test]
fn what_it_began_with_is_on_record_and_repeats_the_run() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("first", 1024, &[]);
    sandbox.train_tiny("a", 768, &["--init-from=first"]);
    for file in ["a/config.json", "a/summary.json"] {
        let init = &json(sandbox.path(file))["init_from"];
        assert_eq!((&init["path"], &init["steps"]), (&"first".into(), &1024.into()));
        assert_eq!(init["crc32c"].as_str().map(str::len), Some(8), "{init}");
    }
    // The source goes on; the run repeats from what it began with, while that is there.
    sandbox.succeed(&["train", "--resume", "first", "--total-steps=1536", "--device=cpu", "--quiet"]);
    sandbox.succeed(&["train", "--config=a/config.json", "--out=b", "--device=cpu", "--threads=1", "--quiet"]);
    assert_same_outcome(&sandbox.path("a"), &sandbox.path("b"));
    // And interrupted and resumed it is the same run.
    sandbox.train_tiny("c", 512, &["--init-from=first/checkpoints/step-000000001024.ckpt"]);
    sandbox.succeed(&["train", "--resume", "c", "--total-steps=768", "--device=cpu", "--quiet"]);
    assert_same_outcome(&sandbox.path("a"), &sandbox.path("c"));
    let stderr = sandbox.fail(&["train", "--resume", "c", "--set=init_from=first"], 2);
    assert!(stderr.contains("`init_from`"), "{stderr}");
    sandbox.fail(&["train", "--resume", "c", "--init-from", "first"], 2);
    // Another file in the place of the one it began with is noticed.
    let (newer, older) = (latest_checkpoint(&sandbox.path("a")), sandbox.path("first.ckpt"));
    fs::copy(sandbox.path("first/checkpoints/step-000000001024.ckpt"), &older).unwrap();
    sandbox.train_tiny("d", 512, &["--init-from=first.ckpt"]);
    fs::copy(newer, &older).unwrap();
    let stderr = sandbox.fail(&["train", "--config=d/config.json", "--out=e"], 2);
    assert!(stderr.contains("no longer the file") && !sandbox.path("e").exists(), "{stderr}");
}

#[test]
fn seeds_and_sweeps_begin_with_it_too() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("first", 512, &[]);
    let stderr = sandbox.train_tiny("all", 512, &["--seeds=2", "--init-from=first"]).stderr;
    assert_eq!(stderr.matches("begins from first").count(), 2, "{stderr}");
    let sweep = r#"{"envs": ["PointGoal1"], "algos": ["kfcpo"], "seeds": [0],
        "settings": {"total_steps": 512, "num_envs": 8, "rollout_steps": 32, "kfcpo.minibatch_size": 128,
                     "policy.hidden": [16, 16], "critic.hidden": [16, 16], "critic.minibatch_size": 128},
        "variants": [{"name": "fresh"}, {"name": "warm", "settings": {"init_from": "first"}}]}"#;
    fs::write(sandbox.path("sweep.json"), sweep).unwrap();
    sandbox.succeed(&["sweep", "sweep.json", "--out=swept", "--device=cpu", "--jobs=1"]);
    let of = |kind: &str| json(sandbox.path(&format!("swept/PointGoal1/kfcpo-{kind}/seed0/config.json")));
    assert_eq!((&of("fresh")["init_from"], &of("warm")["init_from"]["steps"]), (&Value::Null, &512.into()));
    fs::write(sandbox.path("wrong.json"), sweep.replace("\"first\"", "\"nowhere\"")).unwrap();
    let stderr = sandbox.fail(&["sweep", "wrong.json", "--out=other"], 2);
    assert!(stderr.contains("variant `warm`") && stderr.contains("nowhere"), "{stderr}");
    assert!(!sandbox.path("other").exists());
}

#[test]
fn what_does_not_fit_is_refused_with_both_shapes_before_there_is_a_run() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("first", 512, &[]);
    sandbox.succeed(&["export", "first", "--out=p.safetensors"]);
    sandbox.succeed(&["export", "first", "--format=onnx", "--out=p.onnx"]);
    fs::write(sandbox.path("notes.txt"), "nothing").unwrap();
    for (source, extra, parts) in [
        ("first", "--set=policy.hidden=8,8", vec!["60-16-16-2 (tanh)", "60-8-8-2 (tanh)", "policy.hidden=16,16"]),
        (
            "p.safetensors",
            "--set=policy.activation=relu",
            vec!["60-16-16-2 (tanh)", "60-16-16-2 (relu)", "activation=tanh"],
        ),
        ("first", "--set=env.vases.count=0", vec!["60-16-16-2", "44-16-16-2", "of other sizes"]),
        ("first", "--algo=ppo-saute", vec!["60-16-16-2", "61-16-16-2"]),
        ("nowhere", "--seed=1", vec!["nowhere", "no run directory"]),
        (".", "--seed=1", vec!["no run directory"]),
        ("p.onnx", "--seed=1", vec!["p.onnx", "ONNX", "safetensors"]),
        ("notes.txt", "--seed=1", vec!["notes.txt", "neither a checkpoint nor an exported policy"]),
    ] {
        let args = tiny_args("run", 512, &[extra, "--init-from", source]);
        let finished = sandbox.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert_ne!(finished.code, Some(0), "{source} {extra}");
        for part in parts {
            assert!(finished.stderr.contains(part), "{source} {extra}: no `{part}` in {}", finished.stderr);
        }
        assert!(!sandbox.path("run").exists(), "{source} {extra}");
    }
}
