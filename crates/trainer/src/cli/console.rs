//! Standard output and standard error, neither of which may bring the program down.

use std::io::{self, ErrorKind, Write};

use anyhow::Result;

/// Exit code of an interrupted run: 128 + SIGINT, as shells report it.
pub const INTERRUPTED: u8 = 130;

#[derive(Debug)]
struct StdoutError(io::Error);

impl std::fmt::Display for StdoutError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot write to stdout: {}", self.0)
    }
}

impl std::error::Error for StdoutError {}

/// Whether `error` is that the reader of stdout has gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<StdoutError>());
    cause.is_some_and(|StdoutError(error)| error.kind() == ErrorKind::BrokenPipe)
}

/// Prints a result on stdout, with a line end.
///
/// # Errors
///
/// When stdout does not take it: unlike `println!`, which panics.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.map_err(|error| StdoutError(error).into())
}

/// Prints a diagnostic on stderr. That stderr is closed is no reason to stop, let alone to panic.
pub fn diagnose(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
