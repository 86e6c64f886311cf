//! Kullback-Leibler divergence between diagonal Gaussian policies, in closed form.

mod cpu;
pub(crate) mod gpu;

use burn::tensor::Tensor;
use compute::first_of;

/// `KL(old || new)` of each sample, `[N]`.
///
/// With `d = log sigma_new - log sigma_old`, per action dimension:
/// `1/2 (exp(-2 d) - 1 + 2 d) + 1/2 ((mu_old - mu_new) / sigma_new)^2`.
///
/// # Shapes
/// Means `[N, A]`, log standard deviations `[A]`.
pub fn gaussian_kl(old_mean: &Tensor<2>, old_log_std: &Tensor<1>, mean: &Tensor<2>, log_std: &Tensor<1>) -> Tensor<1> {
    let d = log_std.clone() - old_log_std.clone();
    let log_std_term = ((d.clone() * -2.0).exp() - 1.0 + d * 2.0).sum() * 0.5;
    let inv_std = (-log_std.clone()).exp().unsqueeze();
    let shift = ((old_mean.clone() - mean.clone()) * inv_std).square().sum_dim(1).squeeze_dim::<1>(1) * 0.5;
    shift + log_std_term
}

/// Mean of [`gaussian_kl`] over the samples, `[1]`.
///
/// # Panics
/// If the means differ in shape.
pub fn mean_gaussian_kl(
    old_mean: &Tensor<2>,
    old_log_std: &Tensor<1>,
    mean: &Tensor<2>,
    log_std: &Tensor<1>,
) -> Tensor<1> {
    assert_eq!(old_mean.dims(), mean.dims(), "both means have one shape");
    first_of!(
        cpu::mean_kl(old_mean, old_log_std, mean, log_std),
        gpu::mean_kl(old_mean, old_log_std, mean, log_std),
        gaussian_kl(old_mean, old_log_std, mean, log_std).mean()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::noise::{NoiseKey, Stream, normal_tensor};
    use compute::read;

    #[test]
    fn the_closed_form_agrees_with_numbers_worked_by_hand() {
        let device = test_device();
        let row = |values: [f32; 2]| Tensor::<2>::from_floats([values], &device);
        let log_std = |values: [f32; 2]| Tensor::<1>::from_floats(values, &device);
        let ln2 = std::f32::consts::LN_2;
        // Same spread 1: half the squared distance. Spread 1 -> 2: ln 2 + 1/8 - 1/2 plus the shift over 2 * 4.
        let same = gaussian_kl(&row([0.0, 1.0]), &log_std([0.0, 0.0]), &row([1.0, 3.0]), &log_std([0.0, 0.0]));
        assert!((read("kl", same).unwrap()[0] - 2.5).abs() < 1e-6);
        let wider = gaussian_kl(&row([0.0, 0.0]), &log_std([0.0, 0.0]), &row([2.0, 0.0]), &log_std([ln2, 0.0]));
        assert!((read("kl", wider).unwrap()[0] - (ln2 + 0.125 - 0.5 + 0.5)).abs() < 1e-6);
    }

    #[test]
    fn every_leaf_equals_the_reference() {
        let device = test_device();
        let noise = |step| normal_tensor(NoiseKey { seed: 1, stream: Stream::Other(0), step }, [3000, 2], &device);
        let (old, new) = (noise(0), noise(0) + noise(1) * 0.1);
        let old_log_std = Tensor::<1>::from_floats([-0.5, 0.1], &device);
        let log_std = Tensor::<1>::from_floats([-0.45, 0.02], &device);
        let plain = read("plain", gaussian_kl(&old, &old_log_std, &new, &log_std).mean()).unwrap()[0];
        let leaf = read("leaf", mean_gaussian_kl(&old, &old_log_std, &new, &log_std)).unwrap()[0];
        // On a GPU burn's own sum is in another order, too, and its exponential another.
        let bound = if test_support::device::on_cpu() { 1e-6 } else { 4e-6 };
        assert!((leaf - plain).abs() < bound * plain, "{leaf} {plain}");
        let zero = read("zero", mean_gaussian_kl(&old, &old_log_std, &old, &old_log_std)).unwrap()[0];
        assert_eq!(zero, 0.0);
    }
}
