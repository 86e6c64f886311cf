//! Summaries of samples: mean, spread, interquartile mean, bootstrap intervals.
//!
//! Intervals are percentile bootstraps with a fixed stream of random numbers: the same data give the same interval.

/// Resamples of a bootstrap interval; its ends then vary by about a hundredth of its width.
const RESAMPLES: usize = 10_000;
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

/// 95 % percentile-bootstrap interval of `statistic`; NaN for no samples.
pub fn bootstrap_interval(samples: &[f64], statistic: impl Fn(&[f64]) -> f64) -> (f64, f64) {
    if samples.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    let mut random = SplitMix64(0x5eed);
    let mut resample = vec![0.0; samples.len()];
    let mut values: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            for slot in &mut resample {
                *slot = samples[random.below(samples.len())];
            }
            statistic(&resample)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    (quantile(&values, 0.025), quantile(&values, 0.975))
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
