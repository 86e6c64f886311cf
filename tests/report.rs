//! Reports by the real program: what they rest on, and that they say the same every time.

use std::fs;

use serde_json::{Value, json};
use test_support::program::{Sandbox, tiny_args};

/// Three kinds of runs of two seeds each: of KFCPO in two environments and of PPO in one.
fn trained() -> Sandbox {
    let sandbox = Sandbox::new();
    for (kind, env, extra) in [
        ("a", "PointGoal1", &[][..]),
        ("b", "PointCircle1", &[]),
        ("c", "PointGoal1", &["--algo=ppo", "--set=ppo.minibatch_size=128"]),
    ] {
        for seed in [1, 2] {
            let seeded = format!("--seed={seed}");
            let args = [extra, &["--set=rollout_steps=256", &seeded]].concat();
            let args = tiny_args(&format!("runs/{kind}{seed}"), 32_768, &args);
            let args: Vec<String> = args.iter().map(|arg| arg.replace("=PointGoal1", &format!("={env}"))).collect();
            sandbox.succeed(&args.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
    sandbox
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The last value of a column of a run's metrics.
fn last(sandbox: &Sandbox, run: &str, column: &str) -> f64 {
    let text = fs::read_to_string(sandbox.path(run).join("metrics.csv")).unwrap();
    let index = text.lines().next().unwrap().split(',').position(|name| name == column).unwrap();
    text.lines().last().unwrap().split(',').nth(index).unwrap().parse().unwrap()
}

#[test]
fn a_report_tells_the_deployed_policy_what_learning_cost_and_who_beats_whom() {
    let sandbox = trained();
    let report = |out: &str| {
        let out = format!("--out={out}");
        let finished = sandbox.succeed(&["report", "runs", &out, "--published"]);
        (finished.stdout, sandbox.path(&out[6..]))
    };
    let (markdown, first) = report("one");
    let (again, second) = report("two");
    assert_eq!(markdown, again);
    let names = ["report.md", "report.json", "SafetyPointGoal1-v0.svg", "SafetyPointCircle1-v0.svg", "profiles.svg"];
    for name in names {
        assert_eq!(fs::read(first.join(name)).unwrap(), fs::read(second.join(name)).unwrap(), "{name}");
    }
    for part in [
        "last 100 episodes of the deployed policy beside training, mean actions",
        "## While learning",
        "## Across tasks",
        "random to PPO: SafetyPointGoal1-v0",
        "## Beside published figures",
        "25.44 +- 5.43", // PPO on PointGoal1
        "SACLag 21.45 / 19.2",
    ] {
        assert!(markdown.contains(part), "{part}: {markdown}");
    }

    let all: Value = serde_json::from_str(&fs::read_to_string(first.join("report.json")).unwrap()).unwrap();
    let groups = all["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 3);
    let row = groups.iter().find(|row| row["env"] == "SafetyPointGoal1-v0" && row["algo"] == "kfcpo").unwrap();
    let mean = |column: &str| (last(&sandbox, "runs/a1", column) + last(&sandbox, "runs/a2", column)) / 2.0;
    for (told, column) in [
        (&row["return_mean"], "Deployed/EpRet"),
        (&row["constraints"][0]["mean"], "Deployed/EpCost"),
        (&row["sampled"]["return_mean"], "return_mean"),
        (&row["sampled"]["cost_means"][0], "cost_mean"),
    ] {
        assert!((number(told) - mean(column)).abs() < 1e-9, "{column}: {told}");
    }
    assert_eq!((&row["seeds"], &row["constraints"][0]["limit"]), (&json!([1, 2]), &json!(25.0)));
    assert!(number(&row["learning"]["costs"][0]) > 0.0);
    assert!((0.0..=1.0).contains(&number(&row["learning"]["violating_episodes"])));
    let against = &all["improvements"][0];
    assert_eq!((&against["of"], &against["over"], &against["tasks"]), (&json!("kfcpo"), &json!("ppo"), &json!(1)));
    assert!((0.0..=1.0).contains(&number(&against["probability"])));
    // Circle has no PPO of this report and none that was published in comparable figures.
    assert_eq!(all["normalised_by"].as_array().unwrap().len(), 1);
    assert_eq!(all["normalised_by"][0]["env"], "SafetyPointGoal1-v0");
}

#[test]
fn the_episodes_of_training_are_logged_unless_that_is_turned_off() {
    let sandbox = Sandbox::new();
    let long = ["--set=rollout_steps=256"];
    sandbox.train_tiny("run", 32_768, &long);
    let text = fs::read_to_string(sandbox.path("run/episodes.csv")).unwrap();
    assert!(text.starts_with("iteration,steps,return,cost,length\n"), "{text}");
    assert_eq!(text.lines().count() as f64 - 1.0, last(&sandbox, "run", "episodes"));
    // Fewer than the hundred that the running means are over.
    let returns: Vec<f64> = text.lines().skip(1).map(|row| row.split(',').nth(2).unwrap().parse().unwrap()).collect();
    let mean = returns.iter().sum::<f64>() / returns.len() as f64;
    assert!(returns.len() < 100 && (mean - last(&sandbox, "run", "return_mean")).abs() < 1e-4, "{returns:?}");

    sandbox.train_tiny("quiet", 32_768, &[&long[..], &["--set=log.episodes=false"]].concat());
    assert!(!sandbox.path("quiet/episodes.csv").exists());
    let row = sandbox.succeed(&["report", "quiet", "--json"]).json();
    assert!(row["learning"]["violating_episodes"].is_null(), "{row}");

    // What a spreadsheet has rewritten is moved aside when the run goes on, and its readable rows stay.
    let rewritten = text.replace('\n', "\r\n");
    fs::write(sandbox.path("run/episodes.csv"), &rewritten).unwrap();
    let longer = sandbox.succeed(&["train", "--resume", "run", "--total-steps=34816", "--device=cpu", "--threads=1"]);
    assert!(longer.stderr.contains("episodes.csv") && longer.stderr.contains("moved to"), "{}", longer.stderr);
    assert_eq!(fs::read_to_string(sandbox.path("run/episodes.csv.aside1")).unwrap(), rewritten);
    let continued = fs::read_to_string(sandbox.path("run/episodes.csv")).unwrap();
    assert!(continued.starts_with(&text), "{continued}");
}
