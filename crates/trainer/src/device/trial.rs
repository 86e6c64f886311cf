//! A first computation on a GPU, so that a driver that is there but does not work is an error and no panic.
//!
//! burn and CubeCL report what a driver refuses (too old for the card, no memory left, a kernel that does not compile)
//! by panicking, partly on threads of their own.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Tensor};

/// A device that is there and does not compute.
#[derive(Debug)]
pub(super) struct Failed {
    name: String,
    reason: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is there but does not compute ({}): try --device cpu", self.name, self.reason)
    }
}

impl std::error::Error for Failed {}

/// Computes a hyperbolic tangent on `device` and reads it back. It needs everything that training needs: memory, a
/// compiled kernel, on CUDA NVIDIA's library of mathematical functions (libdevice), a launch and a copy.
///
/// # Errors
///
/// When any of it fails, with the driver's own words.
#[cfg_attr(not(any(feature = "wgpu", feature = "cuda")), allow(dead_code))]
pub(super) fn compute(device: &Device, name: &str) -> Result<(), Failed> {
    let outcome = without_panic(|| {
        let values = Tensor::<1>::from_floats([0.5, -0.5], device).tanh();
        values.try_into_data().map(drop).map_err(|error| error.to_string())
    });
    outcome.map_err(|report| Failed { name: name.to_owned(), reason: cause(&report).to_owned() })
}

/// The line that names the cause, from a report of CubeCL's: "...", "Caused by:", "...", "Backtrace:", "...".
fn cause(report: &str) -> &str {
    let lines = report.lines().map(str::trim).take_while(|line| !line.starts_with("Backtrace"));
    let cause = lines.filter(|line| !line.is_empty() && *line != "Caused by:").last();
    cause.unwrap_or("no reason given").trim_end_matches('.')
}

/// Runs `work`; a panic in it, or meanwhile on a thread that it uses, becomes an error with the panic's message.
///
/// The panic hook is the whole program's, so this is for the start of a program, where nothing else runs.
fn without_panic(work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let messages = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&messages);
    let former = take_hook();
    set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("a panic without a message").to_owned();
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    set_hook(former);
    let messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
    match outcome {
        Ok(done) => done,
        // The thread that met the cause spoke first; the others only miss its answer.
        Err(_) => Err(messages.first().cloned().unwrap_or_else(|| "a panic without a message".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_panic_is_the_reason() {
        let reason = without_panic(|| {
            let worker = std::thread::spawn(|| panic!("no driver {}", 7));
            worker.join().expect("the worker's answer");
            Ok(())
        });
        assert_eq!(reason, Err("no driver 7".to_owned()));
        assert_eq!(without_panic(|| Err("refused".to_owned())), Err("refused".to_owned()));
        assert_eq!(without_panic(|| Ok(())), Ok(()));
    }

    #[test]
    fn the_cause_stands_last_in_a_report() {
        let report =
            "A launch error\nCaused by:\n  Several\nCaused by:\n  no library.\nBacktrace:\nNone\nAsked at:\nNone";
        assert_eq!(cause(report), "no library");
        assert_eq!(cause("out of memory"), "out of memory");
        assert_eq!(cause(""), "no reason given");
    }

    #[cfg(feature = "flex")]
    #[test]
    fn the_cpu_computes() {
        compute(&Device::flex(), "cpu").unwrap();
    }
}
