//! Inverses of symmetric positive definite matrices by blocked Gauss-Jordan elimination.
//!
//! Without pivoting, as positive definiteness allows; every block step is a product of the microkernels, so that the
//! elimination runs near the speed of a matrix product. The residual is measured afterwards, not assumed.

use burn::tensor::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::kernel::{Packed, gemm_nn, pack, padded};
use super::{Host, tensor};
use crate::FactorLayout;
use crate::damping::split;
use crate::inverse::{RAISE, RESIDUAL_BOUND};

/// Pivots eliminated together.
const BLOCK: usize = 32;

/// Sum of cubed orders from which on a second thread pays.
const PARALLEL_WORK: usize = 1_000_000;

/// The damped inverses as tensors of the CPU backend.
pub(crate) struct InverseResult {
    pub flat: Tensor<1>,
    pub residuals: Tensor<1>,
    pub raised: Tensor<1>,
    pub fallbacks: Tensor<1>,
}

struct One {
    inverse: Vec<f32>,
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
    let one = |i: usize| {
        let pi = split(mean_trace(i / 2 * 2), mean_trace(i / 2 * 2 + 1));
        let share = damping.sqrt() * if i.is_multiple_of(2) { pi } else { pi.recip() };
        arch.dispatch(Invert { matrix: &values[layout.range(i)], n: layout.order(i), share })
    };
    let count = layout.count();
    let work: usize = (0..count).map(|i| layout.order(i).pow(3)).sum();
    let all: Vec<One> =
        if work >= PARALLEL_WORK { (0..count).into_par_iter().map(one).collect() } else { (0..count).map(one).collect() };
    let mut inverses = Vec::with_capacity(values.len());
    for one in &all {
        inverses.extend_from_slice(&one.inverse);
    }
    let tally = |f: fn(&One) -> bool| tensor(vec![all.iter().filter(|one| f(one)).count() as f32], [1]);
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
}

impl WithSimd for Invert<'_> {
    type Output = One;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> One {
        let Invert { matrix, n, share } = self;
        let first = attempt(simd, matrix, n, share);
        if first.1 <= RESIDUAL_BOUND {
            return One { inverse: first.0, residual: first.1, raised: false, fallback: false };
        }
        let second = attempt(simd, matrix, n, share * RAISE.sqrt());
        if second.1 <= RESIDUAL_BOUND {
            return One { inverse: second.0, residual: second.1, raised: true, fallback: false };
        }
        let mean = matrix.iter().step_by(n + 1).sum::<f32>() / n as f32 + share;
        let scale = if mean.is_finite() && mean > 0.0 { mean.recip() } else { 1.0 };
        let mut inverse = vec![0.0; n * n];
        inverse.iter_mut().step_by(n + 1).for_each(|x| *x = scale);
        One { inverse, residual: second.1, raised: true, fallback: true }
    }
}

/// The symmetrised inverse of `matrix + share I`, and `|I - M X|_F / sqrt n`.
#[inline(always)]
fn attempt<S: Simd>(simd: S, matrix: &[f32], n: usize, share: f32) -> (Vec<f32>, f32) {
    let ld = padded(n);
    // Padding with the identity leaves the inverse of the leading block alone.
    let mut damped = vec![0.0; ld * ld];
    for (i, row) in damped.chunks_exact_mut(ld).enumerate() {
        if i < n {
            row[..n].copy_from_slice(&matrix[i * n..(i + 1) * n]);
            row[i] += share;
        } else {
            row[i] = 1.0;
        }
    }
    let mut x = damped.clone();
    eliminate(simd, &mut x, ld);
    // Rounding leaves the result slightly asymmetric; the mean with its transpose is no less accurate.
    let mut inverse = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let mean = 0.5 * (x[i * ld + j] + x[j * ld + i]);
            inverse[i * n + j] = mean;
            inverse[j * n + i] = mean;
        }
    }
    let mut panel = vec![0.0; n * ld];
    pack(simd, &mut panel, n, ld, n, |k, j| inverse[k * n + j]);
    gemm_nn::<S, false>(simd, n, &damped, ld, &Packed { data: &panel, depth: n, width: ld }, &mut x, ld);
    let mut sum = 0.0;
    for (i, row) in x.chunks_exact(ld).take(n).enumerate() {
        let mut partial = [0.0f32; 16];
        for (j, &v) in row[..n].iter().enumerate() {
            let e = v - if i == j { 1.0 } else { 0.0 };
            partial[j % 16] += e * e;
        }
        sum += partial.iter().sum::<f32>();
    }
    (inverse, (sum / n as f32).sqrt())
}

/// Replaces a positive definite matrix by its inverse; `ld` rows and columns, a multiple of the padding.
#[inline(always)]
fn eliminate<S: Simd>(simd: S, m: &mut [f32], ld: usize) {
    let mut column = vec![0.0; ld * BLOCK];
    let mut row = vec![0.0; BLOCK * ld];
    let mut packed = vec![0.0; BLOCK * ld];
    let mut pivot = [[0.0f32; BLOCK]; BLOCK];
    let mut start = 0;
    while start < ld {
        let width = (ld - start).min(BLOCK);
        let end = start + width;
        for (i, p) in pivot.iter_mut().enumerate() {
            *p = [0.0; BLOCK];
            if i < width {
                p[..width].copy_from_slice(&m[(start + i) * ld + start..(start + i) * ld + end]);
            } else {
                p[i] = 1.0;
            }
        }
        invert_pivot(&mut pivot);
        // R = P M[block, :], with P itself in the block's own columns.
        let b = &mut packed[..width * ld];
        let rows = &m[start * ld..end * ld];
        pack(simd, b, width, ld, ld, |k, j| rows[k * ld + j]);
        let flat: &[f32] = pivot.as_flattened();
        gemm_nn::<S, false>(simd, width, flat, BLOCK, &Packed { data: b, depth: width, width: ld }, &mut row, ld);
        for (i, p) in pivot.iter().take(width).enumerate() {
            row[i * ld + start..i * ld + end].copy_from_slice(&p[..width]);
        }
        // M -= C R outside the block's rows, its columns cleared first so that they become -C P.
        for (i, c) in column.chunks_exact_mut(BLOCK).enumerate() {
            let source = &mut m[i * ld + start..i * ld + end];
            for (c, s) in c.iter_mut().zip(source) {
                *c = -*s;
                *s = 0.0;
            }
        }
        pack(simd, b, width, ld, ld, |k, j| row[k * ld + j]);
        let b = Packed { data: b, depth: width, width: ld };
        let (above, rest) = m.split_at_mut(start * ld);
        let (own, below) = rest.split_at_mut(width * ld);
        gemm_nn::<S, true>(simd, start, &column, BLOCK, &b, above, ld);
        own.copy_from_slice(&row[..width * ld]);
        gemm_nn::<S, true>(simd, ld - end, &column[end * BLOCK..], BLOCK, &b, below, ld);
        start = end;
    }
}

/// Gauss-Jordan elimination of one pivot block in registers and first-level cache.
#[inline(always)]
fn invert_pivot(p: &mut [[f32; BLOCK]; BLOCK]) {
    for k in 0..BLOCK {
        let inverse = p[k][k].recip();
        let mut pivot_row = p[k];
        pivot_row[k] = 1.0;
        pivot_row.iter_mut().for_each(|x| *x *= inverse);
        for (i, row) in p.iter_mut().enumerate() {
            if i == k {
                *row = pivot_row;
            } else {
                let factor = row[k];
                row[k] = 0.0;
                for (x, &y) in row.iter_mut().zip(&pivot_row) {
                    *x -= factor * y;
                }
            }
        }
    }
}
