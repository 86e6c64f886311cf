//! What goes wrong in practice: signals, sudden death, damaged files, full disks.

use std::fs;
use std::process::{Child, Command, Stdio};

use test_support::program::{
    Finished, Sandbox, assert_same_outcome, final_state, latest_checkpoint, timeless_metrics, tiny_args, wait_until,
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
    let args = tiny_args("disk/run", 4096, &[]);
    let finished = sandbox.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("cannot write") && !finished.stderr.contains("panicked"), "{}", finished.stderr);
}

/// Arguments of a tiny run that is a group of seeds.
fn group(out: &str, seeds: u32, extra: &[&str]) -> Vec<String> {
    let seeds = format!("--seeds={seeds}");
    tiny_args(out, 256, &[&[seeds.as_str(), "--quiet"], extra].concat())
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

#[cfg(unix)]
#[test]
fn a_group_that_could_not_begin_is_continued_whole() {
    let sandbox = Sandbox::new();
    let finished = behind(&sandbox, "ulimit -n 24", &strs(&group("all", 12, &[])));
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("--resume all"), "{}", finished.stderr);
    sandbox.succeed(&["train", "--resume=all", "--device=cpu", "--threads=1", "--quiet"]);
    for seed in 0..12 {
        assert!(sandbox.path(&format!("all/seed{seed}/summary.json")).exists(), "seed {seed}");
    }
}

#[test]
fn a_group_that_was_killed_while_it_began_is_continued_whole() {
    let sandbox = Sandbox::new();
    for delay in [0, 10, 20, 40, 80] {
        let out = format!("all{delay}");
        let mut child = sandbox.command(&strs(&group(&out, 4, &[]))).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        if !sandbox.path(&out).join("group.json").exists() {
            continue; // nothing had begun: the same command works
        }
        sandbox.succeed(&["train", "--resume", &out, "--device=cpu", "--threads=1", "--quiet"]);
        for seed in 0..4 {
            assert!(sandbox.path(&format!("{out}/seed{seed}/summary.json")).exists(), "{delay} ms, seed {seed}");
        }
    }
}

#[test]
fn one_broken_seed_is_named_and_the_others_continue() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&strs(&group("all", 3, &[])));
    fs::remove_dir_all(sandbox.path("all/seed1/checkpoints")).unwrap();
    fs::remove_file(sandbox.path("all/seed1/config.json")).unwrap();
    fs::create_dir(sandbox.path("all/seed77")).unwrap();
    let args = ["train", "--resume=all", "--device=cpu", "--threads=1", "--total-steps=512", "--quiet", "--json"];
    let finished = sandbox.run(&args);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("seed1 cannot") && finished.stderr.contains("seed77 cannot"),
        "{}",
        finished.stderr
    );
    let steps = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["steps"].as_u64().unwrap();
    assert_eq!(finished.stdout.lines().map(steps).collect::<Vec<_>>(), [512, 512], "{}", finished.stderr);
}

#[test]
fn a_start_that_failed_leaves_what_can_be_begun() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("run")).unwrap();
    fs::write(sandbox.path("run/run.lock"), "").unwrap();
    fs::write(sandbox.path("run/.trainer-1.tmp"), "half").unwrap();
    sandbox.train_tiny("run", 256, &[]);
    assert_eq!(sandbox.fail(&["train", "--out=run"], 2).lines().count(), 1);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_replaced_by_one() {
    use std::os::unix::fs::FileTypeExt;
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 256, &[]);
    std::os::unix::fs::symlink("real", sandbox.path("link")).unwrap();
    std::os::unix::fs::symlink("/dev/null", sandbox.path("null")).unwrap();
    sandbox.succeed(&["export", "run", "--out=link"]);
    sandbox.succeed(&["export", "run", "--out=null"]);
    assert!(fs::symlink_metadata(sandbox.path("link")).unwrap().is_symlink() && sandbox.path("real").is_file());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let stdout = sandbox.command(&["export", "run", "--out=/dev/stdout"]).output().unwrap().stdout;
    assert!(stdout.starts_with(&fs::read(sandbox.path("real")).unwrap()));
    fs::create_dir(sandbox.path("dir")).unwrap();
    assert!(sandbox.fail(&["export", "run", "--out=dir"], 1).contains("directory"));
    // The real thing, where making devices is permitted.
    let made = Command::new("mknod").arg(sandbox.path("device")).args(["c", "1", "3"]).status();
    if made.is_ok_and(|made| made.success()) {
        sandbox.succeed(&["export", "run", "--out=device"]);
        assert!(fs::metadata(sandbox.path("device")).unwrap().file_type().is_char_device());
    }
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

