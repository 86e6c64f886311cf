//! Diagonal Gaussian policies with a state-independent log standard deviation.

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::{gaussian_kl, mean_gaussian_kl};
use compute::cpu::{self, SHARD_ROWS, View};
use compute::noise::{NoiseKey, normal_tensor, normals};

/// Half the logarithm of a full turn: the constant of the normal density.
pub(crate) const HALF_LN_TAU: f32 = 0.918_938_5;

/// Fisher information of each log standard deviation, exactly (and none with the mean).
pub const LOG_STD_FISHER: f32 = 2.0;

/// Largest change of a log standard deviation in one step (this project's choice).
pub const MAX_LOG_STD_STEP: f32 = 0.2;

/// Bounds of the log standard deviation (this project's choice).
pub const LOG_STD_RANGE: (f32, f32) = (-5.0, 2.0);

/// `N(mean, diag exp(2 log_std))` for each of N states.
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
        self.act_fused(key).unwrap_or_else(|| self.act_plain(key))
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

    /// Differential entropy, the same for every state, `[1]`.
    pub fn entropy(&self) -> Tensor<1> {
        (self.log_std.clone() + (0.5 + HALF_LN_TAU)).sum()
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

    /// Seeds of the exact Fisher matrix: row k is `e_k / sigma_k`, `[A, A]`. The same for every state.
    pub fn fisher_seeds(&self) -> Tensor<2> {
        let inv_std = (-self.log_std.clone()).exp();
        let actions = inv_std.dims()[0];
        Tensor::eye(actions, &inv_std.device()) * inv_std.unsqueeze()
    }

    /// Score of fresh actions with respect to the mean, `z / sigma`, `[N, A]`: seeds of the sampled Fisher matrix.
    pub fn sampled_scores(&self, key: NoiseKey) -> Tensor<2> {
        let noise = normal_tensor(key, self.mean.dims(), &self.mean.device());
        noise * (-self.log_std.clone()).exp().unsqueeze()
    }

    /// Score of given actions `[N, A]` with respect to the mean, `[N, A]`: seeds of the empirical Fisher matrix.
    pub fn scores(&self, action: &Tensor<2>) -> Tensor<2> {
        self.standardized(action) * (-self.log_std.clone()).exp().unsqueeze()
    }

    /// `(action - mean) / sigma`, `[N, A]`.
    pub(crate) fn standardized(&self, action: &Tensor<2>) -> Tensor<2> {
        (action.clone() - self.mean.clone()) * (-self.log_std.clone()).exp().unsqueeze()
    }

    /// Log-density at the mean, `[1]`.
    pub(crate) fn log_density_at_mean(&self) -> Tensor<1> {
        -(self.log_std.clone() + HALF_LN_TAU).sum()
    }

    pub(crate) fn act_plain(&self, key: NoiseKey) -> (Tensor<2>, Tensor<1>) {
        let noise = normal_tensor(key, self.mean.dims(), &self.mean.device());
        let log_prob = noise.clone().square().sum_dim(1).squeeze_dim::<1>(1) * -0.5 + self.log_density_at_mean();
        (self.mean.clone() + noise * self.log_std.clone().exp().unsqueeze(), log_prob)
    }

    fn act_fused(&self, key: NoiseKey) -> Option<(Tensor<2>, Tensor<1>)> {
        let [rows, columns] = self.mean.dims();
        let (mean, log_std) = (View::of(&self.mean)?, View::of(&self.log_std)?);
        let std: Vec<f32> = log_std.values().iter().map(|value| value.exp()).collect();
        let at_mean = -log_std.values().iter().map(|value| value + HALF_LN_TAU).sum::<f32>();
        let mut action = normals(key, rows, columns);
        let mut log_prob = vec![0.0; rows];
        let columns = columns.max(1);
        let pass = |action: &mut [f32], mean: &[f32], log_prob: &mut [f32]| {
            for ((action, mean), log_prob) in
                action.chunks_exact_mut(columns).zip(mean.chunks_exact(columns)).zip(log_prob)
            {
                let mut squares = 0.0;
                for ((value, mean), std) in action.iter_mut().zip(mean).zip(&std) {
                    squares += *value * *value;
                    *value = mean + *value * std;
                }
                *log_prob = at_mean - 0.5 * squares;
            }
        };
        if rows <= SHARD_ROWS {
            pass(&mut action, mean.values(), &mut log_prob);
        } else {
            let shard = SHARD_ROWS * columns;
            action
                .par_chunks_mut(shard)
                .zip(mean.values().par_chunks(shard))
                .zip(log_prob.par_chunks_mut(SHARD_ROWS))
                .for_each(|((action, mean), log_prob)| pass(action, mean, log_prob));
        }
        Some((cpu::tensor(action, self.mean.dims()), cpu::tensor(log_prob, [rows])))
    }
}

