//! The progress of one run as a line.

pub mod group;
mod status_line;

use crate::log::Record;
use status_line::{StatusLine, count, duration};

/// Share of the newest iteration in the smoothed speed.
const SPEED_SMOOTHING: f64 = 0.1;

/// Shows how a run is getting on.
#[derive(Debug)]
pub struct Progress {
    line: StatusLine,
    cost_limit: f64,
    total_steps: u64,
    seconds_per_step: Option<f64>,
}

impl Progress {
    /// A progress line for a run of `total_steps` environment steps.
    pub fn new(quiet: bool, total_steps: u64, cost_limit: f64) -> Self {
        Self { line: StatusLine::new(quiet), cost_limit, total_steps, seconds_per_step: None }
    }

    /// Shows an iteration, if the last one shown is old enough or `last` is set.
    pub fn show(&mut self, record: &Record, last: bool) {
        let seconds = record.seconds() / record.samples.max(1) as f64;
        // The first iteration does not learn and would promise too much.
        let former = self.seconds_per_step.filter(|_| record.report.iteration > 2).unwrap_or(seconds);
        let smoothed = former + SPEED_SMOOTHING * (seconds - former);
        self.seconds_per_step = Some(smoothed);
        let (total_steps, cost_limit) = (self.total_steps, self.cost_limit);
        self.line.show(last, || line(record, total_steps, cost_limit, smoothed));
    }

    /// Ends the line, so that whatever comes next stands below it.
    pub fn finish(&mut self) {
        self.line.finish();
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
    if let Some(kl) = report.update.kl {
        text.push_str(&format!(" | KL {kl:.4}"));
    }
    if let Some(rollbacks) = report.update.rejected {
        text.push_str(&format!(" | rollbacks {rollbacks}"));
    }
    text
}

/// A mean over the last 100 episodes; before the first one ends, what the mean step promises for an episode.
fn number(mean: f64, estimate: f64) -> String {
    if mean.is_nan() { format!("~{estimate:.2}") } else { format!("{mean:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::fixture::report;

    #[test]
    fn a_line_shows_speed_and_cost_against_the_limit() {
        let mut late = report(12, vec![]);
        (late.update.kl, late.update.rejected) = (Some(0.00912), Some(1.0));
        let record = Record { report: &late, samples: 100, wall_s: 12.0 };
        assert_eq!(
            line(&record, 1_000_000, 25.0, 1e-4),
            "iter 12 | 1200 / 1.00M steps | 10k steps/s | ETA 1:40 | return 4.57 | cost 31.04 of 25 | KL 0.0091 | rollbacks 1"
        );
        let early = report(1, vec![]);
        let record = Record { report: &early, samples: 100, wall_s: 1.0 };
        assert!(line(&record, 1000, 25.0, 1e-4).ends_with("return ~2.00 | cost ~12.50 of 25"));
    }
}
