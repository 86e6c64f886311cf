//! One run in several processes, begun by `mpirun`: the same bits for any number of them, and nobody left behind.
//!
//! Without Open MPI's `mpirun`, or the feature `mpi`, most of it says `SKIPPED`.

use std::process::{Command, Stdio};

use test_support::device::skip;
use test_support::program::{Finished, Sandbox, assert_same_outcome, tiny_args};

/// Arguments of a tiny run of four shards.
fn args(out: &str, steps: u64, extra: &[&str]) -> Vec<String> {
    tiny_args(out, steps, &[&["--set=shards=4", "--quiet"], extra].concat())
}

/// `trainer ARGS` in so many processes, as mpirun begins them.
fn processes(sandbox: &Sandbox, count: usize, args: &[String]) -> Command {
    let program = sandbox.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "-n", &count.to_string()]).arg(program.get_program());
    command.args(args).current_dir(sandbox.path("")).stdin(Stdio::null());
    command
}

fn run(sandbox: &Sandbox, count: usize, args: &[String]) -> Finished {
    let mut command = match count {
        1 => sandbox.command(&args.iter().map(String::as_str).collect::<Vec<_>>()),
        _ => processes(sandbox, count, args),
    };
    command.output().unwrap().into()
}

fn succeed(sandbox: &Sandbox, count: usize, args: &[String]) -> Finished {
    let finished = run(sandbox, count, args);
    assert_eq!(finished.code, Some(0), "{count} processes, trainer {args:?}: {}", finished.stderr);
    finished
}

/// Whether several processes can be begun here; says so where not.
fn can_begin() -> bool {
    if !cfg!(feature = "mpi") {
        skip("built without the feature mpi");
        return false;
    }
    let found = Command::new("mpirun").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        skip("there is no mpirun");
    }
    found
}

#[test]
fn a_run_has_the_same_bits_in_one_two_and_four_processes() {
    if !can_begin() {
        return;
    }
    let sandbox = Sandbox::new();
    for algo in ["kfcpo", "ppo-lag"] {
        let name = |count: usize| format!("{algo}{count}");
        for count in [1, 2, 4] {
            let extra = [&*format!("--algo={algo}"), "--json"];
            let finished = succeed(&sandbox, count, &args(&name(count), 1536, &extra));
            assert_eq!(finished.json()["steps"], 1536, "one process reports: {}", finished.stdout);
        }
        for count in [2, 4] {
            assert_same_outcome(&sandbox.path(&name(1)), &sandbox.path(&name(count)));
        }
    }
}

#[test]
fn a_run_goes_on_in_another_number_of_processes() {
    if !can_begin() {
        return;
    }
    let sandbox = Sandbox::new();
    succeed(&sandbox, 4, &args("whole", 2048, &[]));
    succeed(&sandbox, 4, &args("parts", 512, &[]));
    let resumed = |steps: u64| {
        ["train", "--resume=parts", "--device=cpu", "--threads=1", "--quiet", &format!("--total-steps={steps}")]
            .map(str::to_owned)
            .to_vec()
    };
    succeed(&sandbox, 2, &resumed(1024));
    succeed(&sandbox, 1, &resumed(2048));
    assert_same_outcome(&sandbox.path("whole"), &sandbox.path("parts"));
    let refused = run(&sandbox, 3, &resumed(4096));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("shards = 4: 3 processes cannot share them evenly"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
}

#[test]
fn a_dry_run_names_the_processes_and_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    let alone = sandbox.succeed(&["train", "--dry-run", "--device=cpu", "--threads=1", "--out=never"]);
    assert!(alone.stdout.contains("512 environments in 1 shard"), "{}", alone.stdout);
    assert!(
        alone.stdout.contains("process 0: shard 0, 512 environments, 1 threads on this machine"),
        "{}",
        alone.stdout
    );
    if can_begin() {
        let args = ["train", "--dry-run", "--device=cpu", "--threads=1", "--out=never"].map(str::to_owned);
        let several = succeed(&sandbox, 2, &args).stdout;
        assert!(several.contains("process 1: shard 1, 256 environments, 1 threads on "), "{several}");
    }
    assert!(!sandbox.path("never").exists());
}

