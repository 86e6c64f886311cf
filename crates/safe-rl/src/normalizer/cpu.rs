//! Normalising on the CPU, rows in one pass.

use burn::tensor::Tensor;
use compute::cpu::{View, tensor};

use super::Normalizer;

/// [`Normalizer::apply`], or `None` on another backend.
pub(super) fn apply(normalizer: &Normalizer, obs: &Tensor<2>) -> Option<Tensor<2>> {
    let [rows, columns] = obs.dims();
    let (input, mean, divisor) = (View::of(obs)?, View::of(&normalizer.mean)?, View::of(&normalizer.divisor)?);
    let (mean, divisor, clip) = (mean.values(), divisor.values(), normalizer.config.bounds().0);
    let mut out = Vec::with_capacity(rows * columns);
    for row in input.values().chunks_exact(columns.max(1)) {
        out.extend(row.iter().zip(mean).zip(divisor).map(|((o, m), d)| clamp((o - m) / d, clip)));
    }
    Some(tensor(out, [rows, columns]))
}

/// [`Normalizer::observe`], or `None` on another backend: one pass over the rows, serial, since a vector step's batch is
/// small.
pub(super) fn observe(normalizer: &mut Normalizer, obs: &Tensor<2>) -> Option<Tensor<2>> {
    let [rows, columns] = obs.dims();
    let (input, mean, divisor) = (View::of(obs)?, View::of(&normalizer.mean)?, View::of(&normalizer.divisor)?);
    let (mean, divisor, clip) = (mean.values(), divisor.values(), normalizer.config.bounds().0);
    let shift = View::of(&normalizer.pending.shift)?;
    // Once, not per row: a development build pays for every call into burn.
    let (values, shift) = (input.values(), shift.values());
    let mut sum = View::of(&normalizer.pending.sum)?.values().to_vec();
    let mut squares = View::of(&normalizer.pending.squares)?.values().to_vec();
    // Per-call sums first, then one addition to the running ones: short sums keep their low bits.
    let mut call_sum = vec![0.0f32; columns];
    let mut call_squares = vec![0.0f32; columns];
    let mut out = Vec::with_capacity(rows * columns);
    for row in values.chunks_exact(columns.max(1)) {
        for (((o, c), s), q) in row.iter().zip(shift).zip(&mut call_sum).zip(&mut call_squares) {
            let deviation = o - c;
            *s += deviation;
            *q += deviation * deviation;
        }
        out.extend(row.iter().zip(mean).zip(divisor).map(|((o, m), d)| clamp((o - m) / d, clip)));
    }
    for (total, call) in sum.iter_mut().zip(call_sum).chain(squares.iter_mut().zip(call_squares)) {
        *total += call;
    }
    normalizer.pending.sum = tensor(sum, [columns]);
    normalizer.pending.squares = tensor(squares, [columns]);
    Some(tensor(out, [rows, columns]))
}

/// Clips to `[-limit, limit]`; NaN stays NaN, as in the tensor operation, so that faults are seen downstream.
fn clamp(x: f32, limit: f32) -> f32 {
    if x > limit {
        limit
    } else if x < -limit {
        -limit
    } else {
        x
    }
}
