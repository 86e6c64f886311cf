//! CPO: the trust-region step that also keeps a linear model of the cost within its limit.
//!
//! With `g` the reward's gradient, `b` the cost's, `c` the violation and `F` the Fisher matrix, the step is the solution of
//! `max g^T x  s.t.  c + b^T x <= 0, x^T F x / 2 <= delta`, known in closed form by two dual variables. Achiam and others,
//! "Constrained Policy Optimization" (arXiv 1705.10528), section 6 and appendix 10.2, which minimises a loss: its `r` is
//! `-g^T F^-1 b` here. The cases and the line search are OmniSafe's (`cpo.py`). Under several constraints the dual problem is
//! solved by descent (`dual.rs`), and the line search holds every one of them.
//!
//! OmniSafe's c is the violation of a whole episode, while `b` is the slope of the cost per step. Its trust region then lies as
//! a rule on one side of the limit: the step lowers the cost alone where an episode costs more than the limit, and heeds the reward
//! alone where it costs less. `cpo.variant = paper` measures both per step.

mod dual;

use anyhow::{Result, ensure};
use burn::tensor::Tensor;
use kfac::InitialWeights;
use safe_rl::Samples;
use serde::{Deserialize, Serialize};

use self::dual::{Dual, Step};
use super::second_order::{NaturalDirection, Trial, TrpoConfig, TrustRegion, Variant, take};
use super::{Algorithm, AlgorithmInfo, Context, CostEstimate, Setup, Update};
use crate::config::{Constraint, Section, SectionInfo};
use crate::error::UsageError;
use crate::policy::Policy;
use crate::policy::exported::scalar;

/// CPO's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "cpo",
    summary: "CPO: the trust-region step under a linear model of the cost, closed form and line search",
    sections: &[SectionInfo::of::<TrpoConfig>(), SectionInfo::of::<CpoConfig>()],
    protocol: None,
    weights: InitialWeights::Orthogonal,
    build: |setup| Ok(Box::new(Cpo::new(setup)?)),
};

/// What CPO sets besides the section `trpo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CpoConfig {
    /// Whose violation: `omnisafe` (per episode) or `paper` (per step, as the cost's gradient is).
    pub variant: Variant,
}

impl Default for CpoConfig {
    fn default() -> Self {
        Self { variant: Variant::Omnisafe }
    }
}

impl Section for CpoConfig {
    const NAME: &'static str = "cpo";

    fn validate(&self) -> Result<()> {
        Ok(())
    }
}

/// Keeps divisions finite.
const TINY: f64 = 1e-8;
/// Squared norm of the cost's gradient below which there is nothing to keep from.
const NO_GRADIENT: f64 = 1e-6;

/// CPO.
pub struct Cpo {
    config: TrpoConfig,
    constraints: Vec<Constraint>,
    /// Steps that a violation is measured by.
    per: f64,
}

impl Cpo {
    /// The algorithm for one constraint or several.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(setup: &Setup) -> Result<Self> {
        let none = setup.constraints.is_empty();
        ensure!(!none, UsageError::new("cpo steers by a cost: the environment has no constraint"));
        let CpoConfig { variant } = setup.config.section();
        let per = variant.steps_of_violation(setup.horizon);
        Ok(Self { config: setup.config.section(), constraints: setup.constraints.to_vec(), per })
    }

    /// How to weigh the natural directions of the reward, `x`, and of the costs, `p`, with gradients `[S, P + A]`, violations
    /// `c` and a trust region of `delta` nats: whatever the case, the reward's weight and one per cost.
    fn weights(
        &self,
        gradients: &Tensor<2>,
        x: &NaturalDirection,
        p: &[NaturalDirection],
        c: &[f64],
        delta: f64,
    ) -> Result<(Case, f64, Vec<f64>)> {
        let row = |i: usize| gradients.clone().narrow(0, i, 1).squeeze_dim::<1>(0);
        let product = |i: usize, p: &NaturalDirection| scalar((row(i) * p.direction.clone()).sum());
        if let ([p], [c]) = (p, c) {
            let r = -product(0, p)?;
            let bounded = scalar(row(1).square().sum())? > NO_GRADIENT;
            let weights = Problem { q: x.squared, r, s: p.squared, c: *c, delta, bounded }.solve();
            return Ok((weights.case, weights.reward, vec![weights.cost]));
        }
        let r = p.iter().map(|p| product(0, p)).collect::<Result<_>>()?;
        let products = |i: usize| p.iter().map(|p| product(1 + i, p)).collect::<Result<Vec<f64>>>();
        let mut s = (0..p.len()).map(products).collect::<Result<Vec<_>>>()?;
        for (i, p) in p.iter().enumerate() {
            // Against the damped matrix, as the directions are; conjugate gradients leave the products uneven by rounding.
            s[i][i] = p.squared;
            for j in 0..i {
                let even = 0.5 * (s[i][j] + s[j][i]);
                (s[i][j], s[j][i]) = (even, even);
            }
        }
        let Step { reward, costs, recovers } = Dual { q: x.squared, r, s, c: c.to_vec(), delta }.solve();
        let case = match () {
            () if recovers => Case::Recover,
            () if c.iter().any(|c| *c >= 0.0) => Case::Return,
            () if costs.iter().all(|cost| *cost == 0.0) => Case::Free,
            () => Case::Bounded,
        };
        Ok((case, reward, costs))
    }
}

