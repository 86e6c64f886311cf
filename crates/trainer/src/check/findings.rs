//! What a part of the check found: comparisons of numbers, each with its bound and the bound's reason.

use serde::Serialize;

/// A comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What was compared.
    pub what: String,
    /// How the difference is measured.
    pub measure: String,
    /// The largest difference; infinite where a number is missing or is none (`null` in JSON).
    pub largest: f64,
    /// What it may be at most.
    pub bound: f64,
    /// Why so much is allowed, and no more.
    pub reason: &'static str,
}

impl Finding {
    /// Whether the difference lies within its bound.
    pub fn holds(&self) -> bool {
        self.largest <= self.bound
    }

    /// The difference as a share of its bound.
    pub(super) fn share(&self) -> f64 {
        match (self.holds(), self.bound > 0.0) {
            (true, false) => 0.0,
            (false, false) => f64::INFINITY,
            _ if self.largest.is_nan() => f64::INFINITY,
            _ => self.largest / self.bound,
        }
    }
}

/// How far numbers are apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Measure {
    /// The largest difference.
    Absolute,
    /// The largest difference relative to the expected number, below this magnitude to the magnitude.
    Relative(f32),
    /// The largest difference in units of the largest expected number, or of this where that is larger. Numbers that are
    /// not finite must stand in the same places.
    OfLargest(f32),
    /// Length of the vector of differences, as a share of the expected vector's.
    Length,
    /// The share of numbers that are further apart than this, relative to expected numbers above 1.
    ShareBeyond(f32),
    /// How many numbers differ in any bit.
    Differing,
}

impl Measure {
    fn words(self) -> String {
        match self {
            Self::Absolute => "absolute".to_owned(),
            Self::Relative(floor) => format!("relative to the number, or to {floor}"),
            Self::OfLargest(_) => "of the largest number".to_owned(),
            Self::Length => "of the vector's length".to_owned(),
            Self::ShareBeyond(bound) => format!("share of numbers further apart than {bound:.0e}"),
            Self::Differing => "numbers that differ in a bit".to_owned(),
        }
    }

    fn of(self, expected: &[f32], got: &[f32]) -> f64 {
        if expected.len() != got.len() {
            return f64::INFINITY;
        }
        let pairs = || expected.iter().zip(got);
        let difference = |a: f32, b: f32| f64::from((a - b).abs());
        let finite = pairs().all(|(a, b)| a.is_finite() && b.is_finite());
        match self {
            Self::Differing => pairs().filter(|(a, b)| a.to_bits() != b.to_bits()).count() as f64,
            Self::OfLargest(floor) => {
                if pairs().any(|(a, b)| a.is_finite() != b.is_finite()) {
                    return f64::INFINITY;
                }
                let largest = expected.iter().filter(|x| x.is_finite()).fold(floor, |most, x| most.max(x.abs()));
                let worst = pairs().filter(|(a, _)| a.is_finite()).map(|(a, b)| difference(*a, *b)).fold(0.0, f64::max);
                worst / f64::from(largest)
            }
            _ if !finite => f64::INFINITY,
            Self::Absolute => pairs().map(|(a, b)| difference(*a, *b)).fold(0.0, f64::max),
            Self::Relative(floor) => {
                let relative = |(a, b): (&f32, &f32)| difference(*a, *b) / f64::from(a.abs().max(floor));
                pairs().map(relative).fold(0.0, f64::max)
            }
            Self::Length => {
                let length = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>().sqrt();
                let whole = length(&mut expected.iter().map(|x| f64::from(*x)));
                length(&mut pairs().map(|(a, b)| difference(*a, *b))) / whole.max(f64::MIN_POSITIVE)
            }
            Self::ShareBeyond(bound) => {
                let far = pairs().filter(|(a, b)| (*a - *b).abs() / a.abs().max(1.0) > bound).count();
                far as f64 / expected.len().max(1) as f64
            }
        }
    }
}

/// Collects the comparisons of a part.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    skipped: Option<String>,
    /// What is done to the device's numbers before they are compared: a device that computes wrongly.
    #[cfg(test)]
    pub(super) fault: Option<Fault>,
}

