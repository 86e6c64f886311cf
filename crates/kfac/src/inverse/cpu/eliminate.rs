//! Inverses of symmetric positive definite matrices by blocked Gauss-Jordan elimination.
//!
//! Without pivoting, as positive definiteness allows; every block step is a product of the microkernels, so that the
//! elimination runs near the speed of a matrix product. The residual is measured afterwards, not assumed.

use pulp::{Simd, WithSimd};

use crate::simd::gemm::gemm_nn;
use crate::simd::pack::{Packed, pack_rows};
use crate::simd::scratch::with_scratch;
use crate::simd::width::{PAD, block_width, padded, row_stride, vectors, vectors_mut};

/// Pivots eliminated together.
const BLOCK: usize = 32;

/// Above this order only the lower triangle is carried along, which saves a third of its products; below it the strips
/// would be most of the triangle.
const TRIANGULAR: usize = 128;

/// Rows of a strip of the lower triangle, a multiple of [`BLOCK`] so that every block of pivots lies in one.
const STRIP: usize = 64;

/// Side of the tiles in which a matrix meets its transpose: a column of one is a cache line of the other.
const TILE: usize = 16;

/// Writes the symmetrised inverse of `matrix + shift I` `[n, n]` and returns `|I - M X|_F / sqrt n`.
#[inline(always)]
pub(crate) fn attempt<S: Simd>(simd: S, matrix: &[f32], n: usize, shift: f32, inverse: &mut [f32]) -> f32 {
    let order = padded(n);
    let ld = row_stride(order);
    let sizes = [order * ld, order * ld, n * order, order * BLOCK, BLOCK * order];
    with_scratch(&sizes, |buffers| {
        let [damped, x, panel, column, packed] = buffers else { return f32::NAN };
        // Padding with the identity leaves the inverse of the leading block alone.
        for (i, row) in damped.chunks_exact_mut(ld).enumerate() {
            let used = if i < n { n } else { 0 };
            row[used..].fill(0.0);
            if i < n {
                row[..n].copy_from_slice(&matrix[i * n..(i + 1) * n]);
                row[i] += shift;
            } else {
                row[i] = 1.0;
            }
        }
        x.copy_from_slice(damped);
        eliminate(simd, x, order, ld, column, packed);
        simd.vectorize(Symmetrise { x, ld, inverse, n, triangular: order > TRIANGULAR });
        pack_rows(simd, panel, n, order, inverse, n);
        gemm_nn::<S, false>(simd, n, damped, ld, &Packed { data: panel, depth: n, width: order }, x, ld);
        simd.vectorize(DistanceFromIdentity { x, ld, n })
    })
}

/// Rounding leaves the eliminated matrix slightly asymmetric; the mean with its transpose is no less accurate. Of a
/// triangular one the upper part is the lower's mirror image.
struct Symmetrise<'a> {
    /// Rows of `ld` floats, of which `[n, n]` counts.
    x: &'a [f32],
    ld: usize,
    /// `[n, n]`.
    inverse: &'a mut [f32],
    n: usize,
    triangular: bool,
}

impl WithSimd for Symmetrise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Symmetrise { x, ld, inverse, n, triangular } = self;
        let mut tile = [[0.0f32; TILE]; TILE];
        for top in (0..n).step_by(TILE) {
            for left in (0..=top).step_by(TILE) {
                let (rows, columns) = ((n - top).min(TILE), (n - left).min(TILE));
                let upper = !triangular || left == top;
                for (j, row) in x[left * ld..].chunks(ld).take(if upper { columns } else { 0 }).enumerate() {
                    for (i, &value) in row[top..top + TILE].iter().enumerate() {
                        tile[i][j] = value;
                    }
                }
                for i in 0..rows {
                    let row = &x[(top + i) * ld + left..][..TILE];
                    for (mean, value) in tile[i].iter_mut().zip(row) {
                        *mean = if upper { 0.5 * (value + *mean) } else { *value };
                    }
                    inverse[(top + i) * n + left..][..columns].copy_from_slice(&tile[i][..columns]);
                }
                // The diagonal tile is symmetric already.
                for j in 0..if left < top { columns } else { 0 } {
                    let row = &mut inverse[(left + j) * n + top..][..rows];
                    for (x, tile) in row.iter_mut().zip(&tile) {
                        *x = tile[j];
                    }
                }
            }
        }
    }
}

/// `|x - I|_F / sqrt n` of the leading `[n, n]`; the columns after it are zero.
struct DistanceFromIdentity<'a> {
    x: &'a mut [f32],
    ld: usize,
    n: usize,
}

impl WithSimd for DistanceFromIdentity<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f32 {
        let mut sum = 0.0;
        for (i, row) in self.x.chunks_exact_mut(self.ld).take(self.n).enumerate() {
            row[i] -= 1.0;
            let mut partial = [0.0f32; PAD];
            for values in row.as_chunks::<PAD>().0 {
                for (partial, e) in partial.iter_mut().zip(values) {
                    *partial += e * e;
                }
            }
            sum += partial.iter().sum::<f32>();
        }
        (sum / self.n as f32).sqrt()
    }
}

