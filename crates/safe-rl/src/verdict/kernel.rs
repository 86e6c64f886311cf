//! Looking through tensors and choosing between them, a launch for several of them on a GPU.

#![allow(clippy::manual_div_ceil, clippy::collapsible_if)] // the Rust of kernels

use burn::tensor::Tensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use crate::Flag;
use compute::gpu::finite::finite;
use compute::gpu::sum::{UNITS, fold};
use compute::gpu::{empty_like, into_tensor, is_gpu, primitive};

/// Numbers that a unit asks for at once: one after another, each would wait for the memory.
const AHEAD: usize = 8;
/// Units a cube where every unit has a number of its own.
const CUBE: u32 = 64;

/// How many of `x[lane]`, `x[lane + UNITS]`, .. are not finite.
#[cube]
fn lane_bad(x: &[f32], length: usize, lane: usize) -> f32 {
    let mut bad = 0.0f32;
    for round in 0..(length + AHEAD * UNITS - 1) / (AHEAD * UNITS) {
        #[unroll]
        for k in 0..AHEAD {
            let at = (round * AHEAD + k) * UNITS + lane;
            if at < length {
                if !finite(x[at]) {
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
    first: &[f32],
    second: &[f32],
    third: &[f32],
    flag: &mut [f32],
    of_first: usize,
    of_second: usize,
    of_third: usize,
) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let lane = UNIT_POS as usize;
    let one = lane_bad(first, of_first, lane);
    let two = lane_bad(second, of_second, lane);
    let three = lane_bad(third, of_third, lane);
    shared[lane] = one + two + three;
    fold(&mut shared, 0usize, lane);
    if lane == 0 {
        flag[0] = if shared[0] < 0.5f32 { 1.0f32 } else { 0.0f32 };
    }
}

/// [`super::all_finite_in`], or `None` on a device without kernels.
pub(super) fn all_finite<const N: usize>(tensors: [Tensor<1>; N]) -> Option<Flag> {
    if !is_gpu(&tensors[0].device()) {
        return None;
    }
    let mut parts = Vec::with_capacity(3);
    for x in &tensors {
        parts.push((primitive(x)?, x.dims()[0]));
    }
    let flag = empty_like(&parts[0].0, [1]);
    // A place without a tensor has no numbers of its own.
    let [first, second, third] = [0, 1, 2].map(|i| parts.get(i).cloned().unwrap_or_else(|| (parts[0].0.clone(), 0)));
    finite_kernel::launch(
        &flag.client.clone(),
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        first.0.into_buffer_arg(),
        second.0.into_buffer_arg(),
        third.0.into_buffer_arg(),
        flag.clone().into_buffer_arg(),
        first.1,
        second.1,
        third.1,
    );
    Some(Flag::of_number(into_tensor(flag)))
}

/// Of every pair the first where `accept` is 1, else the second: never a product, which a NaN would survive.
#[cube(launch)]
fn select_kernel(
    accept: &[f32],
    candidate_a: &[f32],
    current_a: &[f32],
    chosen_a: &mut [f32],
    candidate_b: &[f32],
    current_b: &[f32],
    chosen_b: &mut [f32],
    candidate_c: &[f32],
    current_c: &[f32],
    chosen_c: &mut [f32],
    of_a: usize,
    of_b: usize,
    of_c: usize,
) {
    let taken = accept[0] > 0.5f32;
    if ABSOLUTE_POS < of_a {
        chosen_a[ABSOLUTE_POS] = if taken { candidate_a[ABSOLUTE_POS] } else { current_a[ABSOLUTE_POS] };
    }
    if ABSOLUTE_POS >= of_a && ABSOLUTE_POS < of_a + of_b {
        let at = ABSOLUTE_POS - of_a;
        chosen_b[at] = if taken { candidate_b[at] } else { current_b[at] };
    }
    if ABSOLUTE_POS >= of_a + of_b && ABSOLUTE_POS < of_a + of_b + of_c {
        let at = ABSOLUTE_POS - of_a - of_b;
        chosen_c[at] = if taken { candidate_c[at] } else { current_c[at] };
    }
}

/// [`super::Verdict::select_three`], or `None` on a device without kernels.
pub(super) fn select_three(accept: &Flag, pairs: &[(Tensor<1>, Tensor<1>); 3]) -> Option<[Tensor<1>; 3]> {
    let accept = accept.float();
    if !is_gpu(&accept.device()) {
        return None;
    }
    let mut parts = Vec::with_capacity(3);
    for (candidate, current) in pairs {
        assert_eq!(candidate.dims(), current.dims(), "a candidate has the shape of what it replaces");
        parts.push((primitive(candidate)?, primitive(current)?, current.dims()[0]));
    }
    let accept = primitive(&accept)?;
    let chosen = [0, 1, 2].map(|i| empty_like(&accept, [parts[i].2]));
    let lengths = [parts[0].2, parts[1].2, parts[2].2];
    let (client, dim) = (accept.client.clone(), CubeDim::new_1d(CUBE));
    let mut parts = parts.into_iter().map(|(candidate, current, _)| (candidate, current));
    let mut next = || parts.next().expect("three pairs");
    let (a, b, c) = (next(), next(), next());
    select_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, lengths.iter().sum(), dim),
        dim,
        accept.into_buffer_arg(),
        a.0.into_buffer_arg(),
        a.1.into_buffer_arg(),
        chosen[0].clone().into_buffer_arg(),
        b.0.into_buffer_arg(),
        b.1.into_buffer_arg(),
        chosen[1].clone().into_buffer_arg(),
        c.0.into_buffer_arg(),
        c.1.into_buffer_arg(),
        chosen[2].clone().into_buffer_arg(),
        lengths[0],
        lengths[1],
        lengths[2],
    );
    Some(chosen.map(into_tensor))
}