/// The log standard deviations' part of `dir^T F dir`: `2 |step|^2`, `[1]`.
pub fn log_std_quadratic(step: &Tensor<1>) -> Tensor<1> {
    step.clone().square().sum() * LOG_STD_FISHER
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
    use compute::noise::Stream;
    use compute::read;

    const KEY: NoiseKey = NoiseKey { seed: 11, stream: Stream::Other(4), step: 2 };

    fn policy(rows: usize) -> Gaussian {
        let device = test_device();
        let mean = normal_tensor(NoiseKey { step: 9, ..KEY }, [rows, 2], &device);
        Gaussian::new(mean, Tensor::from_floats([-0.7, 0.3], &device))
    }

    #[test]
    fn acting_fused_equals_acting_plain_and_the_log_probability_of_the_action() {
        for rows in [7, 3000] {
            let policy = policy(rows);
            let (action, log_prob) = policy.act(KEY);
            let (plain_action, plain_log_prob) = policy.act_plain(KEY);
            let again = read("l", policy.log_prob(&action)).unwrap();
            for (a, b) in read("a", action).unwrap().iter().zip(read("p", plain_action).unwrap()) {
                assert!((a - b).abs() <= 1e-6 * (1.0 + b.abs()), "{a} {b}");
            }
            let plain = read("p", plain_log_prob).unwrap();
            for ((fused, plain), again) in read("f", log_prob).unwrap().iter().zip(plain).zip(again) {
                assert!((fused - plain).abs() < 1e-5 && (fused - again).abs() < 1e-4, "{fused} {plain} {again}");
            }
        }
    }

    #[test]
    fn density_and_entropy_agree_with_numbers_worked_by_hand() {
        let device = test_device();
        let policy =
            Gaussian::new(Tensor::from_floats([[1.0, 0.0]], &device), Tensor::from_floats([0.0, 0.5], &device));
        let action = Tensor::<2>::from_floats([[2.0, 0.0]], &device);
        let expected = -0.5 - 0.5 - (std::f32::consts::TAU).ln();
        assert!((read("l", policy.log_prob(&action)).unwrap()[0] - expected).abs() < 1e-6);
        let entropy = 0.5 + 1.0 + std::f32::consts::TAU.ln();
        assert!((read("h", policy.entropy()).unwrap()[0] - entropy).abs() < 1e-6);
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
    fn exact_and_sampled_fisher_seeds_describe_one_matrix() {
        let policy = policy(50_000);
        let exact = policy.fisher_seeds();
        let exact = read("e", exact.clone().transpose().matmul(exact)).unwrap();
        let scores = policy.sampled_scores(KEY);
        let sampled = read("s", scores.clone().transpose().matmul(scores) / 50_000.0).unwrap();
        for (e, s) in exact.iter().zip(sampled) {
            assert!((e - s).abs() < 0.03 * exact[0], "{e} {s}");
        }
        let inverse_variance = read("i", policy.inverse_variance()).unwrap();
        assert!((exact[0] - inverse_variance[0]).abs() < 1e-5 && (exact[3] - inverse_variance[1]).abs() < 1e-5);
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
