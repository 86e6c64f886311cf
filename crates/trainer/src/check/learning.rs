//! A short run of learning beside a stored curve of many seeds.
//!
//! `learning/curve.json` holds the settings and the curves; `cargo test -p trainer --lib stored_curve -- --ignored
//! --nocapture` prints it anew, on the CPU.

use anyhow::{Context, Result};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::findings::Findings;
use super::subject::Subject;
use crate::config::TrainConfig;
use crate::runner::Runner;

const STORED: &str = include_str!("learning/curve.json");

/// Seeds that are run; none is among the stored ones.
const SEEDS: [u64; 3] = [1001, 1002, 1003];
/// Standard errors by which a stretch may lie apart: seeds are fixed, and chance alone puts one of the 6 stretches of fewer
/// than one device in 100 there.
const ERRORS: f64 = 4.0;
const NOISE: &str = "seeds differ: 4 standard errors of the difference of the means";

/// Curves of many seeds, and the settings that they were made with.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    config: TrainConfig,
    /// Where they were computed.
    machine: String,
    /// Step estimates of the return, averaged over each stretch: `[seed][stretch]`.
    returns: Vec<Vec<f64>>,
}

/// Stretches of a run that are averaged over.
const STRETCHES: usize = 6;

impl Stored {
    fn load() -> Result<Self> {
        serde_json::from_str(STORED).context("the stored curve")
    }

    /// What the stored seeds gave in a stretch.
    fn stretch(&self, at: usize) -> Vec<f64> {
        self.returns.iter().map(|curve| curve[at]).collect()
    }
}

/// Step estimates of the return of a run, averaged over [`STRETCHES`] stretches.
fn curve(config: &TrainConfig, seed: u64, device: &Device) -> Result<Vec<f64>> {
    let mut runner = Runner::new(TrainConfig { seed, ..config.clone() }, device.clone())?;
    let length = config.total_steps as usize / config.batch_size() / STRETCHES;
    let mut curve = vec![0.0; STRETCHES];
    for iteration in 0..length * STRETCHES {
        curve[iteration / length] += runner.iterate()?.sampled.step_return / length as f64;
    }
    Ok(curve)
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn variance(numbers: &[f64]) -> f64 {
    let mean = mean(numbers);
    numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (numbers.len() - 1) as f64
}

/// Standard errors by which the mean of `got` lies from that of `stored`.
fn errors_apart(stored: &[f64], got: &[f64]) -> f64 {
    let error = (variance(stored) * (1.0 / stored.len() as f64 + 1.0 / got.len() as f64)).sqrt();
    (mean(got) - mean(stored)).abs() / error
}

fn compare(findings: &mut Findings, stored: &Stored, got: &[Vec<f64>]) {
    for at in 0..STRETCHES {
        let (expected, got) = (stored.stretch(at), got.iter().map(|curve| curve[at]).collect::<Vec<f64>>());
        let what = format!(
            "return of sixth {} of a run: {:.2}, stored {:.2} +- {:.2}",
            at + 1,
            mean(&got),
            mean(&expected),
            variance(&expected).sqrt()
        );
        findings.number(&what, "standard errors", errors_apart(&expected, &got), ERRORS, NOISE);
    }
}

/// Short runs of three seeds.
pub(super) fn learning(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let stored = Stored::load()?;
    let got: Result<Vec<_>> = SEEDS.iter().map(|seed| curve(&stored.config, *seed, subject.device())).collect();
    compare(findings, &stored, &got?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_two_means() {
        // Variance 1 of three numbers, one more: 1 / sqrt(1 + 1/3).
        assert!((errors_apart(&[1.0, 2.0, 3.0], &[3.0]) - 0.75f64.sqrt()).abs() < 1e-12);
    }

    /// What a device that steps and never learns would give is told from the stored curve.
    #[test]
    fn a_run_that_does_not_learn_is_found() {
        let stored = Stored::load().expect("the stored curve");
        assert!(stored.returns.len() >= 10);
        let mut findings = Findings::default();
        compare(&mut findings, &stored, &vec![vec![mean(&stored.stretch(0)); STRETCHES]; SEEDS.len()]);
        let (list, _) = findings.into_parts();
        assert_eq!(list.len(), STRETCHES);
        assert!(list[0].holds() && !list[STRETCHES - 1].holds(), "{list:?}");
    }

    /// Every stored seed passes beside the others.
    #[test]
    fn a_run_that_learns_passes() {
        let stored = Stored::load().expect("the stored curve");
        for curve in &stored.returns {
            let mut findings = Findings::default();
            compare(&mut findings, &stored, std::slice::from_ref(curve));
            let list = findings.into_parts().0;
            assert!(list.iter().all(|finding| finding.holds()), "{list:?}");
        }
    }

    #[test]
    #[ignore = "computes the stored curve anew: minutes"]
    fn stored_curve() {
        let Stored { config, machine, .. } = Stored::load().expect("the stored curve");
        let returns = (0..16).map(|seed| curve(&config, seed, &Device::flex()).expect("a run")).collect();
        let stored = Stored { config, machine, returns };
        println!("{}", serde_json::to_string_pretty(&stored).expect("numbers"));
    }
}