/// Replaces a positive definite matrix by its inverse; `order` rows (row stride `ld`) and columns, a multiple of the
/// padding. `column` `[order, BLOCK]` and `packed` `[BLOCK, order]` are room to work in.
///
/// Each block of pivots is eliminated row by row within its own rows, and the rest of the matrix is updated by one
/// product. Multiplying by the pivot block's explicit inverse instead loses its condition number in accuracy (a matrix
/// of ones plus damping 1e-2 left a residual above 1e-2).
///
/// The matrix stays symmetric but for the sign where a row is eliminated and a column is not, or the reverse. Of an order
/// above [`TRIANGULAR`] only the lower triangle is valid, then and in the end, with the whole diagonal blocks.
#[inline(always)]
fn eliminate<S: Simd>(simd: S, m: &mut [f32], order: usize, ld: usize, column: &mut [f32], packed: &mut [f32]) {
    let triangular = order > TRIANGULAR;
    let mut start = 0;
    while start < order {
        let width = (order - start).min(BLOCK);
        let end = start + width;
        let (above, rest) = m.split_at_mut(start * ld);
        let (own, below) = rest.split_at_mut(width * ld);
        // The block's columns leave the matrix, negated.
        let (column_above, others) = column.split_at_mut(start * BLOCK);
        let column_below = &mut others[width * BLOCK..];
        let leave = |column: &mut [f32], rows: &[f32]| {
            for (c, row) in column.chunks_exact_mut(BLOCK).zip(rows.chunks_exact(ld)) {
                for (c, x) in c.iter_mut().zip(&row[start..end]) {
                    *c = -*x;
                }
            }
        };
        leave(column_below, below);
        if triangular {
            // What lies above the diagonal stands in the block's rows and columns, too.
            for (i, c) in column_above.chunks_exact_mut(BLOCK).enumerate() {
                for (k, c) in c[..width].iter_mut().enumerate() {
                    *c = own[k * ld + i];
                }
            }
            for (i, row) in below.chunks_exact(ld).enumerate() {
                for (k, &x) in row[start..end].iter().enumerate() {
                    own[k * ld + end + i] = x;
                }
            }
        } else {
            leave(column_above, above);
        }
        simd.vectorize(EliminateRows { rows: own, order, ld, start });
        let b = &mut packed[..width * order];
        pack_rows(simd, b, width, order, own, ld);
        let b = Packed { data: b, depth: width, width: order };
        update(simd, 0, column_above, &b, above, ld, triangular);
        update(simd, end, column_below, &b, below, ld, triangular);
        // By symmetry the new columns are the new rows, with the sign of the sweep.
        for (i, row) in above.chunks_exact_mut(ld).enumerate().take(if triangular { 0 } else { start }) {
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

/// Adds `column b` to `rows`, the first of which is row `first` of the matrix: to all columns, or strip by strip to those up
/// to the diagonal.
#[inline(always)]
fn update<S: Simd>(
    simd: S,
    first: usize,
    column: &[f32],
    b: &Packed<'_>,
    rows: &mut [f32],
    ld: usize,
    triangular: bool,
) {
    let count = rows.len() / ld;
    if !triangular {
        return gemm_nn::<S, true>(simd, count, column, BLOCK, b, rows, ld);
    }
    for (strip, (rows, column)) in rows.chunks_mut(STRIP * ld).zip(column.chunks(STRIP * BLOCK)).enumerate() {
        let height = rows.len() / ld;
        let used = first + strip * STRIP + height;
        let b = Packed { width: used.next_multiple_of(block_width::<S>()).min(b.width), ..*b };
        gemm_nn::<S, true>(simd, height, column, BLOCK, &b, rows, ld);
    }
}

/// Gauss-Jordan elimination of a block's pivots within its rows: they become the pivot block's inverse times
/// themselves, and the inverse itself in the block's own columns.
struct EliminateRows<'a> {
    rows: &'a mut [f32],
    order: usize,
    ld: usize,
    start: usize,
}

impl WithSimd for EliminateRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let EliminateRows { rows, order, ld, start } = self;
        for k in 0..rows.len() / ld {
            let (before, rest) = rows.split_at_mut(k * ld);
            let (pivot_row, after) = rest.split_at_mut(ld);
            let inverse = pivot_row[start + k].recip();
            pivot_row[start + k] = 1.0;
            let scale = simd.splat_f32s(inverse);
            let pivot_row = &mut pivot_row[..order];
            for x in vectors_mut::<S>(pivot_row) {
                *x = simd.mul_f32s(*x, scale);
            }
            for row in before.chunks_exact_mut(ld).chain(after.chunks_exact_mut(ld)) {
                let factor = simd.splat_f32s(-row[start + k]);
                row[start + k] = 0.0;
                for (x, &y) in vectors_mut::<S>(&mut row[..order]).iter_mut().zip(vectors::<S>(pivot_row)) {
                    *x = simd.mul_add_f32s(factor, y, *x);
                }
            }
        }
    }
}
