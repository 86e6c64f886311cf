//! The command line as its users and their scripts see it: the real binary, in a temporary directory.

#[path = "cli/check.rs"]
mod check;
#[cfg(unix)]
#[path = "cli/gpu_script.rs"]
mod gpu_script;
#[path = "cli/init_from.rs"]
mod init_from;
#[path = "cli/policies.rs"]
mod policies;
#[path = "cli/record.rs"]
mod record;
#[path = "cli/training.rs"]
mod training;

use std::fs;
use std::path::Path;

use record::page_data;
use serde_json::Value;
use test_support::program::{Sandbox, assert_same_outcome, timeless_metrics, tiny_args};

/// Every verb with options of its own.
const VERBS: [&str; 13] = [
    "train", "sweep", "eval", "parity", "export", "record", "bench", "check", "report", "watch", "envs", "algos",
    "config",
];

/// Compares `text` with a file under tests/fixtures/cli; `UPDATE_SNAPSHOTS=1` writes the file instead.
fn assert_snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/cli").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name} changed; UPDATE_SNAPSHOTS=1 accepts that");
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn help_is_as_documented() {
    let sandbox = Sandbox::new();
    assert_snapshot("help.txt", &sandbox.succeed(&["--help"]).stdout);
    for verb in VERBS {
        let help = sandbox.succeed(&[verb, "--help"]).stdout;
        assert_snapshot(&format!("help-{verb}.txt"), &help);
    }
}

#[test]
fn config_prints_what_train_would_use() {
    let sandbox = Sandbox::new();
    let default = sandbox.succeed(&["config"]).stdout;
    assert_snapshot("config.json", &default);
    fs::write(sandbox.path("c.json"), &default).unwrap();
    assert_eq!(sandbox.succeed(&["config", "--config", "c.json"]).stdout, default);
    let changed = sandbox.succeed(&["config", "--json", "--set", "kfcpo.damping=0.5", "--seed", "3"]);
    let config = changed.json();
    assert_eq!((&config["kfcpo"]["damping"], &config["seed"]), (&0.5.into(), &3.into()));
}

#[test]
fn a_printed_level_is_the_environment_again() {
    let sandbox = Sandbox::new();
    let config = |env: &str, sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["config", "--json", "--env", env].into_iter().chain(sets).collect();
        sandbox.succeed(&args).json()
    };
    for (id, file, flag) in [("PointGoal1", "level.json", Some("--json")), ("CarButton2", "level.toml", None)] {
        let args = |more: &[&'static str]| [&["envs", id], more, flag.as_slice()].concat();
        fs::write(sandbox.path(file), sandbox.succeed(&args(&[])).stdout).unwrap();
        assert_eq!(config(file, &[]), config(id, &[]));
        let change = "env.hazards.count=5";
        fs::write(sandbox.path(file), sandbox.succeed(&args(&["--set", change])).stdout).unwrap();
        let changed = config(id, &[change]);
        assert_eq!(config(file, &[]), changed);
        assert_eq!(changed["env"]["level"]["max_episode_steps"], 1000);
        assert_ne!(changed["env"], config(id, &[])["env"]);
    }
    let refused = sandbox.fail(&["envs", "PointGoal1", "--set", "env.hazards.count=1000"], 2);
    assert!(refused.contains("groups[1] (hazard)") && refused.contains("39"), "{refused}");
    let refused = sandbox.fail(&["envs", "PointGoal1", "--set", "gamma=0.9"], 2);
    assert!(refused.contains("env.hazards.count"), "{refused}");
}