#[cfg(unix)]
#[test]
fn a_run_directory_that_goes_away_is_noticed() {
    for what in ["run", "run/metrics.csv"] {
        let sandbox = Sandbox::new();
        let child = sandbox.start_endless("run", &["--quiet"]);
        sandbox.wait_for_rows("run", 3);
        fs::rename(sandbox.path(what), sandbox.path("away")).unwrap();
        let finished: Finished = child.wait_with_output().unwrap().into();
        assert_eq!(finished.code, Some(1), "{what}: {}", finished.stderr);
        assert!(finished.stderr.contains("removed, moved or unmounted"), "{what}: {}", finished.stderr);
        if what == "run" {
            assert!(!sandbox.path("run").exists(), "a run must not begin anew in its former place");
        } else {
            fs::rename(sandbox.path("away"), sandbox.path("run/metrics.csv")).unwrap();
            assert_continues_as_if_nothing_had_happened_but_a_row(&sandbox);
        }
    }
}

/// The row that could not be written is the one of the last checkpoint.
fn assert_continues_as_if_nothing_had_happened_but_a_row(sandbox: &Sandbox) {
    let goal = steps_of(&sandbox.path("run")) + 1024;
    let finished = resume(sandbox, goal);
    assert!(finished.stderr.contains("lacks 1 of"), "{}", finished.stderr);
    sandbox.train_tiny("whole", goal, &[]);
    assert!(final_state(&sandbox.path("run")) == final_state(&sandbox.path("whole")));
}

#[test]
fn metrics_that_another_program_has_rewritten_are_moved_aside() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 1024, &[]);
    sandbox.train_tiny("whole", 1536, &[]);
    let metrics = sandbox.path("run/metrics.csv");
    let text = fs::read_to_string(&metrics).unwrap().replace('\n', "\r\n");
    fs::write(&metrics, &text).unwrap();
    let finished = resume(&sandbox, 1536);
    assert!(finished.stderr.contains("Windows line ends"), "{}", finished.stderr);
    assert_eq!(fs::read_to_string(sandbox.path("run/metrics.csv.aside1")).unwrap(), text);
    assert_same_outcome(&sandbox.path("run"), &sandbox.path("whole"));
}

#[test]
fn results_stand_in_files_though_nobody_reads_stdout() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.command(&strs(&group("all", 3, &["--json"]))).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    for seed in 0..3 {
        assert!(sandbox.path(&format!("all/seed{seed}/summary.json")).exists());
    }
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
    assert!(ways.contains("2 episodes, mean actions") && ways.contains("last 100 training episodes"), "{ways}");
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

#[test]
fn a_policy_that_diverges_stops_with_a_message() {
    let sandbox = Sandbox::new();
    for (out, set) in [("a", "ppo.learning_rate=1e30"), ("b", "critic.learning_rate=1e30")] {
        let extra = ["--algo=ppo", "--set", set, "--set=ppo.anneal=false", "--set=ppo.target_kl=1e9", "--quiet"];
        let args = tiny_args(out, 65_536, &extra);
        let finished = sandbox.run(&strs(&args));
        assert_eq!(finished.code, Some(1), "{set}: {}", finished.stderr);
        assert!(finished.stderr.contains("no longer finite"), "{set}: {}", finished.stderr);
        // What was saved before is whole: nothing in it is NaN.
        if sandbox.path(out).join("checkpoints/latest").exists() {
            sandbox.succeed(&["export", out, "--out=p"]);
        }
    }
    let stderr = sandbox.fail(&["train", "--algo=ppo", "--set=ppo.learning_rate=1e300"], 2);
    assert!(stderr.contains("ppo.learning_rate"), "{stderr}");
}

