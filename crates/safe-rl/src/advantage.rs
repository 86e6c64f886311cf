//! Scaling of advantages: the reward's standardised, the cost's centred only (as in OmniSafe), so that the size of the
//! cost signal keeps its meaning.

use burn::tensor::Tensor;

/// Keeps a constant advantage from dividing by zero.
const STD_FLOOR: f32 = 1e-8;

/// `(x - mean) / (std + 1e-8)` with the population standard deviation; any shape.
pub fn standardize<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    standardize_with_scale(x).0
}

/// [`standardize`], and what it divided by, `[1]`.
pub fn standardize_with_scale<const D: usize>(x: Tensor<D>) -> (Tensor<D>, Tensor<1>) {
    let centred = center(x);
    let std = centred.clone().square().mean().sqrt() + STD_FLOOR;
    (centred / std.clone().unsqueeze(), std)
}

/// `x - mean`; any shape.
pub fn center<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let mean = x.clone().mean();
    x - mean.unsqueeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::read;

    #[test]
    fn scaling_agrees_with_numbers_worked_by_hand() {
        let device = test_device();
        let x = Tensor::<2>::from_floats([[1.0, 3.0], [5.0, 7.0]], &device);
        assert_eq!(read("c", center(x.clone())).unwrap(), [-3.0, -1.0, 1.0, 3.0]);
        let root5 = 5.0f32.sqrt();
        assert_eq!(read("std", standardize_with_scale(x.clone()).1).unwrap(), [root5]);
        for (a, b) in read("s", standardize(x)).unwrap().iter().zip([-3.0, -1.0, 1.0, 3.0]) {
            assert!((a - b / root5).abs() < 1e-6);
        }
        let constant = standardize(Tensor::<1>::from_floats([2.0, 2.0, 2.0], &device));
        assert_eq!(read("k", constant).unwrap(), [0.0; 3]);
    }
}
