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
//!
//! # Several constraints
//!
//! `n_s = -sum_k c_k n_k` with `c_k = (w_k / sum w) / |n_k|`: each cost's safe direction has length one, so that a cost in
//! large units does not drown the others, and its part is its margin's weight. A vanished gradient has no part. The
//! weights of the blend are then those of the tightest constraint ([`MarginWeights::tightest`]). Of one constraint `n_s` is
//! `-n_1`, whatever its length: the blend divides by it.
//!
//! # A bound of the weight
//!
//! The blend climbs `J_r - lambda J_c` with the price `lambda = w / (1 - w) |n_r| / |n_s|` of a unit of cost, in units of the
//! reward's gradient. Where a bound `lambda_max` is given ([`PriceBound`](crate::PriceBound)), `w` is at most what that price
//! makes it: `w / (1 - w) <= lambda_max |n_s| / |n_r|`. Of several constraints the price of each is bounded.

mod gpu;

use burn::tensor::Tensor;
use compute::first_of;

use crate::decision::Flag;
use crate::margin::MarginWeights;
use crate::products::Products;
use crate::projection::{Projection, ProjectionKind, VANISHED, project};

/// Relative size at which a projected direction fades out.
const FADE: f32 = 1e-6;

/// Odds of safety beyond which its weight is one.
const LARGEST_ODDS: f32 = 1e30;

/// Coefficients of the direction, and what they were made of. All tensors `[1]`.
#[derive(Debug, Clone)]
pub struct Blend {
    /// Coefficient of `n_r`.
    pub alpha: Tensor<1>,
    /// Coefficient of `n_s`.
    pub beta: Tensor<1>,
    /// `alpha^2 q + beta^2 s + 2 alpha beta kappa`: squared norm of the direction in the damped metric.
    pub norm_squared: Tensor<1>,
    /// Whether there is a direction at all.
    pub usable: Flag,
    /// The weight of safety, after its bound.
    pub safety: Tensor<1>,
    /// Products of `n_r` and `-n_s`, `[2, 2]`.
    pair: Products,
    /// `c` `[C]` of several constraints.
    parts: Option<Tensor<1>>,
}

/// What [`combine`] finds.
struct Found {
    alpha: Tensor<1>,
    beta: Tensor<1>,
    norm_squared: Tensor<1>,
    usable: Flag,
    safety: Tensor<1>,
}

/// The host's part in a blend.
#[derive(Debug, Clone, Copy)]
struct Weights {
    /// Whether there is a projection.
    projects: bool,
    /// Its strength p.
    strength: f64,
    /// Weight w of safety.
    safety: f64,
}

/// Projects and blends.
///
/// `metric` are the products of the natural gradients at hand, of S objectives. `projection` are those the projection is
/// computed from: the same ones for [`ProjectionKind::Fisher`], Euclidean ones for [`ProjectionKind::Euclidean`]; the other
/// kinds ignore them. `weights` are those of the C = S - 1 constraints' margins. `bounds` `[C]` are the highest prices of
/// the costs, if they are bounded.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use safe_rl::{Margin, MarginConfig, Products, ProjectionKind, blend};
///
/// # fn main() -> Result<(), safe_rl::SafeRlError> {
/// let natural = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 2.0]], &Device::flex());
/// let products = Products::euclidean(&natural);
/// let weights = Margin::new(25.0, MarginConfig { margin_start: 0.0, ..Default::default() })?.weights(0.0);
/// // At the limit, without a conflict: half of either unit vector, the cost's downwards.
/// let direction = blend(ProjectionKind::Fisher, &products, &products, &[weights], None).direction(&natural);
/// let direction = compute::read("direction", direction)?;
/// assert!((direction[0] - 0.5).abs() < 1e-6 && (direction[1] + 0.5).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// If there is no constraint, or a number of weights that does not fit the products.
pub fn blend(
    kind: ProjectionKind,
    metric: &Products,
    projection: &Products,
    weights: &[MarginWeights],
    bounds: Option<&Tensor<1>>,
) -> Blend {
    let [objectives, _] = metric.gram.dims();
    assert_eq!(objectives, 1 + weights.len(), "the reward and a weight per constraint");
    let tightest = MarginWeights::tightest(weights);
    let (strength, safety) = match kind {
        // Beyond the limit (as the integral term sees it) safety alone, else reward alone.
        ProjectionKind::Hard => (0.0, if tightest.margin < tightest.offset { 1.0 } else { 0.0 }),
        _ => (tightest.projection_strength, tightest.safety_weight),
    };
    let projects = matches!(kind, ProjectionKind::Fisher | ProjectionKind::Euclidean);
    let host = Weights { projects, strength, safety };
    let parts = (weights.len() > 1).then(|| parts(metric, weights));
    let reduced = |products: &Products| parts.as_ref().map_or_else(|| products.clone(), |c| products.combined(c));
    let (pair, projection) = (reduced(metric), reduced(projection));
    let bound = bounds.map(|bounds| parts.as_ref().map_or_else(|| bounds.clone(), |c| tightest_bound(bounds, c)));
    let bound = bound.as_ref();
    let Found { alpha, beta, norm_squared, usable, safety } =
        first_of!(gpu::blend(&pair, &projection, &host, bound), reference(&pair, &projection, &host, bound));
    Blend { alpha, beta, norm_squared, usable, safety, pair, parts }
}

/// The bound `[1]` of the price of `sum_k c_k n_k` that holds the price of every cost within its own.
fn tightest_bound(bounds: &Tensor<1>, c: &Tensor<1>) -> Tensor<1> {
    let absent = c.clone().greater_scalar(0.0).bool_not();
    let each = bounds.clone() / c.clone().mask_fill(absent.clone(), 1.0);
    each.mask_fill(absent, LARGEST_ODDS).min()
}

