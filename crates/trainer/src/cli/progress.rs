//! The progress of one run as a line.

mod board;
pub mod group;
pub mod status_line;
pub mod sweep;

use crate::cli::colour::{Colour, painted};
use crate::config::Constraint;
use crate::figures::Figures;
use crate::log::Record;
use crate::outcome::{Measured, Outcome};
use status_line::{StatusLine, count, duration};

/// Share of the newest iteration in the smoothed speed.
const SPEED_SMOOTHING: f64 = 0.1;

/// Shows how a run is getting on.
#[derive(Debug)]
pub struct Progress {
    line: StatusLine,
    constraints: Vec<Constraint>,
    total_steps: u64,
    seconds_per_step: Option<f64>,
}

impl Progress {
    /// A progress line for a run of `total_steps` environment steps under these constraints.
    pub fn new(quiet: bool, total_steps: u64, constraints: &[Constraint]) -> Self {
        Self { line: StatusLine::new(quiet), constraints: constraints.to_vec(), total_steps, seconds_per_step: None }
    }

    /// Shows an iteration, if the last one shown is old enough or `last` is set.
    pub fn show(&mut self, record: &Record, last: bool) {
        let seconds = record.seconds() / record.samples.max(1) as f64;
        // The first iteration does not learn and would promise too much.
        let former = self.seconds_per_step.filter(|_| record.report.iteration > 2).unwrap_or(seconds);
        let smoothed = former + SPEED_SMOOTHING * (seconds - former);
        self.seconds_per_step = Some(smoothed);
        let (total_steps, constraints) = (self.total_steps, &self.constraints);
        let coloured = self.line.is_coloured();
        self.line.show(last, || line(record, total_steps, constraints, smoothed, coloured));
    }

    /// Ends the line, so that whatever comes next stands below it.
    pub fn finish(&mut self) {
        self.line.finish();
    }
}

fn line(
    record: &Record,
    total_steps: u64,
    constraints: &[Constraint],
    seconds_per_step: f64,
    coloured: bool,
) -> String {
    let report = record.report;
    let remaining = total_steps.saturating_sub(report.steps) as f64 * seconds_per_step;
    let mut text = format!(
        "iter {} | {} / {} steps | {} steps/s | ETA {} | {}",
        report.iteration,
        count(report.steps as f64),
        count(total_steps as f64),
        count(1.0 / seconds_per_step.max(1e-12)),
        duration(remaining),
        figures(report.judged(), constraints, coloured),
    );
    if report.deployed.is_some() {
        let sampled = Outcome::of(&report.sampled, 1);
        let numbers: Vec<String> = std::iter::once(&sampled.ret).chain(&sampled.costs).map(number).collect();
        text.push_str(&format!(" | sampled {}", numbers.join(" / ")));
    }
    if let Some(kl) = report.update.kl {
        text.push_str(&format!(" | KL {kl:.4}"));
    }
    if let Some(rollbacks) = report.update.rejected {
        text.push_str(&format!(" | rollbacks {rollbacks}"));
    }
    text
}

/// Return, and every cost beside its limit.
fn figures(figures: &Figures, constraints: &[Constraint], coloured: bool) -> String {
    let outcome = Outcome::of(figures, 1);
    let mut text = format!("return {}", number(&outcome.ret));
    for (Constraint { name, limit }, cost) in constraints.iter().zip(&outcome.costs) {
        let colour = Colour::of_cost(cost.mean, *limit).filter(|_| coloured);
        text.push_str(&format!(" | {name} {} of {limit}", painted(&number(cost), colour)));
    }
    text
}

/// A mean over the last 100 episodes; before the first one ends, marked, what the mean step promises for an episode.
fn number(measured: &Measured) -> String {
    format!("{}{:.2}", if measured.std.is_nan() { "~" } else { "" }, measured.mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::fixture::{deployed_report, report};

    #[test]
    fn a_line_shows_speed_and_cost_against_the_limit() {
        let limits = |limits: &[(&str, f64)]| -> Vec<Constraint> {
            limits.iter().map(|&(name, limit)| Constraint { name: name.into(), limit }).collect()
        };
        let mut late = report(12, vec![]);
        (late.update.kl, late.update.rejected) = (Some(0.00912), Some(1.0));
        let record = Record { report: &late, samples: 100, wall_s: 12.0 };
        assert_eq!(
            line(&record, 1_000_000, &limits(&[("cost", 25.0)]), 1e-4, false),
            "iter 12 | 1200 / 1.00M steps | 10k steps/s | ETA 1:40 | return 4.57 | cost 31.04 of 25 | KL 0.0091 | rollbacks 1"
        );
        let early = report(1, vec![]);
        let record = Record { report: &early, samples: 100, wall_s: 1.0 };
        assert!(
            line(&record, 1000, &limits(&[("cost", 25.0)]), 1e-4, false).ends_with("return ~2.50 | cost ~13.00 of 25")
        );
        assert!(line(&record, 1000, &[], 1e-4, false).ends_with("return ~2.50"));
        let mut deployed = deployed_report(3, vec![]);
        if let Some(deployed) = &mut deployed.deployed {
            let recent = deployed.figures.recent.as_mut().expect("an episode has ended");
            (recent.cost_mean, recent.cost_std) = (vec![20.0, 1.5], vec![2.0, 0.0]);
        }
        let record = Record { report: &deployed, samples: 100, wall_s: 1.0 };
        let text = line(&record, 1000, &limits(&[("hazards", 25.0), ("vases", 5.0)]), 1e-4, false);
        assert!(text.ends_with("return 7.00 | hazards 20.00 of 25 | vases 1.50 of 5 | sampled 4.57 / 31.04"), "{text}");
        let text = line(&record, 1000, &limits(&[("hazards", 19.0), ("vases", 5.0)]), 1e-4, true);
        assert!(text.contains("hazards \x1b[31m20.00\x1b[0m of 19 | vases \x1b[32m1.50\x1b[0m of 5"), "{text}");
    }
}
