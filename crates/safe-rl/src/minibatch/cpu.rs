//! Gathering on the CPU: whole rows are copied, in parallel where there are many.

use burn::tensor::{Int, Tensor};
use compute::cpu::{View, indices, tensor};
use rayon::prelude::*;

/// [`super::gather_columns`], or `None` on another backend.
pub(super) fn gather_columns(x: &Tensor<2>, index: &Tensor<1, Int>) -> Option<Tensor<2>> {
    let [rows, columns] = x.dims();
    let (input, index) = (View::of(x)?, indices(index)?);
    let mut out = Vec::with_capacity(rows * index.len());
    for row in input.values().chunks_exact(columns.max(1)) {
        out.extend(index.iter().map(|&column| row[column]));
    }
    Some(tensor(out, [rows, index.len()]))
}

/// Rows moved by one task; fixed, and irrelevant for the result.
const GATHER_ROWS: usize = 512;

/// [`super::gather_rows`], or `None` on another backend.
pub(super) fn gather_rows(x: &Tensor<2>, index: &Tensor<1, Int>) -> Option<Tensor<2>> {
    let [rows, columns] = x.dims();
    let (input, index) = (View::of(x)?, indices(index)?);
    let values = input.values();
    assert!(index.iter().all(|&row| row < rows), "row index out of range: {rows} rows");
    let mut out = vec![0.0; index.len() * columns];
    let copy = |(out, index): (&mut [f32], &[usize])| {
        for (out, &row) in out.chunks_exact_mut(columns).zip(index) {
            out.copy_from_slice(&values[row * columns..][..columns]);
        }
    };
    if columns > 0 && index.len() > GATHER_ROWS {
        out.par_chunks_mut(GATHER_ROWS * columns).zip(index.par_chunks(GATHER_ROWS)).for_each(copy);
    } else if columns > 0 {
        copy((&mut out, &index));
    }
    Some(tensor(out, [index.len(), columns]))
}
