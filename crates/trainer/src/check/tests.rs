//! A device that computes wrongly is found, and the part and the comparison are named.

use burn::tensor::Device;

use super::findings::{Fault, Findings, Measure};
use super::*;

fn cpu() -> Subject {
    Subject::new(Device::flex(), "cpu").expect("the CPU backend")
}

/// Parts that compare numbers of one device with another's in seconds.
fn brief() -> Vec<&'static Part> {
    let only = [
        "kernel",
        "update/small",
        "env/PointGoal1",
        "env/CarGoal1",
        "rollout/PointGoal1",
        "rollout/means",
        "train/iteration",
    ];
    select(&only.map(str::to_owned), Extent::Quick).expect("known parts")
}

fn run_faulty(subject: &Subject, part: &'static Part, fault: Fault) -> PartReport {
    let mut findings = Findings::default();
    findings.fault = Some(fault);
    run_with(subject, part, findings)
}

#[test]
fn the_cpu_computes_what_it_should_and_a_fault_in_any_comparison_is_found() {
    let subject = cpu();
    // Numbers that are wrong by a twentieth and more, and numbers where there should be none.
    let change = |numbers: &mut [f32]| {
        numbers.iter_mut().for_each(|x| *x = if x.is_finite() { 1.05 * *x + 4.0 } else { 0.0 });
    };
    for part in brief() {
        let report = run_part(&subject, part);
        let beyond: Vec<&Finding> = report.beyond().collect();
        assert_eq!(report.verdict, Verdict::Passed, "{}: {:?} {beyond:?}", part.name, report.reason);
        let faulty = run_faulty(&subject, part, Fault { what: None, change });
        let missed: Vec<&Finding> = faulty.findings.iter().filter(|finding| finding.holds()).collect();
        assert!(missed.is_empty() && faulty.findings.len() == report.findings.len(), "{}: {missed:?}", part.name);
        assert_eq!((faulty.verdict, faulty.part), (Verdict::Failed, part.name.as_str()));
    }
}

/// One wrong number among thousands is enough where numbers must be equal to rounding, and only its comparison is named.
#[test]
fn one_wrong_number_is_found_and_named() {
    let subject = cpu();
    let part = select(&["kernel/passes".to_owned()], Extent::Full).expect("a part")[0];
    let what = "factors of [60, 64, 64, 2], exact".to_owned();
    let wrong: [fn(&mut [f32]); 2] = [|numbers| numbers[77] += 0.01, |numbers| numbers[77] = f32::NAN];
    for change in wrong {
        let report = run_faulty(&subject, part, Fault { what: Some(what.clone()), change });
        assert_eq!(report.verdict, Verdict::Failed);
        let beyond: Vec<&str> = report.beyond().map(|finding| finding.what.as_str()).collect();
        assert_eq!(beyond, [what.as_str()]);
    }
}

fn panics(_: &Subject, _: &mut Findings) -> Result<()> {
    panic!("the driver refuses")
}

fn fails(_: &Subject, _: &mut Findings) -> Result<()> {
    anyhow::bail!("the device was lost")
}

fn hangs(_: &Subject, findings: &mut Findings) -> Result<()> {
    thread::sleep(Duration::from_secs(600));
    passes(&cpu(), findings)
}

fn passes(_: &Subject, findings: &mut Findings) -> Result<()> {
    findings.compare("ones", Measure::Absolute, [&[1.0], &[1.0]], 0.0, "they are ones");
    Ok(())
}

fn has_none(_: &Subject, findings: &mut Findings) -> Result<()> {
    findings.skip("no such kernel");
    Ok(())
}

#[test]
fn a_part_that_breaks_off_or_hangs_fails_with_its_reason() {
    let part = |name: &str, run| -> &'static Part { Box::leak(Box::new(Part::plain(name, "for a test", run))) };
    let parts = [
        part("passes", passes as fn(&Subject, &mut Findings) -> Result<()>),
        part("has-none", has_none),
        part("panics", panics),
        part("fails", fails),
        part("hangs", hangs),
        part("after", passes),
    ];
    let mut seen = Vec::new();
    let report = run(&Arc::new(cpu()), &parts, Duration::from_secs(1), &mut |part| {
        seen.push(part.part.to_owned());
    });
    assert_eq!(seen, ["passes", "has-none", "panics", "fails", "hangs", "after"]);
    let verdicts: Vec<Verdict> = report.parts.iter().map(|part| part.verdict).collect();
    use Verdict::{Failed, Passed, Skipped};
    assert_eq!(verdicts, [Passed, Skipped, Failed, Failed, Failed, Failed]);
    let reasons: Vec<&str> = report.parts.iter().map(|part| part.reason.as_deref().unwrap_or("")).collect();
    for (reason, words) in
        reasons.iter().zip(["", "no such kernel", "refuses", "lost", "within 1 s", "busy with hangs"])
    {
        assert!(reason.contains(words), "{reason}");
    }
    assert!(!report.passed);
}
