//! `check`: compares what a device computes with what it should, part by part.
//!
//! The comparisons are [`crate::check`]'s; this file chooses them and prints.

use std::panic::{set_hook, take_hook};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::check::{self, Extent, PARTS, PartReport, Report, Subject, Verdict};
use crate::cli::common_args::CommonArgs;
use crate::cli::console::{FAILED, diagnose, print};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Parts or groups of parts, separated by commas; `--list` names them [default: all]
    #[arg(long, value_name = "PART,..", value_delimiter = ',')]
    pub only: Vec<String>,
    /// One environment of each kind, and no course of learning
    #[arg(long)]
    pub quick: bool,
    /// Seconds that a part may take
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    pub part_seconds: u32,
    /// List the parts and check nothing
    #[arg(long)]
    pub list: bool,
    /// Print one JSON object at the end; the lines of the parts go to stderr
    #[arg(long)]
    pub json: bool,
    /// Device and threads.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Checks the chosen parts; the exit code is 1 where one fails.
///
/// # Errors
/// When a part is unknown, the device cannot be used, or stdout does not take the result.
pub fn run(args: &CheckArgs) -> Result<ExitCode> {
    let extent = if args.quick { Extent::Quick } else { Extent::Full };
    let parts = check::select(&args.only, extent)?;
    let width = PARTS.iter().map(|part| part.name.len()).max().unwrap_or(0);
    if args.list {
        let lines: Vec<String> = parts.iter().map(|part| format!("{:width$}  {}", part.name, part.about)).collect();
        print(&lines.join("\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    args.common.apply_threads()?;
    let selected = args.common.select_device()?;
    let subject = Arc::new(Subject::new(selected.device.clone(), selected.name())?);
    let say = |text: &str| {
        if !args.json {
            return print(text);
        }
        diagnose(text);
        Ok(())
    };
    say(&format!("{} against {}", subject.name(), subject.against()))?;

    // burn and CubeCL report what a driver refuses by panicking: here that is a part's failure, and no error of ours.
    let former = take_hook();
    set_hook(Box::new(|info| diagnose(&format!("  {info}"))));
    let limit = Duration::from_secs(u64::from(args.part_seconds));
    let mut said = Ok(());
    let report = check::run(&subject, &parts, limit, &mut |part| {
        if said.is_ok() {
            said = say(&line(part, width));
        }
    });
    set_hook(former);
    said?;
    say(&summary(&report))?;
    if args.json {
        print(&serde_json::to_string_pretty(&report)?)?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// A part's line: its verdict and the comparison nearest to its bound; of a failed part every comparison beyond it.
fn line(part: &PartReport, width: usize) -> String {
    let verdict = match part.verdict {
        Verdict::Passed => "ok",
        Verdict::Failed => "FAILED",
        Verdict::Skipped => "skipped",
    };
    let head = format!("{verdict:7}  {:width$}  {:6.1} s", part.part, part.seconds);
    let reason = part.reason.as_ref().map(|reason| format!("  {reason}"));
    let found = |finding: &check::Finding| {
        let check::Finding { what, measure, largest, bound, reason } = finding;
        let relation = if finding.holds() { "<=" } else { "> " };
        format!("{largest:8.1e} {relation} {bound:.0e}  {what} ({measure}; {reason})")
    };
    let findings: Vec<String> = match part.verdict {
        Verdict::Failed => part.beyond().map(|finding| format!("\n         {}", found(finding))).collect(),
        _ => part.nearest().map(|finding| format!("  {}", found(finding))).into_iter().collect(),
    };
    head + &findings.concat() + &reason.unwrap_or_default()
}

fn summary(report: &Report) -> String {
    let count = |verdict: Verdict| report.parts.iter().filter(|part| part.verdict == verdict).count();
    let comparisons: usize = report.parts.iter().map(|part| part.findings.len()).sum();
    let failed: Vec<&str> =
        report.parts.iter().filter(|part| part.verdict == Verdict::Failed).map(|part| part.part).collect();
    let (passed, skipped) = (count(Verdict::Passed), count(Verdict::Skipped));
    let head = match failed.as_slice() {
        [] => format!("{} computes what it should", report.device),
        failed => format!("{} computes WRONGLY in {}", report.device, failed.join(", ")),
    };
    format!("{head}: {passed} parts ok, {skipped} skipped, {comparisons} comparisons, {:.1} s", report.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Finding;

    fn part(largest: f64, reason: Option<&str>) -> PartReport {
        let finding = |largest: f64, what: &str| Finding {
            what: what.to_owned(),
            measure: "of the largest number".to_owned(),
            largest,
            bound: 1e-5,
            reason: "float32",
        };
        PartReport {
            part: "kernel/adam",
            verdict: if largest <= 1e-5 { Verdict::Passed } else { Verdict::Failed },
            reason: reason.map(str::to_owned),
            seconds: 0.25,
            findings: vec![finding(1e-7, "moments"), finding(largest, "parameters")],
        }
    }

    #[test]
    fn a_line_names_the_comparison_its_bound_and_the_reason() {
        let passed = line(&part(4e-6, None), 12);
        assert_eq!(
            passed,
            "ok       kernel/adam      0.2 s    4.0e-6 <= 1e-5  parameters (of the largest number; float32)"
        );
        let failed = line(&part(f64::INFINITY, Some("the device failed")), 12);
        assert!(failed.starts_with("FAILED   kernel/adam"), "{failed}");
        assert!(failed.contains("inf >  1e-5  parameters") && !failed.contains("moments"), "{failed}");
        assert!(failed.ends_with("the device failed"), "{failed}");
    }

    #[test]
    fn the_end_names_every_part_that_failed() {
        let report = |parts: Vec<PartReport>| Report {
            device: "cuda:0".to_owned(),
            against: "the CPU".to_owned(),
            passed: parts.iter().all(|part| part.verdict != Verdict::Failed),
            seconds: 1.0,
            parts,
        };
        let passed = summary(&report(vec![part(1e-6, None)]));
        assert!(passed.starts_with("cuda:0 computes what it should: 1 parts ok"), "{passed}");
        let failed = summary(&report(vec![part(1e-6, None), part(1.0, None)]));
        assert!(failed.contains("WRONGLY in kernel/adam") && failed.contains("4 comparisons"), "{failed}");
    }
}