#[test]
fn lists_name_what_the_flags_accept() {
    let sandbox = Sandbox::new();
    for (verb, key, flag, expected) in
        [("envs", "env", "--env", "SafetyPointGoal1-v0"), ("algos", "algo", "--algo", "kfcpo")]
    {
        let plain = sandbox.succeed(&[verb]).stdout;
        let lines = sandbox.succeed(&[verb, "--json"]).stdout;
        let names: Vec<String> = (lines.lines())
            .map(|line| serde_json::from_str::<Value>(line).unwrap()[key].as_str().unwrap().to_owned())
            .collect();
        assert!(names.iter().any(|name| name == expected), "{names:?}");
        for name in names {
            assert!(plain.contains(&name));
            sandbox.succeed(&["config", flag, &name]);
        }
    }
}

#[test]
fn a_typo_is_refused_with_the_valid_names() {
    let sandbox = Sandbox::new();
    for (args, parts) in [
        (vec!["train", "--env", "PointGaol1"], vec!["PointGaol1", "SafetyPointGoal1-v0"]),
        (vec!["train", "--algo", "kfpco"], vec!["kfpco", "kfcpo", "ppo"]),
        (vec!["train", "--set", "gama=0.9"], vec!["gama", "Did you mean `gamma`", "cost_limit"]),
        (vec!["train", "--set", "kfcpo.dampng=1"], vec!["kfcpo.dampng", "`kfcpo.damping`"]),
        (vec!["train", "--set", "gamma=2"], vec!["gamma = 2"]),
        (vec!["train", "--preset", "nope"], vec!["nope", "quick"]),
        (vec!["train", "--device", "gpu"], vec!["gpu", "cuda:N"]),
        (vec!["train", "--threads", "0"], vec!["--threads"]),
        (vec!["train", "--total-steps", "many"], vec!["many", "whole number"]),
        (vec!["train", "--sed", "1"], vec!["--sed", "--seed"]),
        (vec!["trian"], vec!["trian"]),
        (vec!["bench", "env", "--set", "gamma=0.9"], vec!["--set", "bench train"]),
        (vec!["bench", "train", "--set", "env.hazards.count=4"], vec!["env.hazards.count=4", "--env"]),
        (vec!["bench", "train", "--set", "gama=0.9"], vec!["Did you mean `gamma`"]),
        (vec!["eval"], vec!["RUN"]),
        (vec!["eval", "nowhere"], vec!["nowhere", "no run directory"]),
        (vec!["report", "."], vec!["no run"]),
        (vec!["watch", "."], vec!["no run"]),
        (vec!["watch", "nowhere"], vec!["nowhere"]),
        (vec!["record", "nowhere"], vec!["nowhere", "no run directory"]),
        (vec!["record", "nowhere", "--out", "film.mp4"], vec!["film.mp4", ".html", ".gif"]),
        (vec!["record", "nowhere", "--out", "page.html", "--every", "2"], vec!["--every", "GIF", "page.html"]),
    ] {
        let stderr = sandbox.fail(&args, 2);
        for part in parts {
            assert!(stderr.contains(part), "{args:?}: no `{part}` in {stderr}");
        }
    }
    assert!(!sandbox.path("runs").exists(), "wrong usage must not leave a run behind");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_left_out_of_the_build_names_its_feature() {
    let sandbox = Sandbox::new();
    let stderr = sandbox.fail(&["train", "--device", "cuda"], 1);
    assert!(stderr.contains("--features cuda"), "{stderr}");
    assert!(!sandbox.path("runs").exists());
}

#[test]
fn a_policy_is_evaluated_and_exported() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &[]);
    let args = ["eval", "run", "--episodes=3", "--device=cpu", "--threads=1", "--json"];
    let first = sandbox.succeed(&args).json();
    let documented = [
        "env",
        "checkpoint",
        "episodes",
        "deterministic",
        "return_mean",
        "return_std",
        "cost_mean",
        "cost_std",
        "violation_rate",
        "length_mean",
        "within_limits",
        "constraints",
        "kinds",
    ];
    assert_eq!(keys(&first), documented);
    assert_eq!((&first["episodes"], &first["checkpoint"]), (&3.into(), &512.into()));
    assert_eq!((&first["deterministic"], &first["length_mean"]), (&true.into(), &1000.0.into()));
    assert_eq!(sandbox.succeed(&args).json(), first);
    let sampled = [&args[..], &["--stochastic"]].concat();
    assert_ne!(sandbox.succeed(&sampled).json()["return_mean"], first["return_mean"]);
    let stderr = sandbox.fail(&["eval", "run", "--checkpoint", "3"], 1);
    assert!(stderr.contains("512"), "{stderr}");

    let exported = sandbox.succeed(&["export", "run", "--out", "p.safetensors"]);
    assert_eq!(exported.stdout.trim(), "p.safetensors");
    assert!(exported.stderr.contains("no evaluation"), "the sampled actions were evaluated last: {}", exported.stderr);
    let bytes = fs::read(sandbox.path("p.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    assert_eq!((metadata["format"].as_str(), metadata["activation"].as_str()), ("kfcpo-policy-1", "tanh"));
    let entries = ["deployed_actions", "action_low", "action_high", "format_version"].map(|key| metadata[key].as_str());
    assert_eq!(entries, ["mean", "-1", "1", "1.2"]);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (name, shape) in [
        ("obs_mean", vec![60]),
        ("obs_std", vec![60]),
        ("layers.0.weight", vec![16, 60]),
        ("layers.0.bias", vec![16]),
        ("layers.2.weight", vec![2, 16]),
        ("log_std", vec![2]),
    ] {
        assert_eq!(file.tensor(name).unwrap().shape(), shape, "{name}");
    }
    let model = sandbox.succeed(&["export", "run", "--format", "onnx"]).stdout;
    assert_eq!(Path::new(model.trim()), Path::new("run/policy.onnx"));
    assert!(sandbox.fail(&["export", "run", "--actions", "sampled"], 2).contains("ONNX"));
}

#[test]
fn the_deployed_actions_are_evaluated_recorded_and_vouched_for() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &["--set=deployed.actions=sampled", "--cost-limit=1e6"]);
    let summary: Value = serde_json::from_str(&fs::read_to_string(sandbox.path("run/summary.json")).unwrap()).unwrap();
    assert_eq!((&summary["actions"], &summary["deployed_steps"]), (&"sampled".into(), &0.into()));
    let never = sandbox.succeed(&["export", "run"]).stderr;
    assert!(never.contains("no evaluation") && never.contains("512") && never.contains("sampled"), "{never}");
    let eval = |extra: &[&str]| {
        let fixed = ["eval", "run", "--episodes=2", "--device=cpu", "--threads=1", "--json"];
        sandbox.succeed(&[&fixed[..], extra].concat()).json()
    };
    let mean = eval(&["--mean"]);
    assert_eq!(mean["deterministic"], true);
    assert!(sandbox.succeed(&["export", "run"]).stderr.contains("no evaluation"), "other actions were evaluated");
    let sampled = eval(&[]);
    assert_eq!(sampled["deterministic"], false);
    assert_eq!(sampled, eval(&["--stochastic"]));
    assert_ne!(sampled["return_mean"], mean["return_mean"]);
    assert_eq!(sandbox.succeed(&["export", "run"]).stderr, "");
    let record = ["record", "run", "--out=a.html", "--steps=2", "--device=cpu", "--json"];
    assert_eq!(sandbox.succeed(&record).json()["deterministic"], false);
    sandbox.fail(&["eval", "run", "--mean", "--stochastic"], 2);
    // A policy beyond its limit is exported as well, but not in silence.
    let kept = sandbox.path("run/eval.json");
    let mut evaluation: Value = serde_json::from_str(&fs::read_to_string(&kept).unwrap()).unwrap();
    evaluation["constraints"][0]["cost_mean"] = 2e6.into();
    fs::write(&kept, evaluation.to_string()).unwrap();
    assert!(sandbox.succeed(&["export", "run"]).stderr.contains("cost 2000000.00 of 1000000"));
}

