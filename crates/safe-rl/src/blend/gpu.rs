//! The few numbers that steer a step, on a GPU: a launch where tensor operations take dozens on one number each.
#![cfg(feature = "gpu")]
#![allow(clippy::manual_div_ceil, clippy::manual_memcpy, clippy::collapsible_if, clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use compute::gpu::finite::finite;
use compute::gpu::{empty_like, grid, into_tensor, is_gpu, primitive};
use cubecl::prelude::*;

use super::{FADE, Found, LARGEST_ODDS, Weights};
use crate::decision::Flag;
use crate::products::Products;
use crate::projection::VANISHED;

/// Units of a cube where every unit has a number of its own.
const CUBE: u32 = 64;

/// In the place of the highest price, where there is none. No price that is high enough would do: without a cost's gradient the
/// odds are zero at any price.
const UNBOUNDED: f32 = -1.0;

/// `alpha n_r - beta n_c`, or zero where unusable.
#[cube(launch)]
fn direction_kernel(
    // sizes
    length: usize,
    // in
    natural: &[f32],
    alpha: &[f32],
    beta: &[f32],
    usable: &[f32],
    // out
    direction_out: &mut [f32],
) {
    if ABSOLUTE_POS < length {
        let mut d = 0.0f32;
        if usable[0] > 0.5 {
            d = natural[ABSOLUTE_POS] * alpha[0] - natural[length + ABSOLUTE_POS] * beta[0];
        }
        direction_out[ABSOLUTE_POS] = d;
    }
}

/// The blended direction `[P]` of natural gradients `[2, P]`, or `None` on a device without kernels.
pub(super) fn direction(natural: &Tensor<2>, alpha: &Tensor<1>, beta: &Tensor<1>, usable: &Flag) -> Option<Tensor<1>> {
    if !is_gpu(&natural.device()) {
        return None;
    }
    let length = natural.dims()[1];
    let natural = primitive(natural)?;
    let direction = empty_like(&natural, [length]);
    let (count, dim) = grid(&natural, length, CUBE);
    direction_kernel::launch(
        &natural.client.clone(),
        count,
        dim,
        length,
        natural.into_buffer_arg(),
        primitive(alpha)?.into_buffer_arg(),
        primitive(beta)?.into_buffer_arg(),
        primitive(&usable.number())?.into_buffer_arg(),
        direction.clone().into_buffer_arg(),
    );
    Some(into_tensor(direction))
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

/// `project` and `combine` of `projection.rs` and `blend.rs`, by one unit. `gram` and `projection_gram` are the products
/// `[2, 2]` of `n_r` and `-n_s`.
#[cube(launch)]
fn blend_kernel(
    // in
    gram: &[f32],
    projection_gram: &[f32],
    bound: &[f32],
    strength: f32,
    rest: f32,
    safety: f32,
    vanished: f32,
    fade: f32,
    largest_odds: f32,
    // out
    alpha_out: &mut [f32],
    beta_out: &mut [f32],
    norm_squared_out: &mut [f32],
    usable_out: &mut [f32],
    safety_out: &mut [f32],
) {
    if ABSOLUTE_POS == 0 {
        let (q, s, kappa) = (gram[0], gram[3], -gram[1]);
        let mut weight = safety;
        if bound[0] >= 0.0f32 {
            let odds = (bound[0] * (s / q).sqrt()).min(largest_odds);
            let most = odds / (odds + 1.0f32);
            if finite(most) && most < weight {
                weight = most;
            }
        }
        let kappa_projected = -projection_gram[1];
        let conflict = kappa_projected.min(0.0f32);
        let mut a = 0.0f32;
        let mut b = 0.0f32;
        if finite(kappa_projected) {
            a = quotient(conflict, projection_gram[3], strength, vanished);
            b = quotient(conflict, projection_gram[0], rest, vanished);
        }
        let has_reward = finite(q) && q > vanished;
        let has_cost = finite(s) && s > vanished;
        let all_finite = finite(q) && finite(s) && finite(kappa);
        let mut of_alpha = 0.0f32;
        let mut of_beta = 0.0f32;
        let mut flag = 0.0f32;
        if all_finite && (has_reward || has_cost) {
            flag = 1.0f32;
            if has_reward && has_cost {
                let reward = inverse_norm(q, s, kappa, a, fade) * (1.0f32 - weight);
                let cost = inverse_norm(s, q, kappa, b, fade) * weight;
                of_alpha = reward + cost * b;
                of_beta = reward * a + cost;
            }
            if has_reward && !has_cost {
                of_alpha = 1.0f32 / q.sqrt();
            }
            if has_cost && !has_reward {
                of_beta = weight / s.sqrt();
            }
        }
        alpha_out[0] = of_alpha;
        beta_out[0] = of_beta;
        usable_out[0] = flag;
        let mut squared = 0.0f32;
        if flag > 0.5 {
            squared = of_alpha * of_alpha * q + of_beta * of_beta * s + of_alpha * of_beta * kappa * 2.0f32;
        }
        norm_squared_out[0] = squared.max(0.0f32);
        safety_out[0] = weight;
    }
}

/// [`super::blend`] of the products `[2, 2]`, or `None` on a device without kernels.
pub(super) fn blend(
    pair: &Products,
    projection: &Products,
    weights: &Weights,
    bound: Option<&Tensor<1>>,
) -> Option<Found> {
    if !is_gpu(&pair.gram.device()) {
        return None;
    }
    let unbounded = || Tensor::full([1], UNBOUNDED, &pair.gram.device());
    let bound = primitive(&bound.cloned().unwrap_or_else(unbounded))?;
    let (gram, projection) = (primitive(&pair.gram)?, primitive(&projection.gram)?);
    let [alpha, beta, norm_squared, usable, safety] = [(); 5].map(|()| empty_like(&gram, [1]));
    let (strength, rest) =
        if weights.projects { (weights.strength as f32, (1.0 - weights.strength) as f32) } else { (0.0, 0.0) };
    blend_kernel::launch(
        &gram.client.clone(),
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(1),
        gram.into_buffer_arg(),
        projection.into_buffer_arg(),
        bound.into_buffer_arg(),
        strength,
        rest,
        weights.safety as f32,
        VANISHED,
        FADE,
        LARGEST_ODDS,
        alpha.clone().into_buffer_arg(),
        beta.clone().into_buffer_arg(),
        norm_squared.clone().into_buffer_arg(),
        usable.clone().into_buffer_arg(),
        safety.clone().into_buffer_arg(),
    );
    let [alpha, beta, norm_squared, usable, safety] = [alpha, beta, norm_squared, usable, safety].map(into_tensor);
    Some(Found { alpha, beta, norm_squared, usable: Flag::of_number(usable), safety })
}
