//! The few numbers that steer a step, on a GPU: a launch where tensor operations take dozens on one number each.

#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use crate::Products;
use compute::gpu::finite::finite;
use compute::gpu::sum::{UNITS, fold};
use compute::gpu::{empty_like, into_tensor, is_gpu, primitive};

/// Numbers that a unit asks for at once: one after another, each would wait for the memory.
const AHEAD: usize = 4;
/// Units a cube where every unit has a number of its own.
const CUBE: u32 = 64;
/// `q = l_0 r_0`, `s = l_1 r_1`, `kappa = -(l_0 r_1 + l_1 r_0) / 2` of the rows of `[2, P]`.
#[cube(launch)]
fn products_kernel(left: &[f32], right: &[f32], q: &mut [f32], s: &mut [f32], kappa: &mut [f32], length: usize) {
    let mut shared = Shared::<[f32]>::new_slice(3 * UNITS);
    let lane = UNIT_POS as usize;
    let mut of_q = 0.0f32;
    let mut of_s = 0.0f32;
    let mut of_kappa = 0.0f32;
    for round in 0..(length + AHEAD * UNITS - 1) / (AHEAD * UNITS) {
        #[unroll]
        for k in 0..AHEAD {
            let at = (round * AHEAD + k) * UNITS + lane;
            if at < length {
                of_q += left[at] * right[at];
                of_s += left[length + at] * right[length + at];
                of_kappa += left[at] * right[length + at] + left[length + at] * right[at];
            }
        }
    }
    shared[lane] = of_q;
    shared[UNITS + lane] = of_s;
    shared[2 * UNITS + lane] = of_kappa;
    fold(&mut shared, 0usize, lane);
    fold(&mut shared, UNITS, lane);
    fold(&mut shared, 2 * UNITS, lane);
    if lane == 0 {
        q[0] = shared[0];
        s[0] = shared[UNITS];
        kappa[0] = -0.5f32 * shared[2 * UNITS];
    }
}

/// [`Products`] of the rows of two tensors `[2, P]`, or `None` on a device without kernels.
pub(crate) fn products(left: &Tensor<2>, right: &Tensor<2>) -> Option<Products> {
    if !is_gpu(&left.device()) {
        return None;
    }
    let length = left.dims()[1];
    let (left, right) = (primitive(left)?, primitive(right)?);
    let [q, s, kappa] = [(); 3].map(|()| empty_like(&left, [1]));
    products_kernel::launch(
        &left.client.clone(),
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        left.into_buffer_arg(),
        right.into_buffer_arg(),
        q.clone().into_buffer_arg(),
        s.clone().into_buffer_arg(),
        kappa.clone().into_buffer_arg(),
        length,
    );
    Some(Products { q: into_tensor(q), s: into_tensor(s), kappa: into_tensor(kappa) })
}

/// `alpha n_r - beta n_s`, or zero where unusable.
#[cube(launch)]
fn direction_kernel(
    natural: &[f32],
    alpha: &[f32],
    beta: &[f32],
    usable: &[f32],
    direction: &mut [f32],
    length: usize,
) {
    if ABSOLUTE_POS < length {
        let mut d = 0.0f32;
        if usable[0] > 0.5 {
            d = natural[ABSOLUTE_POS] * alpha[0] - natural[length + ABSOLUTE_POS] * beta[0];
        }
        direction[ABSOLUTE_POS] = d;
    }
}

/// The blended direction `[P]` of natural gradients `[2, P]`, or `None` on a device without kernels; `usable` `[1]` is 0 or 1.
pub(crate) fn direction(
    natural: &Tensor<2>,
    alpha: &Tensor<1>,
    beta: &Tensor<1>,
    usable: Tensor<1>,
) -> Option<Tensor<1>> {
    if !is_gpu(&natural.device()) {
        return None;
    }
    let length = natural.dims()[1];
    let natural = primitive(natural)?;
    let out = empty_like(&natural, [length]);
    let (client, dim) = (natural.client.clone(), CubeDim::new_1d(CUBE));
    direction_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, length, dim),
        dim,
        natural.into_buffer_arg(),
        primitive(alpha)?.into_buffer_arg(),
        primitive(beta)?.into_buffer_arg(),
        primitive(&usable)?.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        length,
    );
    Some(into_tensor(out))
}

/// What [`blend_kernel`] is told beside the products.
pub(crate) struct BlendWeights {
    /// Whether there is a projection.
    pub projects: bool,
    /// Its strength p, and 1 - p.
    pub strength: f32,
    pub rest: f32,
    /// Weight w of safety.
    pub safety: f32,
    /// Below it a squared norm has vanished.
    pub vanished: f32,
    /// Share of a squared norm that is added before it is inverted.
    pub fade: f32,
}

