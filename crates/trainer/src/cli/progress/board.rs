//! Several lines on stderr that are rewritten in place while other lines pass above them; nothing where there is no terminal.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Between two updates.
const INTERVAL: Duration = Duration::from_millis(100);
/// Before and behind the lines: the terminal cuts a long one off instead of breaking it, which would move the others.
pub const NO_WRAP: &str = "\x1b[?7l";
/// And back.
pub const WRAP: &str = "\x1b[?7h";

/// The lines. Failing to print never ends a run.
#[derive(Debug)]
pub struct Board {
    live: bool,
    shown: Option<Instant>,
    /// Lines that stand above the cursor.
    height: usize,
}

impl Board {
    /// A board that is not yet there; never, where `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { live: !quiet && stderr().is_terminal(), shown: None, height: 0 }
    }

    /// Whether there is a terminal to write on.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Replaces the lines, if those before are old enough or it is `urgent`.
    pub fn show(&mut self, urgent: bool, lines: impl FnOnce() -> Vec<String>) {
        let due = self.shown.is_none_or(|shown| shown.elapsed() >= INTERVAL);
        if !self.live || !(due || urgent) {
            return;
        }
        self.shown = Some(Instant::now());
        let lines = lines();
        let _ = stderr().write_all(redrawn(self.height, &lines).as_bytes());
        self.height = lines.len();
    }

    /// Takes the lines away, so that whatever is printed next stands in their place.
    pub fn clear(&mut self) {
        let _ = stderr().write_all(redrawn(self.height, &[]).as_bytes());
        self.height = 0;
    }
}

/// What puts `lines` in the place of `height` lines above the cursor.
fn redrawn(height: usize, lines: &[String]) -> String {
    if height == 0 && lines.is_empty() {
        return String::new();
    }
    let up = if height > 0 { format!("\x1b[{height}A") } else { String::new() };
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    format!("{up}\r\x1b[J{NO_WRAP}{lines}{WRAP}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_where_those_before_stood() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(redrawn(0, &[]), "");
        assert_eq!(redrawn(0, &lines(&["a", "b"])), "\r\x1b[J\x1b[?7la\nb\n\x1b[?7h");
        assert_eq!(redrawn(2, &lines(&["c"])), "\x1b[2A\r\x1b[J\x1b[?7lc\n\x1b[?7h");
        assert_eq!(redrawn(1, &[]), "\x1b[1A\r\x1b[J\x1b[?7l\x1b[?7h");
    }
}
