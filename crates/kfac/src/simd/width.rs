//! Widths of rows and column blocks, and rows as vectors.
//!
//! All widths are padded to [`PAD`] floats with zeros, so that a row is a whole number of vectors on every instruction set.

use pulp::Simd;

/// Row widths are multiples of this many floats: the widest vector (AVX-512).
pub(crate) const PAD: usize = 16;

/// Rounds a width up to a whole number of [`PAD`]s.
#[inline(always)]
pub(crate) const fn padded(width: usize) -> usize {
    width.next_multiple_of(PAD)
}

/// Row stride for rows of `width` floats: wide rows take an odd number of cache lines. With an even number the rows of
/// a column block crowd into a few sets of the first-level cache (width 256 ran 5 % slower).
pub(crate) const fn row_stride(width: usize) -> usize {
    if width > 64 && (width / PAD).is_multiple_of(2) { width + PAD } else { width }
}

/// Vectors per column block: 4 where there are 32 registers (AVX-512, NEON), else 2.
#[inline(always)]
const fn block_vectors<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 4 } else { 2 }
}

/// Floats per column block.
#[inline(always)]
pub(crate) const fn block_width<S: Simd>() -> usize {
    let width = block_vectors::<S>() * S::F32_LANES;
    if width < PAD { PAD } else { width }
}

#[inline(always)]
pub(crate) fn vectors<S: Simd>(row: &[f32]) -> &[S::f32s] {
    S::as_simd_f32s(row).0
}

#[inline(always)]
pub(crate) fn vectors_mut<S: Simd>(row: &mut [f32]) -> &mut [S::f32s] {
    S::as_mut_simd_f32s(row).0
}
