//! The script for a new card, benches/gpu.sh, with sizes for a CPU.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use super::*;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/gpu.sh")
}

/// Runs the script with small sizes on the CPU, `program` being the program.
fn run_small(sandbox: &Sandbox, program: &str) -> Output {
    let small = [("DEVICE", "cpu"), ("SMALL", "1"), ("OUT", "results"), ("TRAINER", program)];
    Command::new("bash").arg(script()).current_dir(sandbox.path("")).envs(small).output().unwrap()
}

fn results(sandbox: &Sandbox) -> Value {
    let text = fs::read_to_string(sandbox.path("results/gpu.json")).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_script_for_a_card_checks_measures_and_trains() {
    let sandbox = Sandbox::new();
    let output = run_small(&sandbox, env!("CARGO_BIN_EXE_trainer"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let results = results(&sandbox);
    assert_eq!((&results["device"], &results["failed"]), (&"cpu".into(), &0.into()), "{said}");
    let parts = results["parts"].as_array().unwrap();
    assert_eq!(parts.iter().map(|part| part["exit"].as_i64().unwrap()).collect::<Vec<_>>(), [0; 4], "{said}");
    assert_eq!(parts[0]["result"]["passed"], true);
    assert!(parts[1]["result"]["return_mean"].is_number() && parts[2]["result"]["steps_per_s"].is_number());
    let page = fs::read_to_string(sandbox.path("results/gpu.md")).unwrap();
    assert!(page.contains("| bench env --env PointGoal0 --num-envs 64 | ok |"), "{page}");
    assert!(page.contains("ok       env/PointGoal0") && page.contains("4 of 4 parts ok"), "{page}");
}

/// Parts that fail are noted and not fatal; that nothing could be checked is.
#[test]
fn a_part_of_the_script_that_fails_is_noted() {
    let sandbox = Sandbox::new();
    let program = sandbox.path("broken");
    fs::write(&program, "#!/bin/sh\necho 'it is \"broken\"' >&2\nexit 3\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = run_small(&sandbox, program.to_str().unwrap());
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let results = results(&sandbox);
    assert_eq!(results["failed"], 4);
    assert_eq!((&results["parts"][3]["exit"], &results["parts"][3]["result"]), (&3.into(), &Value::Null));
    assert_eq!(results["parts"][0]["log"], "it is \"broken\"");
    let wrong = Command::new("bash").arg(script()).arg("unpack").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn what_the_script_packs_runs_where_it_is_unpacked() {
    let sandbox = Sandbox::new();
    let bash = |args: &[&str]| Command::new("bash").args(args).current_dir(sandbox.path("")).output().unwrap();
    let packed = bash(&[script().to_str().unwrap(), "pack", env!("CARGO_BIN_EXE_trainer"), "kit.tar.gz"]);
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    assert!(fs::metadata(sandbox.path("kit.tar.gz")).unwrap().len() < 50 << 20);
    let unpacked = bash(&["-c", "tar xf kit.tar.gz && gpu-kit/trainer --version && test -f gpu-kit/gpu.sh"]);
    assert!(String::from_utf8_lossy(&unpacked.stdout).starts_with("trainer "), "{unpacked:?}");
}