#[test]
fn a_large_step_leaves_ppos_log_sigma_within_bounds() {
    let sandbox = Sandbox::new();
    let extra = ["--algo=ppo", "--set=ppo.learning_rate=0.3", "--set=ppo.target_kl=1e9", "--quiet"];
    sandbox.train_tiny("run", 8192, &extra);
    sandbox.succeed(&["export", "run", "--out=p"]);
    let bytes = fs::read(sandbox.path("p")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let log_std = file.tensor("log_std").unwrap();
    for word in log_std.data().chunks_exact(4) {
        let value = f32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        assert!((-5.0..=2.0).contains(&value), "{value}");
    }
}

#[test]
fn what_memory_cannot_hold_is_refused_in_bytes() {
    let sandbox = Sandbox::new();
    for args in [
        &["train", "--set=rollout_steps=100000000", "--out=run"][..],
        &["train", "--set=rollout_steps=18446744073709551615", "--out=run"],
        &["train", "--num-envs=1048576", "--set=rollout_steps=100000", "--out=run"],
        &["train", "--seeds=1000", "--num-envs=100000", "--set=rollout_steps=1000", "--out=run"],
        &["bench", "kfac", "--batch=1e12"],
        &["bench", "kfac", "--batch=18446744073709551615"],
        &["bench", "env", "--num-envs=18446744073709551615"],
    ] {
        let stderr = sandbox.fail(args, 2);
        assert!(stderr.contains("bytes") && stderr.contains(" has "), "{args:?}: {stderr}");
        assert!(!sandbox.path("run").exists());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_limit_on_the_address_space_counts_as_memory() {
    let sandbox = Sandbox::new();
    let args = ["train", "--num-envs=1048576", "--out=run", "--device=cpu", "--threads=1"];
    let finished = behind(&sandbox, "ulimit -v 8000000", &args);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("address space"), "{}", finished.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn threads_that_cannot_be_started_are_a_message() {
    let sandbox = Sandbox::new();
    let args = tiny_args("run", 256, &["--threads=2000"]);
    let args: Vec<&str> = strs(&args).into_iter().filter(|arg| *arg != "--threads=1").collect();
    let finished = behind(&sandbox, "ulimit -v 3000000", &args);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("cannot start the CPU threads"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("internal error"), "{}", finished.stderr);
}

#[test]
fn configuration_files_and_values_of_any_size_give_short_messages() {
    let sandbox = Sandbox::new();
    let large = format!("{{\"env\": \"{}\"}}", "x".repeat(3 << 20));
    fs::write(sandbox.path("large.json"), &large).unwrap();
    assert!(sandbox.fail(&["config", "--config=large.json"], 2).contains("larger than"));
    fs::write(sandbox.path("long.json"), &large[..900_000]).unwrap();
    let long = format!("--set=env={}", "y".repeat(100_000));
    for args in [&["config", "--config=long.json"][..], &["config", &long], &["config", "--set=env=\u{1b}[2Jz"]] {
        let stderr = sandbox.fail(args, 2);
        assert!(stderr.len() < 10_000 && !stderr.contains('\u{1b}'), "{} bytes", stderr.len());
    }
    fs::write(sandbox.path("marked.json"), b"\xef\xbb\xbf{\"seed\": 5}").unwrap();
    assert_eq!(sandbox.succeed(&["config", "--config=marked.json", "--json"]).json()["seed"], 5);
    fs::write(sandbox.path("latin.json"), b"{\"env\": \"\xe9\"}").unwrap();
    assert!(sandbox.fail(&["config", "--config=latin.json"], 2).contains("UTF-8"));
}

#[test]
fn settings_that_float32_cannot_hold_are_refused_by_their_keys() {
    let sandbox = Sandbox::new();
    for key in ["kfcpo.target_kl", "ppo.learning_rate", "normalizer.clip", "kfcpo.max_step", "policy.output_gain"] {
        for value in ["1e300", "1e-300"] {
            let stderr = sandbox.fail(&["config", "--set", &format!("{key}={value}")], 2);
            assert!(stderr.contains(key), "{stderr}");
        }
    }
    for limit in ["nan", "inf", "x"] {
        let stderr = sandbox.fail(&["config", "--cost-limit", limit], 2);
        assert!(stderr.contains("expected a"), "{stderr}");
    }
    let config =
        sandbox.succeed(&["config", "--set=policy.hidden=1e3,2e1", "--set=critic.hidden=1e2", "--json"]).json();
    assert_eq!(config["policy"]["hidden"], serde_json::json!([1000, 20]));
    assert_eq!(config["critic"]["hidden"], serde_json::json!([100]));
}

#[test]
fn damaged_notes_block_nothing() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 1024, &[]);
    sandbox.train_tiny("whole", 1536, &[]);
    fs::write(sandbox.path("run/meta.json"), "{\"ti").unwrap();
    fs::remove_file(sandbox.path("run/config.json")).unwrap();
    fs::write(sandbox.path("run/.config.json.77.tmp"), "half").unwrap();
    sandbox.succeed(&["eval", "run", "--device=cpu", "--episodes=1"]);
    let finished = resume(&sandbox, 1536);
    assert!(finished.stderr.contains("meta.json") && finished.stderr.contains("config.json"), "{}", finished.stderr);
    assert!(!sandbox.path("run/.config.json.77.tmp").exists());
    assert!(sandbox.path("run/config.json").exists() && sandbox.path("run/meta.json.aside1").exists());
    assert_same_outcome(&sandbox.path("run"), &sandbox.path("whole"));
}

#[test]
fn a_group_without_a_finished_episode_says_so() {
    let sandbox = Sandbox::new();
    let finished = sandbox.succeed(&strs(&group("all", 2, &[])));
    let last = finished.stdout.lines().last().unwrap().to_owned();
    assert!(last.ends_with("no episode finished yet") && !finished.stdout.contains("NaN"), "{last}");
}

#[test]
fn help_offers_only_what_there_is() {
    let sandbox = Sandbox::new();
    assert!(!sandbox.succeed(&["export", "--help"]).stdout.contains("onnx"));
}
