//! Summaries of samples: mean, spread, interquartile mean, bootstrap intervals, comparisons of algorithms over tasks.
//!
//! # References
//!
//! Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", and its package rliable,
//! whose numbers the tests hold these to.

mod bootstrap;
#[cfg(test)]
mod rliable_tests;
mod scores;

pub use bootstrap::bootstrap_interval;
pub use scores::{Scores, probability_of_improvement, probability_of_improvement_interval};

/// Share of the samples cut off at either end for the interquartile mean.
const TRIMMED_SHARE: f64 = 0.25;

/// Mean, NaN for no samples.
pub fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// Standard deviation with the n - 1 denominator; 0 for a single sample, NaN for none.
pub fn std(samples: &[f64]) -> f64 {
    match samples.len() {
        0 => f64::NAN,
        1 => 0.0,
        n => {
            let center = mean(samples);
            let squares: f64 = samples.iter().map(|x| (x - center).powi(2)).sum();
            (squares / (n - 1) as f64).sqrt()
        }
    }
}

/// Mean of what remains when a quarter of the samples (rounded down) is cut off at either end.
///
/// # References
///
/// Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", section 4.3.
pub fn interquartile_mean(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = (samples.len() as f64 * TRIMMED_SHARE) as usize;
    mean(&sorted[cut..sorted.len() - cut])
}

/// Quantile `q` of ascending `sorted`, interpolated linearly; NaN for no samples.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let position = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, share) = (position.floor() as usize, position.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + share * (sorted[high] - sorted[low])
}

/// The middle of the samples.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_samples_by_hand() {
        let samples = [1.0, 2.0, 3.0, 10.0];
        assert_eq!(mean(&samples), 4.0);
        assert!((std(&samples) - (50.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(interquartile_mean(&samples), 2.5);
        assert_eq!(median(&samples), 2.5);
        assert_eq!(interquartile_mean(&[7.0]), 7.0);
        assert_eq!(std(&[7.0]), 0.0);
        assert!(mean(&[]).is_nan() && std(&[]).is_nan() && median(&[]).is_nan());
        assert!(interquartile_mean(&[]).is_nan());
        assert_eq!(quantile(&[0.0, 10.0], 0.25), 2.5);
    }
}
