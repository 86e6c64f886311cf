//! FOCOPS' surrogate: that of the likelihood ratio less the divergence from the old policy, over the states still near it.
//!
//! Zhang, Vuong and Ross, "First Order Constrained Optimization in Policy Space" (arXiv 2002.06506), equation 14, negated and times
//! lambda where the advantages are divided by it. At state n `KL_n = KL(pi || pi_old)`, whose derivative with respect to the mean is
//! `(mu - mu_old) / sigma_old^2` and to log sigma `(sigma / sigma_old)^2 - 1`.

mod cpu;

use burn::tensor::Tensor;
use compute::first_of;

use super::Surrogate;
use crate::kl::gaussian_kl;
use crate::policy::Gaussian;

impl Gaussian {
    /// `mean_n 1[KL_n <= bound] (ratio_n A_n - KL_n)` with its derivatives, `KL_n = KL(self || old)` at state n in nats.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use safe_rl::Gaussian;
    ///
    /// # fn main() -> Result<(), compute::ComputeError> {
    /// let device = Device::flex();
    /// let policy = Gaussian::new(Tensor::zeros([2, 1], &device), Tensor::zeros([1], &device));
    /// let action = Tensor::<2>::from_floats([[1.0], [-1.0]], &device);
    /// let advantage = Tensor::<2>::from_floats([[4.0, -2.0]], &device);
    /// // At the old policy itself the divergence and its derivatives are none: the mean advantage is left.
    /// let surrogate = policy.regularized_surrogate(&policy, &action, &policy.log_prob(&action), &advantage, 0.02);
    /// assert_eq!(compute::read("value", surrogate.value)?, [1.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Shapes
    /// `old` as `self`, `action` `[N, A]`, `old_log_prob` `[N]`, `advantage` `[1, N]`.
    ///
    /// # Panics
    /// If the shapes do not fit, or there is no sample.
    pub fn regularized_surrogate(
        &self,
        old: &Gaussian,
        action: &Tensor<2>,
        old_log_prob: &Tensor<1>,
        advantage: &Tensor<2>,
        bound: f32,
    ) -> Surrogate {
        let [samples, actions] = self.mean.dims();
        assert_eq!(old.mean.dims(), [samples, actions], "both policies act at the same states");
        assert_eq!(action.dims(), [samples, actions], "actions have the shape of the means");
        assert_eq!(advantage.dims(), [1, samples], "one advantage per sample");
        assert!(samples > 0, "a surrogate needs a sample");
        first_of!(
            cpu::surrogate(self, old, action, old_log_prob, advantage, bound),
            reference(self, old, action, old_log_prob, advantage, bound)
        )
    }
}

