//! The multiplier that takes Adam steps, as OmniSafe computes it (omnisafe/common/lagrange.py).
//!
//! One ascent step on `lambda (J_C - d)` per iteration, clamped at zero.

use compute::State;

use super::Multiplier;
use crate::error::{SafeRlError, ensure};

/// Constants of the multiplier; the defaults are OmniSafe's.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct AdamMultiplierConfig {
    /// First value of the multiplier.
    pub initial: f64,
    /// Adam's step size.
    pub learning_rate: f64,
}

impl Default for AdamMultiplierConfig {
    fn default() -> Self {
        Self { initial: 0.001, learning_rate: 0.035 }
    }
}

impl AdamMultiplierConfig {
    /// Checks every constant's domain.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] for a first value that is negative or not finite, or a rate that is not positive.
    pub fn validate(&self) -> Result<(), SafeRlError> {
        let legal = (0.0..f64::INFINITY).contains(&self.initial);
        ensure(legal, "initial", self.initial, "must be finite and not negative")?;
        ensure(self.learning_rate > 0.0, "learning_rate", self.learning_rate, "must be positive")
    }
}

/// Adam's constants in PyTorch.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// A multiplier and the state of its optimiser.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamMultiplier {
    cost_limit: f64,
    config: AdamMultiplierConfig,
    /// Largest value.
    upper_bound: f64,
    value: f64,
    first: f64,
    second: f64,
    steps: u64,
}

impl AdamMultiplier {
    /// A multiplier of the constraint `J_C <= cost_limit`, at its initial value.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] for a limit that is negative or not finite, or a constant out of its domain.
    pub fn new(cost_limit: f64, config: AdamMultiplierConfig) -> Result<Self, SafeRlError> {
        super::check_limit(cost_limit)?;
        config.validate()?;
        let (upper_bound, value) = (f64::INFINITY, config.initial);
        Ok(Self { cost_limit, config, upper_bound, value, first: 0.0, second: 0.0, steps: 0 })
    }

    /// The same, and never above `upper_bound`.
    #[must_use]
    pub fn bounded(self, upper_bound: f64) -> Self {
        Self { upper_bound, ..self }
    }
}

impl Multiplier for AdamMultiplier {
    fn update(&mut self, cost: Option<f64>) -> f64 {
        let Some(cost) = cost.filter(|cost| cost.is_finite()) else {
            return self.value;
        };
        let gradient = self.cost_limit - cost;
        self.steps += 1;
        self.first = BETA1 * self.first + (1.0 - BETA1) * gradient;
        self.second = BETA2 * self.second + (1.0 - BETA2) * gradient * gradient;
        let steps = self.steps.min(i32::MAX as u64) as i32;
        let first = self.first / (1.0 - BETA1.powi(steps));
        let second = self.second / (1.0 - BETA2.powi(steps));
        let next = self.value - self.config.learning_rate * first / (second.sqrt() + EPSILON);
        self.value = next.max(0.0).min(self.upper_bound);
        self.value
    }

    fn value(&self) -> f64 {
        self.value
    }

    fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        state.put_f64("multiplier", self.value)?;
        state.put_f64("first", self.first)?;
        state.put_f64("second", self.second)?;
        state.put("steps", self.steps)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        let (value, first) = (state.get_f64("multiplier")?, state.get_f64("first")?);
        let (second, steps) = (state.get_f64("second")?, state.get("steps")?);
        (self.value, self.first, self.second, self.steps) = (value, first, second, steps);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multiplier() -> AdamMultiplier {
        AdamMultiplier::new(25.0, AdamMultiplierConfig::default()).unwrap()
    }

    #[test]
    fn the_first_step_moves_by_the_rate_and_the_multiplier_never_turns_negative() {
        let mut multiplier = multiplier();
        assert!((multiplier.update(Some(60.0)) - 0.036).abs() < 1e-9);
        assert!((multiplier.update(Some(60.0)) - 0.071).abs() < 1e-9, "a constant gradient keeps the step");
        for _ in 0..100 {
            multiplier.update(Some(0.0));
        }
        assert_eq!(multiplier.value(), 0.0);
        assert_eq!(multiplier.update(None), 0.0);
    }

    /// Values of torch.optim.Adam(lr=0.035) worked out for gradients -10, 5.
    #[test]
    fn two_steps_agree_with_adam_worked_by_hand() {
        let mut multiplier = multiplier();
        multiplier.update(Some(35.0));
        let got = multiplier.update(Some(20.0));
        let first = (0.9 * (0.1 * -10.0) + 0.1 * 5.0) / (1.0 - 0.81);
        let second: f64 = (0.999 * (0.001 * 100.0) + 0.001 * 25.0) / (1.0 - 0.999 * 0.999);
        let expected = 0.036 - 0.035 * first / second.sqrt();
        assert!((got - expected).abs() < 1e-8, "{got} {expected}");
    }

    #[test]
    fn an_upper_bound_holds_and_the_state_returns() {
        let mut saved = multiplier().bounded(0.1);
        for _ in 0..10 {
            saved.update(Some(100.0));
        }
        assert_eq!(saved.value(), 0.1);
        let mut restored = multiplier().bounded(0.1);
        restored.load_state(&saved.state().unwrap()).unwrap();
        assert_eq!(restored, saved);
    }

    #[test]
    fn constants_out_of_their_domain_are_errors() {
        let config = AdamMultiplierConfig::default();
        for (limit, config) in [
            (-1.0, config),
            (25.0, AdamMultiplierConfig { initial: f64::NAN, ..config }),
            (25.0, AdamMultiplierConfig { learning_rate: 0.0, ..config }),
        ] {
            assert!(matches!(AdamMultiplier::new(limit, config), Err(SafeRlError::InvalidConfig { .. })));
        }
    }
}
