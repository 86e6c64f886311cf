//! Ctrl-C and SIGTERM: the first asks the run to save and stop, the second stops at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::cli::console::{INTERRUPTED, diagnose};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Takes over SIGINT, SIGTERM and SIGHUP for the rest of the process.
///
/// # Errors
///
/// When the handler cannot be installed.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
        diagnose("\ninterrupted: finishing this iteration and saving; once more to stop at once");
    })
    .context("cannot handle Ctrl-C")
}

/// Whether the run has been asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
