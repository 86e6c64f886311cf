//! Saved policies wherever they are: evaluated side by side, elsewhere, and again in one layout.

use super::*;
use test_support::program::latest_checkpoint;

const SMALL: [&str; 3] = ["--episodes=3", "--device=cpu", "--threads=1"];

fn eval(sandbox: &Sandbox, args: &[&str]) -> String {
    sandbox.succeed(&[&["eval"], args, &SMALL].concat()).stdout
}

#[test]
fn a_run_a_checkpoint_and_an_exported_file_play_the_same_episodes() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &["--cost-limit=10"]);
    sandbox.succeed(&["export", "run", "--out=p.safetensors"]);
    let checkpoint = latest_checkpoint(&sandbox.path("run")).display().to_string();
    let all = eval(&sandbox, &["run", &checkpoint, "p.safetensors", "--cost-limit=10", "--json"]);
    let rows: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = rows.iter().map(|row| row["policy"].as_str().unwrap()).collect();
    assert_eq!(names, ["run", checkpoint.as_str(), "p.safetensors"]);
    let steps: Vec<&Value> = rows.iter().map(|row| &row["checkpoint"]).collect();
    assert_eq!(steps, [&Value::from(512), &Value::from(512), &Value::Null]);
    for row in &rows {
        assert_eq!((&row["return_mean"], &row["constraints"]), (&rows[0]["return_mean"], &rows[0]["constraints"]));
    }
    // Limits that were given are not the run's: nothing is kept for `report`.
    assert!(!sandbox.path("run/eval.json").exists());
    let table = eval(&sandbox, &["run", "p.safetensors"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("SafetyPointGoal1-v0, 3 episodes each"), "{table}");
    assert!(lines[2].starts_with("run ") && lines[3].starts_with("p.safetensors  -"), "{table}");
    assert!(sandbox.path("run/eval.json").exists());
    // Everything that takes a policy takes all three.
    for source in ["run", &checkpoint, "p.safetensors"] {
        let recorded = sandbox.succeed(&["record", source, "--out=a.html", "--steps=3", "--device=cpu"]).stdout;
        assert!(recorded.starts_with("a.html"), "{recorded}");
        sandbox.succeed(&["export", source, "--out=again.safetensors"]);
        assert_eq!(
            fs::read(sandbox.path("again.safetensors")).unwrap(),
            fs::read(sandbox.path("p.safetensors")).unwrap()
        );
    }
}

#[test]
fn a_policy_plays_elsewhere_under_other_limits() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &[]);
    let own: Value = serde_json::from_str(&eval(&sandbox, &["run", "--json"])).unwrap();
    let other: Value =
        serde_json::from_str(&eval(&sandbox, &["run", "--env=PointGoal2", "--cost-limit=3", "--json"])).unwrap();
    assert_eq!((&own["env"], &other["env"]), (&"SafetyPointGoal1-v0".into(), &"SafetyPointGoal2-v0".into()));
    assert_eq!((&own["constraints"][0]["limit"], &other["constraints"][0]["limit"]), (&25.0.into(), &3.0.into()));
    let kept: Value = serde_json::from_str(&fs::read_to_string(sandbox.path("run/eval.json")).unwrap()).unwrap();
    assert_eq!(kept["env"], own["env"]);
    for (args, code, parts) in [
        (vec!["eval", "run", "--env=CarPush1"], 1, vec!["60", "observations"]),
        (vec!["eval", "run", "--cost-limit=1,2"], 2, vec!["1 constraint", "--cost-limit"]),
        (vec!["eval", "run", "nowhere"], 2, vec!["nowhere", "no run directory"]),
        (vec!["eval", "p.safetensors", "--checkpoint=best"], 2, vec!["--checkpoint best", "p.safetensors"]),
        (vec!["eval", "p.onnx"], 2, vec!["ONNX", "exported from"]),
        (vec!["record", "p.onnx"], 2, vec!["ONNX"]),
        (vec!["export", "p.onnx"], 2, vec!["ONNX"]),
        (vec!["report", "p.onnx"], 2, vec!["p.onnx"]),
        (vec!["train", "--resume", "p.onnx"], 2, vec!["p.onnx"]),
    ] {
        sandbox.succeed(&["export", "run", "--out=p.safetensors"]);
        sandbox.succeed(&["export", "run", "--format=onnx", "--out=p.onnx"]);
        let stderr = sandbox.fail(&[&args[..], &["--device=cpu"][..usize::from(args[0] == "eval")]].concat(), code);
        for part in parts {
            assert!(stderr.contains(part), "{args:?}: no `{part}` in {stderr}");
        }
    }
}

/// The third episode of an evaluation, four times.
#[test]
fn one_layout_is_played_again_and_again() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &[]);
    let layouts = |extra: &[&str]| -> Vec<Value> {
        let args = ["record", "run", "--out=a.html", "--steps=2", "--seed=9", "--episodes=4", "--device=cpu"];
        sandbox.succeed(&[&args, extra].concat());
        let page = page_data(&fs::read_to_string(sandbox.path("a.html")).unwrap());
        let start = |object: &Value| object["track"].as_array().unwrap()[..3].to_vec();
        let layout = |episode: &Value| episode["objects"].as_array().unwrap().iter().flat_map(start).collect();
        page["episodes"].as_array().unwrap().iter().map(layout).collect()
    };
    let (drawn, again) = (layouts(&[]), layouts(&["--layout=2", "--stochastic"]));
    assert!(drawn[0] != drawn[2] && again.iter().all(|layout| *layout == drawn[2]), "{drawn:?} {again:?}");
    let repeated: Value =
        serde_json::from_str(&eval(&sandbox, &["run", "--layout=2", "--stochastic", "--json"])).unwrap();
    assert_eq!(repeated["deterministic"], false);
    assert!(!sandbox.path("run/eval.json").exists());
    sandbox.fail(&["eval", "run", "--layout=-1"], 2);
}
