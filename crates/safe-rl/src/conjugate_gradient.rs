//! The conjugate gradient method: solves `A x = b` by products with A alone.

use burn::tensor::Tensor;

/// Keeps divisions finite once the residual has vanished.
const TINY: f32 = 1e-30;

/// `x` with `A x = b` for a symmetric positive definite matrix A that is known by its products.
///
/// Nothing is read back from a device: a residual that has vanished makes further steps of length zero.
///
/// # Shapes
/// `b` `[n]`; `product` maps `[n]` to `[n]`; the result is `[n]`.
///
/// # References
/// Hestenes and Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems", 1952, eq. 3:1.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use safe_rl::conjugate_gradient;
///
/// let diagonal = Tensor::<1>::from_floats([2.0, 5.0], &Device::flex());
/// let b = Tensor::<1>::from_floats([4.0, 10.0], &Device::flex());
/// let x = conjugate_gradient(|v| v * diagonal.clone(), &b, 2).into_data();
/// assert!(x.iter::<f32>().all(|x| (x - 2.0).abs() < 1e-5));
/// ```
pub fn conjugate_gradient(product: impl Fn(Tensor<1>) -> Tensor<1>, b: &Tensor<1>, iterations: usize) -> Tensor<1> {
    let mut x = b.zeros_like();
    let (mut residual, mut direction) = (b.clone(), b.clone());
    let mut squared = residual.clone().square().sum();
    for _ in 0..iterations {
        let image = product(direction.clone());
        let length = squared.clone() / ((direction.clone() * image.clone()).sum() + TINY);
        x = x + direction.clone() * length.clone();
        residual = residual - image * length;
        let next = residual.clone().square().sum();
        direction = residual.clone() + direction * (next.clone() / (squared + TINY));
        squared = next;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::read;

    #[test]
    fn a_small_system_is_solved_in_as_many_steps_as_unknowns() {
        let device = test_device();
        let matrix = Tensor::<2>::from_floats([[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]], &device);
        let b = Tensor::<1>::from_floats([1.0, -2.0, 3.0], &device);
        let product = |v: Tensor<1>| matrix.clone().matmul(v.unsqueeze_dim(1)).squeeze_dim::<1>(1);
        let x = conjugate_gradient(product, &b, 3);
        for (image, b) in read("image", product(x)).unwrap().into_iter().zip([1.0, -2.0, 3.0]) {
            assert!((image - b).abs() < 1e-4, "{image} {b}");
        }
    }

    #[test]
    fn more_steps_than_needed_and_a_zero_right_side_stay_finite() {
        let b = Tensor::<1>::from_floats([2.0, -1.0], &test_device());
        for (b, expected) in [(b.clone(), [1.0, -0.5]), (b * 0.0, [0.0, 0.0])] {
            let x = read("x", conjugate_gradient(|v| v * 2.0, &b, 10)).unwrap();
            assert_eq!(x, expected);
        }
    }
}
