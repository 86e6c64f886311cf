//! What goes wrong in practice: signals, sudden death, damaged files, full disks.

use std::fs;
use std::process::{Child, Command, Stdio};

use test_support::program::{
    Finished, Sandbox, assert_same_outcome, final_state, latest_checkpoint, timeless_metrics, wait_until,
};

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

#[test]
fn a_truncated_checkpoint_falls_back_to_the_one_before() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 1536, &[]);
    let newest = latest_checkpoint(&sandbox.path("run"));
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() - 100]).unwrap();

    let stderr = sandbox.fail(&["eval", "run", "--device=cpu", "--episodes=1"], 1);
    assert!(stderr.contains(newest.file_name().unwrap().to_str().unwrap()), "{stderr}");
    let finished = resume(&sandbox, 2048);
    assert!(finished.stderr.contains("warning") && finished.stderr.contains("1024"), "{}", finished.stderr);
    sandbox.train_tiny("whole", 2048, &[]);
    assert_same_outcome(&sandbox.path("run"), &sandbox.path("whole"));
}

#[test]
fn damaged_and_foreign_checkpoints_are_named() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &["--set=checkpoint.keep=1"]);
    let path = latest_checkpoint(&sandbox.path("run"));
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let foreign = b"PK\x03\x04 this is some other file altogether".to_vec();
    for (what, bytes) in [("flipped", flipped), ("foreign", foreign), ("empty", Vec::new())] {
        fs::write(&path, bytes).unwrap();
        for args in [&RESUME_ARGS[..], &["eval", "run", "--device=cpu"], &["export", "run"]] {
            let stderr = sandbox.fail(args, 1);
            assert!(stderr.contains(&name), "{what}: {stderr}");
        }
    }
    // An exported policy is a safetensors file as well, but no checkpoint.
    fs::write(&path, &good).unwrap();
    sandbox.succeed(&["export", "run", "--out", "p.safetensors"]);
    fs::copy(sandbox.path("p.safetensors"), &path).unwrap();
    let stderr = sandbox.fail(&["eval", "run", "--device=cpu"], 1);
    assert!(stderr.contains("not a checkpoint"), "{stderr}");
}

#[test]
fn broken_json_is_named() {
    let sandbox = Sandbox::new();
    for (text, part) in [("{\"seed\": }", "line 1"), ("[1]", "object"), ("{\"seed\": \"x\"}", "`seed`"), ("", "JSON")] {
        fs::write(sandbox.path("c.json"), text).unwrap();
        let stderr = sandbox.fail(&["train", "--config", "c.json"], 2);
        assert!(stderr.contains("c.json") && stderr.contains(part), "{text}: {stderr}");
    }
    let stderr = sandbox.fail(&["train", "--config", "missing.json"], 2);
    assert!(stderr.contains("missing.json"), "{stderr}");
    fs::create_dir(sandbox.path("run")).unwrap();
    fs::write(sandbox.path("run/config.json"), "{").unwrap();
    let stderr = sandbox.fail(&["train", "--resume", "run"], 1);
    assert!(stderr.contains("config.json"), "{stderr}");
}

#[test]
fn an_unsuitable_output_directory_is_refused() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("file"), "not a directory").unwrap();
    let stderr = sandbox.fail(&["train", "--device=cpu", "--out", "file/run"], 1);
    assert!(stderr.contains("file/run"), "{stderr}");
    fs::create_dir(sandbox.path("full")).unwrap();
    fs::write(sandbox.path("full/precious.txt"), "data").unwrap();
    let stderr = sandbox.fail(&["train", "--device=cpu", "--out", "full"], 2);
    assert!(stderr.contains("not empty") && stderr.contains("--resume"), "{stderr}");
    assert_eq!(fs::read_to_string(sandbox.path("full/precious.txt")).unwrap(), "data");
}

/// A file size limit stands in for a full disk: both make `write` fail midway, and it needs no privileges.
#[cfg(unix)]
#[test]
fn a_disk_that_refuses_leaves_the_older_checkpoint_intact() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &[]);
    let before = final_state(&sandbox.path("run"));
    let size = fs::metadata(latest_checkpoint(&sandbox.path("run"))).unwrap().len();
    let blocks = size / 512 / 2; // `ulimit -f` of POSIX shells counts 512 bytes
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_trainer")])
        .args(RESUME_ARGS)
        .arg("--total-steps=2048")
        .current_dir(sandbox.path("."))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write") && stderr.contains(".ckpt"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(final_state(&sandbox.path("run")) == before);
    resume(&sandbox, 1024);
}

/// The real thing, where mounting is permitted.
#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system_is_reported() {
    let sandbox = Sandbox::new();
    let disk = sandbox.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&disk).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        println!("skipped: mounting a small file system is not permitted here");
        return;
    }
    let args = test_support::program::tiny_args("disk/run", 4096, &[]);
    let finished = sandbox.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("cannot write") && !finished.stderr.contains("panicked"), "{}", finished.stderr);
}
