//! Runs as the command line makes them: their directory, their names, what repeats and what is said.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use test_support::program::{Sandbox, assert_same_outcome, final_state, timeless_metrics, tiny_args};

use super::keys;

#[test]
fn limits_by_kind_of_cost_are_trained_and_told() {
    let sandbox = Sandbox::new();
    let limits = ["--set=env.vases.constrained=true", "--limit=hazards=10", "--limit=vases=15", "--json"];
    let summary = sandbox.train_tiny("run", 1024, &limits).json();
    let named = |constraints: &Value| -> Vec<(String, f64)> {
        let each = constraints.as_array().unwrap().iter();
        each.map(|c| (c["name"].as_str().unwrap().to_owned(), c["limit"].as_f64().unwrap())).collect()
    };
    let expected = [("hazards".to_owned(), 10.0), ("vases".to_owned(), 15.0)];
    assert!(summary["env"].as_str().unwrap().starts_with("SafetyPointGoal1-"), "{summary}");
    assert_eq!(named(&summary["constraints"]), expected);
    let metrics = fs::read_to_string(sandbox.path("run/metrics.csv")).unwrap();
    for kind in ["Kinds/hazards", "Kinds/vases_contact", "Kinds/vases_velocity"] {
        assert!(metrics.contains(kind), "{metrics}");
    }
    let evaluation = sandbox.succeed(&["eval", "run", "--episodes", "4", "--json", "--device", "cpu"]).json();
    assert_eq!(named(&evaluation["constraints"]), expected);
    // The run has all of it: nothing must be said again.
    sandbox.succeed(&["train", "--resume", "run", "--total-steps", "1536", "--device", "cpu", "--quiet"]);
    let page = sandbox.succeed(&["record", "run", "--out", "a.html", "--device", "cpu"]).stdout;
    assert!(page.contains("a.html"), "{page}");
    let refused = sandbox.fail(&["train", "--env", "PointGoal1", "--limit", "vases=15"], 2);
    assert!(refused.contains("what does: hazards"), "{refused}");
}

#[test]
fn train_writes_a_run_directory_and_its_summary() {
    let sandbox = Sandbox::new();
    let finished = sandbox.train_tiny("run", 1024, &["--json", "--seed=7"]);
    let summary = finished.json();
    let documented = [
        "env",
        "algo",
        "seed",
        "device",
        "threads",
        "num_envs",
        "steps",
        "wall_s",
        "steps_per_s",
        "rollout_s",
        "deployed_s",
        "update_s",
        "actions",
        "basis",
        "return_mean",
        "return_std",
        "cost_mean",
        "cost_std",
        "episodes",
        "cost_limit",
        "within_limits",
        "constraints",
        "sampled",
        "deployed_steps",
        "accepted",
        "rollbacks",
        "skipped",
        "kl_mean",
        "kl_max",
        "run_dir",
    ];
    assert_eq!(keys(&summary), documented);
    assert_eq!(summary["env"], "SafetyPointGoal1-v0");
    assert_eq!((&summary["seed"], &summary["steps"]), (&7.into(), &1024.into()));
    // One environment beside the eight measures the deployed policy; no episode of 1,000 steps has ended.
    assert_eq!((&summary["actions"], &summary["deployed_steps"]), (&"mean".into(), &128.into()));
    assert_eq!((&summary["basis"], &summary["episodes"]), (&"steps".into(), &0.into()));
    let [constraint] = &summary["constraints"].as_array().unwrap()[..] else { panic!("{summary}") };
    assert_eq!((&constraint["name"], &constraint["limit"]), (&"cost".into(), &25.0.into()));
    assert_eq!((&constraint["cost_mean"], &constraint["within"]), (&summary["cost_mean"], &summary["within_limits"]));
    assert_ne!(summary["sampled"]["return_mean"], summary["return_mean"]);
    assert_eq!((&summary["device"], &summary["threads"]), (&"cpu".into(), &1.into()));
    let run = sandbox.path("run");
    let stored: Value = serde_json::from_str(&fs::read_to_string(run.join("summary.json")).unwrap()).unwrap();
    assert_eq!(stored, summary);
    let meta: Value = serde_json::from_str(&fs::read_to_string(run.join("meta.json")).unwrap()).unwrap();
    for key in ["version", "git_commit", "device", "seed", "command"] {
        assert!(!meta[key].is_null(), "meta.json lacks {key}");
    }
    let names: BTreeSet<String> =
        (fs::read_dir(&run).unwrap()).map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for name in ["config.json", "metrics.csv", "checkpoints", "run.lock"] {
        assert!(names.contains(name), "{names:?} lacks {name}");
    }
    assert!(names.iter().any(|name| name.starts_with("events.out.tfevents.")));
    assert_eq!(timeless_metrics(&run).len(), 1 + 4);
    assert!(finished.stderr.contains("steps/s"), "{}", finished.stderr);
    assert!(!finished.stderr.contains('\r'), "a log file wants plain lines");
}

