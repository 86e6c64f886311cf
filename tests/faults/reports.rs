//! Reports over runs that are broken, given twice or not what they say.

use super::*;

#[test]
fn a_report_counts_a_run_once_and_only_its_own_evaluation() {
    let sandbox = Sandbox::new();
    let long = ["--set=rollout_steps=256"];
    for seed in [1, 2] {
        sandbox.train_tiny(&format!("runs/{seed}"), 16_384, &[&long[..], &[&format!("--seed={seed}")]].concat());
    }
    sandbox.succeed(&["eval", "runs/1", "--episodes=2", "--device=cpu"]);
    let evaluated = |sandbox: &Sandbox, dirs: &[&str]| {
        let finished = sandbox.succeed(&[&["report", "--json"], dirs].concat());
        (finished.json(), finished.stderr)
    };
    let (row, _) = evaluated(&sandbox, &["runs", "runs/1", "./runs/../runs/2"]);
    assert_eq!(row["seeds"], serde_json::json!([1, 2]));
    let ways = row["evaluations"].to_string();
    assert!(
        ways.contains("2 episodes, mean actions") && ways.contains("last 100 episodes of the deployed policy"),
        "{ways}"
    );
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("1", sandbox.path("runs/same")).unwrap();
        assert_eq!(evaluated(&sandbox, &["runs"]).0["seeds"], serde_json::json!([1, 2]));
    }
    // An evaluation of an earlier checkpoint, or of another environment, says nothing about this policy.
    let eval = sandbox.path("runs/1/eval.json");
    let text = fs::read_to_string(&eval).unwrap();
    for (from, to) in [("\"checkpoint\": 16384", "\"checkpoint\": 512"), ("PointGoal1", "PointPush1")] {
        assert!(text.contains(from), "{text}");
        fs::write(&eval, text.replace(from, to)).unwrap();
        let (row, stderr) = evaluated(&sandbox, &["runs"]);
        assert!(stderr.contains("left out") && !row["evaluations"].to_string().contains("2 episodes"), "{stderr}");
    }
}

#[test]
fn a_broken_run_is_left_out_of_a_report_and_named() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("runs/good", 512, &[]);
    sandbox.train_tiny("runs/bad", 512, &["--seed=2"]);
    sandbox.train_tiny("runs/odd", 512, &["--seed=3"]);
    fs::write(sandbox.path("runs/bad/metrics.csv"), "no,metrics\n1,2\n").unwrap();
    let metrics = sandbox.path("runs/odd/metrics.csv");
    let mut bytes = fs::read(&metrics).unwrap();
    let last = bytes.len() - 3;
    bytes[last] = 0xff;
    fs::write(&metrics, bytes).unwrap();
    let finished = sandbox.run(&["report", "runs", "--json"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("runs/bad is left out"), "{}", finished.stderr);
    assert!(finished.stderr.contains("runs/odd") && finished.stderr.contains("line 3"), "{}", finished.stderr);
    assert!(
        finished.stdout.contains("\"seeds\":[1]") || finished.stdout.contains("\"seeds\":[0]"),
        "{}",
        finished.stdout
    );
}

#[test]
fn a_run_names_no_file_outside_the_report() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("runs/evil", 512, &[]);
    sandbox.train_tiny("runs/good", 512, &[]);
    let config = sandbox.path("runs/evil/config.json");
    let text = fs::read_to_string(&config).unwrap();
    for name in ["../../x", "x|<script>alert(1)</script><!--", "/etc/x"] {
        fs::write(&config, text.replace("SafetyPointGoal1-v0", name)).unwrap();
        let finished = sandbox.run(&["report", "runs", "--out=report"]);
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains("runs/evil is left out"), "{}", finished.stderr);
        assert!(!sandbox.path("x.svg").exists() && !sandbox.path("../x.svg").exists());
        let markdown = fs::read_to_string(sandbox.path("report/report.md")).unwrap();
        assert!(!markdown.contains("script"), "{markdown}");
    }
}
