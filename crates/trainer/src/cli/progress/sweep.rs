//! The progress of a sweep: a bar for each run that is being trained and one for all, where there is a terminal; elsewhere a
//! line now and then.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::board::Board;
use super::status_line::{count, duration};
use crate::cli::colour::{self, Colour, painted};
use crate::cli::console::{diagnose, print};
use crate::log::Record;

/// Cells of a bar.
const WIDTH: usize = 24;
/// Between two lines in a log file.
const PLAIN_INTERVAL: Duration = Duration::from_secs(60);

/// A run that is being trained.
#[derive(Debug)]
struct Job {
    name: String,
    total: u64,
    steps: u64,
    left_at_start: u64,
    started: Instant,
    return_mean: f64,
    cost_mean: f64,
    cost_limit: f64,
}

/// Shows how a sweep is getting on.
#[derive(Debug)]
pub struct SweepProgress {
    board: Board,
    quiet: bool,
    plain_shown: Instant,
    started: Instant,
    runs: usize,
    ended: usize,
    /// Steps that were left at the start.
    left: u64,
    /// Steps of runs that have ended since, or were left out when they failed.
    gone: u64,
    jobs: Vec<Option<Job>>,
}

impl SweepProgress {
    /// Bars for `jobs` runs at once, of `runs` runs with `left` steps to do.
    pub fn new(quiet: bool, jobs: usize, runs: usize, left: u64) -> Self {
        let now = Instant::now();
        let jobs = (0..jobs).map(|_| None).collect();
        Self { board: Board::new(quiet), quiet, plain_shown: now, started: now, runs, ended: 0, left, gone: 0, jobs }
    }

    /// A job takes up a run of `total` steps of which `left` are to be done, whose first cost has this limit.
    pub fn begin(&mut self, job: usize, name: &str, total: u64, left: u64, cost_limit: f64) {
        self.jobs[job] = Some(Job {
            name: name.to_owned(),
            total,
            steps: total - left.min(total),
            left_at_start: left,
            started: Instant::now(),
            return_mean: f64::NAN,
            cost_mean: f64::NAN,
            cost_limit,
        });
        self.redraw(true);
    }

    /// Takes in an iteration of the run that `job` is at.
    pub fn show(&mut self, job: usize, record: &Record) {
        if let Some(job) = &mut self.jobs[job] {
            job.steps = record.report.steps;
            let outcome = record.outcome();
            job.return_mean = outcome.ret.mean;
            job.cost_mean = outcome.costs.first().map_or(f64::NAN, |cost| cost.mean);
        }
        self.redraw(false);
    }

    /// The run that `job` was at has ended, in whatever way.
    pub fn end(&mut self, job: usize) {
        if let Some(job) = self.jobs[job].take() {
            self.ended += 1;
            self.gone += job.left_at_start;
        }
        self.redraw(true);
    }

    /// Prints a result on stdout, above the bars.
    ///
    /// # Errors
    /// When stdout does not take it.
    pub fn print(&mut self, line: &str) -> Result<()> {
        self.board.clear();
        let printed = print(line);
        self.redraw(true);
        printed
    }

    /// Prints a diagnostic on stderr, above the bars.
    pub fn note(&mut self, text: &str) {
        self.board.clear();
        diagnose(text);
        self.redraw(true);
    }

    /// Takes the bars away.
    pub fn finish(mut self) {
        self.board.clear();
    }

    fn redraw(&mut self, urgent: bool) {
        if self.board.is_live() {
            let mut board = std::mem::replace(&mut self.board, Board::new(true));
            board.show(urgent, || self.lines());
            self.board = board;
        } else if !self.quiet && self.plain_shown.elapsed() >= PLAIN_INTERVAL {
            self.plain_shown = Instant::now();
            diagnose(&self.summary(self.started.elapsed().as_secs_f64()));
        }
    }

    fn lines(&self) -> Vec<String> {
        let coloured = colour::wanted(self.board.is_live());
        let jobs = self.jobs.iter().flatten().map(|job| job.line(job.started.elapsed().as_secs_f64(), coloured));
        jobs.chain([self.summary(self.started.elapsed().as_secs_f64())]).collect()
    }

    /// Steps done in this session.
    fn done(&self) -> u64 {
        let running = self.jobs.iter().flatten().map(|job| job.left_at_start - job.total.saturating_sub(job.steps));
        self.gone + running.sum::<u64>()
    }

    fn summary(&self, seconds: f64) -> String {
        let done = self.done();
        let speed = done as f64 / seconds.max(1e-9);
        format!(
            "{} of {} runs | {} / {} steps | {} steps/s | ETA {}",
            self.ended,
            self.runs,
            count(done as f64),
            count(self.left as f64),
            count(speed),
            duration(self.left.saturating_sub(done) as f64 / speed.max(1e-12))
        )
    }
}

impl Job {
    fn line(&self, seconds: f64, coloured: bool) -> String {
        let left = self.total.saturating_sub(self.steps);
        let done = self.left_at_start.saturating_sub(left);
        let share = self.steps as f64 / self.total.max(1) as f64;
        let full = ((share * WIDTH as f64) as usize).min(WIDTH);
        let speed = done as f64 / seconds.max(1e-9);
        let eta = if done == 0 { "-".to_owned() } else { duration(left as f64 / speed.max(1e-12)) };
        let number = |value: f64| if value.is_nan() { "-".to_owned() } else { format!("{value:.1}") };
        let cost_colour = Colour::of_cost(self.cost_mean, self.cost_limit).filter(|_| coloured);
        format!(
            "[{}{}] {:3.0} % {eta:>7} {} | return {} | cost {}",
            "#".repeat(full),
            ".".repeat(WIDTH - full),
            100.0 * share,
            self.name,
            number(self.return_mean),
            painted(&number(self.cost_mean), cost_colour)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_the_line_below_tell_what_is_done_and_left() {
        let mut progress = SweepProgress::new(true, 2, 3, 250);
        progress.begin(0, "a/seed0", 100, 50, 25.0);
        progress.begin(1, "b/seed0", 100, 100, 25.0);
        assert_eq!(progress.lines().len(), 3);
        let job = progress.jobs[0].as_mut().unwrap();
        (job.steps, job.return_mean, job.cost_mean) = (75, 4.56, 26.0);
        assert_eq!(
            job.line(10.0, true),
            "[##################......]  75 %    0:10 a/seed0 | return 4.6 | cost \x1b[31m26.0\x1b[0m"
        );
        assert_eq!(progress.summary(5.0), "0 of 3 runs | 25 / 250 steps | 5 steps/s | ETA 0:45");
        progress.end(0);
        assert_eq!(progress.summary(5.0), "1 of 3 runs | 50 / 250 steps | 10 steps/s | ETA 0:20");
        assert!(progress.jobs[1].as_ref().unwrap().line(1.0, false).contains("  0 %       - b/seed0"));
    }
}