#[test]
fn a_run_leaves_the_policy_that_earns_most_on_fresh_episodes() {
    let sandbox = Sandbox::new();
    let settings = [
        "--set=env.max_episode_steps=50",
        "--set=deployed.final_episodes=2",
        "--set=checkpoint.interval_steps=512",
        "--set=kfcpo.policy_average=0.2",
        "--json",
    ];
    let summary = sandbox.train_tiny("run", 4096, &settings).json();
    // Of 4,096 steps a tenth is enough for four times two episodes of 50.
    let candidates = summary["choice"]["candidates"].as_array().unwrap();
    let steps: Vec<u64> = candidates.iter().map(|candidate| candidate["steps"].as_u64().unwrap()).collect();
    assert_eq!(steps, [2560, 3072, 3584, 4096]);
    let number = |value: &Value| value.as_f64().unwrap();
    let chosen = &candidates[summary["choice"]["chosen"].as_u64().unwrap() as usize];
    let played = |candidate: &Value| 2 + candidate["further_episodes"].as_u64().unwrap();
    let bound = |candidate: &Value| {
        let cost = &candidate["costs"][0];
        number(&cost["mean"]) + number(&cost["std"]) / (played(candidate) as f64).sqrt()
    };
    assert!(candidates.iter().all(|other| {
        bound(other) > 25.0
            || (bound(chosen) <= 25.0 && number(&chosen["ret"]["mean"]) >= number(&other["ret"]["mean"]))
    }));
    assert_eq!((&summary["return_mean"], &summary["cost_mean"]), (&chosen["ret"]["mean"], &chosen["costs"][0]["mean"]));
    assert_eq!((summary["episodes"].as_u64(), &summary["basis"]), (Some(played(chosen)), &"episodes".into()));
    // A fifth is enough for eight rounds of two; who is left has played six of them, or all eight are over.
    let few = sandbox.train_tiny("few", 4096, &[&settings[..], &["--set=checkpoint.keep=1"]].concat()).json();
    for (summary, count) in [(&summary, 4), (&few, 3)] {
        let candidates = summary["choice"]["candidates"].as_array().unwrap();
        let left = &candidates[summary["choice"]["chosen"].as_u64().unwrap() as usize];
        let all: u64 = candidates.iter().map(played).sum();
        assert_eq!(candidates.len(), count);
        assert!(all == 16 || all < 16 && played(left) == 12, "{candidates:?}");
        assert_eq!(summary["episodes"].as_u64(), Some(played(left)));
    }
    // It is what the last checkpoint deploys.
    let theta = |which: &str| {
        let told = sandbox.succeed(&["export", "run", "--checkpoint", which, "--out", "policy.safetensors"]).stderr;
        // The episodes by which it was chosen are an evaluation of it.
        assert_eq!(told.contains("no evaluation"), which != "latest" && which != "4096", "{told}");
        let bytes = fs::read(sandbox.path("policy.safetensors")).unwrap();
        safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor("layers.1.weight").unwrap().data().to_vec()
    };
    assert_eq!(theta("latest"), theta(&chosen["steps"].to_string()));
    // A finished run says again how it chose, one that goes on chooses anew.
    let again = sandbox.succeed(&["train", "--resume=run", "--threads=1", "--json"]).json();
    assert_eq!(again["choice"], summary["choice"]);
    let longer = sandbox.succeed(&["train", "--resume=run", "--threads=1", "--json", "--total-steps=8192"]).json();
    let candidates = longer["choice"]["candidates"].as_array().unwrap();
    assert_eq!(candidates.last().unwrap()["steps"], 8192);
    // Also among what it left before, where that is its best so far: under the steps that it was trained for.
    assert!(candidates[0]["steps"] == chosen["steps"] || candidates[0]["steps"] == 5632, "{candidates:?}");
    sandbox.train_tiny("whole", 8192, &settings);
    assert_eq!(timeless_metrics(&sandbox.path("run")), timeless_metrics(&sandbox.path("whole")));
}

#[test]
fn train_is_the_verb_when_there_is_none() {
    let sandbox = Sandbox::new();
    let args = tiny_args("run", 512, &["--quiet"]);
    let without: Vec<&str> = args[1..].iter().map(String::as_str).collect();
    let finished = sandbox.succeed(&without);
    assert!(sandbox.path("run/summary.json").exists());
    assert_eq!(finished.stderr, "", "--quiet");
}

#[test]
fn runs_get_names_of_their_own() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        let args = tiny_args("unused", 512, &["--quiet"]);
        let args: Vec<&str> = args.iter().map(String::as_str).filter(|a| *a != "--out=unused").collect();
        sandbox.succeed(&args);
    }
    let names: Vec<String> = (fs::read_dir(sandbox.path("runs")).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("SafetyPointGoal1-v0-kfcpo-seed0-")), "{names:?}");
}

