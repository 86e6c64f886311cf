//! Inverses of symmetric positive definite matrices by blocked Gauss-Jordan elimination.
//!
//! Without pivoting, as positive definiteness allows; every block step is a product of the microkernels, so that the
//! elimination runs near the speed of a matrix product. The residual is measured afterwards, not assumed.

use pulp::{Simd, WithSimd};

use super::kernel::{gemm_nn, padded, vectors, vectors_mut};
use super::pack::{Packed, pack_rows};

/// Pivots eliminated together.
const BLOCK: usize = 32;

/// The symmetrised inverse of `matrix + share I`, and `|I - M X|_F / sqrt n`.
#[inline(always)]
pub(crate) fn attempt<S: Simd>(simd: S, matrix: &[f32], n: usize, share: f32) -> (Vec<f32>, f32) {
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
    pack_rows(simd, &mut panel, n, ld, &inverse, n);
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
///
/// Each block of pivots is eliminated row by row within its own rows, and the rest of the matrix is updated by one
/// product. Multiplying by the pivot block's explicit inverse instead loses its condition number in accuracy (a matrix
/// of ones plus damping 1e-2 left a residual above 1e-2).
#[inline(always)]
fn eliminate<S: Simd>(simd: S, m: &mut [f32], ld: usize) {
    let mut column = vec![0.0; ld * BLOCK];
    let mut packed = vec![0.0; BLOCK * ld];
    let mut start = 0;
    while start < ld {
        let width = (ld - start).min(BLOCK);
        let end = start + width;
        // The block's columns leave the matrix, negated.
        for (c, row) in column.chunks_exact_mut(BLOCK).zip(m.chunks_exact_mut(ld)) {
            for (c, x) in c.iter_mut().zip(&row[start..end]) {
                *c = -*x;
            }
        }
        let (above, rest) = m.split_at_mut(start * ld);
        let (own, below) = rest.split_at_mut(width * ld);
        simd.vectorize(EliminateRows { rows: own, ld, start });
        let b = &mut packed[..width * ld];
        pack_rows(simd, b, width, ld, own, ld);
        let b = Packed { data: b, depth: width, width: ld };
        gemm_nn::<S, true>(simd, start, &column, BLOCK, &b, above, ld);
        gemm_nn::<S, true>(simd, ld - end, &column[end * BLOCK..], BLOCK, &b, below, ld);
        // By symmetry the new columns are the new rows, with the sign of the sweep.
        for (i, row) in above.chunks_exact_mut(ld).enumerate() {
            for (k, x) in row[start..end].iter_mut().enumerate() {
                *x = own[k * ld + i];
            }
        }
        for (i, row) in below.chunks_exact_mut(ld).enumerate() {
            for (k, x) in row[start..end].iter_mut().enumerate() {
                *x = -own[k * ld + end + i];
            }
        }
        start = end;
    }
}

/// Gauss-Jordan elimination of a block's pivots within its rows: they become the pivot block's inverse times
/// themselves, and the inverse itself in the block's own columns.
struct EliminateRows<'a> {
    rows: &'a mut [f32],
    ld: usize,
    start: usize,
}

impl WithSimd for EliminateRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let EliminateRows { rows, ld, start } = self;
        for k in 0..rows.len() / ld {
            let (before, rest) = rows.split_at_mut(k * ld);
            let (pivot_row, after) = rest.split_at_mut(ld);
            let inverse = pivot_row[start + k].recip();
            pivot_row[start + k] = 1.0;
            let scale = simd.splat_f32s(inverse);
            for x in vectors_mut::<S>(pivot_row) {
                *x = simd.mul_f32s(*x, scale);
            }
            for row in before.chunks_exact_mut(ld).chain(after.chunks_exact_mut(ld)) {
                let factor = simd.splat_f32s(-row[start + k]);
                row[start + k] = 0.0;
                for (x, &y) in vectors_mut::<S>(row).iter_mut().zip(vectors::<S>(pivot_row)) {
                    *x = simd.mul_add_f32s(factor, y, *x);
                }
            }
        }
    }
}
