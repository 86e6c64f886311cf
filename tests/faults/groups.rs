//! Several seeds at once: what happens to one does not happen to the others.

use super::*;

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
    let args = ["train", "--resume=all", "--device=cpu", "--threads=1", "--total-steps=768", "--quiet", "--json"];
    let finished = sandbox.run(&args);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("seed1 cannot") && finished.stderr.contains("seed77 cannot"),
        "{}",
        finished.stderr
    );
    let steps = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["steps"].as_u64().unwrap();
    assert_eq!(finished.stdout.lines().map(steps).collect::<Vec<_>>(), [768, 768], "{}", finished.stderr);
}

#[test]
fn a_start_that_failed_leaves_what_can_be_begun() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("run")).unwrap();
    fs::write(sandbox.path("run/run.lock"), "").unwrap();
    fs::write(sandbox.path("run/.trainer-1.tmp"), "half").unwrap();
    sandbox.train_tiny("run", 512, &[]);
    assert_eq!(sandbox.fail(&["train", "--out=run"], 2).lines().count(), 1);
}

#[test]
fn a_group_without_a_finished_episode_says_so() {
    let sandbox = Sandbox::new();
    let finished = sandbox.succeed(&strs(&group("all", 2, &[])));
    let last = finished.stdout.lines().last().unwrap().to_owned();
    assert!(last.ends_with("no episode finished yet") && !finished.stdout.contains("NaN"), "{last}");
}
