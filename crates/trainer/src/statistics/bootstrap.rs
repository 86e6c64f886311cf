//! Percentile bootstraps with a fixed stream of random numbers: the same data give the same interval.

use super::quantile;

/// Resamples of an interval; its ends then vary by about a hundredth of its width.
const RESAMPLES: usize = 10_000;
/// Where the stream of every interval begins.
const SEED: u64 = 0x5eed;

/// 95 % percentile-bootstrap interval of `statistic`; NaN for no samples.
pub fn bootstrap_interval(samples: &[f64], statistic: impl Fn(&[f64]) -> f64) -> (f64, f64) {
    if samples.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    stratified_interval(&[samples], |resample| statistic(&resample[0]))
}

/// The same where `samples` are of several strata, each resampled by itself: of what `statistic` makes of the resamples of
/// all. NaN where a stratum is empty.
pub fn stratified_interval(samples: &[&[f64]], statistic: impl Fn(&[Vec<f64>]) -> f64) -> (f64, f64) {
    if samples.is_empty() || samples.iter().any(|stratum| stratum.is_empty()) {
        return (f64::NAN, f64::NAN);
    }
    let mut random = SplitMix64(SEED);
    let mut resamples: Vec<Vec<f64>> = samples.iter().map(|stratum| stratum.to_vec()).collect();
    let mut values: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            for (resample, stratum) in resamples.iter_mut().zip(samples) {
                resample.fill_with(|| stratum[random.below(stratum.len())]);
            }
            statistic(&resamples)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    (quantile(&values, 0.025), quantile(&values, 0.975))
}

/// Steele, Lea and Flood's generator.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..n`, by multiplication: the bias is below n / 2^64.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::super::{mean, std};
    use super::*;

    #[test]
    fn the_interval_of_a_mean_has_the_textbook_width() {
        // 400 evenly spread numbers: standard error = std / 20, interval = mean +- 1.96 of it.
        let samples: Vec<f64> = (0..400).map(f64::from).collect();
        let (low, high) = bootstrap_interval(&samples, mean);
        let half = 1.96 * std(&samples) / 20.0;
        assert!((low - (199.5 - half)).abs() < 0.05 * half, "{low}");
        assert!((high - (199.5 + half)).abs() < 0.05 * half, "{high}");
        assert_eq!(bootstrap_interval(&[3.0], mean), (3.0, 3.0));
        assert!(bootstrap_interval(&[], mean).0.is_nan());
    }
}
