//! How well a value function explains its targets, the lambda returns of [`Gae`](crate::Gae).

use burn::tensor::Tensor;

use crate::elementwise::{difference, less, mean, square};

/// Fraction of the targets' variance that the values explain: `1 - Var(target - value) / Var(target)`, `[1]`.
///
/// Zero for constant targets, where it has no meaning. Any shape, the same for both.
pub fn explained_variance<const D: usize>(value: &Tensor<D>, target: &Tensor<D>) -> Tensor<1> {
    assert_eq!(value.dims(), target.dims(), "a value per target");
    explained(&value.clone().reshape([-1]), &target.clone().reshape([-1]))
}

fn explained(value: &Tensor<1>, target: &Tensor<1>) -> Tensor<1> {
    let variance = |x: &Tensor<1>| mean(&square(&less(x, &mean(x))));
    let total = variance(target);
    let rest = variance(&difference(target, value));
    let constant = total.clone().lower_equal_scalar(0.0);
    ((-rest / total.mask_fill(constant.clone(), 1.0)) + 1.0).mask_fill(constant, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::read;

    #[test]
    fn explained_variance_is_one_for_perfect_zero_for_constant_values() {
        let device = test_device();
        let target = Tensor::<1>::from_floats([1.0, 2.0, 6.0], &device);
        let fraction = |value: &Tensor<1>, target: &Tensor<1>| read("e", explained_variance(value, target)).unwrap()[0];
        assert_eq!(fraction(&target, &target), 1.0);
        assert!(fraction(&Tensor::full([3], 4.0, &device), &target).abs() < 1e-6);
        assert!((fraction(&(target.clone() * 0.5), &target) - 0.75).abs() < 1e-6);
        let constant = Tensor::<1>::full([3], 4.0, &device);
        assert_eq!(fraction(&target, &constant), 0.0);
    }
}
