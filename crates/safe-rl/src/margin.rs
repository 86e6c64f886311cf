//! The distance to the cost limit, and how much of the step it gives to safety.
//!
//! | symbol | meaning |
//! |---|---|
//! | `d`, `J_C` | cost limit, episodic cost |
//! | `m = (d - J_C) / max(d, 1)` | margin, negative beyond the limit |
//! | `m0` | learned offset (integral term), in `[-1, 1]` |
//! | `w = sigmoid((m0 - m) / tau)` | safety weight |
//! | `p = S((m_h + m0 - m) / m_h)` | projection strength, `S(x) = x^2 (3 - 2 x)` on `[0, 1]` |
//!
//! Several constraints have a margin each; [`MarginWeights::tightest`] and [`MarginWeights::fractions`] put them together.
//!
//! That the weight depends smoothly on the margin is an idea of the KFCPO paper; these formulas, their constants and the
//! integral term are this project's choice.
//!
//! # Integral term
//!
//! With a fixed offset a run settles where the pull of reward balances the weight, a few units above the limit. So
//! `m0 <- m0 - rate * m` every iteration: a proportional-integral controller with the sigmoid as its actuator. Two rules
//! keep the integral from winding up:
//!
//! - **Conditional integration.** While the actuator is saturated (`|m0 - m| > 4 tau`, weight beyond 0.98 or below 0.02)
//!   and the increment would push it further in, the offset holds. At the start of a run (cost far above the limit, `w = 1`
//!   anyway) or with a policy that never meets a hazard, integrating would only store a debt that is paid back later as
//!   an overshoot of several iterations.
//! - **Clamp** to `[-1, 1]`, the backstop.

use compute::State;

use crate::error::{SafeRlError, ensure};

/// Constants of the margin.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct MarginConfig {
    /// Width `tau` of the sigmoid that turns the margin into the safety weight.
    pub margin_temperature: f64,
    /// Margin `m_h` at which the projection stops protecting the constraint.
    pub margin_horizon: f64,
    /// Gain of the integral term that moves the margin's set-point; zero switches it off.
    pub margin_integral: f64,
    /// Initial set-point of the margin, in `[-1, 1]`; below zero the constraint tightens gradually at the start of a run.
    pub margin_start: f64,
}

impl Default for MarginConfig {
    fn default() -> Self {
        Self { margin_temperature: 0.1, margin_horizon: 0.25, margin_integral: 0.02, margin_start: -1.0 }
    }
}

/// Bound of the offset.
const INTEGRAL_LIMIT: f64 = 1.0;

impl MarginConfig {
    /// Checks every constant's domain.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`].
    pub fn validate(&self) -> Result<(), SafeRlError> {
        let positive = "must be finite and positive";
        for (name, value) in [("margin_temperature", self.margin_temperature), ("margin_horizon", self.margin_horizon)]
        {
            ensure(value.is_finite() && value > 0.0, name, value, positive)?;
        }
        let (gain, start) = (self.margin_integral, self.margin_start);
        ensure(gain.is_finite() && gain >= 0.0, "margin_integral", gain, "must be finite and not negative")?;
        ensure(start.abs() <= INTEGRAL_LIMIT, "margin_start", start, "must lie in [-1, 1]")
    }
}

/// The margin and what follows from it, for one iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MarginWeights {
    /// `m`.
    pub margin: f64,
    /// `m0`.
    pub offset: f64,
    /// Safety weight `w` in `[0, 1]`.
    pub safety_weight: f64,
    /// Projection strength `p` in `[0, 1]`.
    pub projection_strength: f64,
}

impl MarginWeights {
    /// The weights of several constraints as one: the margin nearest to its set-point (or furthest beyond it), and the
    /// largest safety weight and projection strength. Of one constraint they are its own.
    ///
    /// # Panics
    /// If there is no constraint.
    #[must_use]
    pub fn tightest(of: &[Self]) -> Self {
        assert!(!of.is_empty(), "weights of at least one constraint");
        let nearer = |a: Self, b: Self| Self {
            safety_weight: a.safety_weight.max(b.safety_weight),
            projection_strength: a.projection_strength.max(b.projection_strength),
            ..if b.margin - b.offset < a.margin - a.offset { b } else { a }
        };
        of.iter().copied().reduce(nearer).unwrap_or(of[0])
    }

    /// The same with a safety weight that gives way to the bound of its price: `w^(1 - noise)`, one where the cost is nothing but noise.
    #[must_use]
    pub fn yielding(self, noise: f64) -> Self {
        Self { safety_weight: self.safety_weight.powf(1.0 - noise), ..self }
    }

