//! Errors and panics as Python exceptions.

use std::any::Any;
use std::io;
use std::sync::Mutex;

use envs::EnvError;
use pyo3::PyErr;
use pyo3::exceptions::{PyFileNotFoundError, PyMemoryError, PyOSError, PyRuntimeError, PyValueError};
use trainer::error::UsageError;

/// What the last panic said and where it was.
static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps what a panic says for its exception, instead of printing it; with RUST_BACKTRACE set it is printed too. The hook
/// is that of this module's Rust: no other extension's.
pub fn keep_panics_quiet() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if let Ok(mut last) = LAST_PANIC.lock() {
            *last = Some(info.to_string());
        }
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            default(info);
        }
    }));
}

/// The exception of a panic: one that a Python callback raised as it is, a bug as a `RuntimeError`.
pub fn of_panic(payload: Box<dyn Any + Send>) -> PyErr {
    match payload.downcast::<PyErr>() {
        Ok(raised) => *raised,
        Err(_) => {
            let said = LAST_PANIC.lock().ok().and_then(|mut last| last.take()).unwrap_or_default();
            PyRuntimeError::new_err(format!("internal error, please report it: {said}"))
        }
    }
}

/// The exception of an environment's error.
pub fn of_env(error: EnvError) -> PyErr {
    let message = error.to_string();
    match error {
        EnvError::DeviceMemory { .. } => PyMemoryError::new_err(message),
        EnvError::UnsupportedDevice(_) => PyRuntimeError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}

/// The exception of an error of the trainer: an exception that came from Python as it is, wrong input as `ValueError`, what
/// the file system refuses as `OSError`, the rest as `RuntimeError`.
pub fn of(error: anyhow::Error) -> PyErr {
    let error = match error.downcast::<PyErr>() {
        Ok(raised) => return raised,
        Err(error) => error,
    };
    let message = format!("{error:#}");
    let mut causes = error.chain();
    if causes.any(|cause| cause.is::<UsageError>() || cause.is::<EnvError>()) {
        return PyValueError::new_err(message);
    }
    of_file(&error).unwrap_or_else(|| PyRuntimeError::new_err(message))
}

/// The exception of what a file that the caller named holds: `ValueError` where it can be read and is not what it should be.
pub fn of_input(error: anyhow::Error) -> PyErr {
    of_file(&error).unwrap_or_else(|| PyValueError::new_err(format!("{error:#}")))
}

fn of_file(error: &anyhow::Error) -> Option<PyErr> {
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>())?;
    let message = format!("{error:#}");
    Some(match cause.kind() {
        io::ErrorKind::NotFound => PyFileNotFoundError::new_err(message),
        _ => PyOSError::new_err(message),
    })
}