/// What [`blend_kernel`] finds, `[1]` each, flags as 0 and 1.
pub(crate) struct Blended {
    pub alpha: Tensor<1>,
    pub beta: Tensor<1>,
    pub norm_squared: Tensor<1>,
    pub usable: Tensor<1>,
}

/// A coefficient of the projection: `-factor c / norm`, zero where the norm has vanished.
#[cube]
fn quotient(conflict: f32, norm: f32, factor: f32, vanished: f32) -> f32 {
    let mut ratio = 0.0f32;
    if finite(norm) && norm > vanished {
        ratio = conflict * (-factor) / norm;
        if !finite(ratio) {
            ratio = 0.0f32;
        }
    }
    ratio
}

/// `1 / |x + f y|` for `|x|^2` = own, `|y|^2` = other, faded out near zero.
#[cube]
fn inverse_norm(own: f32, other: f32, kappa: f32, f: f32, fade: f32) -> f32 {
    let squared = own + f * kappa * 2.0f32 + f * f * other;
    1.0f32 / (squared.max(0.0f32) + own * fade).sqrt()
}

/// `project` and `combine` of `projection.rs` and `blend.rs`, by one unit.
#[cube(launch)]
fn blend_kernel(
    q: &[f32],
    s: &[f32],
    kappa: &[f32],
    q_projected: &[f32],
    s_projected: &[f32],
    kappa_projected: &[f32],
    alpha: &mut [f32],
    beta: &mut [f32],
    norm_squared: &mut [f32],
    usable: &mut [f32],
    strength: f32,
    rest: f32,
    safety: f32,
    vanished: f32,
    fade: f32,
) {
    if ABSOLUTE_POS == 0 {
        let (q, s, kappa) = (q[0], s[0], kappa[0]);
        let conflict = kappa_projected[0].min(0.0f32);
        let mut a = 0.0f32;
        let mut b = 0.0f32;
        if finite(kappa_projected[0]) {
            a = quotient(conflict, s_projected[0], strength, vanished);
            b = quotient(conflict, q_projected[0], rest, vanished);
        }
        let has_reward = finite(q) && q > vanished;
        let has_cost = finite(s) && s > vanished;
        let sound = finite(q) && finite(s) && finite(kappa);
        let mut of_alpha = 0.0f32;
        let mut of_beta = 0.0f32;
        let mut flag = 0.0f32;
        if sound && (has_reward || has_cost) {
            flag = 1.0f32;
            if has_reward && has_cost {
                let reward = inverse_norm(q, s, kappa, a, fade) * (1.0f32 - safety);
                let cost = inverse_norm(s, q, kappa, b, fade) * safety;
                of_alpha = reward + cost * b;
                of_beta = reward * a + cost;
            }
            if has_reward && !has_cost {
                of_alpha = 1.0f32 / q.sqrt();
            }
            if has_cost && !has_reward {
                of_beta = safety / s.sqrt();
            }
        }
        alpha[0] = of_alpha;
        beta[0] = of_beta;
        usable[0] = flag;
        let mut squared = 0.0f32;
        if flag > 0.5 {
            squared = of_alpha * of_alpha * q + of_beta * of_beta * s + of_alpha * of_beta * kappa * 2.0f32;
        }
        norm_squared[0] = squared.max(0.0f32);
    }
}

/// Projects and blends, or `None` on a device without kernels.
pub(crate) fn blend(metric: &Products, projection: &Products, weights: &BlendWeights) -> Option<Blended> {
    if !is_gpu(&metric.q.device()) {
        return None;
    }
    let part = |x: &Tensor<1>| primitive(x);
    let q = part(&metric.q)?;
    let client = q.client.clone();
    let [alpha, beta, norm_squared, usable] = [(); 4].map(|()| empty_like(&q, [1]));
    let (strength, rest) = if weights.projects { (weights.strength, weights.rest) } else { (0.0, 0.0) };
    blend_kernel::launch(
        &client,
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(1),
        q.into_buffer_arg(),
        part(&metric.s)?.into_buffer_arg(),
        part(&metric.kappa)?.into_buffer_arg(),
        part(&projection.q)?.into_buffer_arg(),
        part(&projection.s)?.into_buffer_arg(),
        part(&projection.kappa)?.into_buffer_arg(),
        alpha.clone().into_buffer_arg(),
        beta.clone().into_buffer_arg(),
        norm_squared.clone().into_buffer_arg(),
        usable.clone().into_buffer_arg(),
        strength,
        rest,
        weights.safety,
        weights.vanished,
        weights.fade,
    );
    let [alpha, beta, norm_squared, usable] = [alpha, beta, norm_squared, usable].map(into_tensor);
    Some(Blended { alpha, beta, norm_squared, usable })
}
