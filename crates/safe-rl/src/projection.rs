//! The direction-sensitive projection of the reward's natural gradient and the safe direction.
//!
//! | symbol | meaning |
//! |---|---|
//! | `g_r`, `g_k` | gradients of the reward's surrogate and of cost k's |
//! | `n_r`, `n_k` | natural gradients |
//! | `n_s` | the safe direction: `-n_1` of one constraint, [`Blend`](crate::Blend) says what of several |
//! | `q` | `|n_r|^2` in the metric of the damped Fisher matrix |
//! | `s` | `|n_s|^2` |
//! | `kappa` | inner product of `n_r` and `n_s`; negative where the two objectives conflict |
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

use burn::tensor::Tensor;

use crate::products::Products;

/// Squared norms below this count as a vanished gradient.
pub(crate) const VANISHED: f32 = 1e-12;

/// Which projection precedes the blend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum ProjectionKind {
    /// In the metric of the Fisher matrix.
    #[default]
    Fisher,
    /// In the Euclidean metric of the parameters (ablation).
    Euclidean,
    /// None: the weighted sum alone (ablation).
    None,
    /// No blend either: the safe direction beyond the limit, reward within it (ablation).
    Hard,
}

/// Coefficients of the projected directions, each `[1]`: `n_r' = n_r + a n_s`, `n_s' = n_s + b n_r`.
#[derive(Debug, Clone)]
pub struct Projection {
    /// `-p c / s`, not negative.
    pub a: Tensor<1>,
    /// `-(1 - p) c / q`, not negative.
    pub b: Tensor<1>,
}

/// The projection of strength `p` for the products of two objectives; zero without a conflict, or where a norm has
/// vanished.
pub fn project(products: &Products, strength: f64) -> Projection {
    let [q, s, kappa] = products.pair();
    let conflict = kappa.clamp_max(0.0);
    let quotient = |norm: &Tensor<1>, factor: f64| {
        let vanished = norm.clone().greater_scalar(VANISHED).bool_not();
        let ratio = conflict.clone() * (-factor) / norm.clone().mask_fill(vanished.clone(), 1.0);
        let unusable = ratio.clone().is_finite().bool_not().bool_or(vanished);
        ratio.mask_fill(unusable, 0.0)
    };
    Projection { a: quotient(&s, strength), b: quotient(&q, 1.0 - strength) }
}

impl Projection {
    /// No projection, on the device of `like` `[1]`.
    pub fn none(like: &Tensor<1>) -> Self {
        let zero = like.zeros_like();
        Self { a: zero.clone(), b: zero }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::read;

    fn coefficients([q, s, kappa]: [f32; 3], p: f64) -> (f32, f32) {
        let products = Products { gram: Tensor::from_floats([[q, -kappa], [-kappa, s]], &test_device()) };
        let projection = project(&products, p);
        (read("a", projection.a).unwrap()[0], read("b", projection.b).unwrap()[0])
    }

    #[test]
    fn coefficients_agree_with_numbers_worked_by_hand() {
        assert_eq!(coefficients([4.0, 2.0, -1.0], 1.0), (0.5, 0.0));
        assert_eq!(coefficients([4.0, 2.0, -1.0], 0.0), (0.0, 0.25));
        assert_eq!(coefficients([4.0, 2.0, -1.0], 0.5), (0.25, 0.125));
        assert_eq!(coefficients([4.0, 2.0, 1.0], 0.5), (0.0, 0.0));
        assert_eq!(coefficients([4.0, 0.0, -1.0], 0.5), (0.0, 0.125));
        assert_eq!(coefficients([4.0, 2.0, f32::NAN], 0.5), (0.0, 0.0));
    }
}
