//! Damped inverses of all factors on the CPU, with what happens where one fails.
//!
//! All six factors of 60-64-64-2 take 0.15 ms and those of 60-256-256-2 1.6 ms on one core (AMD Zen 5), residuals included;
//! the Newton-Schulz iteration of the tensor path takes 6.5 and 310 ms there, with the same residuals.

pub(crate) mod eliminate;

use burn::tensor::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use self::eliminate::attempt;
use super::Inverses;
use crate::damping::{RAISE, RESIDUAL_BOUND, split};
use crate::factor::layout::FactorLayout;
use compute::cpu::{View, tensor};

/// Sum of cubed orders from which on a second thread pays.
const PARALLEL_WORK: usize = 1_000_000;

/// How one inverse went.
struct Outcome {
    residual: f32,
    raised: bool,
    fallback: bool,
}

/// Damps and inverts all factors `[F]`, or `None` where they are of another kind.
pub(super) fn inverse(layout: &FactorLayout, flat: &Tensor<1>, damping: f32) -> Option<Inverses> {
    let host = View::of(flat)?;
    let values = host.values();
    let mean_trace = |i: usize| {
        let n = layout.order(i);
        values[layout.range(i)].iter().step_by(n + 1).sum::<f32>() / n as f32
    };
    let arch = Arch::new();
    let one = |(i, inverse): (usize, &mut [f32])| {
        let pi = split(mean_trace(i / 2 * 2), mean_trace(i / 2 * 2 + 1));
        let shift = damping.sqrt() * if i.is_multiple_of(2) { pi } else { pi.recip() };
        arch.dispatch(Invert { matrix: &values[layout.range(i)], n: layout.order(i), shift, inverse })
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
    Some(Inverses {
        flat: tensor(inverses, [values.len()]),
        residuals: tensor(all.iter().map(|one| one.residual).collect(), [count]),
        raised: tally(|one| one.raised),
        fallbacks: tally(|one| one.fallback),
    })
}

struct Invert<'a> {
    matrix: &'a [f32],
    n: usize,
    shift: f32,
    inverse: &'a mut [f32],
}

impl WithSimd for Invert<'_> {
    type Output = Outcome;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Outcome {
        let Invert { matrix, n, shift, inverse } = self;
        let first = attempt(simd, matrix, n, shift, inverse);
        if first <= RESIDUAL_BOUND {
            return Outcome { residual: first, raised: false, fallback: false };
        }
        let second = attempt(simd, matrix, n, shift * RAISE.sqrt(), inverse);
        if second <= RESIDUAL_BOUND {
            return Outcome { residual: second, raised: true, fallback: false };
        }
        let mean = matrix.iter().step_by(n + 1).sum::<f32>() / n as f32 + shift;
        let scale = if mean.is_finite() && mean > 0.0 { mean.recip() } else { 1.0 };
        inverse.fill(0.0);
        inverse.iter_mut().step_by(n + 1).for_each(|x| *x = scale);
        Outcome { residual: second, raised: true, fallback: true }
    }
}
