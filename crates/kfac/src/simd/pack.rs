//! Matrices rearranged into the column blocks that the products read.

use pulp::Simd;

use super::width::block_width;

/// A right-hand matrix `[depth, width]` rearranged into column blocks that a kernel reads front to back.
///
/// The block of columns `c0..c1` starts at `depth * c0` and holds `depth` rows of `c1 - c0` floats.
pub(crate) struct Packed<'a> {
    pub data: &'a [f32],
    pub depth: usize,
    pub width: usize,
}

/// Packs a row-major matrix `[depth, columns]` into blocks of `[depth, width]`, zeros past its columns.
#[inline(always)]
pub(crate) fn pack_rows<S: Simd>(
    _simd: S,
    out: &mut [f32],
    depth: usize,
    width: usize,
    source: &[f32],
    columns: usize,
) {
    for start in (0..width).step_by(block_width::<S>()) {
        let end = (start + block_width::<S>()).min(width);
        let used = columns.min(end).saturating_sub(start);
        let panel = out[depth * start..depth * end].chunks_exact_mut(end - start);
        for (row, source) in panel.zip(source.chunks_exact(columns)) {
            row[..used].copy_from_slice(&source[start.min(columns)..][..used]);
            row[used..].fill(0.0);
        }
    }
}

/// Packs the transpose of a row-major matrix `[columns, depth]` into blocks of `[depth, width]`.
#[inline(always)]
pub(crate) fn pack_transposed<S: Simd>(
    _simd: S,
    out: &mut [f32],
    depth: usize,
    width: usize,
    source: &[f32],
    depth_stride: usize,
) {
    out[..depth * width].fill(0.0);
    for start in (0..width).step_by(block_width::<S>()) {
        let end = (start + block_width::<S>()).min(width);
        let panel = &mut out[depth * start..depth * end];
        let columns = source.chunks_exact(depth_stride).skip(start).take(end - start);
        for (j, column) in columns.enumerate() {
            for (row, &value) in panel.chunks_exact_mut(end - start).zip(column) {
                row[j] = value;
            }
        }
    }
}
