//! Damped inverses of all factors.

pub(crate) mod cpu;
pub(crate) mod gpu;

use burn::tensor::{Bool, Tensor};

use crate::damping::{RAISE, RESIDUAL_BOUND, shifts};
use crate::error::KfacError;
use crate::factor::Factors;
use crate::factor::layout::FactorLayout;
use compute::first_of;

/// Newton-Schulz steps. It needs about log2(condition) + 8; damping 0.1 keeps the condition below 1e4 for layers of a
/// few hundred units.
const ITERATIONS: usize = 24;

/// Damped inverses of all factors, for [`natural_gradients`](Self::natural_gradients).
///
/// A factor whose inverse leaves a residual above 1e-2 is damped ten times more and inverted again; where that fails too
/// the inverse is a multiple of the identity. Both are counted, on the device.
#[derive(Clone, Debug)]
pub struct InverseSet {
    layout: FactorLayout,
    damping: f32,
    inverses: Inverses,
}

/// What an inversion leaves.
#[derive(Clone, Debug)]
struct Inverses {
    /// `[F]`
    flat: Tensor<1>,
    /// `[2 L]`
    residuals: Tensor<1>,
    /// 1 where the damping was raised, in one or several parts whose sum is the count.
    raised: Tensor<1>,
    /// The same of the matrices given up.
    fallbacks: Tensor<1>,
}

impl Factors {
    /// Damps and inverts all factors; `A~ = A + pi sqrt(damping) I`, `G~ = G + sqrt(damping) / pi I` with
    /// `pi = sqrt((tr A / dim A) / (tr G / dim G))` in each layer.
    ///
    /// # Errors
    /// A damping that is not positive and finite. Numerical trouble is reported in the result.
    pub fn inverse(&self, damping: f32) -> Result<InverseSet, KfacError> {
        if !(damping > 0.0 && damping.is_finite()) {
            return Err(KfacError::Damping(damping));
        }
        let (layout, flat) = (self.layout().clone(), self.flat());
        let inverses = first_of!(
            cpu::inverse(&layout, &flat, damping),
            gpu::inverse(&layout, &flat, damping),
            newton_schulz_inverses(&layout, &flat, damping),
        );
        Ok(InverseSet { layout, damping, inverses })
    }
}

impl InverseSet {
    /// Where the inverses lie in [`flat`](Self::flat).
    pub fn layout(&self) -> &FactorLayout {
        &self.layout
    }

    /// All inverses, `[F]`.
    pub fn flat(&self) -> &Tensor<1> {
        &self.inverses.flat
    }

    /// `A~_l^-1`, `[in + 1, in + 1]`.
    pub fn a(&self, l: usize) -> Tensor<2> {
        self.layout.matrix(&self.inverses.flat, 2 * l)
    }

    /// `G~_l^-1`, `[out, out]`.
    pub fn g(&self, l: usize) -> Tensor<2> {
        self.layout.matrix(&self.inverses.flat, 2 * l + 1)
    }

    /// `|I - M X|_F / sqrt n` of every matrix's last attempt, `[2 L]` in the layout's order.
    pub fn residuals(&self) -> &Tensor<1> {
        &self.inverses.residuals
    }

    /// Matrices whose damping was raised, `[1]`.
    pub fn raised(&self) -> Tensor<1> {
        self.inverses.raised.clone().sum()
    }

    /// Matrices replaced by a multiple of the identity, `[1]`.
    pub fn fallbacks(&self) -> Tensor<1> {
        self.inverses.fallbacks.clone().sum()
    }

    /// The damping they were made with.
    pub fn damping(&self) -> f32 {
        self.damping
    }
}

