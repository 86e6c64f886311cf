//! The progress of several runs that are trained at once, as one line.

use std::time::Instant;

use super::status_line::{StatusLine, count, duration};
use crate::cli::colour::{Colour, painted};
use crate::config::Constraint;
use crate::log::Record;

/// What is known of a run.
#[derive(Debug, Clone)]
struct Latest {
    /// Steps at the end of its first iteration of this session.
    first: Option<u64>,
    steps: u64,
    total: u64,
    return_mean: f64,
    /// By every constraint.
    costs: Vec<Cost>,
}

/// A cost beside its limit.
#[derive(Debug, Clone)]
struct Cost {
    name: String,
    mean: f64,
    limit: f64,
}

/// Shows how a group of runs is getting on.
#[derive(Debug)]
pub struct GroupProgress {
    line: StatusLine,
    started: Instant,
    runs: Vec<Latest>,
}

impl GroupProgress {
    /// A progress line for runs of these numbers of environment steps under these constraints.
    pub fn new<'a>(quiet: bool, runs: impl Iterator<Item = (u64, &'a [Constraint])>) -> Self {
        let latest = |(total, constraints): (u64, &[Constraint])| {
            let cost = |limited: &Constraint| Cost { name: limited.name.clone(), mean: f64::NAN, limit: limited.limit };
            let costs = constraints.iter().map(cost).collect();
            Latest { first: None, steps: 0, total, return_mean: f64::NAN, costs }
        };
        Self { line: StatusLine::new(quiet), started: Instant::now(), runs: runs.map(latest).collect() }
    }

    /// Takes in an iteration of run `index`.
    pub fn show(&mut self, index: usize, record: &Record) {
        let run = &mut self.runs[index];
        run.first.get_or_insert(record.report.steps - record.samples);
        run.steps = record.report.steps;
        let outcome = record.outcome();
        run.return_mean = outcome.ret.mean;
        for (latest, cost) in run.costs.iter_mut().zip(&outcome.costs) {
            latest.mean = cost.mean;
        }
        let last = self.runs.iter().all(|run| run.steps >= run.total);
        let seconds = self.started.elapsed().as_secs_f64();
        let coloured = self.line.is_coloured();
        self.line.show(last, || text(&self.runs, seconds, coloured));
    }

    /// Ends the line, so that whatever comes next stands below it.
    pub fn finish(&mut self) {
        self.line.finish();
    }
}

fn text(runs: &[Latest], seconds: f64, coloured: bool) -> String {
    let begun = || runs.iter().filter_map(|run| run.first.map(|first| (run, first)));
    let done: u64 = begun().map(|(run, first)| run.steps - first).sum();
    let (steps, total) = runs.iter().fold((0, 0), |(steps, total), run| (steps + run.steps, total + run.total));
    let speed = done as f64 / seconds.max(1e-9);
    let left = begun().map(|(run, _)| run.total.saturating_sub(run.steps)).sum::<u64>() as f64
        + runs.iter().filter(|run| run.first.is_none()).map(|run| run.total as f64).sum::<f64>();
    let mut text = format!(
        "{} runs | {} / {} steps | {} steps/s | ETA {} | return {}",
        runs.len(),
        count(steps as f64),
        count(total as f64),
        count(speed),
        duration(left / speed.max(1e-12)),
        range(runs.iter().map(|run| run.return_mean)),
    );
    let costs = || runs.iter().flat_map(|run| &run.costs);
    let mut names: Vec<&str> = Vec::new();
    for Cost { name, .. } in costs() {
        if !names.contains(&name.as_str()) {
            names.push(name);
            let of_name = || costs().filter(|cost| cost.name == *name);
            // One run above its limit is what one wants to see.
            let beyond = of_name().filter(|cost| cost.mean.is_finite()).map(|cost| cost.mean - cost.limit);
            let colour = beyond.reduce(f64::max).and_then(|most| Colour::of_cost(most, 0.0)).filter(|_| coloured);
            text.push_str(&format!(" | {name} {}", painted(&range(of_name().map(|cost| cost.mean)), colour)));
        }
    }
    text
}

/// The smallest and the largest of the numbers known so far.
fn range(values: impl Iterator<Item = f64>) -> String {
    let known: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    let least = known.iter().copied().reduce(f64::min);
    let most = known.iter().copied().reduce(f64::max);
    least.zip(most).map_or_else(|| "-".to_owned(), |(least, most)| format!("{least:.2} to {most:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_adds_up_the_runs() {
        let run = |first, steps, return_mean, cost| Latest {
            first,
            steps,
            total: 2_000_000,
            return_mean,
            costs: [("hazards", cost), ("vases", f64::NAN)]
                .map(|(name, mean)| Cost { name: name.to_owned(), mean, limit: 25.0 })
                .into(),
        };
        let runs = [
            run(Some(500_000), 1_000_000, 4.5, 20.0),
            run(None, 0, f64::NAN, f64::NAN),
            run(Some(0), 500_000, 3.25, 30.0),
        ];
        assert_eq!(
            text(&runs, 10.0, false),
            "3 runs | 1.50M / 6.00M steps | 100k steps/s | ETA 0:45 | return 3.25 to 4.50 | hazards 20.00 to 30.00 | vases -"
        );
        assert!(text(&runs, 10.0, true).ends_with("hazards \x1b[31m20.00 to 30.00\x1b[0m | vases -"));
    }
}
