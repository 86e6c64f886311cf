//! A part of `trainer check` as a test: what holds a GPU beside the CPU is written once, in `trainer::check`.

use test_support::device::{gpu, skip};
use trainer::check::{Extent, Subject, Verdict, run_part, select};

/// Runs a part, or every part of a group, on the GPU and holds every comparison within its bound. `--nocapture` shows them.
pub fn holds(name: &str) {
    let Some(gpu) = gpu() else { return };
    let subject = Subject::new(gpu, "the GPU").expect("the CPU backend to compare with");
    for part in select(&[name.to_owned()], Extent::Full).expect("a known part") {
        let report = run_part(&subject, part);
        for finding in &report.findings {
            eprintln!("{} {}: {:.1e}, bound {:.0e}", part.name, finding.what, finding.largest, finding.bound);
        }
        if report.verdict == Verdict::Skipped {
            skip(report.reason.as_deref().unwrap_or("nothing to compare"));
        }
        let beyond: Vec<_> = report.beyond().collect();
        assert!(report.verdict != Verdict::Failed, "{}: {:?} {beyond:?}", part.name, report.reason);
    }
}
