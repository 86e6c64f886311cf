//! The Lagrange multiplier of PPOLag and TRPOLag, as OmniSafe computes it (omnisafe/common/lagrange.py).
//!
//! Before each update the multiplier takes one Adam step up `lambda (J_C - d)` and is clamped at zero; the policy then
//! maximises `(A_r - lambda A_c) / (1 + lambda)`. Everything is a host float64: one number per iteration.

use burn::tensor::Tensor;

use crate::SafeRlError;
use compute::State;

/// Constants of the multiplier; the defaults are OmniSafe's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LagrangeConfig {
    /// Cost limit `d`.
    pub cost_limit: f64,
    /// First value of the multiplier.
    pub initial: f64,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Upper bound, if any.
    pub upper_bound: Option<f64>,
}

impl Default for LagrangeConfig {
    fn default() -> Self {
        Self { cost_limit: 25.0, initial: 0.001, learning_rate: 0.035, upper_bound: None }
    }
}

/// Adam's constants in PyTorch.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// A multiplier and the state of its optimiser.
#[derive(Debug, Clone, PartialEq)]
pub struct Lagrange {
    config: LagrangeConfig,
    multiplier: f64,
    first: f64,
    second: f64,
    steps: u64,
}

impl Lagrange {
    /// A multiplier at its initial value.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] for a limit or initial value that is negative or not finite, or a rate that is not
    /// positive.
    pub fn new(config: LagrangeConfig) -> Result<Self, SafeRlError> {
        for (name, value) in [("cost_limit", config.cost_limit), ("lagrangian_multiplier_init", config.initial)] {
            if !(0.0..f64::INFINITY).contains(&value) {
                return Err(SafeRlError::InvalidConfig { name, value, reason: "must be finite and not negative" });
            }
        }
        let value = config.learning_rate;
        if value.is_nan() || value <= 0.0 {
            return Err(SafeRlError::InvalidConfig { name: "lambda_lr", value, reason: "must be positive" });
        }
        Ok(Self { config, multiplier: config.initial, first: 0.0, second: 0.0, steps: 0 })
    }

    /// The multiplier.
    pub fn multiplier(&self) -> f64 {
        self.multiplier
    }

    /// One step for an episodic cost; an unknown or non-finite one changes nothing. Returns the new multiplier.
    pub fn update(&mut self, episodic_cost: Option<f64>) -> f64 {
        let Some(cost) = episodic_cost.filter(|cost| cost.is_finite()) else {
            return self.multiplier;
        };
        let gradient = self.config.cost_limit - cost;
        self.steps += 1;
        self.first = BETA1 * self.first + (1.0 - BETA1) * gradient;
        self.second = BETA2 * self.second + (1.0 - BETA2) * gradient * gradient;
        let steps = self.steps.min(i32::MAX as u64) as i32;
        let first = self.first / (1.0 - BETA1.powi(steps));
        let second = self.second / (1.0 - BETA2.powi(steps));
        let next = self.multiplier - self.config.learning_rate * first / (second.sqrt() + EPSILON);
        self.multiplier = next.clamp(0.0, self.config.upper_bound.unwrap_or(f64::INFINITY));
        self.multiplier
    }

    /// Everything needed to continue bit for bit.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry cannot be stored.
    pub fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        state.put_f64("multiplier", self.multiplier)?;
        state.put_f64("first", self.first)?;
        state.put_f64("second", self.second)?;
        state.put("steps", self.steps)?;
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry is missing.
    pub fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        let (multiplier, first) = (state.get_f64("multiplier")?, state.get_f64("first")?);
        let (second, steps) = (state.get_f64("second")?, state.get("steps")?);
        (self.multiplier, self.first, self.second, self.steps) = (multiplier, first, second, steps);
        Ok(())
    }
}

/// PPOLag's advantage `(A_r - lambda A_c) / (1 + lambda)`; any shape.
pub fn lagrangian_advantage<const D: usize>(reward: Tensor<D>, cost: Tensor<D>, multiplier: f64) -> Tensor<D> {
    (reward - cost * multiplier) / (1.0 + multiplier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::read;

    #[test]
    fn the_first_step_moves_by_the_rate_and_the_multiplier_never_turns_negative() {
        let mut lagrange = Lagrange::new(LagrangeConfig::default()).unwrap();
        assert!((lagrange.update(Some(60.0)) - 0.036).abs() < 1e-9);
        assert!((lagrange.update(Some(60.0)) - 0.071).abs() < 1e-9, "a constant gradient keeps the step");
        for _ in 0..100 {
            lagrange.update(Some(0.0));
        }
        assert_eq!(lagrange.multiplier(), 0.0);
        assert_eq!(lagrange.update(None), 0.0);
    }

    /// Values of torch.optim.Adam(lr=0.035) worked out for gradients -10, 5.
    #[test]
    fn two_steps_agree_with_adam_worked_by_hand() {
        let mut lagrange = Lagrange::new(LagrangeConfig::default()).unwrap();
        lagrange.update(Some(35.0));
        let got = lagrange.update(Some(20.0));
        let first = (0.9 * (0.1 * -10.0) + 0.1 * 5.0) / (1.0 - 0.81);
        let second: f64 = (0.999 * (0.001 * 100.0) + 0.001 * 25.0) / (1.0 - 0.999 * 0.999);
        let expected = 0.036 - 0.035 * first / second.sqrt();
        assert!((got - expected).abs() < 1e-8, "{got} {expected}");
    }

    #[test]
    fn an_upper_bound_holds_and_the_state_returns() {
        let config = LagrangeConfig { upper_bound: Some(0.1), ..Default::default() };
        let mut lagrange = Lagrange::new(config).unwrap();
        for _ in 0..10 {
            lagrange.update(Some(100.0));
        }
        assert_eq!(lagrange.multiplier(), 0.1);
        let mut restored = Lagrange::new(config).unwrap();
        restored.load_state(&lagrange.state().unwrap()).unwrap();
        assert_eq!(restored, lagrange);
    }

    #[test]
    fn the_advantage_is_a_convex_combination() {
        let device = test_device();
        let mixed = lagrangian_advantage(
            Tensor::<1>::from_floats([3.0, 1.0], &device),
            Tensor::<1>::from_floats([1.0, -1.0], &device),
            1.0,
        );
        assert_eq!(read("a", mixed).unwrap(), [1.0, 1.0]);
    }
}
