//! The step's direction: a margin-weighted sum of the two projected, normalised natural gradients.
//!
//! `direction = (1 - w) n_r' / |n_r'| + w n_s' / |n_s'| = alpha n_r + beta n_s`, with norms in the metric of the damped
//! Fisher matrix (symbols: [`projection`](crate::project), [`margin`](crate::Margin)). Two details are this project's
//! choice:
//!
//! - A projected direction fades out instead of being dropped when little of it is left: it is divided by
//!   `sqrt(|n'|^2 + 1e-6 |n|^2)`. A hard threshold would make the direction jump as the margin moves, and one of
//!   `1e-10 |n|^2` lies below the rounding of `|n'|^2` in float32, where a difference of nearly equal numbers is left.
//! - A vanished cost gradient (`s < 1e-12`, for instance a rollout without any cost) leaves pure reward; a vanished
//!   reward gradient leaves `w n_s / |n_s|`; with both gone, or anything not finite, the direction is unusable.

use burn::tensor::{Bool, Tensor};

use crate::{Flag, MarginWeights, Products, Projection, ProjectionKind, project, projection::VANISHED};

/// Relative size at which a projected direction fades out.
const FADE: f32 = 1e-6;

/// Coefficients of the direction, and what they were made of. All tensors `[1]`.
#[derive(Debug, Clone)]
pub struct Blend {
    /// Coefficient of `n_r`.
    pub alpha: Tensor<1>,
    /// Coefficient of `n_s = -n_c`.
    pub beta: Tensor<1>,
    /// `alpha^2 q + beta^2 s + 2 alpha beta kappa`: squared norm of the direction in the damped metric.
    pub norm_squared: Tensor<1>,
    /// Whether there is a direction at all.
    pub usable: Flag,
    /// The inner products the blend was made from.
    pub products: Products,
}

/// Projects and blends.
///
/// `metric` are the products of the natural gradients at hand. `projection` are those the projection is computed from:
/// the same ones for [`ProjectionKind::Metric`] (or a running average of them), Euclidean ones for
/// [`ProjectionKind::Euclidean`]; the other kinds ignore them.
pub fn blend(kind: ProjectionKind, metric: &Products, projection: &Products, weights: &MarginWeights) -> Blend {
    let (p, w) = match kind {
        // Beyond the limit (as the integral term sees it) safety alone, else reward alone.
        ProjectionKind::Hard => (0.0, if weights.margin < weights.offset { 1.0 } else { 0.0 }),
        _ => (weights.projection_strength, weights.safety_weight),
    };
    #[cfg(feature = "gpu")]
    if let Some(blend) = launched(kind, metric, projection, p, w) {
        return blend;
    }
    let projection = match kind {
        ProjectionKind::Metric | ProjectionKind::Euclidean => project(projection, p),
        ProjectionKind::None | ProjectionKind::Hard => Projection::none(metric),
    };
    combine(metric, &projection, w as f32)
}

#[cfg(feature = "gpu")]
fn launched(kind: ProjectionKind, metric: &Products, projection: &Products, p: f64, w: f64) -> Option<Blend> {
    let weights = crate::unit_decide::BlendWeights {
        projects: matches!(kind, ProjectionKind::Metric | ProjectionKind::Euclidean),
        strength: p as f32,
        rest: (1.0 - p) as f32,
        safety: w as f32,
        vanished: VANISHED,
        fade: FADE,
    };
    let blended = crate::unit_decide::blend(metric, projection, &weights)?;
    Some(Blend {
        norm_squared: blended.norm_squared,
        usable: Flag::of_number(blended.usable),
        alpha: blended.alpha,
        beta: blended.beta,
        products: metric.clone(),
    })
}

fn combine(products: &Products, projection: &Projection, w: f32) -> Blend {
    let Products { q, s, kappa } = products;
    let Projection { a, b } = projection;
    let finite = q.clone().is_finite().bool_and(s.clone().is_finite()).bool_and(kappa.clone().is_finite());
    let no_reward = q.clone().greater_scalar(VANISHED).bool_not();
    let no_cost = s.clone().greater_scalar(VANISHED).bool_not();
    let usable = finite.bool_and(no_reward.clone().bool_and(no_cost.clone()).bool_not());

    // 1 / |x + f y| for |x|^2 = own, |y|^2 = other, faded out near zero.
    let inverse_norm = |own: &Tensor<1>, other: &Tensor<1>, factor: &Tensor<1>| {
        let squared = own.clone() + factor.clone() * kappa.clone() * 2.0 + factor.clone().square() * other.clone();
        (squared.clamp_min(0.0) + own.clone() * FADE).sqrt().recip()
    };
    let reward = inverse_norm(q, s, a) * (1.0 - w);
    let safety = inverse_norm(s, q, b) * w;
    let alpha = reward.clone() + safety.clone() * b.clone();
    let beta = reward * a.clone() + safety;

    let alpha = alpha.mask_where(no_cost.clone(), q.clone().sqrt().recip()).mask_fill(no_reward.clone(), 0.0);
    let beta = beta.mask_where(no_reward, s.clone().sqrt().recip() * w).mask_fill(no_cost, 0.0);
    let unusable = usable.clone().bool_not();
    let alpha = alpha.mask_fill(unusable.clone(), 0.0);
    let beta = beta.mask_fill(unusable.clone(), 0.0);
    let norm_squared = alpha.clone().square() * q.clone()
        + beta.clone().square() * s.clone()
        + alpha.clone() * beta.clone() * kappa.clone() * 2.0;
    Blend {
        norm_squared: norm_squared.mask_fill(unusable, 0.0).clamp_min(0.0),
        usable: usable.into(),
        alpha,
        beta,
        products: products.clone(),
    }
}

impl Blend {
    /// Whether the objectives conflict (`kappa < 0`), `[1]`.
    pub fn conflict(&self) -> Tensor<1, Bool> {
        self.products.kappa.clone().lower_scalar(0.0)
    }

    /// `alpha n_r + beta n_s`, `[P]`, from natural gradients `[2, P]` (reward, cost). Zero where unusable, selected by mask
    /// since zero times NaN is NaN.
    pub fn direction(&self, natural: &Tensor<2>) -> Tensor<1> {
        let [_, parameters] = natural.dims();
        #[cfg(feature = "gpu")]
        if let Some(direction) = crate::unit_decide::direction(natural, &self.alpha, &self.beta, self.usable.float()) {
            return direction;
        }
        let row = |i: usize| natural.clone().narrow(0, i, 1).reshape([parameters]);
        let direction = row(0) * self.alpha.clone() - row(1) * self.beta.clone();
        direction.mask_fill(self.usable.mask().bool_not().expand([parameters]), 0.0)
    }

    /// `[alpha, beta, q, s, kappa, norm_squared]`, `[6]`, for one read-back per epoch.
    pub fn summary(&self) -> Tensor<1> {
        let Products { q, s, kappa } = self.products.clone();
        Tensor::cat(vec![self.alpha.clone(), self.beta.clone(), q, s, kappa, self.norm_squared.clone()], 0)
    }
}
