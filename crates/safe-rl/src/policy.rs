//! Diagonal Gaussian policies with a state-independent log standard deviation.

mod cpu;
pub(crate) mod gpu;

use burn::tensor::Tensor;
use compute::first_of;
use compute::noise::{NoiseKey, normal_tensor};

use crate::kl::{gaussian_kl, mean_gaussian_kl};

/// Half the logarithm of a full turn: the constant of the normal density.
pub(crate) const HALF_LN_TAU: f32 = 0.918_938_5;

/// Fisher information of each log standard deviation, exactly (and none with the mean).
pub const LOG_STD_FISHER: f32 = 2.0;

/// Largest change of a log standard deviation in one step (this project's choice).
pub const MAX_LOG_STD_STEP: f32 = 0.2;

/// Bounds of the log standard deviation (this project's choice).
pub const LOG_STD_RANGE: (f32, f32) = (-5.0, 2.0);

/// `N(mean, diag exp(2 log_std))` for each of N states.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use compute::noise::{NoiseKey, Stream};
/// use safe_rl::Gaussian;
///
/// let device = Device::flex();
/// let policy = Gaussian::new(Tensor::zeros([4, 2], &device), Tensor::zeros([2], &device));
/// let (action, log_prob) = policy.act(NoiseKey { seed: 0, stream: Stream::Action, step: 0 });
/// assert_eq!((action.dims(), log_prob.dims()), ([4, 2], [4]));
/// ```
#[derive(Debug, Clone)]
pub struct Gaussian {
    /// `[N, A]`.
    pub mean: Tensor<2>,
    /// `[A]`.
    pub log_std: Tensor<1>,
}

impl Gaussian {
    /// A policy at N states.
    pub fn new(mean: Tensor<2>, log_std: Tensor<1>) -> Self {
        Self { mean, log_std }
    }

    /// Actions `[N, A]` and their log-probabilities `[N]`, in one pass.
    pub fn act(&self, key: NoiseKey) -> (Tensor<2>, Tensor<1>) {
        first_of!(cpu::act(self, key), self.act_by_tensors(key))
    }

    /// Actions `[N, A]`.
    pub fn sample(&self, key: NoiseKey) -> Tensor<2> {
        self.act(key).0
    }

    /// Log-probability of `action` `[N, A]`, `[N]`.
    pub fn log_prob(&self, action: &Tensor<2>) -> Tensor<1> {
        let z = self.standardized(action);
        z.square().sum_dim(1).squeeze_dim::<1>(1) * -0.5 + self.log_density_at_mean()
    }

    /// `KL(old || self)` of each state, `[N]`.
    pub fn kl(&self, old_mean: &Tensor<2>, old_log_std: &Tensor<1>) -> Tensor<1> {
        gaussian_kl(old_mean, old_log_std, &self.mean, &self.log_std)
    }

    /// Mean `KL(old || self)` over the states, `[1]`.
    pub fn mean_kl(&self, old_mean: &Tensor<2>, old_log_std: &Tensor<1>) -> Tensor<1> {
        mean_gaussian_kl(old_mean, old_log_std, &self.mean, &self.log_std)
    }

    /// `1 / sigma^2`, `[A]`: the Fisher matrix of the mean, for the exact quadratic form of the KL.
    pub fn inverse_variance(&self) -> Tensor<1> {
        (self.log_std.clone() * -2.0).exp()
    }

    /// `(action - mean) / sigma`, `[N, A]`.
    pub(crate) fn standardized(&self, action: &Tensor<2>) -> Tensor<2> {
        (action.clone() - self.mean.clone()) * (-self.log_std.clone()).exp().unsqueeze()
    }

    /// Log-density at the mean, `[1]`.
    pub(crate) fn log_density_at_mean(&self) -> Tensor<1> {
        -(self.log_std.clone() + HALF_LN_TAU).sum()
    }