/// What the step is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// The trust region lies on the unsafe side: lower the cost, whatever the reward.
    Recover,
    /// The old policy is unsafe, and the trust region reaches the safe side.
    Return,
    /// The old policy is safe, and the trust region reaches the unsafe side.
    Bounded,
    /// The trust region is safe.
    Free,
}

/// The numbers of the problem: `q = g F^-1 g`, `r = -g F^-1 b`, `s = b F^-1 b`, the violation `c` and `delta`.
#[derive(Clone, Copy, Debug)]
struct Problem {
    q: f64,
    r: f64,
    s: f64,
    c: f64,
    delta: f64,
    /// Whether the cost has a gradient at all.
    bounded: bool,
}

/// The step as `reward F^-1 g - cost F^-1 b`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Weights {
    case: Case,
    reward: f64,
    cost: f64,
}

impl Problem {
    fn solve(self) -> Weights {
        let Self { q, r, s, c, delta, bounded } = self;
        let free = Weights { case: Case::Free, reward: (2.0 * delta / (q + TINY)).sqrt(), cost: 0.0 };
        if !bounded && c < 0.0 {
            return free;
        }
        let (a, b) = (q - r * r / (s + TINY), 2.0 * delta - c * c / (s + TINY));
        let case = match (c < 0.0, b < 0.0) {
            (true, true) => return free,
            (true, false) => Case::Bounded,
            (false, false) => Case::Return,
            (false, true) => {
                return Weights { case: Case::Recover, reward: 0.0, cost: (2.0 * delta / (s + TINY)).sqrt() };
            }
        };
        // The dual has one maximum where the constraint binds (a) and one where it does not (b).
        let (lambda_a, lambda_b) = ((a.max(0.0) / b.max(TINY)).sqrt(), (q / (2.0 * delta)).sqrt());
        let border = r / if c == 0.0 { TINY } else { c };
        let (lambda_a, lambda_b) = match case {
            Case::Bounded => (lambda_a.min(border).max(0.0), lambda_b.max(border)),
            _ => (lambda_a.max(border), lambda_b.min(border).max(0.0)),
        };
        let value_a = -0.5 * (a / (lambda_a + TINY) + b * lambda_a) - r * c / (s + TINY);
        let value_b = -0.5 * (q / (lambda_b + TINY) + 2.0 * delta * lambda_b);
        // Where the reward leads away from the limit, no multiplier makes the constraint bind.
        let binds = !(case == Case::Bounded && border <= 0.0);
        let lambda = if binds && value_a >= value_b { lambda_a } else { lambda_b };
        let nu = (lambda * c - r).max(0.0) / (s + TINY);
        Weights { case, reward: 1.0 / (lambda + TINY), cost: nu / (lambda + TINY) }
    }
}

