//! What goes wrong in practice: signals, sudden death, damaged files, full disks.

#[path = "faults/checkpoints.rs"]
mod checkpoints;
#[path = "faults/files.rs"]
mod files;
#[path = "faults/groups.rs"]
mod groups;
#[path = "faults/interruption.rs"]
mod interruption;
#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/reports.rs"]
mod reports;

use std::fs;
use std::process::{Child, Command, Stdio};

use test_support::program::{
    Finished, Sandbox, assert_same_outcome, final_state, latest_checkpoint, timeless_metrics, tiny_args, wait_until,
};

/// Steps of an iteration of the tiny runs: eight environments, 32 each.
const TINY_BATCH: u64 = 256;

const RESUME_ARGS: [&str; 4] = ["train", "--resume=run", "--device=cpu", "--threads=1"];

fn resume(sandbox: &Sandbox, steps: u64) -> Finished {
    let steps = format!("--total-steps={steps}");
    sandbox.succeed(&[&RESUME_ARGS[..], &[&steps]].concat())
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn steps_of(run: &std::path::Path) -> u64 {
    let name = latest_checkpoint(run);
    let stem = name.file_stem().unwrap().to_str().unwrap();
    stem.strip_prefix("step-").unwrap().parse().unwrap()
}

/// Continues the interrupted run by a few iterations and compares it with one that was never interrupted.
fn assert_continues_as_if_nothing_had_happened(sandbox: &Sandbox) {
    let goal = steps_of(&sandbox.path("run")) + 1024;
    resume(sandbox, goal);
    sandbox.train_tiny("whole", goal, &[]);
    assert_same_outcome(&sandbox.path("run"), &sandbox.path("whole"));
}

/// Arguments of a tiny run that is a group of seeds.
fn group(out: &str, seeds: u32, extra: &[&str]) -> Vec<String> {
    let seeds = format!("--seeds={seeds}");
    tiny_args(out, 512, &[&[seeds.as_str(), "--quiet"], extra].concat())
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// Runs `trainer ARGS` behind a line of shell, such as a limit.
#[cfg(unix)]
fn behind(sandbox: &Sandbox, line: &str, args: &[&str]) -> Finished {
    let script = format!("{line}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_trainer")]).args(args);
    command.current_dir(sandbox.path(".")).stdin(Stdio::null()).output().unwrap().into()
}

/// The last row that was to be written is the one of the last checkpoint: the file lacks it, and nothing else, unless it went
/// away between the row and its flush; then it lacks nothing. No iteration is trained again.
fn assert_continues_as_if_nothing_had_happened_but_a_row(sandbox: &Sandbox) {
    let steps = steps_of(&sandbox.path("run"));
    let rows = fs::read_to_string(sandbox.path("run/metrics.csv")).unwrap().lines().count() as u64 - 1;
    let missing = (steps / TINY_BATCH).checked_sub(rows).expect("a row after the last checkpoint");
    assert!(missing <= 1, "{missing} rows are missing");
    let goal = steps + 1024;
    let finished = resume(sandbox, goal);
    assert_eq!(finished.stderr.contains("lacks 1 of"), missing == 1, "{}", finished.stderr);
    assert_eq!(finished.stderr.contains("warning"), missing == 1, "{}", finished.stderr);
    sandbox.train_tiny("whole", goal, &[]);
    assert!(final_state(&sandbox.path("run")) == final_state(&sandbox.path("whole")));
}