    fn act_by_tensors(&self, key: NoiseKey) -> (Tensor<2>, Tensor<1>) {
        let noise = normal_tensor(key, self.mean.dims(), &self.mean.device());
        let log_prob = noise.clone().square().sum_dim(1).squeeze_dim::<1>(1) * -0.5 + self.log_density_at_mean();
        (self.mean.clone() + noise * self.log_std.clone().exp().unsqueeze(), log_prob)
    }
}

/// `log_std + step`, with the step limited to [`MAX_LOG_STD_STEP`] and the result to [`LOG_STD_RANGE`].
///
/// # Shapes
/// `[A]` in and out.
pub fn clamp_log_std(log_std: &Tensor<1>, step: Tensor<1>) -> Tensor<1> {
    let (low, high) = LOG_STD_RANGE;
    (log_std.clone() + step.clamp(-MAX_LOG_STD_STEP, MAX_LOG_STD_STEP)).clamp(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::noise::{Stream, normals};
    use compute::read;

    const KEY: NoiseKey = NoiseKey { seed: 11, stream: Stream::Other(4), step: 2 };

    fn policy(rows: usize) -> Gaussian {
        let device = test_device();
        let mean = normal_tensor(NoiseKey { step: 9, ..KEY }, [rows, 2], &device);
        Gaussian::new(mean, Tensor::from_floats([-0.7, 0.3], &device))
    }

    #[test]
    fn every_leaf_acts_as_the_reference_and_gives_the_log_probability_of_the_action() {
        for rows in [7, 3000] {
            let policy = policy(rows);
            let (action, log_prob) = policy.act(KEY);
            let (plain_action, plain_log_prob) = policy.act_by_tensors(KEY);
            let again = read("l", policy.log_prob(&action)).unwrap();
            for (a, b) in read("a", action).unwrap().iter().zip(read("p", plain_action).unwrap()) {
                assert!((a - b).abs() <= 1e-6 * (1.0 + b.abs()), "{a} {b}");
            }
            let plain = read("p", plain_log_prob).unwrap();
            for ((leaf, plain), again) in read("f", log_prob).unwrap().iter().zip(plain).zip(again) {
                assert!((leaf - plain).abs() < 1e-5 && (leaf - again).abs() < 1e-4, "{leaf} {plain} {again}");
            }
        }
    }

    #[test]
    fn the_density_agrees_with_numbers_worked_by_hand() {
        let device = test_device();
        let policy =
            Gaussian::new(Tensor::from_floats([[1.0, 0.0]], &device), Tensor::from_floats([0.0, 0.5], &device));
        let action = Tensor::<2>::from_floats([[2.0, 0.0]], &device);
        let expected = -0.5 - 0.5 - (std::f32::consts::TAU).ln();
        assert!((read("l", policy.log_prob(&action)).unwrap()[0] - expected).abs() < 1e-6);
    }

    #[test]
    fn the_fisher_block_of_the_log_standard_deviation_is_two() {
        // Second difference of KL(s || s + h) at h = 0, in double precision, is the Fisher information.
        let kl = |h: f64| 0.5 * ((-2.0 * h).exp() - 1.0 + 2.0 * h);
        let h = 1e-4;
        let second = (kl(h) + kl(-h)) / (h * h);
        assert!((second - f64::from(LOG_STD_FISHER)).abs() < 1e-6, "{second}");
        // And so is the variance of the score z^2 - 1.
        let z = normals(KEY, 200_000, 2);
        let variance = z.iter().map(|z| f64::from(z * z - 1.0).powi(2)).sum::<f64>() / z.len() as f64;
        assert!((variance - 2.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn steps_of_the_log_standard_deviation_are_limited() {
        let device = test_device();
        let log_std = Tensor::<1>::from_floats([0.0, 1.95, -4.9], &device);
        let step = Tensor::<1>::from_floats([0.7, 0.15, -0.3], &device);
        let next = read("n", clamp_log_std(&log_std, step)).unwrap();
        assert_eq!(next, [0.2, 2.0, -5.0]);
    }
}
