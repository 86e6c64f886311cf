//! A line on stderr that says how things are going: rewritten in place on a terminal, repeated every few seconds elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use super::board::{NO_WRAP, WRAP};
use crate::cli::colour;

/// Between two updates of the line on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(100);
/// Between two lines in a log file.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// The line. Failing to print never ends a run.
#[derive(Debug)]
pub struct StatusLine {
    quiet: bool,
    terminal: bool,
    coloured: bool,
    shown: Option<Instant>,
    /// Whether the cursor stands behind an unfinished line.
    open: bool,
}

impl StatusLine {
    /// A line that is not yet there; never, where `quiet`.
    pub fn new(quiet: bool) -> Self {
        let terminal = stderr().is_terminal();
        Self { quiet, terminal, coloured: colour::wanted(terminal), shown: None, open: false }
    }

    /// Whether what it shows may have colours.
    pub fn is_coloured(&self) -> bool {
        self.coloured
    }

    /// Shows `text`, if the one before is old enough or this is the `last`.
    pub fn show(&mut self, last: bool, text: impl FnOnce() -> String) {
        let interval = if self.terminal { TERMINAL_INTERVAL } else { PLAIN_INTERVAL };
        let due = self.shown.is_none_or(|shown| shown.elapsed() >= interval);
        if self.quiet || !(due || last) {
            return;
        }
        self.shown = Some(Instant::now());
        if self.terminal {
            self.open = true;
            let _ = write!(stderr(), "\r\x1b[K{NO_WRAP}{}{WRAP}", text());
        } else {
            let _ = writeln!(stderr(), "{}", text());
        }
    }

    /// Ends the line, so that whatever comes next stands below it.
    pub fn finish(&mut self) {
        if std::mem::take(&mut self.open) {
            let _ = writeln!(stderr());
        }
    }
}

/// A count in at most five characters.
pub fn count(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.2}M", value / 1e6),
        _ if value >= 1e4 => format!("{:.0}k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

/// Seconds as `m:ss` or `h:mm:ss`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round().clamp(0.0, 1e9) as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match hours {
        0 => format!("{minutes}:{:02}", seconds % 60),
        _ => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(59.6), "1:00");
        assert_eq!(duration(3_725.0), "1:02:05");
        assert_eq!(duration(f64::INFINITY), "277777:46:40");
    }
}
