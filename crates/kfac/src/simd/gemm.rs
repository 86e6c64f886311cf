//! Matrix microkernels on padded row-major buffers, written once for every vector width.
//!
//! All widths are padded to [`PAD`] floats with zeros, so that no kernel has a masked tail. A product is a sum over one index
//! in ascending order with one fused multiply-add per term: each element's bits depend neither on the vector width nor on the
//! blocking (dot products are the exception: their order is that of the vector width).

use pulp::{Simd, WithSimd};

use super::pack::Packed;
use super::width::{PAD, block_width, vectors, vectors_mut};

/// `c[r, o] (+)= a[r, :] . w[o, :]` for a few rows of `w` as long as those of `a` (stride `lda`, a multiple of the
/// padding); `c` has row stride `ldc`.
#[inline(always)]
pub(crate) fn dot_rows<S: Simd, const ADD: bool>(simd: S, a: &[f32], lda: usize, w: &[f32], c: &mut [f32], ldc: usize) {
    simd.vectorize(DotRows::<ADD> { a, lda, w, c, ldc });
}

struct DotRows<'a, const ADD: bool> {
    a: &'a [f32],
    lda: usize,
    w: &'a [f32],
    c: &'a mut [f32],
    ldc: usize,
}

impl<const ADD: bool> WithSimd for DotRows<'_, ADD> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let DotRows { a, lda, w, c, ldc } = self;
        for (a, c) in a.chunks_exact(lda).zip(c.chunks_exact_mut(ldc)) {
            for (w, c) in w.chunks_exact(lda).zip(c) {
                let mut acc = simd.splat_f32s(0.0);
                for (&x, &w) in vectors::<S>(a).iter().zip(vectors::<S>(w)) {
                    acc = simd.mul_add_f32s(x, w, acc);
                }
                let dot = simd.reduce_sum_f32s(acc);
                *c = if ADD { *c + dot } else { dot };
            }
        }
    }
}

/// `c = a b`, or `c += a b`: `a` is `[rows, depth]` with row stride `lda`, `c` has row stride `ldc`.
#[inline(always)]
pub(crate) fn gemm_nn<S: Simd, const ADD: bool>(
    simd: S,
    rows: usize,
    a: &[f32],
    lda: usize,
    b: &Packed<'_>,
    c: &mut [f32],
    ldc: usize,
) {
    simd.vectorize(GemmNn::<ADD> { rows, a, lda, b, c, ldc });
}

// Each product is one function of its own (`vectorize` does not inline): inlined into every caller the kernels made the
// crate slow to compile and its code too large for the instruction cache.
struct GemmNn<'a, const ADD: bool> {
    rows: usize,
    a: &'a [f32],
    lda: usize,
    b: &'a Packed<'a>,
    c: &'a mut [f32],
    ldc: usize,
}

impl<const ADD: bool> WithSimd for GemmNn<'_, ADD> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let GemmNn { rows, a, lda, b, c, ldc } = self;
        if rows == 0 {
            return; // nothing to write, and `c` may be empty
        }
        let block = block_width::<S>();
        let mut start = 0;
        while start < b.width {
            let end = (start + block).min(b.width);
            let panel = vectors::<S>(&b.data[b.depth * start..b.depth * end]);
            nn_block::<S, ADD>(simd, rows, a, lda, b.depth, panel, (end - start) / S::F32_LANES, &mut c[start..], ldc);
            start = end;
        }
    }
}

#[inline(always)]
fn nn_block<S: Simd, const ADD: bool>(
    simd: S,
    rows: usize,
    a: &[f32],
    lda: usize,
    depth: usize,
    panel: &[S::f32s],
    nv: usize,
    c: &mut [f32],
    ldc: usize,
) {
    let mut r = 0;
    macro_rules! sweep {
        ($nv:literal: $($mr:literal)*) => {{
            let (panel, _) = panel.as_chunks::<$nv>();
            $(while rows - r >= $mr {
                nn_tile::<S, ADD, $mr, $nv>(simd, &a[r * lda..], lda, depth, panel, &mut c[r * ldc..], ldc);
                r += $mr;
            })*
        }};
    }
    if S::REGISTER_COUNT >= 32 {
        match nv {
            1 => sweep!(1: 16 4 1),
            2 => sweep!(2: 8 4 1),
            3 => sweep!(3: 8 4 1),
            4 => sweep!(4: 6 4 2 1),
            _ => wide_block::<S, ADD>(simd, rows, a, lda, depth, panel, nv, c, ldc),
        }
    } else {
        match nv {
            1 => sweep!(1: 8 1),
            2 => sweep!(2: 6 2 1),
            _ => wide_block::<S, ADD>(simd, rows, a, lda, depth, panel, nv, c, ldc),
        }
    }
}

