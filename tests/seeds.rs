//! Several runs trained at once in one process: each must be the run it would have been alone.

use std::fs;

use serde_json::Value;
use test_support::program::{Finished, Sandbox, assert_same_outcome, tiny_args, wait_until};

/// The JSON objects on stdout, one a line.
fn json_lines(finished: &Finished) -> Vec<Value> {
    finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Arguments of a tiny run with the number of threads replaced.
fn group_args(out: &str, steps: u64, threads: usize, extra: &[&str]) -> Vec<String> {
    let threads = format!("--threads={threads}");
    let args = tiny_args(out, steps, extra).into_iter().filter(|arg| !arg.starts_with("--threads"));
    args.chain([threads]).collect()
}

fn as_strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn seeds_trained_together_equal_seeds_trained_alone() {
    let sandbox = Sandbox::new();
    // Fewer threads than runs, as many, and more than a thread each.
    for threads in [2, 3, 7] {
        let out = format!("all{threads}");
        let args = group_args(&out, 1024, threads, &["--seeds=3", "--seed=5", "--json"]);
        let finished = sandbox.succeed(&as_strs(&args));
        let summaries = json_lines(&finished);
        assert_eq!(summaries.iter().map(|s| s["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [5, 6, 7]);
        assert!(summaries.iter().all(|s| s["steps"] == 1024), "{summaries:?}");
        assert!(finished.stderr.contains("3 runs |"), "{}", finished.stderr);
        let stored = fs::read_to_string(sandbox.path(&out).join("seed6/summary.json")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), summaries[1]);
    }
    for seed in 5..8 {
        let alone = format!("alone{seed}");
        sandbox.train_tiny(&alone, 1024, &[&format!("--seed={seed}")]);
        for threads in [2, 3, 7] {
            assert_same_outcome(&sandbox.path(&alone), &sandbox.path(&format!("all{threads}/seed{seed}")));
        }
    }
    let text = sandbox.succeed(&as_strs(&group_args("text", 512, 2, &["--seeds=2", "--quiet"]))).stdout;
    assert!(text.lines().last().unwrap().starts_with("2 runs, 1024 steps in"), "{text}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_group_continues() {
    let sandbox = Sandbox::new();
    let args = group_args("all", 1_000_000_000, 2, &["--seeds=3"]);
    let mut command = sandbox.command(&as_strs(&args));
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let runs = [0, 1, 2].map(|seed| sandbox.path(&format!("all/seed{seed}")));
    wait_until("rows of metrics in every run", || {
        let rows = |run: &std::path::PathBuf| fs::read_to_string(run.join("metrics.csv")).unwrap_or_default();
        runs.iter().all(|run| rows(run).lines().count() > 3)
    });
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let finished: Finished = child.wait_with_output().unwrap().into();
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    assert!(finished.stderr.contains("--resume all/seed0 all/seed1 all/seed2"), "{}", finished.stderr);

    let steps_of = |run: &std::path::PathBuf| {
        let summary: Value = serde_json::from_str(&fs::read_to_string(run.join("summary.json")).unwrap()).unwrap();
        summary["steps"].as_u64().unwrap()
    };
    let goal = runs.iter().map(steps_of).max().unwrap() + 512;
    let total = format!("--total-steps={goal}");
    // The directory of the group, and single runs of it, both name runs.
    sandbox.succeed(&["train", "--resume", "all/seed2", "all/seed0", "--device=cpu", "--threads=1", &total]);
    let rest = sandbox.succeed(&["train", "--resume", "all", "--device=cpu", "--threads=2", "--json", &total]);
    assert_eq!(json_lines(&rest).len(), 3);
    for (seed, run) in runs.iter().enumerate() {
        let alone = format!("alone{seed}");
        sandbox.train_tiny(&alone, goal, &[&format!("--seed={seed}")]);
        assert_same_outcome(&sandbox.path(&alone), run);
    }
}

#[test]
fn what_cannot_be_a_group_is_refused() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("full/x")).unwrap();
    for (args, part) in [
        (vec!["train", "--seeds", "0"], "--seeds"),
        (vec!["train", "--seeds", "2", "--resume", "run"], "--resume"),
        (vec!["train", "--seeds", "2", "--out", "full"], "not empty"),
        (vec!["train", "--resume", "full"], "no run directory"),
    ] {
        let stderr = sandbox.fail(&args, 2);
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }
}
