//! Inner products of the two natural gradients, and the direction-sensitive projection.
//!
//! | symbol | meaning |
//! |---|---|
//! | `g_r`, `g_c` | gradients of the reward and the cost surrogate |
//! | `n_r`, `n_c` | natural gradients; `n_s = -n_c` is the safe direction |
//! | `q = g_r . n_r` | `|n_r|^2` in the metric of the damped Fisher matrix |
//! | `s = g_c . n_c` | `|n_s|^2` |
//! | `kappa = -g_r . n_c` | inner product of `n_r` and `n_s`; negative where the two objectives conflict |
//!
//! With `c = min(0, kappa)` and strength p:
//!
//! ```text
//! n_r' = n_r - p (c / s) n_s          near the limit reward yields
//! n_s' = n_s - (1 - p) (c / q) n_r    far from it cost yields
//! ```
//!
//! Removing the harmful component, and only where there is one, is an idea of the KFCPO paper; the formulas are this
//! project's choice.

use std::str::FromStr;

use burn::tensor::Tensor;

use crate::SafeRlError;
use compute::cpu::{self, View};

/// Squared norms below this count as a vanished gradient.
pub(crate) const VANISHED: f32 = 1e-12;

/// Which projection precedes the blend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProjectionKind {
    /// In the metric of the Fisher matrix.
    #[default]
    Metric,
    /// In the Euclidean metric of the parameters (ablation).
    Euclidean,
    /// None: the weighted sum alone (ablation).
    None,
    /// No blend either: the safe direction beyond the limit, reward within it (ablation).
    Hard,
}

impl FromStr for ProjectionKind {
    type Err = SafeRlError;

    fn from_str(name: &str) -> Result<Self, SafeRlError> {
        match name {
            "metric" => Ok(Self::Metric),
            "euclidean" => Ok(Self::Euclidean),
            "none" => Ok(Self::None),
            "hard" => Ok(Self::Hard),
            _ => Err(SafeRlError::UnknownName {
                what: "projection",
                name: name.to_string(),
                valid: "metric, euclidean, none, hard",
            }),
        }
    }
}

/// Inner products of the natural gradients, each `[1]`.
#[derive(Debug, Clone)]
pub struct Products {
    /// `|n_r|^2`.
    pub q: Tensor<1>,
    /// `|n_s|^2`.
    pub s: Tensor<1>,
    /// `<n_r, n_s>`.
    pub kappa: Tensor<1>,
}

impl Products {
    /// In the metric of the damped Fisher matrix, from gradients and natural gradients `[2, P]` (reward, cost): no
    /// product with the Fisher matrix is needed.
    pub fn metric(gradients: &Tensor<2>, natural: &Tensor<2>) -> Self {
        Self::of(gradients, natural)
    }

    /// In the Euclidean metric, from natural gradients `[2, P]` (reward, cost).
    pub fn euclidean(natural: &Tensor<2>) -> Self {
        Self::of(natural, natural)
    }

    /// A running average, `decay * self + (1 - decay) * new`: one minibatch's estimate of the cost gradient is mostly noise.
    /// Average what the projection uses, not the norms of the blend, which must describe the vectors at hand.
    pub fn average(&self, new: &Self, decay: f32) -> Self {
        let mix = |old: &Tensor<1>, new: &Tensor<1>| {
            let mixed = old.clone() * decay + new.clone() * (1.0 - decay);
            mixed.mask_where(new.clone().is_finite().bool_not(), old.clone())
        };
        Self { q: mix(&self.q, &new.q), s: mix(&self.s, &new.s), kappa: mix(&self.kappa, &new.kappa) }
    }

    fn of(left: &Tensor<2>, right: &Tensor<2>) -> Self {
        if let Some(products) = Self::of_fused(left, right) {
            return products;
        }
        #[cfg(feature = "gpu")]
        if let Some(products) = crate::unit_decide::products(left, right) {
            return products;
        }
        let table = left.clone().matmul(right.clone().transpose());
        let entry = |i: usize, j: usize| table.clone().slice([i..i + 1, j..j + 1]).reshape([1]);
        // Symmetric in exact arithmetic; the mean of the two halves their rounding.
        let kappa = (entry(0, 1) + entry(1, 0)) * -0.5;
        Self { q: entry(0, 0), s: entry(1, 1), kappa }
    }

    fn of_fused(left: &Tensor<2>, right: &Tensor<2>) -> Option<Self> {
        let [_, parameters] = left.dims();
        let (left, right) = (View::of(left)?, View::of(right)?);
        let row = |view: &View, i: usize| view.values()[i * parameters..(i + 1) * parameters].to_vec();
        let (left, right) = ([row(&left, 0), row(&left, 1)], [row(&right, 0), row(&right, 1)]);
        let entry = |i: usize, j: usize| dot(&left[i], &right[j]);
        let scalar = |value: f64| cpu::tensor(vec![value as f32], [1]);
        let kappa = -0.5 * (entry(0, 1) + entry(1, 0));
        Some(Self { q: scalar(entry(0, 0)), s: scalar(entry(1, 1)), kappa: scalar(kappa) })
    }
}