/// Blocks of more vectors than the register kernels take: only reached with vectors narrower than four floats.
#[inline(always)]
fn wide_block<S: Simd, const ADD: bool>(
    simd: S,
    rows: usize,
    a: &[f32],
    lda: usize,
    depth: usize,
    panel: &[S::f32s],
    nv: usize,
    c: &mut [f32],
    ldc: usize,
) {
    for r in 0..rows {
        let a_row = &a[r * lda..r * lda + depth];
        let c_row = &mut vectors_mut::<S>(&mut c[r * ldc..r * ldc + nv * S::F32_LANES])[..nv];
        if !ADD {
            c_row.fill(simd.splat_f32s(0.0));
        }
        for (&x, b_row) in a_row.iter().zip(panel.chunks_exact(nv)) {
            let x = simd.splat_f32s(x);
            for (c, &b) in c_row.iter_mut().zip(b_row) {
                *c = simd.mul_add_f32s(x, b, *c);
            }
        }
    }
}

#[inline(always)]
fn nn_tile<S: Simd, const ADD: bool, const MR: usize, const NV: usize>(
    simd: S,
    a: &[f32],
    lda: usize,
    depth: usize,
    panel: &[[S::f32s; NV]],
    c: &mut [f32],
    ldc: usize,
) {
    let width = NV * S::F32_LANES;
    let zero = simd.splat_f32s(0.0);
    let mut acc = [[zero; NV]; MR];
    if ADD {
        for (i, acc) in acc.iter_mut().enumerate() {
            let row = vectors::<S>(&c[i * ldc..i * ldc + width]);
            for (acc, &c) in acc.iter_mut().zip(row) {
                *acc = c;
            }
        }
    }
    let rows: [&[f32]; MR] = core::array::from_fn(|i| &a[i * lda..i * lda + depth]);
    for (k, b) in panel[..depth].iter().enumerate() {
        for i in 0..MR {
            let x = simd.splat_f32s(rows[i][k]);
            for j in 0..NV {
                acc[i][j] = simd.mul_add_f32s(x, b[j], acc[i][j]);
            }
        }
    }
    for (i, acc) in acc.iter().enumerate() {
        let row = vectors_mut::<S>(&mut c[i * ldc..i * ldc + width]);
        for (c, &acc) in row.iter_mut().zip(acc) {
            *c = acc;
        }
    }
}

/// `c += x^T y` over the rows: `x` is `[rows, m]` (stride `ldx`), `y` `[rows, width]` (stride `ldy`), `c` `[m, width]`.
#[inline(always)]
pub(crate) fn gemm_tn<S: Simd>(
    simd: S,
    x: &[f32],
    ldx: usize,
    m: usize,
    y: &[f32],
    ldy: usize,
    width: usize,
    c: &mut [f32],
    ldc: usize,
) {
    simd.vectorize(GemmTn { x, ldx, m, y, ldy, width, c, ldc, lower: false });
}

/// The lower triangle (in blocks of [`PAD`]) of `c += x^T x` for the first `width` columns, plus whole rows
/// `width..m` where `m > width`.
#[inline(always)]
pub(crate) fn gram<S: Simd>(simd: S, x: &[f32], ldx: usize, m: usize, width: usize, c: &mut [f32], ldc: usize) {
    simd.vectorize(GemmTn { x, ldx, m, y: x, ldy: ldx, width, c, ldc, lower: true });
}

struct GemmTn<'a> {
    x: &'a [f32],
    ldx: usize,
    m: usize,
    y: &'a [f32],
    ldy: usize,
    width: usize,
    c: &'a mut [f32],
    ldc: usize,
    lower: bool,
}