    /// Each constraint's part in the safe direction, `w_k / sum w`; equal parts where no weight is above zero.
    pub fn fractions(of: &[Self]) -> Vec<f64> {
        let total: f64 = of.iter().map(|weights| weights.safety_weight).sum();
        let fraction = |weights: &Self| match total > 0.0 {
            true => weights.safety_weight / total,
            false => 1.0 / of.len() as f64,
        };
        of.iter().map(fraction).collect()
    }
}

/// Saturation of the weight, in units of tau, beyond which the integral holds: weight 0.982.
const SATURATION: f64 = 4.0;

/// Turns episodic costs into weights, and learns the offset. One constraint has one margin.
///
/// ```
/// use safe_rl::{Margin, MarginConfig};
///
/// # fn main() -> Result<(), safe_rl::SafeRlError> {
/// let margin = Margin::new(25.0, MarginConfig { margin_start: 0.0, ..Default::default() })?;
/// // At the limit reward and safety share the step.
/// assert_eq!(margin.weights(margin.margin(Some(25.0))).safety_weight, 0.5);
/// assert!(margin.weights(margin.margin(Some(50.0))).safety_weight > 0.99);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Margin {
    cost_limit: f64,
    config: MarginConfig,
    offset: f64,
}

impl Margin {
    /// A margin to `cost_limit` per episode (zero is legal) at its initial offset.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] if a constant is out of its domain.
    pub fn new(cost_limit: f64, config: MarginConfig) -> Result<Self, SafeRlError> {
        let legal = cost_limit.is_finite() && cost_limit >= 0.0;
        ensure(legal, "cost_limit", cost_limit, "must be finite and not negative")?;
        config.validate()?;
        Ok(Self { cost_limit, offset: config.margin_start, config })
    }

    /// The learned offset `m0`.
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// `m` for an episodic cost; zero while the cost is unknown.
    pub fn margin(&self, episodic_cost: Option<f64>) -> f64 {
        let limit = self.cost_limit;
        episodic_cost.filter(|cost| cost.is_finite()).map_or(0.0, |cost| (limit - cost) / limit.max(1.0))
    }

    /// One iteration: integrates the margin and returns the weights.
    pub fn update(&mut self, episodic_cost: Option<f64>) -> MarginWeights {
        let margin = self.margin(episodic_cost);
        let increment = -self.config.margin_integral * margin;
        let drive = (self.offset - margin) / self.config.margin_temperature;
        let winds_up = drive.abs() > SATURATION && drive * increment > 0.0;
        if !winds_up {
            self.offset = (self.offset + increment).clamp(-INTEGRAL_LIMIT, INTEGRAL_LIMIT);
        }
        self.weights(margin)
    }

    /// The weights at a margin, with the present offset.
    pub fn weights(&self, margin: f64) -> MarginWeights {
        let distance = margin - self.offset;
        let horizon = self.config.margin_horizon;
        MarginWeights {
            margin,
            offset: self.offset,
            safety_weight: 1.0 / (1.0 + (distance / self.config.margin_temperature).exp()),
            projection_strength: smoothstep((horizon - distance) / horizon),
        }
    }

    /// Everything needed to continue.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry cannot be stored.
    pub fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        state.put_f64("offset", self.offset)?;
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry is missing.
    pub fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        self.offset = state.get_f64("offset")?;
        Ok(())
    }
}

