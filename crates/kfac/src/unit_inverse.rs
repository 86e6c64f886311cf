//! All damped inverses in one launch on a GPU: a cube a matrix, Gauss and Jordan's elimination in place.
//!
//! Symmetric positive definite matrices need no pivots. As tensor operations (Newton and Schulz) the same takes some two
//! hundred launches. Large matrices stay with those: one cube would be too few units for them.

#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{Cube, CubeBackend};
use cubecl::prelude::*;

use crate::FactorLayout;
use crate::inverse::{RAISE, RESIDUAL_BOUND};
use crate::uploaded::Uploaded;

/// Largest order of a matrix inverted here.
pub(crate) const LARGEST: usize = 132;
/// Units of a cube.
const LANES: usize = 256;
/// Attempts: the given damping, then [`RAISE`] times that.
const ATTEMPTS: usize = 2;

/// What the launch leaves.
pub(crate) struct Inverses {
    /// `[F]`
    pub flat: Tensor<1>,
    /// `[2 L]`
    pub residuals: Tensor<1>,
    /// `[2 L]`, 1 where the damping was raised.
    pub raised: Tensor<1>,
    /// `[2 L]`, 1 where the inverse is a multiple of the identity.
    pub fallbacks: Tensor<1>,
}

/// Inverts matrix `CUBE_POS` of `flat`. `places` has the beginning and the order of every matrix.
#[cube(launch)]
fn inverse_kernel(
    flat: &[f32],
    places: &[f32],
    work: &mut [f32],
    out: &mut [f32],
    residuals: &mut [f32],
    raised: &mut [f32],
    fallbacks: &mut [f32],
    damping_root: f32,
    raise_root: f32,
    bound: f32,
) {
    let mut row = Shared::<[f32]>::new_slice(LARGEST);
    let mut column = Shared::<[f32]>::new_slice(LARGEST);
    let mut sums = Shared::<[f32]>::new_slice(LANES);
    let lane = UNIT_POS as usize;
    let cube = CUBE_POS;
    let first = places[2 * cube] as usize;
    let n = places[2 * cube + 1] as usize;
    // The other factor of the layer: the damping is shared between them by their mean traces.
    let partner = cube + 1 - 2 * (cube % 2);
    let first_partner = places[2 * partner] as usize;
    let n_partner = places[2 * partner + 1] as usize;
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
    let mut share = damping_root;
    let ratio = (own / other).sqrt();
    // False for NaN; an infinite ratio fails the last comparison.
    if own > 0.0f32 && other > 0.0f32 && ratio > 0.0f32 && ratio < 3e38f32 {
        share = damping_root * ratio;
    }
    let mean = own + share;
    let entries = n * n;
    let rounds = (entries + LANES - 1) / LANES;
    let mut good = false;
    let mut residual = 0.0f32;
    let mut tries = 0u32;
    for attempt in 0..ATTEMPTS {
        if !good {
            tries += 1;
            let mut damped = share;
            if attempt == 1 {
                damped = share * raise_root;
            }
            for round in 0..rounds {
                let at = round * LANES + lane;
                if at < entries {
                    let mut x = flat[first + at];
                    if at / n == at % n {
                        x += damped;
                    }
                    work[first + at] = x;
                }
            }
            sync_storage();
            sync_cube();
            for k in 0..n {
                for i in 0..(n + LANES - 1) / LANES {
                    let at = i * LANES + lane;
                    if at < n {
                        row[at] = work[first + k * n + at];
                        column[at] = work[first + at * n + k];
                    }
                }
                sync_storage();
                sync_cube();
                let pivot = 1.0f32 / row[k];
                for round in 0..rounds {
                    let at = round * LANES + lane;
                    if at < entries {
                        let i = at / n;
                        let j = at % n;
                        let mut x = work[first + at] - column[i] * row[j] * pivot;
                        if i == k {
                            x = row[j] * pivot;
                        }
                        if j == k {
                            x = -column[i] * pivot;
                        }
                        if i == k && j == k {
                            x = pivot;
                        }
                        work[first + at] = x;
                    }
                }
                sync_storage();
                sync_cube();
            }
            // Symmetric but for rounding.
            for round in 0..rounds {
                let at = round * LANES + lane;
                if at < entries {
                    out[first + at] = (work[first + at] + work[first + at % n * n + at / n]) * 0.5f32;
                }
            }
            sync_storage();
            sync_cube();
            let mut sum = 0.0f32;
            for round in 0..rounds {
                let at = round * LANES + lane;
                if at < entries {
                    let i = at / n;
                    let j = at % n;
                    let mut error = damped * out[first + at];
                    if i == j {
                        error -= 1.0f32;
                    }
                    for k in 0..n {
                        error += flat[first + i * n + k] * out[first + k * n + j];
                    }
                    sum += error * error;
                }
            }
            sums[lane] = sum;
            sync_cube();
            let mut total = 0.0f32;
            for unit in 0..LANES {
                total += sums[unit];
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
            let at = round * LANES + lane;
            if at < entries {
                out[first + at] = if at / n == at % n { scale } else { 0.0f32 };
            }
        }
    }
    if lane == 0 {
        residuals[cube] = residual;
        raised[cube] = if tries > 1 { 1.0f32 } else { 0.0f32 };
        fallbacks[cube] = if good { 0.0f32 } else { 1.0f32 };
    }
}

/// The beginning and the order of every matrix.
pub(crate) fn places_of(layout: &FactorLayout) -> Vec<f32> {
    (0..layout.count()).flat_map(|i| [layout.range(i).start as f32, layout.order(i) as f32]).collect()
}

/// Damped inverses of the factors `flat` `[F]`, or `None` where tensor operations serve better: not on a GPU, or a large
/// matrix.
pub(crate) fn inverse(layout: &FactorLayout, places: &Uploaded, flat: &Tensor<1>, damping: f32) -> Option<Inverses> {
    let device = flat.device();
    let count = layout.count();
    if !matches!(device.as_dispatch(), DispatchDevice::Cube(_)) || (0..count).any(|i| layout.order(i) > LARGEST) {
        return None;
    }
    let primitive = |x: &Tensor<1>| x.clone().try_into_primitive::<Cube>().ok().map(into_contiguous);
    let (flat, places) = (primitive(flat)?, primitive(&places.get(&device, || places_of(layout)))?);
    let client = flat.client.clone();
    let empty = |length: usize| -> CubeTensor {
        empty_device_contiguous_dtype(client.clone(), flat.device.clone(), Shape::from([length]), DType::F32)
    };
    let (work, out) = (empty(layout.len()), empty(layout.len()));
    let [residuals, raised, fallbacks] = [(); 3].map(|()| empty(count));
    inverse_kernel::launch(
        &client,
        CubeCount::Static(count as u32, 1, 1),
        CubeDim::new_1d(LANES as u32),
        flat.clone().into_buffer_arg(),
        places.into_buffer_arg(),
        work.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        residuals.clone().into_buffer_arg(),
        raised.clone().into_buffer_arg(),
        fallbacks.clone().into_buffer_arg(),
        damping.sqrt(),
        RAISE.sqrt(),
        RESIDUAL_BOUND,
    );
    let [flat, residuals, raised, fallbacks] =
        [out, residuals, raised, fallbacks].map(Tensor::from_primitive::<CubeBackend>);
    Some(Inverses { flat, residuals, raised, fallbacks })
}