fn reference(
    policy: &Gaussian,
    old: &Gaussian,
    action: &Tensor<2>,
    old_log_prob: &Tensor<1>,
    advantage: &Tensor<2>,
    bound: f32,
) -> Surrogate {
    let kl = gaussian_kl(&policy.mean, &policy.log_std, &old.mean, &old.log_std);
    let near = kl.clone().lower_equal_elem(bound).float();
    let near_advantage = advantage.clone() * near.clone().unsqueeze();
    let raised = policy.surrogate(action, old_log_prob, &near_advantage, None);
    let weight = near * (1.0 / action.dims()[0] as f32); // [N]
    let pull =
        (policy.mean.clone() - old.mean.clone()) * old.inverse_variance().unsqueeze() * weight.clone().unsqueeze_dim(1);
    let widening = ((policy.log_std.clone() - old.log_std.clone()) * 2.0).exp() - 1.0;
    Surrogate {
        mean: raised.mean - pull.unsqueeze(),
        log_std: raised.log_std - (widening * weight.clone().sum()).unsqueeze(),
        value: raised.value - (kl * weight).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::noise::{NoiseKey, Stream, normal_tensor};
    use compute::read;

    /// One state and one action at standard deviation 1 then: everything can be worked by hand.
    fn numbers(mean: f32, old_mean: f32, action: f32, log_std: f32, bound: f32) -> [f32; 3] {
        let device = test_device();
        let matrix = |value: f32| Tensor::<2>::from_floats([[value]], &device);
        let vector = |value: f32| Tensor::<1>::from_floats([value], &device);
        let old = Gaussian::new(matrix(old_mean), vector(0.0));
        let policy = Gaussian::new(matrix(mean), vector(log_std));
        let (action, advantage) = (matrix(action), matrix(2.0));
        let got = policy.regularized_surrogate(&old, &action, &old.log_prob(&action), &advantage, bound);
        let mean = read("mean", got.mean).unwrap()[0];
        [mean, read("log_std", got.log_std).unwrap()[0], read("value", got.value).unwrap()[0]]
    }

    #[test]
    fn value_and_derivatives_agree_with_numbers_worked_by_hand() {
        // mu 0.1, mu_old 0, sigma 1, a 1: z = 0.9, KL = 0.005, rho = exp((1 - 0.81) / 2) = exp(0.095); A = 2.
        let rho = 0.095f32.exp();
        let expected = [2.0 * rho * 0.9 - 0.1, 2.0 * rho * (0.81 - 1.0), 2.0 * rho - 0.005];
        for (got, expected) in numbers(0.1, 0.0, 1.0, 0.0, 1.0).into_iter().zip(expected) {
            assert!((got - expected).abs() < 2e-6, "{got} {expected}");
        }
    }

    #[test]
    fn a_state_beyond_the_bound_counts_no_longer() {
        assert_eq!(numbers(0.1, 0.0, 1.0, 0.0, 0.004), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_no_number_is_seen_in_the_gradient() {
        let [mean, log_std, value] = numbers(f32::NAN, 0.0, 1.0, 0.0, 0.02);
        assert!(mean.is_nan() && log_std.is_nan() && value.is_nan());
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let at = |mean, log_std| numbers(mean, -0.2, 0.7, log_std, 10.0);
        let [of_mean, of_log_std, _] = at(0.3, 0.2);
        let h = 1e-2;
        let slope = |up: [f32; 3], down: [f32; 3]| (up[2] - down[2]) / (2.0 * h);
        assert!((slope(at(0.3 + h, 0.2), at(0.3 - h, 0.2)) - of_mean).abs() < 1e-3, "{of_mean}");
        assert!((slope(at(0.3, 0.2 + h), at(0.3, 0.2 - h)) - of_log_std).abs() < 1e-3, "{of_log_std}");
    }

    #[test]
    fn every_leaf_equals_the_reference() {
        let device = test_device();
        for samples in [9, 2500] {
            let noise =
                |step, shape| normal_tensor(NoiseKey { seed: 6, stream: Stream::Other(0), step }, shape, &device);
            let old = Gaussian::new(noise(0, [samples, 2]), Tensor::from_floats([-0.3, 0.2], &device));
            let (action, old_log_prob) = old.act(NoiseKey { seed: 6, stream: Stream::Other(1), step: 0 });
            let mean = old.mean.clone() + noise(1, [samples, 2]) * 0.2;
            let policy = Gaussian::new(mean, Tensor::from_floats([-0.25, 0.1], &device));
            let advantage = noise(2, [1, samples]);
            // A third to a half of the states are beyond the narrow bound; nothing is beyond an infinite one.
            for bound in [0.05, f32::INFINITY] {
                let got = policy.regularized_surrogate(&old, &action, &old_log_prob, &advantage, bound);
                let expected = reference(&policy, &old, &action, &old_log_prob, &advantage, bound);
                close(read("m", got.mean).unwrap(), read("m", expected.mean).unwrap(), 4e-6);
                close(read("l", got.log_std).unwrap(), read("l", expected.log_std).unwrap(), 2e-5);
                close(read("v", got.value).unwrap(), read("v", expected.value).unwrap(), 2e-5);
            }
        }
    }

    fn close(a: Vec<f32>, b: Vec<f32>, tolerance: f32) {
        let size = b.iter().fold(0.0f32, |size, x| size.max(x.abs()));
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() <= tolerance * size, "{a} {b} of {size}");
        }
    }
}
