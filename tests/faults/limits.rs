//! Divergence, memory, threads and values beyond what can be held.

use super::*;

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
fn help_offers_only_what_there_is() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &[]);
    let help = sandbox.succeed(&["export", "--help"]).stdout;
    let offered: Vec<&str> =
        help.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split(':').next()).collect();
    assert_eq!(offered, ["safetensors", "onnx"]);
    for format in offered {
        sandbox.succeed(&["export", "run", "--format", format]);
        assert!(sandbox.path(&format!("run/policy.{format}")).exists(), "{format}");
    }
}