/// A change of the device's numbers called `what`, or of all.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub what: Option<String>,
    pub change: fn(&mut [f32]),
}

impl Findings {
    /// Says why there is nothing to compare, or not all.
    pub(super) fn skip(&mut self, reason: &str) {
        self.skipped = Some(reason.to_owned());
    }

    /// Compares the device's numbers with the expected ones.
    pub(super) fn compare(
        &mut self,
        what: impl Into<String>,
        measure: Measure,
        [expected, got]: [&[f32]; 2],
        bound: f64,
        reason: &'static str,
    ) {
        let what = what.into();
        #[cfg(test)]
        let changed = self.changed(&what, got);
        #[cfg(test)]
        let got = changed.as_slice();
        let largest = measure.of(expected, got);
        self.list.push(Finding { what, measure: measure.words(), largest, bound, reason });
    }

    /// A number of another kind than a difference of numbers, such as bytes.
    pub(super) fn number(&mut self, what: &str, measure: &str, largest: f64, bound: f64, reason: &'static str) {
        self.list.push(Finding { what: what.to_owned(), measure: measure.to_owned(), largest, bound, reason });
    }

    /// The comparisons, and why there were none or not all.
    pub(super) fn into_parts(self) -> (Vec<Finding>, Option<String>) {
        (self.list, self.skipped)
    }

    #[cfg(test)]
    fn changed(&self, what: &str, got: &[f32]) -> Vec<f32> {
        let mut numbers = got.to_vec();
        if let Some(fault) = self.fault.as_ref().filter(|fault| fault.what.as_ref().is_none_or(|name| name == what)) {
            (fault.change)(&mut numbers);
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_measured_as_they_say() {
        let of = |measure: Measure, a: &[f32], b: &[f32]| measure.of(a, b);
        assert_eq!(of(Measure::Absolute, &[4.0, 0.5], &[5.0, 0.75]), 1.0);
        assert_eq!(of(Measure::Relative(1.0), &[4.0, 0.5], &[5.0, 0.75]), 0.25);
        assert_eq!(of(Measure::Relative(0.25), &[4.0, 0.5], &[4.0, 0.75]), 0.5);
        assert_eq!(of(Measure::OfLargest(1e-6), &[-4.0, 0.5], &[-4.0, 1.5]), 0.25);
        assert_eq!(of(Measure::OfLargest(1e-6), &[-4.0, f32::NAN], &[-2.0, f32::INFINITY]), 0.5);
        assert_eq!(of(Measure::Length, &[3.0, 4.0], &[3.0, 9.0]), 1.0);
        assert_eq!(of(Measure::ShareBeyond(0.1), &[1.0, 100.0, 0.0, 1.0], &[1.05, 111.0, 0.2, 1.0]), 0.5);
        assert_eq!(of(Measure::Differing, &[0.0, f32::NAN], &[-0.0, f32::NAN]), 1.0);
        for measure in [Measure::Relative(1.0), Measure::Length, Measure::ShareBeyond(0.1), Measure::OfLargest(1.0)] {
            assert_eq!(of(measure, &[1.0, 2.0], &[1.0, f32::NAN]), f64::INFINITY, "{measure:?}");
            assert_eq!(of(measure, &[1.0, 2.0], &[1.0]), f64::INFINITY, "{measure:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_holds_no_bound() {
        let finding = |largest: f64, bound: f64| Finding {
            what: String::new(),
            measure: String::new(),
            largest,
            bound,
            reason: "",
        };
        assert!(finding(0.0, 0.0).holds() && finding(1e-6, 1e-5).holds());
        assert!(!finding(f64::NAN, 1.0).holds() && !finding(f64::INFINITY, 1.0).holds() && !finding(1.0, 0.0).holds());
        assert_eq!(finding(2.0, 4.0).share(), 0.5);
        assert_eq!(finding(f64::NAN, 4.0).share(), f64::INFINITY);
        assert_eq!(finding(3.0, 0.0).share(), f64::INFINITY);
    }
}
