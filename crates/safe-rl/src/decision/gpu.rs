//! Looking through tensors and choosing between them, a launch for several of them on a GPU.

#![cfg(feature = "gpu")]
#![allow(clippy::manual_div_ceil, clippy::collapsible_if)] // the Rust of kernels

use burn::tensor::Tensor;
use compute::gpu::finite::finite;
use compute::gpu::sum::{UNITS, fold};
use compute::gpu::{empty_like, grid, into_tensor, is_gpu, primitive};
use cubecl::prelude::*;

use super::Flag;

/// Numbers that a unit asks for at once: one after another, each would wait for the memory.
const AHEAD: usize = 8;
/// Units of a cube where every unit has a number of its own.
const CUBE: u32 = 64;

/// How many of `x[unit]`, `x[unit + UNITS]`, .. are not finite.
#[cube]
fn unit_bad(x: &[f32], length: usize, unit: usize) -> f32 {
    let mut bad = 0.0f32;
    for round in 0..(length + AHEAD * UNITS - 1) / (AHEAD * UNITS) {
        #[unroll]
        for k in 0..AHEAD {
            let i = (round * AHEAD + k) * UNITS + unit;
            if i < length {
                if !finite(x[i]) {
                    bad += 1.0f32;
                }
            }
        }
    }
    bad
}

/// `flag[0] = 1` where every value is finite, else 0.
#[cube(launch)]
fn finite_kernel(
    // sizes
    of_first: usize,
    of_second: usize,
    of_third: usize,
    // in
    first: &[f32],
    second: &[f32],
    third: &[f32],
    // out
    flag_out: &mut [f32],
) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    let one = unit_bad(first, of_first, unit);
    let two = unit_bad(second, of_second, unit);
    let three = unit_bad(third, of_third, unit);
    shared[unit] = one + two + three;
    fold(&mut shared, 0usize, unit);
    if unit == 0 {
        flag_out[0] = if shared[0] < 0.5f32 { 1.0f32 } else { 0.0f32 };
    }
}

/// [`super::all_finite_in`], or `None` on a device without kernels.
pub(super) fn all_finite<const N: usize>(tensors: &[Tensor<1>; N]) -> Option<Flag> {
    if !is_gpu(&tensors[0].device()) {
        return None;
    }
    let mut parts = Vec::with_capacity(3);
    for x in tensors {
        parts.push((primitive(x)?, x.dims()[0]));
    }
    let flag = empty_like(&parts[0].0, [1]);
    // A place without a tensor has no numbers of its own.
    let [first, second, third] = [0, 1, 2].map(|i| parts.get(i).cloned().unwrap_or_else(|| (parts[0].0.clone(), 0)));
    finite_kernel::launch(
        &flag.client.clone(),
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        first.1,
        second.1,
        third.1,
        first.0.into_buffer_arg(),
        second.0.into_buffer_arg(),
        third.0.into_buffer_arg(),
        flag.clone().into_buffer_arg(),
    );
    Some(Flag::of_number(into_tensor(flag)))
}

/// Of every pair the first where `accept` is 1, else the second: never a product, which a NaN would survive.
#[cube(launch)]
fn select_kernel(
    // sizes
    of_a: usize,
    of_b: usize,
    of_c: usize,
    // in
    accept: &[f32],
    candidate_a: &[f32],
    current_a: &[f32],
    candidate_b: &[f32],
    current_b: &[f32],
    candidate_c: &[f32],
    current_c: &[f32],
    // out
    chosen_a_out: &mut [f32],
    chosen_b_out: &mut [f32],
    chosen_c_out: &mut [f32],
) {
    let taken = accept[0] > 0.5f32;
    if ABSOLUTE_POS < of_a {
        chosen_a_out[ABSOLUTE_POS] = if taken { candidate_a[ABSOLUTE_POS] } else { current_a[ABSOLUTE_POS] };
    }
    if ABSOLUTE_POS >= of_a && ABSOLUTE_POS < of_a + of_b {
        let i = ABSOLUTE_POS - of_a;
        chosen_b_out[i] = if taken { candidate_b[i] } else { current_b[i] };
    }
    if ABSOLUTE_POS >= of_a + of_b && ABSOLUTE_POS < of_a + of_b + of_c {
        let i = ABSOLUTE_POS - of_a - of_b;
        chosen_c_out[i] = if taken { candidate_c[i] } else { current_c[i] };
    }
}

/// [`super::Decision::select_all`], or `None` on a device without kernels.
pub(super) fn select_all<const N: usize>(accept: &Flag, pairs: &[(Tensor<1>, Tensor<1>); N]) -> Option<[Tensor<1>; N]> {
    let accept = accept.number();
    if !is_gpu(&accept.device()) {
        return None;
    }
    let mut parts = Vec::with_capacity(3);
    for (candidate, current) in pairs {
        parts.push((primitive(candidate)?, primitive(current)?, current.dims()[0]));
    }
    let accept = primitive(&accept)?;
    // A place without a pair has no numbers of its own.
    parts.resize_with(3, || (accept.clone(), accept.clone(), 0));
    let chosen: [_; 3] = std::array::from_fn(|i| empty_like(&accept, [parts[i].2.max(1)]));
    let [a, b, c]: [_; 3] = parts.try_into().ok()?;
    let (count, dim) = grid(&accept, a.2 + b.2 + c.2, CUBE);
    select_kernel::launch(
        &accept.client.clone(),
        count,
        dim,
        a.2,
        b.2,
        c.2,
        accept.into_buffer_arg(),
        a.0.into_buffer_arg(),
        a.1.into_buffer_arg(),
        b.0.into_buffer_arg(),
        b.1.into_buffer_arg(),
        c.0.into_buffer_arg(),
        c.1.into_buffer_arg(),
        chosen[0].clone().into_buffer_arg(),
        chosen[1].clone().into_buffer_arg(),
        chosen[2].clone().into_buffer_arg(),
    );
    let mut chosen = chosen.into_iter().map(into_tensor);
    Some(std::array::from_fn(|_| chosen.next().expect("at most three pairs")))
}
