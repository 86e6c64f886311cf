//! Inner products of natural gradients: the Gram matrix of the objectives.

mod cpu;
mod gpu;

use burn::tensor::Tensor;
use compute::first_of;

/// Inner products `<n_i, n_j>` of the natural gradients of S objectives, the reward's first.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use safe_rl::Products;
///
/// let device = Device::flex();
/// let gradients = Tensor::<2>::from_floats([[1.0, 2.0], [0.0, 1.0]], &device);
/// // The natural gradients of the Fisher matrix 2 I.
/// let products = Products::metric(&gradients, &(gradients.clone() / 2.0));
/// assert_eq!(compute::read("gram", products.gram).unwrap(), [2.5, 1.0, 1.0, 0.5]);
/// ```
#[derive(Debug, Clone)]
pub struct Products {
    /// Symmetric, `[S, S]`.
    pub gram: Tensor<2>,
}

impl Products {
    /// In the metric of the damped Fisher matrix, from gradients and natural gradients, both `[S, P]`: no product with the
    /// Fisher matrix is needed, since `<n_i, n_j> = g_i . n_j`.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn metric(gradients: &Tensor<2>, natural: &Tensor<2>) -> Self {
        assert_eq!(gradients.dims(), natural.dims(), "gradients and natural gradients are [S, P]");
        let gram =
            first_of!(cpu::gram(gradients, natural), gpu::gram(gradients, natural), reference(gradients, natural));
        Self { gram }
    }

    /// In the Euclidean metric, from natural gradients `[S, P]`.
    pub fn euclidean(natural: &Tensor<2>) -> Self {
        Self::metric(natural, natural)
    }

    /// `[q, s, kappa]` of two objectives, each `[1]`: `|n_r|^2`, `|n_c|^2` and `-<n_r, n_c>`, the inner product of `n_r` and
    /// the safe direction.
    ///
    /// # Panics
    /// If there are not two objectives.
    pub fn pair(&self) -> [Tensor<1>; 3] {
        assert_eq!(self.gram.dims(), [2, 2], "products of two objectives");
        [self.entry(0, 0), self.entry(1, 1), -self.entry(0, 1)]
    }

    /// The entry `<n_i, n_j>`, `[1]`.
    pub(crate) fn entry(&self, i: usize, j: usize) -> Tensor<1> {
        self.gram.clone().slice([i..i + 1, j..j + 1]).reshape([1])
    }

    /// The products `[2, 2]` of the reward's natural gradient and of `sum_k c_k n_k` over the costs, `c` `[C]`.
    pub(crate) fn combined(&self, c: &Tensor<1>) -> Self {
        let [objectives, _] = self.gram.dims();
        let device = self.gram.device();
        let unit: Vec<f32> = (0..objectives).map(|i| if i == 0 { 1.0 } else { 0.0 }).collect();
        let reward = Tensor::from_floats(unit.as_slice(), &device);
        let costs = Tensor::cat(vec![Tensor::zeros([1], &device), c.clone()], 0);
        let rows = Tensor::stack::<2>(vec![reward, costs], 0);
        Self { gram: rows.clone().matmul(self.gram.clone()).matmul(rows.transpose()) }
    }
}

/// The mean of `l_i . r_j` and `l_j . r_i`: equal in exact arithmetic, and their mean halves the rounding.
fn reference(left: &Tensor<2>, right: &Tensor<2>) -> Tensor<2> {
    let table = left.clone().matmul(right.clone().transpose());
    (table.clone() + table.transpose()) * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::noise::{NoiseKey, Stream, normal_tensor};
    use compute::read;

    #[test]
    fn the_gram_matrix_agrees_with_numbers_worked_by_hand() {
        let device = test_device();
        let g = Tensor::<2>::from_floats([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]], &device);
        let n = Tensor::<2>::from_floats([[2.0, 2.0, 1.0], [1.0, -1.0, 3.0]], &device);
        // The halves differ here (-1 and 3): the mean is taken.
        assert_eq!(read("g", Products::metric(&g, &n).gram).unwrap(), [6.0, 1.0, 1.0, 2.0]);
        assert_eq!(read("e", Products::euclidean(&n).gram).unwrap(), [9.0, 3.0, 3.0, 11.0]);
        assert_eq!(read("r", reference(&g, &n)).unwrap(), [6.0, 1.0, 1.0, 2.0]);
        // Three objectives, and the costs of weights 2 and -1 as one: n = (2, -2, 6) - (0, 1, 0).
        let three = Tensor::<2>::from_floats([[2.0, 2.0, 1.0], [1.0, -1.0, 3.0], [0.0, 1.0, 0.0]], &device);
        let one = Products::euclidean(&three).combined(&Tensor::from_floats([2.0, -1.0], &device));
        assert_eq!(read("c", one.gram).unwrap(), [9.0, 4.0, 4.0, 49.0]);
    }

    #[test]
    fn every_leaf_equals_the_reference() {
        let device = test_device();
        let noise = |step| normal_tensor(NoiseKey { seed: 3, stream: Stream::Other(0), step }, [4, 5003], &device);
        let (left, right) = (noise(0), noise(0) + noise(1) * 0.1);
        let gram = read("g", Products::metric(&left, &right).gram).unwrap();
        for (i, (a, b)) in gram.iter().zip(read("r", reference(&left, &right)).unwrap()).enumerate() {
            assert!((a - b).abs() < 2e-2, "{i}: {a} {b}");
            assert_eq!(*a, gram[i % 4 * 4 + i / 4], "symmetric");
        }
    }
}