#[test]
fn fresh_episodes_are_none_of_the_trainings() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &["--seed=3"]);
    let layout = |seed: &str| {
        let args = ["record", "run", "--out=a.html", "--steps=1", "--device=cpu", seed];
        sandbox.succeed(&args);
        page_data(&fs::read_to_string(sandbox.path("a.html")).unwrap())["episodes"][0]["objects"].clone()
    };
    // The seed is the training's; the layouts are not.
    let mut env =
        envs::Navigation::new(envs::find("PointGoal1").unwrap(), 1, 3, &burn::tensor::Device::flex()).unwrap();
    envs::VecEnv::reset(&mut env, false);
    let goal = &env.scenes()[0].objects[0];
    let recorded = layout("--seed=3");
    let pose = |at: usize| recorded[0]["track"][at].as_f64().unwrap() / 1e3;
    assert!((pose(1) - f64::from(goal.x)).hypot(pose(2) - f64::from(goal.y)) > 0.01);
    assert_eq!(layout("--seed=3"), recorded);
    assert_ne!(layout("--seed=4"), recorded);
}

#[test]
fn runs_are_compared() {
    let sandbox = Sandbox::new();
    for (name, seed) in [("runs/a", "--seed=1"), ("runs/b", "--seed=2")] {
        sandbox.train_tiny(name, 16_384, &[seed, "--set=rollout_steps=256", "--set=deployed.num_envs=8"]);
    }
    let row = sandbox.succeed(&["report", "runs", "--out", "out", "--json"]).json();
    assert_eq!((&row["seeds"], &row["steps"]), (&serde_json::json!([1, 2]), &16384.0.into()));
    // Return and cost of a row are the means over the seeds of what each run's last iteration says of the deployed policy.
    let metrics = ["runs/a", "runs/b"].map(|run| timeless_metrics(&sandbox.path(run)));
    for (key, column) in [("return_mean", "Deployed/EpRet"), ("cost_mean", "Deployed/EpCost")] {
        let of_runs = metrics.each_ref().map(|rows| {
            let index = rows[0].iter().position(|name| name == column).unwrap();
            rows.last().unwrap()[index].parse::<f64>().unwrap()
        });
        let (row, expected) = (row[key].as_f64().unwrap(), (of_runs[0] + of_runs[1]) / 2.0);
        assert!(
            of_runs[0] != of_runs[1] && (row - expected).abs() <= 1e-9 * expected.abs(),
            "{column}: {row} for {of_runs:?}"
        );
    }
    let markdown = fs::read_to_string(sandbox.path("out/report.md")).unwrap();
    assert!(markdown.contains("SafetyPointGoal1-v0.svg") && markdown.contains("kfcpo"), "{markdown}");
    let svg = fs::read_to_string(sandbox.path("out/SafetyPointGoal1-v0.svg")).unwrap();
    assert!(svg.contains("limit 25") && svg.contains("kfcpo (2 seeds)") && !svg.contains("NaN"));
}

#[test]
fn stdout_that_takes_nothing_is_an_error_not_a_panic() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: no /dev/full here");
        return;
    }
    let sandbox = Sandbox::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = sandbox.command(&["envs"]).stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write to stdout") && !stderr.contains("panicked"), "{stderr}");
}

#[test]
fn shells_and_man_are_told_of_every_verb() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = sandbox.succeed(&["completions", shell]).stdout;
        assert!(VERBS.iter().all(|verb| script.contains(verb)), "{shell}");
    }
    assert!(sandbox.fail(&["completions", "tcsh"], 2).contains("bash"));
    assert!(sandbox.succeed(&["man"]).stdout.starts_with(".ie"));
    sandbox.succeed(&["man", "--out=pages"]);
    for verb in VERBS {
        let page = std::fs::read_to_string(sandbox.path(&format!("pages/trainer-{verb}.1"))).unwrap();
        assert!(page.contains(verb), "{page}");
    }
}
