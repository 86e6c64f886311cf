//! Checkpoints that are damaged, foreign, or that the disk did not take.

use super::*;

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
    let args = tiny_args("disk/run", 4096, &[]);
    let finished = sandbox.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("cannot write") && !finished.stderr.contains("panicked"), "{}", finished.stderr);
}

#[test]
fn the_best_policy_survives_a_death_before_it_was_named() {
    let sandbox = Sandbox::new();
    let large = ["--set=rollout_steps=1024", "--set=kfcpo.minibatch_size=8192", "--set=critic.minibatch_size=8192"];
    let always = [&large[..], &["--cost-limit=1e6", "--set=checkpoint.interval_steps=40000"]].concat();
    sandbox.train_tiny("run", 131_072, &always);
    let best = fs::read_to_string(sandbox.path("run/checkpoints/best")).unwrap();
    fs::remove_file(sandbox.path("run/checkpoints/best")).unwrap();
    sandbox.succeed(&["export", "run", "--checkpoint=best", "--out=p"]);
    resume(&sandbox, 131_072);
    assert_eq!(fs::read_to_string(sandbox.path("run/checkpoints/best")).unwrap(), best);
}

#[test]
fn a_finished_run_that_died_before_its_last_checkpoint_was_named_ends_with_it() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 1024, &[]);
    let latest = fs::read_to_string(sandbox.path("run/checkpoints/latest")).unwrap();
    fs::write(sandbox.path("run/checkpoints/latest"), latest.replace("1024", "0512")).unwrap();
    fs::remove_file(sandbox.path("run/summary.json")).unwrap();
    resume(&sandbox, 1024);
    assert_eq!(fs::read_to_string(sandbox.path("run/checkpoints/latest")).unwrap(), latest);
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 1024, &[]);
    sandbox.train_tiny("other", 1536, &["--seed=9"]);
    let foreign = latest_checkpoint(&sandbox.path("other"));
    fs::copy(&foreign, sandbox.path("run/checkpoints").join(foreign.file_name().unwrap())).unwrap();
    fs::copy(sandbox.path("other/checkpoints/latest"), sandbox.path("run/checkpoints/latest")).unwrap();
    for verb in ["eval", "export", "record"] {
        let stderr = sandbox.fail(&[verb, "run"], 1);
        assert!(stderr.contains("another run") && stderr.contains("`seed`"), "{verb}: {stderr}");
    }
    let config = fs::read(sandbox.path("run/config.json")).unwrap();
    let finished = resume(&sandbox, 1024);
    assert!(finished.stderr.contains("another run"), "{}", finished.stderr);
    assert_eq!(fs::read(sandbox.path("run/config.json")).unwrap(), config);
}