/// `c_k = (w_k / sum w) / |n_k|` `[C]`, zero where a gradient has vanished.
fn parts(metric: &Products, weights: &[MarginWeights]) -> Tensor<1> {
    let fractions: Vec<f32> = MarginWeights::fractions(weights).into_iter().map(|x| x as f32).collect();
    let fractions = Tensor::<1>::from_floats(fractions.as_slice(), &metric.gram.device());
    let squared = Tensor::cat((1..=weights.len()).map(|k| metric.entry(k, k)).collect(), 0);
    let vanished = squared.clone().greater_scalar(VANISHED).bool_not();
    (fractions / squared.mask_fill(vanished.clone(), 1.0).sqrt()).mask_fill(vanished, 0.0)
}

fn reference(pair: &Products, projection: &Products, weights: &Weights, bound: Option<&Tensor<1>>) -> Found {
    let products = pair.pair();
    let projection =
        if weights.projects { project(projection, weights.strength) } else { Projection::none(&products[0]) };
    let safety = bounded(weights.safety as f32, &products, bound);
    combine(&products, &projection, safety)
}

/// The weight `[1]` that the price of cost allows.
fn bounded(safety: f32, [q, s, _]: &[Tensor<1>; 3], bound: Option<&Tensor<1>>) -> Tensor<1> {
    let safety = q.full_like(safety);
    let Some(bound) = bound else { return safety };
    let odds = (bound.clone() * (s.clone() / q.clone()).sqrt()).clamp_max(LARGEST_ODDS);
    let most = odds.clone() / (odds + 1.0);
    // Where a gradient has vanished or is no number nothing is bounded: the blend's own rules say what happens then.
    let unknown = most.clone().is_finite().bool_not();
    safety.min_pair(most.mask_fill(unknown, 1.0))
}

fn combine([q, s, kappa]: &[Tensor<1>; 3], Projection { a, b }: &Projection, w: Tensor<1>) -> Found {
    let finite = q.clone().is_finite().bool_and(s.clone().is_finite()).bool_and(kappa.clone().is_finite());
    let no_reward = q.clone().greater_scalar(VANISHED).bool_not();
    let no_cost = s.clone().greater_scalar(VANISHED).bool_not();
    let usable = finite.bool_and(no_reward.clone().bool_and(no_cost.clone()).bool_not());

    // 1 / |x + f y| for |x|^2 = own, |y|^2 = other, faded out near zero.
    let inverse_norm = |own: &Tensor<1>, other: &Tensor<1>, factor: &Tensor<1>| {
        let squared = own.clone() + factor.clone() * kappa.clone() * 2.0 + factor.clone().square() * other.clone();
        (squared.clamp_min(0.0) + own.clone() * FADE).sqrt().recip()
    };
    let reward = inverse_norm(q, s, a) * (-w.clone() + 1.0);
    let safety = inverse_norm(s, q, b) * w.clone();
    let alpha = reward.clone() + safety.clone() * b.clone();
    let beta = reward * a.clone() + safety;

    let alpha = alpha.mask_where(no_cost.clone(), q.clone().sqrt().recip()).mask_fill(no_reward.clone(), 0.0);
    let beta = beta.mask_where(no_reward, s.clone().sqrt().recip() * w.clone()).mask_fill(no_cost, 0.0);
    let unusable = usable.clone().bool_not();
    let alpha = alpha.mask_fill(unusable.clone(), 0.0);
    let beta = beta.mask_fill(unusable.clone(), 0.0);
    let norm_squared = alpha.clone().square() * q.clone()
        + beta.clone().square() * s.clone()
        + alpha.clone() * beta.clone() * kappa.clone() * 2.0;
    let norm_squared = norm_squared.mask_fill(unusable, 0.0).clamp_min(0.0);
    Found { alpha, beta, norm_squared, usable: usable.into(), safety: w }
}

impl Blend {
    /// `alpha n_r + beta n_s`, `[P]`, from natural gradients `[S, P]`. Zero where unusable, selected by mask since zero times
    /// NaN is NaN.
    pub fn direction(&self, natural: &Tensor<2>) -> Tensor<1> {
        let natural = match &self.parts {
            None => natural.clone(),
            Some(c) => {
                let [objectives, parameters] = natural.dims();
                let costs = natural.clone().narrow(0, 1, objectives - 1);
                let cost = c.clone().unsqueeze_dim::<2>(0).matmul(costs).reshape([1, parameters]);
                Tensor::cat(vec![natural.clone().narrow(0, 0, 1), cost], 0)
            }
        };
        first_of!(gpu::direction(&natural, &self.alpha, &self.beta, &self.usable), self.direction_by_tensors(&natural))
    }

    fn direction_by_tensors(&self, natural: &Tensor<2>) -> Tensor<1> {
        let [_, parameters] = natural.dims();
        let row = |i: usize| natural.clone().narrow(0, i, 1).reshape([parameters]);
        let direction = row(0) * self.alpha.clone() - row(1) * self.beta.clone();
        direction.mask_fill(self.usable.mask().bool_not().expand([parameters]), 0.0)
    }

    /// `[alpha, beta, q, s, kappa, norm_squared, w]`, `[7]`, for one read-back per iteration.
    pub fn summary(&self) -> Tensor<1> {
        let [q, s, kappa] = self.pair.pair();
        Tensor::cat(
            vec![self.alpha.clone(), self.beta.clone(), q, s, kappa, self.norm_squared.clone(), self.safety.clone()],
            0,
        )
    }
}
