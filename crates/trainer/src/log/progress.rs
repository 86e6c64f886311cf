//! The progress line on stderr: rewritten in place on a terminal, a line every few seconds elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use crate::log::Record;

/// Between two updates of the line on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(100);
/// Between two lines in a log file.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Share of the newest iteration in the smoothed speed.
const SPEED_SMOOTHING: f64 = 0.1;

/// Shows how a run is getting on. Failing to print never ends a run.
#[derive(Debug)]
pub struct Progress {
    quiet: bool,
    terminal: bool,
    cost_limit: f64,
    total_steps: u64,
    seconds_per_step: Option<f64>,
    shown: Option<Instant>,
    /// Whether the cursor stands behind an unfinished line.
    open: bool,
}

impl Progress {
    /// A progress line for a run of `total_steps` environment steps.
    pub fn new(quiet: bool, total_steps: u64, cost_limit: f64) -> Self {
        Self {
            quiet,
            terminal: stderr().is_terminal(),
            cost_limit,
            total_steps,
            seconds_per_step: None,
            shown: None,
            open: false,
        }
    }

    /// Shows an iteration, if the last one shown is old enough or `last` is set.
    pub fn show(&mut self, record: &Record, last: bool) {
        let seconds = record.seconds() / record.samples.max(1) as f64;
        // The first iteration does not learn and would promise too much.
        let former = self.seconds_per_step.filter(|_| record.report.iteration > 2).unwrap_or(seconds);
        let smoothed = former + SPEED_SMOOTHING * (seconds - former);
        self.seconds_per_step = Some(smoothed);
        let interval = if self.terminal { TERMINAL_INTERVAL } else { PLAIN_INTERVAL };
        let due = self.shown.is_none_or(|shown| shown.elapsed() >= interval);
        if self.quiet || !(due || last) {
            return;
        }
        self.shown = Some(Instant::now());
        let line = line(record, self.total_steps, self.cost_limit, smoothed);
        if self.terminal {
            self.open = true;
            let _ = write!(stderr(), "\r{line}\x1b[K");
        } else {
            let _ = writeln!(stderr(), "{line}");
        }
    }

    /// Prints a message on a line of its own, even when quiet.
    pub fn message(&mut self, text: &str) {
        self.finish();
        let _ = writeln!(stderr(), "{text}");
    }

    /// Ends the line, so that whatever comes next stands below it.
    pub fn finish(&mut self) {
        if std::mem::take(&mut self.open) {
            let _ = writeln!(stderr());
        }
    }
}

fn line(record: &Record, total_steps: u64, cost_limit: f64, seconds_per_step: f64) -> String {
    let report = record.report;
    let remaining = total_steps.saturating_sub(report.steps) as f64 * seconds_per_step;
    let mut text = format!(
        "iter {} | {} / {} steps | {} steps/s | ETA {} | return {} | cost {} of {cost_limit}",
        report.iteration,
        count(report.steps as f64),
        count(total_steps as f64),
        count(1.0 / seconds_per_step.max(1e-12)),
        duration(remaining),
        number(record.return_mean(), report.step_return),
        number(record.cost_mean(), report.step_cost),
    );
    if let Some(kl) = record.metric("Train/KL") {
        text.push_str(&format!(" | KL {kl:.4}"));
    }
    if let Some(rollbacks) = record.metric("KFCPO/Rollbacks") {
        text.push_str(&format!(" | rollbacks {rollbacks}"));
    }
    text
}

/// A mean over the last 100 episodes; before the first one ends, what the mean step promises for an episode.
fn number(mean: f64, estimate: f64) -> String {
    if mean.is_nan() { format!("~{estimate:.2}") } else { format!("{mean:.2}") }
}

fn count(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.2}M", value / 1e6),
        _ if value >= 1e4 => format!("{:.0}k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

fn duration(seconds: f64) -> String {
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
    use crate::log::fixture::report;

    #[test]
    fn a_line_shows_speed_and_cost_against_the_limit() {
        let late = report(12, vec![("Train/KL", 0.00912), ("KFCPO/Rollbacks", 1.0)]);
        let record = Record { report: &late, samples: 100, wall_s: 12.0 };
        assert_eq!(
            line(&record, 1_000_000, 25.0, 1e-4),
            "iter 12 | 1200 / 1.00M steps | 10k steps/s | ETA 1:40 | return 4.57 | cost 31.04 of 25 | KL 0.0091 | rollbacks 1"
        );
        let early = report(1, vec![]);
        let record = Record { report: &early, samples: 100, wall_s: 1.0 };
        assert!(line(&record, 1000, 25.0, 1e-4).ends_with("return ~2.00 | cost ~12.50 of 25"));
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(59.6), "1:00");
        assert_eq!(duration(3_725.0), "1:02:05");
        assert_eq!(duration(f64::INFINITY), "277777:46:40");
    }
}
