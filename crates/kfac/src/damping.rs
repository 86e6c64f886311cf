//! Damping of the factors.

use burn::tensor::Tensor;

use crate::FactorLayout;

/// Damping that follows the steps' fate, bounded. An option: fixed damping (0.1) is this project's default, because
/// with an accurate step length nearly every step is accepted and the damping would run to its lower bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveDamping {
    value: f32,
}

impl AdaptiveDamping {
    /// Lower bound.
    pub const MIN: f32 = 1e-4;
    /// Upper bound.
    pub const MAX: f32 = 1.0;
    /// Factor after an accepted step.
    pub const ACCEPT: f32 = 0.95;
    /// Factor after a rejected step.
    pub const REJECT: f32 = 1.5;

    /// Starts at `value`, clamped to the bounds (NaN becomes the upper bound).
    pub fn new(value: f32) -> Self {
        let value = if value.is_nan() { Self::MAX } else { value.clamp(Self::MIN, Self::MAX) };
        AdaptiveDamping { value }
    }

    /// The damping now.
    pub fn value(self) -> f32 {
        self.value
    }

    /// The damping after a step that was accepted or rejected.
    #[must_use]
    pub fn after(self, accepted: bool) -> Self {
        Self::new(self.value * if accepted { Self::ACCEPT } else { Self::REJECT })
    }
}

/// Martens and Grosse's split of the damping between the two factors (their section 6.3):
/// `pi = sqrt((tr A / dim A) / (tr G / dim G))`, 1 where a trace is not positive.
pub(crate) fn split(mean_trace_a: f32, mean_trace_g: f32) -> f32 {
    let pi = (mean_trace_a / mean_trace_g).sqrt();
    if mean_trace_a > 0.0 && mean_trace_g > 0.0 && pi.is_finite() && pi > 0.0 { pi } else { 1.0 }
}

/// Each matrix's share of the identity, in the order of the layout: `pi sqrt(damping)` for `A`, `sqrt(damping) / pi`
/// for `G`; on the device, each `[1]`.
pub(crate) fn shares(layout: &FactorLayout, matrices: &[Tensor<2>], damping: f32) -> Vec<Tensor<1>> {
    let mean_trace = |m: &Tensor<2>| {
        let n = m.dims()[0];
        let eye = Tensor::<2>::eye(n, &m.device());
        (m.clone() * eye).sum().div_scalar(n as f32)
    };
    let mut shares = Vec::with_capacity(layout.count());
    for pair in matrices.chunks_exact(2) {
        let (a, g) = (mean_trace(&pair[0]), mean_trace(&pair[1]));
        let pi = (a.clone() / g.clone()).sqrt();
        let usable = a.greater_elem(0.0).bool_and(g.greater_elem(0.0)).bool_and(pi.clone().is_finite());
        let usable = usable.bool_and(pi.clone().greater_elem(0.0));
        let pi = pi.mask_fill(usable.bool_not(), 1.0);
        shares.push(pi.clone().mul_scalar(damping.sqrt()));
        shares.push(pi.recip().mul_scalar(damping.sqrt()));
    }
    shares
}
