//! Likelihood-ratio surrogates and their derivatives with respect to the policy's outputs.
//!
//! For each objective s, `L_s = mean_n ratio_n A_s,n` with `ratio = pi(a|s) / pi_old(a|s)`; PPO's variant is
//! `mean_n min(ratio A, clip(ratio, 1 - eps, 1 + eps) A)` (Schulman et al., 2017, equation 7). Both are objectives to
//! raise. With `z = (a - mu) / sigma`: `d ratio / d mu = ratio z / sigma`, `d ratio / d log sigma = ratio (z^2 - 1)`.

mod cpu;
mod gpu;
mod regularized;

use burn::tensor::Tensor;
use compute::first_of;

use crate::policy::Gaussian;

/// Surrogates of S objectives and their derivatives; `1 / N` is folded in, so that sums over samples are gradients.
#[derive(Debug, Clone)]
pub struct Surrogate {
    /// `d L_s / d mean`, `[S, N, A]`: cotangents for a network's backward pass.
    pub mean: Tensor<3>,
    /// `d L_s / d log_std`, `[S, A]`.
    pub log_std: Tensor<2>,
    /// `L_s`, `[S]`.
    pub value: Tensor<1>,
}

impl Gaussian {
    /// Surrogates of S objectives at once.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use safe_rl::Gaussian;
    ///
    /// # fn main() -> Result<(), compute::ComputeError> {
    /// let device = Device::flex();
    /// let policy = Gaussian { mean: Tensor::zeros([2, 1], &device), log_std: Tensor::zeros([1], &device) };
    /// let action = Tensor::<2>::from_floats([[1.0], [-1.0]], &device);
    /// let advantage = Tensor::<2>::from_floats([[4.0, -2.0]], &device);
    /// // At the policy that acted every ratio is one: the surrogate is the mean advantage.
    /// let surrogate = policy.surrogate(&action, &policy.log_prob(&action), &advantage, None);
    /// assert_eq!(compute::read("value", surrogate.value)?, [1.0]);
    /// // d ratio / d mean = (a - mu) / sigma^2, times the advantage, over two samples.
    /// assert_eq!(compute::read("mean", surrogate.mean.flatten::<1>(0, 2))?, [2.0, 1.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Shapes
    /// `action` `[N, A]`, `old_log_prob` `[N]`, `advantage` `[S, N]`. `clip` is PPO's epsilon; `None` is the plain ratio.
    ///
    /// # Panics
    /// If the shapes do not fit, or there is no objective or no sample.
    pub fn surrogate(
        &self,
        action: &Tensor<2>,
        old_log_prob: &Tensor<1>,
        advantage: &Tensor<2>,
        clip: Option<f32>,
    ) -> Surrogate {
        let [objectives, samples] = advantage.dims();
        assert_eq!(action.dims(), self.mean.dims(), "actions have the shape of the means");
        assert_eq!(samples, action.dims()[0], "one advantage per sample");
        assert!(objectives > 0 && samples > 0, "a surrogate needs an objective and a sample");
        first_of!(
            cpu::surrogate(self, action, old_log_prob, advantage, clip),
            gpu::surrogate(self, action, old_log_prob, advantage, clip),
            reference(self, action, old_log_prob, advantage, clip)
        )
    }
}