/// All matrices as one batch `[C, n, n]`, padded to the largest order: a few large launches, no read-back.
fn newton_schulz_inverses(layout: &FactorLayout, flat: &Tensor<1>, damping: f32) -> Inverses {
    let device = flat.device();
    let count = layout.count();
    let order = (0..count).map(|i| layout.order(i)).max().unwrap_or(1);
    let matrices: Vec<Tensor<2>> = (0..count).map(|i| layout.matrix(flat, i)).collect();
    let shifts = shifts(layout, &matrices, damping);
    let eye = Tensor::<2>::eye(order, &device);

    let mut batch = Vec::with_capacity(count);
    let mut scales = Vec::with_capacity(count);
    for (matrix, shift) in matrices.into_iter().zip(&shifts) {
        let n = matrix.dims()[0];
        let own = Tensor::<2>::eye(n, &device);
        let mean = (matrix.clone() * own.clone()).sum().div_scalar(n as f32) + shift.clone();
        // The padding's diagonal is the mean eigenvalue: it does not worsen the condition.
        let diagonal = eye.clone().slice([n..order]) * mean.clone().unsqueeze_dim::<2>(0);
        let damped = matrix + own * shift.clone().unsqueeze_dim::<2>(0);
        let right = Tensor::zeros([n, order - n], &device);
        let top = Tensor::cat(vec![damped, right], 1);
        let full = if n < order { Tensor::cat(vec![top, diagonal], 0) } else { top };
        batch.push(full);
        let usable = mean.clone().greater_elem(0.0).bool_and(mean.clone().is_finite());
        scales.push(mean.recip().mask_fill(usable.bool_not(), 1.0));
    }
    let first = Tensor::stack::<3>(batch, 0);
    let shift = Tensor::cat(shifts, 0).reshape([count, 1, 1]);
    let eye = eye.unsqueeze_dim::<3>(0);
    let second = first.clone() + eye.clone() * shift.mul_scalar(RAISE.sqrt() - 1.0);
    let orders: Vec<f32> = (0..count).map(|i| layout.order(i) as f32).collect();
    let orders = Tensor::<1>::from_floats(orders.as_slice(), &device);

    let (x1, r1) = newton_schulz(first, &eye, &orders);
    let (x2, r2) = newton_schulz(second, &eye, &orders);
    let good = |r: &Tensor<1>| -> Tensor<1, Bool> { r.clone().lower_equal_elem(RESIDUAL_BOUND) };
    let (good1, good2) = (good(&r1), good(&r2));
    let wide = |m: &Tensor<1, Bool>| m.clone().reshape([count, 1, 1]).expand([count, order, order]);
    let identity = eye * Tensor::cat(scales, 0).reshape([count, 1, 1]);
    let x = identity.mask_where(wide(&good2), x2).mask_where(wide(&good1), x1);
    let residuals = r2.mask_where(good1.clone(), r1);
    let raised = good1.clone().bool_not();
    let fallbacks = raised.clone().bool_and(good2.bool_not());

    let inverses = (0..count).map(|i| {
        let n = layout.order(i);
        x.clone().slice([i..i + 1, 0..n, 0..n]).reshape([n * n])
    });
    let flat = Tensor::cat(inverses.collect(), 0);
    Inverses { flat, residuals, raised: raised.float(), fallbacks: fallbacks.float() }
}

/// `X <- X (2 I - M X)` from `X_0 = I / |M|_inf`, and the relative residuals `[C]`.
fn newton_schulz(m: Tensor<3>, eye: &Tensor<3>, orders: &Tensor<1>) -> (Tensor<3>, Tensor<1>) {
    let [count, n, _] = m.dims();
    let norm = m.clone().abs().sum_dim(2).max_dim(1);
    let mut x = eye.clone() / norm;
    for _ in 0..ITERATIONS {
        x = x.clone().mul_scalar(2.0) - x.clone().matmul(m.clone().matmul(x));
    }
    let x = (x.clone() + x.swap_dims(1, 2)).mul_scalar(0.5);
    let error = eye.clone().expand([count, n, n]) - m.matmul(x.clone());
    let sum = (error.clone() * error).sum_dim(2).sum_dim(1).reshape([count]);
    (x, (sum / orders.clone()).sqrt())
}