#[test]
fn processes_that_cannot_find_each_other_do_not_train_runs_of_their_own() {
    let sandbox = Sandbox::new();
    let refused = |variable: &str, args: &[&str]| {
        let finished: Finished = sandbox.command(args).env(variable, "2").output().unwrap().into();
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        finished.stderr
    };
    let stderr = refused("WORLD_SIZE", &["train", "--out=never"]);
    assert!(stderr.contains("begin them by mpirun -n 2 or srun -n 2"), "{stderr}");
    let stderr = refused("OMPI_COMM_WORLD_SIZE", &["sweep", "none.toml"]);
    assert!(stderr.contains("a sweep is the work of one process, and mpirun has begun 2"), "{stderr}");
    if !cfg!(feature = "mpi") {
        let stderr = refused("OMPI_COMM_WORLD_SIZE", &["train", "--out=never"]);
        assert!(stderr.contains("mpirun has begun 2 processes, and this program was built without MPI"), "{stderr}");
    }
    assert!(!sandbox.path("never").exists());
}

/// What is sent to processes that Linux tells of.
#[cfg(target_os = "linux")]
mod signals {
    use std::fs;
    use std::process::Child;
    use std::time::{Duration, Instant};

    use test_support::program::wait_until;

    use super::*;

    /// A run in two processes that would last for hours, a few iterations on its way.
    fn endless(sandbox: &Sandbox, out: &str) -> Child {
        let mut command = processes(sandbox, 2, &args(out, 1_000_000_000, &[]));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        sandbox.wait_for_rows(out, 4);
        child
    }

    /// The process of this rank that `mpirun` has begun.
    fn process(mpirun: &Child, rank: usize) -> u32 {
        let parent = mpirun.id();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        let is_it = |pid: &&str| {
            let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            variables
                .split(|byte| *byte == 0)
                .any(|variable| variable == format!("OMPI_COMM_WORLD_RANK={rank}").as_bytes())
        };
        children.split_whitespace().find(is_it).expect("a process of the rank").parse().unwrap()
    }

    fn signal(name: &str, process: u32) {
        assert!(Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
    }

    #[test]
    fn any_process_that_is_asked_to_stop_saves_the_run() {
        if !can_begin() {
            return;
        }
        let sandbox = Sandbox::new();
        for (name, rank) in [("TERM", 1), ("USR1", 0)] {
            let mpirun = endless(&sandbox, name);
            signal(name, process(&mpirun, rank));
            let finished: Finished = mpirun.wait_with_output().unwrap().into();
            assert_eq!(finished.code, Some(130), "{}", finished.stderr);
            assert!(finished.stderr.contains(&format!("continue with --resume {name}")), "{}", finished.stderr);
            let rows = fs::read_to_string(sandbox.path(name).join("metrics.csv")).unwrap();
            let last = rows.lines().last().unwrap();
            let steps: u64 = last.split(',').nth(1).unwrap().parse().unwrap();
            assert!(sandbox.path(name).join(format!("checkpoints/step-{steps:012}.ckpt")).exists(), "{last}");
        }
    }

    #[test]
    fn a_process_that_dies_ends_the_run_which_goes_on_from_its_checkpoint() {
        if !can_begin() {
            return;
        }
        let sandbox = Sandbox::new();
        for rank in [1, 0] {
            let out = format!("dies{rank}");
            let mpirun = endless(&sandbox, &out);
            let start = Instant::now();
            signal("KILL", process(&mpirun, rank));
            let finished: Finished = mpirun.wait_with_output().unwrap().into();
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
            assert!(finished.code.is_some_and(|code| code > 0), "{}", finished.stderr);
            assert!(finished.stderr.contains(&format!("process rank {rank} ")), "{}", finished.stderr);
            wait_until("the run's lock", || {
                let args = ["train", "--dry-run", "--resume", &out, "--device=cpu"].map(str::to_owned);
                run(&sandbox, 1, &args).code == Some(0)
            });
            let steps = fs::read_to_string(sandbox.path(&out).join("checkpoints/latest")).unwrap();
            let steps: u64 = steps.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
            let more = format!("--total-steps={}", steps + 512);
            let args = ["train", "--resume", &out, "--device=cpu", "--threads=1", "--quiet", &more].map(str::to_owned);
            succeed(&sandbox, 2, &args);
        }
    }
}