fn reference(
    policy: &Gaussian,
    action: &Tensor<2>,
    old_log_prob: &Tensor<1>,
    advantage: &Tensor<2>,
    clip: Option<f32>,
) -> Surrogate {
    let [objectives, samples] = advantage.dims();
    let z = policy.standardized(action);
    let log_prob = z.clone().square().sum_dim(1).squeeze_dim::<1>(1) * -0.5 + policy.log_density_at_mean();
    let ratio = (log_prob - old_log_prob.clone()).exp().unsqueeze::<2>();
    let scale = 1.0 / samples as f32;
    let weighted = ratio.clone() * advantage.clone() * scale;
    let (weight, value) = match clip {
        None => (weighted.clone(), weighted),
        Some(epsilon) => {
            let clipped = ratio.clone().clamp(1.0 - epsilon, 1.0 + epsilon) * advantage.clone() * scale;
            // Where the clipped term is the smaller one it is constant, and so is the minimum.
            let flat = clipped.clone().lower(weighted.clone());
            (weighted.clone().mask_fill(flat, 0.0), weighted.min_pair(clipped))
        }
    };
    let scores = (z.clone() * (-policy.log_std.clone()).exp().unsqueeze()).unsqueeze::<3>();
    let mean = weight.clone().reshape([objectives, samples, 1]) * scores;
    Surrogate { mean, log_std: weight.matmul(z.square() - 1.0), value: value.sum_dim(1).squeeze_dim(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::noise::{NoiseKey, Stream, normal_tensor};
    use compute::read;

    struct Case {
        policy: Gaussian,
        action: Tensor<2>,
        old_log_prob: Tensor<1>,
        advantage: Tensor<2>,
    }

    fn case(samples: usize) -> Case {
        let device = test_device();
        let noise = |step, shape| normal_tensor(NoiseKey { seed: 5, stream: Stream::Other(0), step }, shape, &device);
        let old = Gaussian::new(noise(0, [samples, 2]), Tensor::from_floats([-0.3, 0.2], &device));
        let (action, old_log_prob) = old.act(NoiseKey { seed: 5, stream: Stream::Other(1), step: 0 });
        let mean = old.mean + noise(1, [samples, 2]) * 0.2;
        let policy = Gaussian::new(mean, Tensor::from_floats([-0.25, 0.1], &device));
        Case { policy, action, old_log_prob, advantage: noise(2, [2, samples]) }
    }

    fn close(a: Vec<f32>, b: Vec<f32>, tolerance: f32) {
        let size = b.iter().fold(0.0f32, |size, x| size.max(x.abs()));
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() <= tolerance * size, "{a} {b} of {size}");
        }
    }

    #[test]
    fn every_leaf_equals_the_reference() {
        for samples in [9, 2500] {
            for clip in [None, Some(0.2)] {
                let Case { policy, action, old_log_prob, advantage } = case(samples);
                let a = policy.surrogate(&action, &old_log_prob, &advantage, clip);
                let b = reference(&policy, &action, &old_log_prob, &advantage, clip);
                close(read("m", a.mean).unwrap(), read("m", b.mean).unwrap(), 2e-6);
                close(read("l", a.log_std).unwrap(), read("l", b.log_std).unwrap(), 2e-5);
                close(read("v", a.value).unwrap(), read("v", b.value).unwrap(), 2e-5);
            }
        }
    }

    /// Central differences of the surrogate's value in double precision.
    #[test]
    fn derivatives_agree_with_finite_differences() {
        let samples = 6;
        let Case { policy, action, old_log_prob, advantage } = case(samples);
        let (mean, log_std) = (read("m", policy.mean.clone()).unwrap(), read("l", policy.log_std.clone()).unwrap());
        let (a, old) = (read("a", action.clone()).unwrap(), read("o", old_log_prob.clone()).unwrap());
        let advantages = read("v", advantage.clone()).unwrap();
        for clip in [None, Some(0.2)] {
            let value = |s: usize, mean: &[f64], log_std: &[f64]| -> f64 {
                let one = |n: usize| {
                    let log_prob: f64 = (0..2)
                        .map(|k| {
                            let z = (f64::from(a[2 * n + k]) - mean[2 * n + k]) / log_std[k].exp();
                            -0.5 * z * z - log_std[k] - 0.5 * std::f64::consts::TAU.ln()
                        })
                        .sum();
                    let ratio = (log_prob - f64::from(old[n])).exp();
                    let advantage = f64::from(advantages[s * samples + n]);
                    let clipped = clip.map_or(ratio, |e: f32| ratio.clamp(1.0 - f64::from(e), 1.0 + f64::from(e)));
                    (ratio * advantage).min(clipped * advantage)
                };
                (0..samples).map(one).sum::<f64>() / samples as f64
            };
            let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            let (mean, log_std) = (wide(&mean), wide(&log_std));
            let surrogate = policy.surrogate(&action, &old_log_prob, &advantage, clip);
            let cotangent = read("m", surrogate.mean).unwrap();
            let log_std_gradient = read("l", surrogate.log_std).unwrap();
            let values = read("v", surrogate.value).unwrap();
            let h = 1e-5;
            for s in 0..2 {
                assert!((f64::from(values[s]) - value(s, &mean, &log_std)).abs() < 1e-5);
                for i in 0..2 * samples {
                    let moved = |h: f64| {
                        mean.iter().enumerate().map(|(j, x)| x + if i == j { h } else { 0.0 }).collect::<Vec<_>>()
                    };
                    let slope = (value(s, &moved(h), &log_std) - value(s, &moved(-h), &log_std)) / (2.0 * h);
                    assert!((f64::from(cotangent[s * 2 * samples + i]) - slope).abs() < 2e-5, "mean {i}");
                }
                for k in 0..2 {
                    let moved = |h: f64| {
                        log_std.iter().enumerate().map(|(j, x)| x + if k == j { h } else { 0.0 }).collect::<Vec<_>>()
                    };
                    let slope = (value(s, &mean, &moved(h)) - value(s, &mean, &moved(-h))) / (2.0 * h);
                    assert!((f64::from(log_std_gradient[s * 2 + k]) - slope).abs() < 2e-5, "log_std {k}");
                }
            }
        }
    }
}
