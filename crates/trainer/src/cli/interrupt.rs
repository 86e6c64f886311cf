//! Signals: the first Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 (which schedulers send before time is up) asks the run to save and stop, the second stops at once.
//!
//! A signal that was ignored when the program began stays ignored: that is how `nohup` and a shell's `&` protect a run.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::cli::console::{INTERRUPTED, diagnose};

/// What is said when training is asked to stop.
pub const SAVING: &str = "\ninterrupted: finishing this iteration and saving; once more to stop at once";

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Whether the run has been asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Takes note of a signal and says `answer`, if that is anything.
fn request(answer: &str) {
    if REQUESTED.swap(true, Ordering::SeqCst) {
        std::process::exit(INTERRUPTED.into());
    }
    if !answer.is_empty() {
        diagnose(answer);
    }
}

/// Lets a write beyond a limit on the size of files fail, as it does on a full disk, instead of ending the program.
#[cfg(unix)]
pub fn survive_file_size_limits() {
    use signal_hook::consts::SIGXFSZ;
    // Without the handler the signal ends the program: nothing is lost that was not lost before.
    let _ = signal_hook::flag::register(SIGXFSZ, std::sync::Arc::new(AtomicBool::new(false)));
}

/// Takes over SIGINT, SIGTERM, SIGHUP and SIGUSR1 for the rest of the process, but for those that were ignored. The first of them is
/// answered by `answer`, unless that is empty.
///
/// # Errors
///
/// When the handlers or their thread cannot be installed.
#[cfg(unix)]
pub fn install(answer: &'static str) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    let ignored = ignored();
    let taken = [SIGINT, SIGTERM, SIGHUP, SIGUSR1].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = signal_hook::iterator::Signals::new(taken).context("cannot handle Ctrl-C")?;
    let handle = move || signals.forever().for_each(|_| request(answer));
    let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(handle);
    thread.context("cannot start the thread that handles Ctrl-C").map(drop)
}

/// The signals that are ignored, a bit each from SIGHUP = 1 on. Only Linux tells; elsewhere none is taken to be.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Nothing to do: only Unix ends a program that writes too much.
#[cfg(not(unix))]
pub fn survive_file_size_limits() {}

/// Takes over Ctrl-C for the rest of the process; the first is answered by `answer`, unless that is empty.
///
/// # Errors
///
/// When the handler cannot be installed.
#[cfg(not(unix))]
pub fn install(answer: &'static str) -> Result<()> {
    ctrlc::set_handler(move || request(answer)).context("cannot handle Ctrl-C")
}