/// Inner product in float64, in eight interleaved sums that a compiler can vectorise.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 =
        a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += f64::from(*x) * f64::from(*y);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Coefficients of the projected directions, each `[1]`: `n_r' = n_r + a n_s`, `n_s' = n_s + b n_r`.
#[derive(Debug, Clone)]
pub struct Projection {
    /// `-p c / s`, not negative.
    pub a: Tensor<1>,
    /// `-(1 - p) c / q`, not negative.
    pub b: Tensor<1>,
}

/// The projection of strength `p` for given inner products; zero without a conflict, or where a norm has vanished.
pub fn project(products: &Products, strength: f64) -> Projection {
    let conflict = products.kappa.clone().clamp_max(0.0);
    let quotient = |norm: &Tensor<1>, factor: f64| {
        let vanished = norm.clone().greater_scalar(VANISHED).bool_not();
        let ratio = conflict.clone() * (-factor) / norm.clone().mask_fill(vanished.clone(), 1.0);
        let unusable = ratio.clone().is_finite().bool_not().bool_or(vanished);
        ratio.mask_fill(unusable, 0.0)
    };
    Projection { a: quotient(&products.s, strength), b: quotient(&products.q, 1.0 - strength) }
}

impl Projection {
    /// No projection, on the device of `products`.
    pub fn none(products: &Products) -> Self {
        let zero = products.q.zeros_like();
        Self { a: zero.clone(), b: zero }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::read;

    fn products(q: f32, s: f32, kappa: f32) -> Products {
        let scalar = |value: f32| Tensor::<1>::from_floats([value], &test_device());
        Products { q: scalar(q), s: scalar(s), kappa: scalar(kappa) }
    }

    fn coefficients(products: &Products, p: f64) -> (f32, f32) {
        let projection = project(products, p);
        (read("a", projection.a).unwrap()[0], read("b", projection.b).unwrap()[0])
    }

    #[test]
    fn coefficients_agree_with_numbers_worked_by_hand() {
        assert_eq!(coefficients(&products(4.0, 2.0, -1.0), 1.0), (0.5, 0.0));
        assert_eq!(coefficients(&products(4.0, 2.0, -1.0), 0.0), (0.0, 0.25));
        assert_eq!(coefficients(&products(4.0, 2.0, -1.0), 0.5), (0.25, 0.125));
        assert_eq!(coefficients(&products(4.0, 2.0, 1.0), 0.5), (0.0, 0.0));
        assert_eq!(coefficients(&products(4.0, 0.0, -1.0), 0.5), (0.0, 0.125));
        assert_eq!(coefficients(&products(4.0, 2.0, f32::NAN), 0.5), (0.0, 0.0));
    }

    #[test]
    fn products_of_both_paths_agree_with_numbers_worked_by_hand() {
        let device = test_device();
        let g = Tensor::<2>::from_floats([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]], &device);
        let n = Tensor::<2>::from_floats([[2.0, 2.0, 1.0], [1.0, -1.0, 3.0]], &device);
        let metric = Products::metric(&g, &n);
        assert_eq!(read("q", metric.q).unwrap(), [6.0]);
        assert_eq!(read("s", metric.s).unwrap(), [2.0]);
        // The halves differ here (-1 and 3): the mean is taken.
        assert_eq!(read("k", metric.kappa).unwrap(), [-1.0]);
        let euclidean = Products::euclidean(&n);
        assert_eq!(read("k", euclidean.kappa).unwrap(), [-3.0]);
        assert_eq!(read("s", euclidean.s).unwrap(), [11.0]);
    }

    #[test]
    fn names_are_parsed_and_unknown_ones_list_the_valid() {
        assert_eq!("euclidean".parse(), Ok(ProjectionKind::Euclidean));
        let error = "metrik".parse::<ProjectionKind>().unwrap_err().to_string();
        assert!(error.contains("metrik") && error.contains("metric, euclidean, none, hard"), "{error}");
    }

    #[test]
    fn an_average_passes_over_values_that_are_not_finite() {
        let mixed = products(1.0, 2.0, -1.0).average(&products(3.0, f32::NAN, 1.0), 0.5);
        assert_eq!(read("q", mixed.q).unwrap(), [2.0]);
        assert_eq!(read("s", mixed.s).unwrap(), [2.0]);
        assert_eq!(read("k", mixed.kappa).unwrap(), [0.0]);
    }
}
