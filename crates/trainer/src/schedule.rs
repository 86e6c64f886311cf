//! Where a run's schedules stand: settings that fall over a run, also over one that was given another length.

use serde::{Deserialize, Serialize};

/// What becomes of the schedules of a run that is resumed with another `total_steps`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lengthening {
    /// They go on from the values that they have reached, to their ends at the new last step: no value jumps.
    #[default]
    Continue,
    /// They begin again, over the steps that are left.
    Restart,
}

/// The fraction of a schedule that is behind a run: a straight line from a point to 1 at the last step.
///
/// ```
/// use trainer::schedule::{Lengthening, Schedule};
///
/// let half = Schedule::default().fraction(500, 1000);
/// let longer = Schedule::default().relengthened(Lengthening::Continue, 500, 1000);
/// assert_eq!((half, longer.fraction(500, 4500), longer.fraction(2500, 4500)), (0.5, 0.5, 0.75));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Environment steps at the point.
    steps: u64,
    /// The fraction there, 0 to 1.
    fraction: f64,
}

impl Schedule {
    /// The fraction after `steps` of `total_steps`, 0 to 1.
    pub fn fraction(&self, steps: u64, total_steps: u64) -> f64 {
        let since = |steps: u64| steps.saturating_sub(self.steps) as f64;
        (self.fraction + (1.0 - self.fraction) * (since(steps) / since(total_steps).max(1.0))).min(1.0)
    }

    /// The schedule of a run that is given another length after `steps` of `former_total`.
    #[must_use]
    pub fn relengthened(&self, lengthening: Lengthening, steps: u64, former_total: u64) -> Self {
        let fraction = match lengthening {
            Lengthening::Continue => self.fraction(steps, former_total),
            Lengthening::Restart => 0.0,
        };
        Self { steps, fraction }
    }

    /// Whether it is one that a run can have.
    pub fn is_valid(&self) -> bool {
        (0.0..=1.0).contains(&self.fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_another_length_it_is_the_fraction_of_the_steps_to_the_last_bit() {
        for (steps, total) in [(0, 7), (3, 7), (20_480, 10_000_000), (7, 7), (9, 7)] {
            let expected = (steps as f64 / total as f64).min(1.0);
            assert_eq!(Schedule::default().fraction(steps, total).to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn it_is_continuous_where_the_length_changes_and_ends_at_the_last_step() {
        let mut schedule = Schedule::default();
        let mut total = 1000;
        for (steps, new_total) in [(300, 2000), (1000, 1500), (1200, 6000)] {
            let before = schedule.fraction(steps, total);
            schedule = schedule.relengthened(Lengthening::Continue, steps, total);
            total = new_total;
            assert!((schedule.fraction(steps, total) - before).abs() < 1e-15);
            let next = schedule.fraction(steps + 1, total);
            assert!(next > before && next < before + 0.01, "{before} {next}");
            assert_eq!(schedule.fraction(total, total), 1.0);
        }
    }

    #[test]
    fn a_finished_one_stays_at_its_end_or_begins_again() {
        let ended = Schedule::default().relengthened(Lengthening::Continue, 1000, 1000);
        assert_eq!([1000, 1500, 2000].map(|steps| ended.fraction(steps, 2000)), [1.0; 3]);
        let again = Schedule::default().relengthened(Lengthening::Restart, 1000, 1000);
        assert_eq!([1000, 1500, 2000].map(|steps| again.fraction(steps, 2000)), [0.0, 0.5, 1.0]);
        assert_eq!(again.fraction(1000, 1000), 0.0);
    }
}
