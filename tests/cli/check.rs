//! The self-check: what it says, and its exit codes.

use super::*;

#[test]
fn a_check_names_every_comparison_with_its_bound_and_reason() {
    let sandbox = Sandbox::new();
    let args = [
        "check",
        "--device=cpu",
        "--threads=2",
        "--only=kernel/gather,kernel/averages,env/PointGoal0,rollout/launches",
    ];
    let plain = sandbox.succeed(&args).stdout;
    let lines: Vec<&str> = plain.lines().collect();
    assert!(lines[0].starts_with("cpu against itself"), "{plain}");
    assert!(lines[1].starts_with("ok       kernel/averages") && lines[1].contains("<= 1e-6"), "{plain}");
    assert!(plain.contains("skipped  rollout/launches"), "{plain}");
    assert!(lines[5].starts_with("cpu computes what it should: 3 parts ok, 1 skipped"), "{plain}");
    let finished = sandbox.succeed(&[&args[..], &["--json"]].concat());
    let report = finished.json();
    assert_eq!((&report["device"], &report["passed"]), (&"cpu".into(), &true.into()));
    assert!(finished.stderr.contains("ok       env/PointGoal0"), "{}", finished.stderr);
    for part in report["parts"].as_array().unwrap().iter().filter(|part| part["verdict"] == "passed") {
        for finding in part["findings"].as_array().unwrap() {
            assert!(finding["largest"].as_f64() <= finding["bound"].as_f64(), "{finding}");
            assert!(finding["reason"].as_str().unwrap().len() > 5, "{finding}");
        }
    }
}

#[test]
fn an_unknown_part_is_wrong_usage_and_names_the_parts() {
    let sandbox = Sandbox::new();
    let refused = sandbox.fail(&["check", "--only=kernel/adam,kernels"], 2);
    assert!(refused.contains("`kernels`") && refused.contains("kernel/adam"), "{refused}");
    let listed = sandbox.succeed(&["check", "--list"]).stdout;
    assert!(listed.lines().count() > 70 && listed.contains("train/learning"), "{listed}");
}

/// A part that needs longer than it may is stopped, and the program ends with it.
#[test]
fn a_part_that_takes_too_long_fails() {
    let sandbox = Sandbox::new();
    let args = ["check", "--device=cpu", "--only=train/learning,kernel/gather", "--part-seconds=1"];
    let finished = sandbox.run(&args);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stdout.contains("FAILED   train/learning"), "{}", finished.stdout);
    assert!(finished.stdout.contains("did not end within 1 s"), "{}", finished.stdout);
    assert!(finished.stdout.contains("WRONGLY in train/learning"), "{}", finished.stdout);
}
