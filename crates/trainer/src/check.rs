//! The self-check: what a device computes beside what it should, part by part.
//!
//! A GPU is compared with the CPU. The CPU is compared with itself: its kernels with burn's tensor operations, environments
//! and whole iterations with one thread. Every comparison has a bound and a reason for it; the tests of GPUs call the same
//! parts, so that they and `trainer check` cannot drift apart.

mod actor;
mod environments;
mod findings;
mod learning;
mod networks;
mod numbers;
mod part;
mod rollouts;
mod steering;
mod subject;
mod training;
mod updates;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

pub use findings::{Finding, Findings};
pub use part::{Extent, PARTS, Part, select};
pub use subject::Subject;

/// How a part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every comparison lies within its bound.
    Passed,
    /// A comparison does not, or the device failed, or took too long.
    Failed,
    /// There is nothing to compare on this device.
    Skipped,
}

/// What came of a part.
#[derive(Debug, Clone, Serialize)]
pub struct PartReport {
    /// Its name, as `--only` takes it.
    pub part: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// Why it was skipped, or what went wrong besides the comparisons.
    pub reason: Option<String>,
    /// Seconds it took.
    pub seconds: f64,
    /// Its comparisons.
    pub findings: Vec<Finding>,
}

impl PartReport {
    /// The comparison that came nearest to its bound, or went furthest beyond it.
    pub fn nearest(&self) -> Option<&Finding> {
        self.findings.iter().max_by(|a, b| a.share().total_cmp(&b.share()))
    }

    /// The comparisons beyond their bounds.
    pub fn beyond(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !finding.holds())
    }
}

/// What came of all parts.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The device that was checked.
    pub device: String,
    /// What it was compared with.
    pub against: String,
    /// Whether no part failed.
    pub passed: bool,
    /// Seconds of all.
    pub seconds: f64,
    /// The parts, in their order.
    pub parts: Vec<PartReport>,
}

/// Runs the parts in turn, each for at most `limit`; `observer` sees each as it ends.
///
/// A part that does not end in time cannot be stopped: it fails, and those after it are not begun and fail, too, since the
/// device is still busy.
pub fn run(
    subject: &Arc<Subject>,
    parts: &[&'static Part],
    limit: Duration,
    observer: &mut dyn FnMut(&PartReport),
) -> Report {
    let begun = Instant::now();
    let mut reports = Vec::new();
    let mut worker = Worker::start(subject.clone());
    for part in parts {
        let report = worker.run(part, limit);
        observer(&report);
        reports.push(report);
    }
    Report {
        device: subject.name().to_owned(),
        against: subject.against().to_owned(),
        passed: reports.iter().all(|report| report.verdict != Verdict::Failed),
        seconds: begun.elapsed().as_secs_f64(),
        parts: reports,
    }
}

/// Runs one part on the calling thread.
pub fn run_part(subject: &Subject, part: &'static Part) -> PartReport {
    run_with(subject, part, Findings::default())
}

fn run_with(subject: &Subject, part: &'static Part, mut findings: Findings) -> PartReport {
    let begun = Instant::now();
    let done = catch_unwind(AssertUnwindSafe(|| part.run(subject, &mut findings)));
    let trouble = match done {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(panic) => Some(message(panic.as_ref())),
    };
    let seconds = begun.elapsed().as_secs_f64();
    let (list, skipped) = findings.into_parts();
    let verdict = match () {
        () if trouble.is_some() || list.iter().any(|finding| !finding.holds()) => Verdict::Failed,
        () if list.is_empty() => Verdict::Skipped,
        () => Verdict::Passed,
    };
    PartReport { part: &part.name, verdict, reason: trouble.or(skipped), seconds, findings: list }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("the computation broke off: {}", text.unwrap_or("no reason given"))
}

/// One thread for all parts: a GPU's memory and queues belong to the thread that used them first.
struct Worker {
    jobs: Sender<&'static Part>,
    reports: Receiver<PartReport>,
    /// The part that did not end.
    stuck: Option<&'static str>,
}

impl Worker {
    fn start(subject: Arc<Subject>) -> Self {
        let (jobs, asked) = channel::<&'static Part>();
        let (answer, reports) = channel();
        // Not joined: a part that hangs must not keep the program.
        thread::spawn(move || {
            for part in asked {
                if answer.send(run_part(&subject, part)).is_err() {
                    return;
                }
            }
        });
        Self { jobs, reports, stuck: None }
    }

    fn run(&mut self, part: &'static Part, limit: Duration) -> PartReport {
        let failed = |reason: String, seconds: f64| PartReport {
            part: &part.name,
            verdict: Verdict::Failed,
            reason: Some(reason),
            seconds,
            findings: Vec::new(),
        };
        if let Some(stuck) = self.stuck {
            return failed(format!("not begun: the device is still busy with {stuck}"), 0.0);
        }
        let sent: Result<(), _> = self.jobs.send(part);
        let answer = sent.map_err(|_| RecvTimeoutError::Disconnected).and_then(|()| self.reports.recv_timeout(limit));
        answer.unwrap_or_else(|error| {
            self.stuck = Some(&part.name);
            let seconds = limit.as_secs_f64();
            match error {
                RecvTimeoutError::Timeout => failed(format!("it did not end within {seconds} s"), seconds),
                RecvTimeoutError::Disconnected => failed("its thread ended".to_owned(), 0.0),
            }
        })
    }
}
