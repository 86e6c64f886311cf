//! `python -m kfcpo`: the trainer's command line.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Does what the arguments say, without the interpreter's lock, and returns the exit code.
///
/// Takes over Ctrl-C: for the process of a command, not for a library's user.
#[pyfunction]
pub fn run_program(py: Python<'_>, args: Vec<OsString>) -> u8 {
    let args = std::iter::once(OsString::from("kfcpo")).chain(args);
    py.detach(|| trainer::cli::run(args))
}
