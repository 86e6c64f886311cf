//! All damped inverses in one launch on a GPU: a cube per matrix, Gauss-Jordan elimination in place.
//!
//! Symmetric positive definite matrices need no pivoting. As tensor operations (the Newton-Schulz iteration) the same takes
//! some two hundred launches. Large matrices stay with those: one cube would be too few units for them.
#![cfg(feature = "gpu")]
#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use compute::gpu::{empty_like, into_tensor, primitive};
use cubecl::prelude::*;

use super::Inverses;
use crate::damping::{RAISE, RESIDUAL_BOUND};
use crate::factor::layout::FactorLayout;

/// Largest order of a matrix inverted here.
pub(crate) const LARGEST: usize = 132;
/// Units of a cube.
const UNITS: usize = 256;
/// Attempts: the given damping, then [`RAISE`] times that.
const ATTEMPTS: usize = 2;

/// Inverts matrix `CUBE_POS` of `flat`. `table` has the beginning and the order of every matrix.
#[cube(launch)]
fn inverse_kernel(
    // in
    damping_root: f32,
    raise_root: f32,
    bound: f32,
    flat: &[f32],
    table: &[f32],
    // out
    work_out: &mut [f32],
    inverse_out: &mut [f32],
    residuals_out: &mut [f32],
    raised_out: &mut [f32],
    fallbacks_out: &mut [f32],
) {
    let mut row = Shared::<[f32]>::new_slice(LARGEST);
    let mut column = Shared::<[f32]>::new_slice(LARGEST);
    let mut sums = Shared::<[f32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    let cube = CUBE_POS;
    let first = table[2 * cube] as usize;
    let n = table[2 * cube + 1] as usize;
    // The other factor of the layer: the damping is divided between them by their mean traces.
    let partner = cube + 1 - 2 * (cube % 2);
    let first_partner = table[2 * partner] as usize;
    let n_partner = table[2 * partner + 1] as usize;
    let mut own = 0.0f32;
    for i in 0..n {
        own += flat[first + i * n + i];
    }
    own = own / (n as f32);
    let mut other = 0.0f32;
    for i in 0..n_partner {
        other += flat[first_partner + i * n_partner + i];
    }
    other = other / (n_partner as f32);
    let mut shift = damping_root;
    let ratio = (own / other).sqrt();
    // False for NaN; an infinite ratio fails the last comparison.
    if own > 0.0f32 && other > 0.0f32 && ratio > 0.0f32 && ratio < 3e38f32 {
        shift = damping_root * ratio;
    }
    let mean = own + shift;
    let entries = n * n;
    let rounds = (entries + UNITS - 1) / UNITS;
    let mut good = false;
    let mut residual = 0.0f32;
    let mut tries = 0u32;
    for attempt in 0..ATTEMPTS {
        if !good {
            tries += 1;
            let mut damped = shift;
            if attempt == 1 {
                damped = shift * raise_root;
            }
            for round in 0..rounds {
                let at = round * UNITS + unit;
                if at < entries {
                    let mut x = flat[first + at];
                    if at / n == at % n {
                        x += damped;
                    }
                    work_out[first + at] = x;
                }
            }
            sync_storage();
            sync_cube();
            for k in 0..n {
                for i in 0..(n + UNITS - 1) / UNITS {
                    let at = i * UNITS + unit;
                    if at < n {
                        row[at] = work_out[first + k * n + at];
                        column[at] = work_out[first + at * n + k];
                    }
                }
                sync_storage();
                sync_cube();
                let pivot = 1.0f32 / row[k];
                for round in 0..rounds {
                    let at = round * UNITS + unit;
                    if at < entries {
                        let i = at / n;
                        let j = at % n;
                        let mut x = work_out[first + at] - column[i] * row[j] * pivot;
                        if i == k {
                            x = row[j] * pivot;
                        }
                        if j == k {
                            x = -column[i] * pivot;
                        }
                        if i == k && j == k {
                            x = pivot;
                        }
                        work_out[first + at] = x;
                    }
                }
                sync_storage();
                sync_cube();
            }
            // Symmetric but for rounding.
            for round in 0..rounds {
                let at = round * UNITS + unit;
                if at < entries {
                    inverse_out[first + at] = (work_out[first + at] + work_out[first + at % n * n + at / n]) * 0.5f32;
                }
            }
            sync_storage();
            sync_cube();
            let mut sum = 0.0f32;
            for round in 0..rounds {
                let at = round * UNITS + unit;
                if at < entries {
                    let i = at / n;
                    let j = at % n;
                    let mut error = damped * inverse_out[first + at];
                    if i == j {
                        error -= 1.0f32;
                    }
                    for k in 0..n {
                        error += flat[first + i * n + k] * inverse_out[first + k * n + j];
                    }
                    sum += error * error;
                }
            }
            sums[unit] = sum;
            sync_cube();
            let mut total = 0.0f32;
            for other in 0..UNITS {
                total += sums[other];
            }
            residual = (total / (n as f32)).sqrt();
            // Every unit found the same, so that all go the same way; false for NaN.
            good = residual <= bound;
            sync_cube();
        }
    }
    if !good {
        let mut scale = 1.0f32;
        if mean > 0.0f32 && mean < 3e38f32 {
            scale = 1.0f32 / mean;
        }
        for round in 0..rounds {
            let at = round * UNITS + unit;
            if at < entries {
                inverse_out[first + at] = if at / n == at % n { scale } else { 0.0f32 };
            }
        }
    }
    if unit == 0 {
        residuals_out[cube] = residual;
        raised_out[cube] = if tries > 1 { 1.0f32 } else { 0.0f32 };
        fallbacks_out[cube] = if good { 0.0f32 } else { 1.0f32 };
    }
}

/// Damped inverses of the factors `flat` `[F]`, or `None` where tensor operations serve better: not on a GPU, or a large
/// matrix.
pub(super) fn inverse(layout: &FactorLayout, flat: &Tensor<1>, damping: f32) -> Option<Inverses> {
    let count = layout.count();
    if (0..count).any(|i| layout.order(i) > LARGEST) {
        return None;
    }
    let device = flat.device();
    let flat = primitive(flat)?;
    let table = primitive(&layout.table(&device))?;
    let (work, inverse) = (empty_like(&flat, [layout.len()]), empty_like(&flat, [layout.len()]));
    let [residuals, raised, fallbacks] = [(); 3].map(|()| empty_like(&flat, [count]));
    inverse_kernel::launch(
        &flat.client.clone(),
        CubeCount::Static(count as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        damping.sqrt(),
        RAISE.sqrt(),
        RESIDUAL_BOUND,
        flat.into_buffer_arg(),
        table.into_buffer_arg(),
        work.into_buffer_arg(),
        inverse.clone().into_buffer_arg(),
        residuals.clone().into_buffer_arg(),
        raised.clone().into_buffer_arg(),
        fallbacks.clone().into_buffer_arg(),
    );
    let [flat, residuals, raised, fallbacks] = [inverse, residuals, raised, fallbacks].map(into_tensor);
    Some(Inverses { flat, residuals, raised, fallbacks })
}
