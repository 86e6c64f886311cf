//! Damping of the factors: how it is divided between them, and what becomes of it where an inverse fails.

use burn::tensor::Tensor;

use crate::factor::layout::FactorLayout;

/// A relative residual above this makes an inverse unusable.
pub(crate) const RESIDUAL_BOUND: f32 = 1e-2;

/// The damping of a second attempt, relative to the first.
pub(crate) const RAISE: f32 = 10.0;

/// Martens and Grosse's split of the damping between the two factors (their section 6.3):
/// `pi = sqrt((tr A / dim A) / (tr G / dim G))`, 1 where a trace is not positive.
pub(crate) fn split(mean_trace_a: f32, mean_trace_g: f32) -> f32 {
    let pi = (mean_trace_a / mean_trace_g).sqrt();
    if mean_trace_a > 0.0 && mean_trace_g > 0.0 && pi.is_finite() && pi > 0.0 { pi } else { 1.0 }
}

/// The multiple of the identity that is added to each matrix, in the order of the layout: `pi sqrt(damping)` for `A`,
/// `sqrt(damping) / pi` for `G`; on the device, each `[1]`.
pub(crate) fn shifts(layout: &FactorLayout, matrices: &[Tensor<2>], damping: f32) -> Vec<Tensor<1>> {
    let mean_trace = |m: &Tensor<2>| {
        let n = m.dims()[0];
        let eye = Tensor::<2>::eye(n, &m.device());
        (m.clone() * eye).sum().div_scalar(n as f32)
    };
    let mut shifts = Vec::with_capacity(layout.count());
    for pair in matrices.chunks_exact(2) {
        let (a, g) = (mean_trace(&pair[0]), mean_trace(&pair[1]));
        let pi = (a.clone() / g.clone()).sqrt();
        let usable = a.greater_elem(0.0).bool_and(g.greater_elem(0.0)).bool_and(pi.clone().is_finite());
        let usable = usable.bool_and(pi.clone().greater_elem(0.0));
        let pi = pi.mask_fill(usable.bool_not(), 1.0);
        shifts.push(pi.clone().mul_scalar(damping.sqrt()));
        shifts.push(pi.recip().mul_scalar(damping.sqrt()));
    }
    shifts
}
