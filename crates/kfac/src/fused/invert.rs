//! Damped inverses of all factors, with what happens where one fails.
//!
//! All six factors of 60-64-64-2 take 0.15 ms and those of 60-256-256-2 1.6 ms on one core (AMD Zen 5), residuals included;
//! the Newton-Schulz iteration of the tensor path takes 6.5 and 310 ms there, with the same residuals.

use burn::tensor::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::eliminate::attempt;
use super::{Host, tensor};
use crate::FactorLayout;
use crate::damping::split;
use crate::inverse::{RAISE, RESIDUAL_BOUND};

/// Sum of cubed orders from which on a second thread pays.
const PARALLEL_WORK: usize = 1_000_000;

/// The damped inverses as tensors of the CPU backend.
pub(crate) struct InverseResult {
    pub flat: Tensor<1>,
    pub residuals: Tensor<1>,
    pub raised: Tensor<1>,
    pub fallbacks: Tensor<1>,
}

/// How one inverse went.
struct Outcome {
    residual: f32,
    raised: bool,
    fallback: bool,
}

/// Damps and inverts all factors.
pub(crate) fn inverse(layout: &FactorLayout, flat: &Tensor<1>, damping: f32) -> Option<InverseResult> {
    let host = Host::of(flat)?;
    let values = host.values();
    let mean_trace = |i: usize| {
        let n = layout.order(i);
        values[layout.range(i)].iter().step_by(n + 1).sum::<f32>() / n as f32
    };
    let arch = Arch::new();
    let one = |(i, inverse): (usize, &mut [f32])| {
        let pi = split(mean_trace(i / 2 * 2), mean_trace(i / 2 * 2 + 1));
        let share = damping.sqrt() * if i.is_multiple_of(2) { pi } else { pi.recip() };
        arch.dispatch(Invert { matrix: &values[layout.range(i)], n: layout.order(i), share, inverse })
    };
    let count = layout.count();
    let work: usize = (0..count).map(|i| layout.order(i).pow(3)).sum();
    let mut inverses = vec![0.0; values.len()];
    let mut rest = &mut inverses[..];
    let mut tasks = Vec::with_capacity(count);
    for i in 0..count {
        let (own, others) = rest.split_at_mut(layout.range(i).len());
        tasks.push((i, own));
        rest = others;
    }
    let all: Vec<Outcome> = if work >= PARALLEL_WORK {
        tasks.into_par_iter().map(one).collect()
    } else {
        tasks.into_iter().map(one).collect()
    };
    let tally = |f: fn(&Outcome) -> bool| tensor(vec![all.iter().filter(|one| f(one)).count() as f32], [1]);
    Some(InverseResult {
        flat: tensor(inverses, [values.len()]),
        residuals: tensor(all.iter().map(|one| one.residual).collect(), [count]),
        raised: tally(|one| one.raised),
        fallbacks: tally(|one| one.fallback),
    })
}

struct Invert<'a> {
    matrix: &'a [f32],
    n: usize,
    share: f32,
    inverse: &'a mut [f32],
}

impl WithSimd for Invert<'_> {
    type Output = Outcome;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Outcome {
        let Invert { matrix, n, share, inverse } = self;
        let first = attempt(simd, matrix, n, share, inverse);
        if first <= RESIDUAL_BOUND {
            return Outcome { residual: first, raised: false, fallback: false };
        }
        let second = attempt(simd, matrix, n, share * RAISE.sqrt(), inverse);
        if second <= RESIDUAL_BOUND {
            return Outcome { residual: second, raised: true, fallback: false };
        }
        let mean = matrix.iter().step_by(n + 1).sum::<f32>() / n as f32 + share;
        let scale = if mean.is_finite() && mean > 0.0 { mean.recip() } else { 1.0 };
        inverse.fill(0.0);
        inverse.iter_mut().step_by(n + 1).for_each(|x| *x = scale);
        Outcome { residual: second, raised: true, fallback: true }
    }
}