impl Algorithm for Cpo {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        let violation =
            |(cost, constraint): (&CostEstimate, &Constraint)| (cost.of_episodes() - constraint.limit) / self.per;
        let c: Vec<f64> = context.costs.iter().zip(&self.constraints).map(violation).collect();
        let region = TrustRegion::new(&self.config, policy, batch, context);
        let (before, gradients) = region.gradients(&batch.advantage)?;
        // The costs are to fall, so that along their gradients they rise: the reward's natural direction is x, the costs' p.
        let natural = |i: usize| region.natural(&gradients.clone().narrow(0, i, 1).squeeze_dim(0));
        let x = natural(0)?;
        let p = (1..=c.len()).map(natural).collect::<Result<Vec<_>>>()?;
        let (case, reward, costs) = self.weights(&gradients, &x, &p, &c, region.radius())?;
        let usable = costs.iter().chain(&c).chain([&reward]).all(|number| number.is_finite());
        let found = usable.then(|| {
            let step = (p.into_iter().zip(&costs))
                .fold(x.direction * reward as f32, |step, (p, weight)| step - p.direction * *weight as f32);
            let rises = matches!(case, Case::Bounded | Case::Free);
            let acceptable = |trial: &Trial| {
                let changes = trial.values[1..].iter().zip(&before[1..]);
                (!rises || trial.values[0] >= before[0])
                    && changes.zip(&c).all(|((value, before), c)| value - before <= (-c).max(0.0))
            };
            region.search(&step, &batch.advantage, acceptable)
        });
        let mut update = take("CPO", policy, found.transpose()?);
        update.push("CPO/Case", f64::from(case as u8));
        update.push("CPO/RewardWeight", reward);
        update.push_each("CPO/CostWeight", &costs);
        update.push_each("CPO/Violation", &c);
        Ok(update)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F = I, so that q, r and s are inner products of g and b.
    fn solved(g: [f64; 2], b: [f64; 2], c: f64, delta: f64) -> ([f64; 2], Case) {
        let dot = |a: [f64; 2], b: [f64; 2]| a[0] * b[0] + a[1] * b[1];
        let weights = Problem { q: dot(g, g), r: -dot(g, b), s: dot(b, b), c, delta, bounded: true }.solve();
        ([0, 1].map(|i| weights.reward * g[i] - weights.cost * b[i]), weights.case)
    }

    fn assert_close(got: [f64; 2], expected: [f64; 2]) {
        assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-5), "{got:?} {expected:?}");
    }

    #[test]
    fn by_the_violation_of_an_episode_the_step_heeds_reward_or_cost_alone() {
        // 5 above and below a limit in episodes of 1,000 steps, gradients as they are in training, F = I.
        let (g, b, delta) = ([0.1, 0.05], [0.1, 0.0], 0.01);
        let case = |variant: Variant, excess: f64| solved(g, b, excess / variant.steps_of_violation(1000), delta).1;
        assert_eq!([5.0, -5.0].map(|excess| case(Variant::Omnisafe, excess)), [Case::Recover, Case::Free]);
        assert_eq!([5.0, -5.0].map(|excess| case(Variant::Paper, excess)), [Case::Return, Case::Bounded]);
    }

    #[test]
    fn the_four_cases_agree_with_geometry() {
        // The trust region is the unit disc; the cost rises to the right and reward upwards to the right.
        let (delta, b) = (0.5, [1.0, 0.0]);
        let diagonal = 0.5f64.sqrt();
        // Far from the limit: all of the disc is safe, the step goes along g.
        let (step, case) = solved([1.0, 1.0], b, -2.0, delta);
        assert_eq!(case, Case::Free);
        assert_close(step, [diagonal, diagonal]);
        // Half of the radius is left: x = 0.5 binds, y = sqrt(3) / 2.
        let (step, case) = solved([1.0, 1.0], b, -0.5, delta);
        assert_eq!(case, Case::Bounded);
        assert_close(step, [0.5, 0.75f64.sqrt()]);
        // The limit binds nowhere along a reward that rises to the left.
        assert_close(solved([-1.0, 0.0], b, -0.5, delta).0, [-1.0, 0.0]);
        // Beyond the limit by half of the radius: back to x = -0.5, the rest upwards.
        let (step, case) = solved([1.0, 1.0], b, 0.5, delta);
        assert_eq!(case, Case::Return);
        assert_close(step, [-0.5, 0.75f64.sqrt()]);
        // Out of reach: straight back.
        let (step, case) = solved([1.0, 1.0], b, 2.0, delta);
        assert_eq!(case, Case::Recover);
        assert_close(step, [-1.0, 0.0]);
    }
}