#[test]
fn a_saved_configuration_repeats_the_run_bit_for_bit() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("a", 1024, &["--seed=5"]);
    sandbox.succeed(&["train", "--config", "a/config.json", "--out", "b", "--device=cpu", "--threads=2"]);
    assert_same_outcome(&sandbox.path("a"), &sandbox.path("b"));
    sandbox.train_tiny("c", 1024, &["--seed=6"]);
    assert!(final_state(&sandbox.path("a")) != final_state(&sandbox.path("c")), "the seed changes nothing");
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one_bit_for_bit() {
    let sandbox = Sandbox::new();
    for algo in ["kfcpo", "ppo-lag"] {
        let algo_flag = format!("--algo={algo}");
        // Nothing must depend on the planned length, or the two runs would differ by design.
        let extra =
            [algo_flag.as_str(), "--set=ppo.anneal=false", "--set=ppo.epochs=2", "--set=ppo.minibatch_size=128"];
        let (whole, cut) = (format!("{algo}-whole"), format!("{algo}-cut"));
        sandbox.train_tiny(&whole, 2048, &extra);
        sandbox.train_tiny(&cut, 1024, &extra);
        sandbox.succeed(&["train", "--resume", &cut, "--total-steps=2048", "--device=cpu", "--threads=1"]);
        assert_same_outcome(&sandbox.path(&whole), &sandbox.path(&cut));
    }
}

#[test]
fn resume_changes_only_the_length() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &[]);
    let before = final_state(&sandbox.path("run"));
    let stderr = sandbox.fail(&["train", "--resume", "run", "--seed", "9"], 2);
    assert!(stderr.contains("`seed`"), "{stderr}");
    sandbox.fail(&["train", "--resume", "run", "--out", "elsewhere"], 2);
    sandbox.fail(&["train", "--resume", "nowhere"], 2);
    sandbox.succeed(&["train", "--resume", "run", "--device=cpu"]); // done already: nothing to do
    assert!(final_state(&sandbox.path("run")) == before);
}

#[test]
fn a_run_that_learned_nothing_says_so_and_fails() {
    let sandbox = Sandbox::new();
    let short = tiny_args("run", 256, &["--quiet"]);
    let short: Vec<&str> = short.iter().map(String::as_str).collect();
    let stderr = sandbox.fail(&short, 1);
    assert!(stderr.contains("learned nothing") && stderr.contains("= 256 steps"), "{stderr}");
    assert!(sandbox.path("run/summary.json").exists());
    // It can be lengthened, and then it has learned.
    sandbox.succeed(&["train", "--resume", "run", "--total-steps=512", "--device=cpu", "--quiet"]);
    let group = tiny_args("all", 256, &["--quiet", "--seeds=2"]);
    let group: Vec<&str> = group.iter().map(String::as_str).collect();
    assert_eq!(sandbox.fail(&group, 1).matches("learned nothing").count(), 2);
}

#[test]
fn every_preset_is_a_configuration_that_trains() {
    let sandbox = Sandbox::new();
    let small = ["--set=policy.hidden=16", "--set=critic.hidden=16", "--total-steps=163840", "--device=cpu", "--quiet"];
    for (preset, envs) in [("quick", 512), ("gpu", 2048), ("gpu-wide", 8192)] {
        let args = [&["train", "--json", "--preset", preset, "--out", preset], &small[..]].concat();
        assert_eq!(sandbox.succeed(&args).json()["num_envs"], envs, "{preset}");
    }
    let refused = sandbox.fail(&["train", "--preset", "nope"], 2);
    assert!(refused.ends_with("there are: quick, gpu, gpu-wide\n"), "every preset is tried above: {refused}");
}

#[test]
fn a_training_begins_with_what_it_is_and_ends_with_what_comes_next() {
    let sandbox = Sandbox::new();
    let said = sandbox.train_tiny("run", 1024, &[]).stderr;
    let first = said.lines().next().unwrap();
    for part in
        ["kfcpo on SafetyPointGoal1-v0, seed 0", "8 environments", "device cpu (vectors of ", "1 threads", "-> run"]
    {
        assert!(first.contains(part), "no {part} in {first}");
    }
    assert!(!said.contains('\x1b'), "no terminal, no colours: {said}");
    let program = env!("CARGO_BIN_EXE_trainer");
    let next: Vec<&str> = said.lines().rev().take(3).map(|line| line.trim_start_matches("next:").trim()).collect();
    assert!(next.iter().all(|command| command.starts_with(program)), "{said}");
    for command in next {
        let args: Vec<&str> = command[program.len()..].split_whitespace().collect();
        sandbox.succeed(&[&args[..], &["--device=cpu"]].concat());
    }
    assert!(sandbox.path("replay.html").exists());
}