/// `S(x) = x^2 (3 - 2 x)` on `[0, 1]`, constant outside: flat at both ends, so the projection starts without a kink.
fn smoothstep(x: f64) -> f64 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_zero() -> MarginConfig {
        MarginConfig { margin_start: 0.0, ..Default::default() }
    }

    fn margin(cost_limit: f64) -> Margin {
        Margin::new(cost_limit, from_zero()).unwrap()
    }

    #[test]
    fn weights_agree_with_numbers_worked_by_hand() {
        let margin = margin(25.0);
        let at_limit = margin.weights(margin.margin(Some(25.0)));
        assert_eq!((at_limit.margin, at_limit.safety_weight, at_limit.projection_strength), (0.0, 0.5, 1.0));
        let safe = margin.weights(margin.margin(Some(12.5)));
        assert!((safe.safety_weight - 1.0 / (1.0 + 5.0f64.exp())).abs() < 1e-12 && safe.projection_strength == 0.0);
        let half = margin.weights(0.125);
        assert!((half.projection_strength - 0.5).abs() < 1e-12);
        assert_eq!(margin.weights(margin.margin(None)).margin, 0.0);
        assert_eq!(margin.weights(margin.margin(Some(f64::NAN))).margin, 0.0);
    }

    #[test]
    fn a_weight_gives_way_by_as_much_as_noise_rules() {
        let weights = margin(25.0).weights(0.0);
        assert_eq!(weights.yielding(0.0), weights);
        assert_eq!(weights.yielding(1.0), MarginWeights { safety_weight: 1.0, ..weights });
        assert!((weights.yielding(0.5).safety_weight - 0.5f64.sqrt()).abs() < 1e-12);
        let none = MarginWeights { safety_weight: 0.0, ..weights };
        assert_eq!((none.yielding(0.9).safety_weight, none.yielding(1.0).safety_weight), (0.0, 1.0));
    }

    #[test]
    fn a_limit_of_zero_is_legal() {
        let mut margin = margin(0.0);
        let weights = margin.update(Some(3.0));
        assert_eq!(weights.margin, -3.0);
        assert!(weights.safety_weight > 0.999_999 && weights.projection_strength == 1.0);
        assert_eq!(margin.update(Some(0.0)).margin, 0.0);
    }

    #[test]
    fn weights_are_continuous_and_monotone_in_the_margin() {
        let margin = margin(25.0);
        let mut last = margin.weights(-2.0);
        for i in 1..=40_000 {
            let next = margin.weights(-2.0 + f64::from(i) * 1e-4);
            assert!(next.safety_weight <= last.safety_weight && next.projection_strength <= last.projection_strength);
            assert!(last.safety_weight - next.safety_weight < 3e-4);
            assert!(last.projection_strength - next.projection_strength < 7e-4);
            last = next;
        }
        assert!(last.safety_weight < 1e-8);
    }

    #[test]
    fn the_offset_integrates_near_the_limit_and_shifts_both_weights() {
        let mut margin = margin(25.0);
        for _ in 0..10 {
            margin.update(Some(27.5));
        }
        assert!((margin.offset() - 0.02).abs() < 1e-12, "ten times 0.02 * 0.1");
        let weights = margin.weights(0.02);
        assert_eq!((weights.safety_weight, weights.projection_strength), (0.5, 1.0));
        let mut restored = self::margin(25.0);
        restored.load_state(&margin.state().unwrap()).unwrap();
        assert_eq!(restored.offset(), margin.offset());
    }

    #[test]
    fn a_saturated_weight_does_not_wind_the_offset_up() {
        let mut margin = margin(25.0);
        for _ in 0..1000 {
            margin.update(Some(60.0));
        }
        assert_eq!(margin.offset(), 0.0, "cost far above the limit");
        for _ in 0..1000 {
            margin.update(Some(0.0));
        }
        assert_eq!(margin.offset(), 0.0, "cost far below the limit");
        // Near the limit it integrates, stops at the edge of saturation, and comes back at once.
        for _ in 0..1000 {
            margin.update(Some(27.5));
        }
        assert!(margin.offset() > 0.29 && margin.offset() < 0.31, "{}", margin.offset());
        let before = margin.offset();
        margin.update(Some(20.0));
        assert!(margin.offset() < before);
    }

    #[test]
    fn the_offset_stays_within_its_clamp() {
        let config = MarginConfig { margin_temperature: 10.0, margin_integral: 0.5, ..from_zero() };
        let mut margin = Margin::new(25.0, config).unwrap();
        for _ in 0..100 {
            margin.update(Some(50.0));
        }
        assert_eq!(margin.offset(), 1.0);
    }

    #[test]
    fn constants_out_of_their_domain_are_errors() {
        for (limit, config) in [
            (-1.0, from_zero()),
            (25.0, MarginConfig { margin_temperature: 0.0, ..from_zero() }),
            (25.0, MarginConfig { margin_horizon: f64::NAN, ..from_zero() }),
            (25.0, MarginConfig { margin_start: -1.5, ..from_zero() }),
        ] {
            assert!(matches!(Margin::new(limit, config), Err(SafeRlError::InvalidConfig { .. })));
        }
    }

    #[test]
    fn several_constraints_are_as_tight_as_the_tightest() {
        let margin = margin(25.0);
        let [safe, near, beyond] = [5.0, 24.0, 30.0].map(|cost| margin.weights(margin.margin(Some(cost))));
        assert_eq!(MarginWeights::tightest(&[near]), near);
        let all = MarginWeights::tightest(&[safe, beyond, near]);
        assert_eq!(all, beyond);
        assert_eq!(MarginWeights::tightest(&[safe, near]).margin, near.margin);
        assert_eq!(MarginWeights::fractions(&[near]), [1.0]);
        let weight = |safety_weight| MarginWeights { safety_weight, ..near };
        assert_eq!(MarginWeights::fractions(&[weight(0.125), weight(0.375)]), [0.25, 0.75]);
        assert_eq!(MarginWeights::fractions(&[weight(0.0), weight(0.0)]), [0.5, 0.5]);
    }
}
