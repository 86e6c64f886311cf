//! Configuration, metrics, results and output paths that something else has touched.

use super::*;

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

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_replaced_by_one() {
    use std::os::unix::fs::FileTypeExt;
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &[]);
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
