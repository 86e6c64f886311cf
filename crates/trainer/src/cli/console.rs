//! Standard output and standard error, neither of which may bring the program down.

use std::io::{self, ErrorKind, Write};

use anyhow::Result;

/// Exit code of what could not be done.
pub const FAILED: u8 = 1;
/// Exit code of an interrupted run: 128 + SIGINT, as shells report it.
pub const INTERRUPTED: u8 = 130;

/// Characters of a message: a list of all keys fits, a file does not.
const LONGEST: usize = 4000;

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

/// Prints a diagnostic on stderr. That stderr is closed is no reason to stop, let alone to panic. What it quotes may be of
/// any length and hold anything: it is shortened, and characters that would steer a terminal are escaped.
pub fn diagnose(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

/// `text` without control characters other than line ends, and without its middle if it is too long.
pub fn printable(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    let length = escaped.chars().count();
    if length <= LONGEST {
        return escaped;
    }
    let (head, tail) = (LONGEST * 3 / 4, LONGEST / 4);
    let begin: String = escaped.chars().take(head).collect();
    let end: String = escaped.chars().skip(length - tail).collect();
    format!("{begin} [{} characters] {end}", length - head - tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_short_and_steer_no_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\nc\t\u{e9}"), "a\\u{1b}[2Jb\\r\nc\\t\u{e9}");
        let long = printable(&"x".repeat(1 << 20));
        assert!(long.len() < 2 * LONGEST && long.contains("characters]"), "{}", long.len());
        assert_eq!(printable(&"y".repeat(LONGEST)).len(), LONGEST);
    }
}
