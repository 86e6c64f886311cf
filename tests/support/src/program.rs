//! Runs the real program `trainer` in a temporary directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for a child process to do something that takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Settings of a run that takes a second: small network, short rollouts, a checkpoint every other iteration.
pub const TINY: &[&str] = &[
    "--env=PointGoal1",
    "--num-envs=8",
    "--device=cpu",
    "--threads=1",
    "--set=rollout_steps=32",
    "--set=policy.hidden=16,16",
    "--set=critic.hidden=16,16",
    "--set=critic.minibatch_size=128",
    "--set=kfcpo.minibatch_size=128",
    // These tests compare runs of different planned lengths, which a schedule would tell apart; tests/pipeline.rs
    // interrupts a run with its schedule.
    "--set=kfcpo.final_kl_share=1",
    "--set=kfcpo.price_bound_hold=1",
    "--set=kfcpo.price_bound_end=1",
    "--set=kfcpo.log_std_hold=1",
    "--set=checkpoint.interval_steps=512",
];

/// A temporary directory in which commands run.
pub struct Sandbox {
    dir: tempfile::TempDir,
}

/// What a finished command said.
pub struct Finished {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// An empty one, removed when it is dropped.
    pub fn new() -> Self {
        #[cfg(unix)]
        heed_signals();
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `trainer ARGS`, to be run in it without input.
    pub fn command(&self, args: &[&str]) -> Command {
        // Cargo sets it for integration tests of the package `trainer`.
        let program = std::env::var_os("CARGO_BIN_EXE_trainer").expect("a test of the package trainer, run by cargo");
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Runs `trainer ARGS` to its end.
    pub fn run(&self, args: &[&str]) -> Finished {
        self.command(args).output().unwrap().into()
    }

    /// Runs `trainer ARGS`, which must succeed.
    pub fn succeed(&self, args: &[&str]) -> Finished {
        let finished = self.run(args);
        assert_eq!(finished.code, Some(0), "trainer {args:?}: {}", finished.stderr);
        finished
    }

    /// Runs `trainer ARGS`, which must end with `code`; returns its stderr, free of panics.
    pub fn fail(&self, args: &[&str], code: i32) -> String {
        let finished = self.run(args);
        assert_eq!(finished.code, Some(code), "trainer {args:?}: {}", finished.stderr);
        assert!(!finished.stderr.contains("panicked"), "trainer {args:?}: {}", finished.stderr);
        finished.stderr
    }

    /// Trains a tiny run in `out`, which must succeed.
    pub fn train_tiny(&self, out: &str, steps: u64, extra: &[&str]) -> Finished {
        self.succeed(&tiny_args(out, steps, extra).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts a tiny run that would last for hours.
    pub fn start_endless(&self, out: &str, extra: &[&str]) -> Child {
        let args = tiny_args(out, 1_000_000_000, extra);
        let mut command = self.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits until the run in `out` has written `rows` rows of metrics and a checkpoint.
    pub fn wait_for_rows(&self, out: &str, rows: usize) {
        let (metrics, latest) = (self.path(out).join("metrics.csv"), self.path(out).join("checkpoints/latest"));
        wait_until("rows of metrics and a checkpoint", || {
            let text = fs::read_to_string(&metrics).unwrap_or_default();
            text.lines().count() > rows && latest.exists()
        });
    }
}

/// Lets the programs that are started here heed signals that this process was told to ignore, as a shell's background jobs are:
/// what is ignored stays so in a child, what is handled begins there anew. This process goes on dying of them.
#[cfg(unix)]
fn heed_signals() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use std::sync::{Arc, Once, atomic::AtomicBool};
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            let always = Arc::new(AtomicBool::new(true));
            signal_hook::flag::register_conditional_default(signal, always).unwrap();
        }
    });
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Finished {
    /// The single JSON object on stdout.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

/// Arguments of a tiny run of `steps` steps in `out`.
pub fn tiny_args(out: &str, steps: u64, extra: &[&str]) -> Vec<String> {
    let own = ["train".to_owned(), format!("--out={out}"), format!("--total-steps={steps}")];
    let fixed = TINY.iter().chain(extra).map(|arg| (*arg).to_owned());
    own.into_iter().chain(fixed).collect()
}

/// Waits until `done`, for two minutes at most.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// The newest checkpoint file of a run.
pub fn latest_checkpoint(run: &Path) -> PathBuf {
    let name = fs::read_to_string(run.join("checkpoints/latest")).unwrap();
    run.join("checkpoints").join(name.trim())
}

/// Arrays and scalars of a run's newest checkpoint, as bits; times, which differ from run to run, left out.
pub fn final_state(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(latest_checkpoint(run)).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let arrays = file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec()));
    let metadata = header.metadata().clone().unwrap();
    let mut scalars: BTreeMap<String, Value> = serde_json::from_str(&metadata["scalars"]).unwrap();
    for value in scalars.values_mut() {
        if let Value::Object(entries) = value {
            entries.retain(|name, _| !name.ends_with("_s"));
        }
    }
    let scalars = scalars.into_iter().map(|(name, value)| (name, value.to_string().into_bytes()));
    arrays.chain(scalars).collect()
}

/// Two runs must have ended in the same state, bit for bit, by way of the same metrics.
pub fn assert_same_outcome(a: &Path, b: &Path) {
    assert_eq!(timeless_metrics(a), timeless_metrics(b));
    assert_eq!(fs::read_to_string(a.join("episodes.csv")).ok(), fs::read_to_string(b.join("episodes.csv")).ok());
    let (a, b) = (final_state(a), final_state(b));
    assert!(a.keys().eq(b.keys()), "{:?} and {:?}", a.keys(), b.keys());
    let differing: Vec<&String> = a.keys().filter(|name| a[*name] != b[*name]).collect();
    assert!(differing.is_empty(), "these differ: {differing:?}");
}

/// The rows of a run's metrics without the columns that tell times.
pub fn timeless_metrics(run: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let keep: Vec<bool> = header.iter().map(|name| !name.ends_with("_s") && !name.starts_with("Time/")).collect();
    let row = |line: &str| {
        let fields = line.split(',').zip(&keep).filter(|(_, keep)| **keep);
        fields.map(|(field, _)| field.to_owned()).collect()
    };
    text.lines().map(row).collect()
}