impl WithSimd for GemmTn<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let GemmTn { x, ldx, m, y, ldy, width, c, ldc, lower } = self;
        let block = block_width::<S>();
        let mut start = 0;
        while start < width {
            let end = (start + block).min(width);
            // Inside the diagonal block only the columns up to the band's end are needed.
            let mut row = if lower { start } else { 0 };
            while row < m {
                let diagonal = lower && row + PAD < end;
                let rows_end = if diagonal { (row + PAD).min(m) } else { m };
                let columns_end = if diagonal { row + PAD } else { end };
                tn_rows::<S>(simd, x, ldx, row, rows_end, y, ldy, start, (columns_end - start) / S::F32_LANES, c, ldc);
                row = rows_end;
            }
            start = end;
        }
    }
}

#[inline(always)]
fn tn_rows<S: Simd>(
    simd: S,
    x: &[f32],
    ldx: usize,
    m0: usize,
    m1: usize,
    y: &[f32],
    ldy: usize,
    start: usize,
    nv: usize,
    c: &mut [f32],
    ldc: usize,
) {
    let mut m = m0;
    macro_rules! sweep {
        ($nv:literal: $($mr:literal)*) => {{
            $(while m1 - m >= $mr {
                tn_tile::<S, $mr, $nv>(simd, x, ldx, m, y, ldy, start, &mut c[m * ldc + start..], ldc);
                m += $mr;
            })*
        }};
    }
    if S::REGISTER_COUNT >= 32 {
        match nv {
            1 => sweep!(1: 16 4 1),
            2 => sweep!(2: 8 4 1),
            3 => sweep!(3: 8 4 1),
            4 => sweep!(4: 6 5 4 2 1),
            _ => tn_wide::<S>(simd, x, ldx, m0, m1, y, ldy, start, nv, c, ldc),
        }
    } else {
        match nv {
            1 => sweep!(1: 8 1),
            2 => sweep!(2: 6 2 1),
            _ => tn_wide::<S>(simd, x, ldx, m0, m1, y, ldy, start, nv, c, ldc),
        }
    }
}

#[inline(always)]
fn tn_wide<S: Simd>(
    simd: S,
    x: &[f32],
    ldx: usize,
    m0: usize,
    m1: usize,
    y: &[f32],
    ldy: usize,
    start: usize,
    nv: usize,
    c: &mut [f32],
    ldc: usize,
) {
    let width = nv * S::F32_LANES;
    for (x, y) in x.chunks_exact(ldx).zip(y.chunks_exact(ldy)) {
        let y = vectors::<S>(&y[start..start + width]);
        for m in m0..m1 {
            let s = simd.splat_f32s(x[m]);
            let c = vectors_mut::<S>(&mut c[m * ldc + start..m * ldc + start + width]);
            for (c, &y) in c.iter_mut().zip(y) {
                *c = simd.mul_add_f32s(s, y, *c);
            }
        }
    }
}

#[inline(always)]
fn tn_tile<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    x: &[f32],
    ldx: usize,
    m: usize,
    y: &[f32],
    ldy: usize,
    start: usize,
    c: &mut [f32],
    ldc: usize,
) {
    let width = NV * S::F32_LANES;
    let zero = simd.splat_f32s(0.0);
    let mut acc = [[zero; NV]; MR];
    for (x, y) in x.chunks_exact(ldx).zip(y.chunks_exact(ldy)) {
        let Some((x, _)) = x[m..].split_first_chunk::<MR>() else { return };
        let Some((y, _)) = vectors::<S>(&y[start..]).split_first_chunk::<NV>() else { return };
        for i in 0..MR {
            let s = simd.splat_f32s(x[i]);
            for j in 0..NV {
                acc[i][j] = simd.mul_add_f32s(s, y[j], acc[i][j]);
            }
        }
    }
    for (i, acc) in acc.iter().enumerate() {
        let row = vectors_mut::<S>(&mut c[i * ldc..i * ldc + width]);
        for (c, &acc) in row.iter_mut().zip(acc) {
            *c = simd.add_f32s(*c, acc);
        }
    }
}
