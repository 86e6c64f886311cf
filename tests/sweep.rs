//! Sweeps by the real program: what a file says is trained once, whatever stops the program on its way.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use test_support::program::{Finished, Sandbox, assert_same_outcome, wait_until};

/// Settings of runs that take a second.
fn tiny(steps: u64) -> Value {
    json!({
        "total_steps": steps, "num_envs": 8, "rollout_steps": 32, "policy.hidden": [16, 16], "critic.hidden": [16, 16],
        "critic.minibatch_size": 128, "kfcpo.minibatch_size": 128, "checkpoint.interval_steps": 512,
    })
}

fn write(sandbox: &Sandbox, name: &str, file: &Value) {
    fs::write(sandbox.path(name), serde_json::to_string_pretty(file).unwrap()).unwrap();
}

fn json_lines(finished: &Finished) -> Vec<Value> {
    finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn steps_of(run: &Path) -> u64 {
    let text = fs::read_to_string(run.join("summary.json")).unwrap_or_default();
    serde_json::from_str::<Value>(&text).map_or(0, |summary| summary["steps"].as_u64().unwrap())
}

#[test]
fn the_example_sweep_trains_evaluates_and_is_done_once() {
    let sandbox = Sandbox::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/sweeps/quick.json");
    let mut file: Value = serde_json::from_str(&fs::read_to_string(example).unwrap()).unwrap();
    // Small; otherwise as it is.
    file["settings"] = tiny(1024);
    file["eval"] = json!({"episodes": 2, "seed": 7});
    file["seeds"] = json!("0-1");
    write(&sandbox, "quick.json", &file);
    let dry = sandbox.succeed(&["sweep", "quick.json", "--dry-run", "--device=cpu", "--jobs=2"]).stdout;
    assert_eq!(dry.lines().count(), 13, "{dry}");
    assert!(dry.starts_with("PointGoal1/kfcpo/seed0: 1024 steps, about 0:0"), "{dry}");
    assert!(
        dry.contains("CarGoal1/kfcpo-half-kl/seed1") && dry.contains("12 runs, 12 not finished; 2 at once"),
        "{dry}"
    );
    assert!(!sandbox.path("runs").exists());

    let finished = sandbox.succeed(&["sweep", "quick.json", "--device=cpu", "--jobs=2"]);
    assert_eq!(finished.stdout.lines().count(), 13, "{}", finished.stdout);
    assert!(finished.stdout.ends_with("12 runs: 12 finished\n"), "{}", finished.stdout);
    assert!(
        finished.stdout.contains("/12] PointGoal1/ppo-lag/seed1: ") && finished.stdout.contains("2 fresh episodes")
    );
    let run = sandbox.path("runs/quick/CarGoal1/kfcpo-half-kl/seed1");
    assert_eq!(steps_of(&run), 1024);
    let kept: Value = serde_json::from_str(&fs::read_to_string(run.join("eval.json")).unwrap()).unwrap();
    assert_eq!((&kept["checkpoint"], &kept["episodes"], &kept["seed"]), (&json!(1024), &json!(2), &json!(7)));

    // Again: nothing is left. With other episodes: only they are played.
    let again = sandbox.succeed(&["sweep", "quick.json", "--device=cpu"]);
    assert_eq!(again.stdout, "12 runs: 12 were finished before\n");
    file["eval"]["episodes"] = json!(3);
    write(&sandbox, "quick.json", &file);
    let evaluated = json_lines(&sandbox.succeed(&["sweep", "quick.json", "--device=cpu", "--json"]));
    assert_eq!(evaluated.len(), 12);
    assert!(evaluated.iter().all(|line| line["summary"].is_null() && line["evaluation"]["episodes"] == 3));
    let states = json_lines(&sandbox.succeed(&["sweep", "quick.json", "--device=cpu", "--dry-run", "--json"]));
    assert!(states.len() == 12 && states.iter().all(|line| line["state"] == "finished"), "{states:?}");

    // A run of the sweep is the run that `train` makes of the same configuration.
    let config = run.join("config.json");
    sandbox.succeed(&["train", "--config", config.to_str().unwrap(), "--out=alone", "--device=cpu", "--threads=2"]);
    assert_same_outcome(&sandbox.path("alone"), &run);
    let table = sandbox.succeed(&["report", "runs/quick", "--json"]).stdout;
    assert_eq!(table.lines().count(), 6, "{table}");
}

#[test]
fn a_changed_file_refuses_the_runs_it_no_longer_describes() {
    let sandbox = Sandbox::new();
    let mut file =
        json!({"envs": ["PointGoal1"], "algos": ["kfcpo"], "seeds": [0], "settings": tiny(512), "out": "all"});
    write(&sandbox, "s.json", &file);
    sandbox.succeed(&["sweep", "s.json", "--device=cpu", "--quiet"]);
    file["seeds"] = json!([0, 1]);
    file["settings"]["checkpoint.keep"] = json!(7);
    write(&sandbox, "s.json", &file);
    sandbox.succeed(&["sweep", "s.json", "--device=cpu", "--quiet"]);
    file["settings"]["kfcpo.damping"] = json!(0.5);
    file["algos"] = json!(["kfcpo", "ppo"]);
    write(&sandbox, "s.json", &file);
    for extra in ["--quiet", "--dry-run"] {
        let stderr = sandbox.fail(&["sweep", "s.json", "--device=cpu", extra], 2);
        assert!(stderr.contains("PointGoal1/kfcpo/seed0: `kfcpo.damping`"), "{stderr}");
        assert!(stderr.contains("seed1") && !sandbox.path("all/PointGoal1/ppo").exists(), "{stderr}");
    }
    // The same in TOML, elsewhere.
    let toml = "envs = ['PointGoal1']\nalgos = ['kfcpo'] # a remark\nseeds = '3-3'\nsettings = { total_steps = 5.12e2, \
                num_envs = 8, rollout_steps = 32, \"policy.hidden\" = 16, \"critic.hidden\" = 16, kfcpo.minibatch_size = 128 }\n";
    fs::write(sandbox.path("s.toml"), toml).unwrap();
    sandbox.succeed(&["sweep", "s.toml", "--device=cpu", "--out=other"]);
    assert_eq!(steps_of(&sandbox.path("other/PointGoal1/kfcpo/seed3")), 512);
    let stderr = sandbox.fail(&["sweep", "none.json"], 2);
    assert!(stderr.contains("none.json"), "{stderr}");
}

#[test]
fn a_run_that_fails_does_not_hold_up_the_others() {
    let sandbox = Sandbox::new();
    let mut settings = tiny(1024);
    settings["ppo.learning_rate"] = json!(1e30);
    let file = json!({"envs": ["PointGoal1"], "algos": ["ppo", "kfcpo"], "seeds": [0, 1], "settings": settings});
    write(&sandbox, "s.json", &file);
    fs::create_dir_all(sandbox.path("runs/s/PointGoal1/kfcpo/seed0")).unwrap();
    fs::write(sandbox.path("runs/s/PointGoal1/kfcpo/seed0/notes"), "mine").unwrap();
    let finished = sandbox.run(&["sweep", "s.json", "--device=cpu", "--jobs=2"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stdout.ends_with("4 runs: 1 finished, 3 failed\n"), "{}", finished.stdout);
    for (name, why) in
        [("ppo/seed0", "no longer finite"), ("ppo/seed1", "no longer finite"), ("kfcpo/seed0", "not empty")]
    {
        let line = finished.stderr.lines().find(|line| line.starts_with(&format!("failed: PointGoal1/{name}")));
        assert!(line.is_some_and(|line| line.contains(why)), "{name}: {}", finished.stderr);
    }
    assert_eq!(fs::read_to_string(sandbox.path("runs/s/PointGoal1/kfcpo/seed0/notes")).unwrap(), "mine");
    assert_eq!(steps_of(&sandbox.path("runs/s/PointGoal1/kfcpo/seed1")), 1024);
}

#[cfg(unix)]
#[test]
fn a_sweep_that_is_interrupted_or_killed_goes_on_without_a_loss() {
    let sandbox = Sandbox::new();
    let names = ["kfcpo/seed0", "ppo-lag/seed0", "kfcpo/seed1", "ppo-lag/seed1"];
    let file = |steps: u64, out: &str| {
        json!({"envs": ["PointGoal1"], "algos": ["kfcpo", "ppo-lag"], "seeds": [0, 1], "settings": tiny(steps), "out": out,
               "eval": {"episodes": 2}})
    };
    let steps = 20_480;
    write(&sandbox, "s.json", &file(steps, "all"));
    write(&sandbox, "whole.json", &file(steps, "whole"));
    let runs = names.map(|name| sandbox.path(&format!("all/PointGoal1/{name}")));
    let rows = |run: &Path| fs::read_to_string(run.join("metrics.csv")).unwrap_or_default().lines().count();
    let finished_ones = || runs.iter().filter(|run| run.join("eval.json").exists()).count();
    let mut stamps = Vec::new();
    // Killed early, interrupted, killed with something finished: each time the same command goes on.
    for (signal, ready) in [("-KILL", 0), ("-TERM", 0), ("-KILL", 1), ("-INT", 2)] {
        let mut command = sandbox.command(&["sweep", "s.json", "--device=cpu", "--jobs=2"]);
        let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let before: usize = runs.iter().map(|run| rows(run)).sum();
        wait_until("progress", || {
            let now: usize = runs.iter().map(|run| rows(run)).sum();
            finished_ones() == 4 || (now > before + 6 && finished_ones() >= ready)
        });
        std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let finished: Finished = child.wait_with_output().unwrap().into();
        if signal != "-KILL" && finished_ones() < 4 {
            assert_eq!(finished.code, Some(130), "{}", finished.stderr);
            assert!(finished.stderr.contains("the same command goes on"), "{}", finished.stderr);
        }
        for run in runs.iter().filter(|run| run.join("eval.json").exists()) {
            stamps.push((run.clone(), fs::metadata(run.join("metrics.csv")).unwrap().modified().unwrap()));
        }
    }
    sandbox.succeed(&["sweep", "s.json", "--device=cpu", "--jobs=2"]);
    for (run, stamp) in stamps {
        assert_eq!(
            fs::metadata(run.join("metrics.csv")).unwrap().modified().unwrap(),
            stamp,
            "{run:?} was trained twice"
        );
    }
    sandbox.succeed(&["sweep", "whole.json", "--device=cpu", "--jobs=2"]);
    for name in names {
        let whole = sandbox.path(&format!("whole/PointGoal1/{name}"));
        assert_same_outcome(&whole, &sandbox.path(&format!("all/PointGoal1/{name}")));
    }
}
