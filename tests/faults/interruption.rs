//! Signals, kills and two processes in one directory.

use super::*;

#[cfg(unix)]
#[test]
fn sigint_saves_and_exits_with_130() {
    for name in ["-INT", "-TERM"] {
        let sandbox = Sandbox::new();
        let child = sandbox.start_endless("run", &["--json"]);
        sandbox.wait_for_rows("run", 3);
        signal(&child, name);
        let finished: Finished = child.wait_with_output().unwrap().into();
        assert_eq!(finished.code, Some(130), "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains("--resume run"), "{}", finished.stderr);
        // The checkpoint is of the very iteration that was the last.
        assert_eq!(finished.json()["steps"], steps_of(&sandbox.path("run")));
        let rows = timeless_metrics(&sandbox.path("run")).len() as u64 - 1;
        assert_eq!(rows * 256, steps_of(&sandbox.path("run")));
        assert_continues_as_if_nothing_had_happened(&sandbox);
    }
}

#[test]
fn a_killed_run_continues_from_its_checkpoint() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start_endless("run", &[]);
    sandbox.wait_for_rows("run", 5);
    child.kill().unwrap();
    child.wait().unwrap();
    // As if it had died while appending a row and while writing a checkpoint.
    let metrics = sandbox.path("run/metrics.csv");
    let text = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, format!("{text}999,1")).unwrap();
    fs::write(sandbox.path("run/checkpoints/.step-1.ckpt.77.tmp"), b"half").unwrap();
    assert_continues_as_if_nothing_had_happened(&sandbox);
    assert!(!sandbox.path("run/checkpoints/.step-1.ckpt.77.tmp").exists());
}

#[test]
fn a_run_killed_before_its_first_checkpoint_starts_over() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start_endless("run", &["--set=checkpoint.interval_steps=1000000000"]);
    let metrics = sandbox.path("run/metrics.csv");
    wait_until("a row", || fs::read_to_string(&metrics).unwrap_or_default().lines().count() > 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let finished = resume(&sandbox, 1024);
    assert!(finished.stderr.contains("no checkpoint yet"), "{}", finished.stderr);
    assert_eq!(timeless_metrics(&sandbox.path("run")).len(), 1 + 4);
}

#[test]
fn two_processes_do_not_train_in_one_directory() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start_endless("run", &[]);
    sandbox.wait_for_rows("run", 1);
    let stderr = sandbox.fail(&RESUME_ARGS, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(stderr.contains("another process"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_so_though_nobody_reads_stdout() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start_endless("run", &["--json"]);
    drop(child.stdout.take());
    sandbox.wait_for_rows("run", 2);
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(sandbox.path("run/summary.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let sandbox = Sandbox::new();
    let args = tiny_args("run", 1_000_000_000, &["--quiet"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_trainer")]).args(&args);
    let mut child = command.current_dir(sandbox.path(".")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sandbox.wait_for_rows("run", 2);
    signal(&child, "-HUP");
    let rows = timeless_metrics(&sandbox.path("run")).len();
    sandbox.wait_for_rows("run", rows + 5);
    assert!(child.try_wait().unwrap().is_none(), "nohup did not protect the run");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[cfg(unix)]
#[test]
fn a_limit_on_the_size_of_files_is_a_message() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &[]);
    let finished = behind(&sandbox, "ulimit -f 1", &[&RESUME_ARGS[..], &["--total-steps=2048"]].concat());
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("cannot write"), "{}", finished.stderr);
    resume(&sandbox, 1024);
}
