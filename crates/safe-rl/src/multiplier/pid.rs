//! The multiplier as a PID controller of the cost (Stooke, Achiam and Abbeel, 2020, "Responsive Safety in Reinforcement
//! Learning by PID Lagrangian Methods", algorithm 2), with the smoothing and the delay of OmniSafe's `PIDLagrangian`
//! (omnisafe/common/pid_lagrange.py, `pid_update`, with `sum_norm`).
//!
//! With `e = J_C - d`, every iteration:
//!
//! ```text
//! I <- [I + k_i e]+
//! P <- a_p P + (1 - a_p) e
//! D <- a_d D + (1 - a_d) J_C                     smoothed cost
//! lambda = [k_p P + I + k_d [D - D_delayed]+]+   D_delayed: D of d_delay iterations ago, 0 before there was one
//! ```
//!
//! Only a rising cost counts in the derivative term: it brakes before the limit is passed and does not hurry back.

use std::collections::VecDeque;

use compute::State;

use super::Multiplier;
use crate::error::{SafeRlError, ensure};

/// Constants of the controller; the defaults are OmniSafe's (configs/on-policy/CPPOPID.yaml).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct PidMultiplierConfig {
    /// First value of the integral term.
    pub initial: f64,
    /// Proportional gain.
    pub kp: f64,
    /// Integral gain.
    pub ki: f64,
    /// Derivative gain.
    pub kd: f64,
    /// Iterations over which the cost's rise is measured.
    pub d_delay: usize,
    /// Decay of the moving average of the error in the proportional term.
    pub p_decay: f64,
    /// Decay of the moving average of the cost in the derivative term.
    pub d_decay: f64,
}

impl Default for PidMultiplierConfig {
    fn default() -> Self {
        Self { initial: 0.001, kp: 0.1, ki: 0.01, kd: 0.01, d_delay: 10, p_decay: 0.95, d_decay: 0.95 }
    }
}

impl PidMultiplierConfig {
    /// Checks every constant's domain.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] for a gain or first value that is negative or not finite, a decay outside `[0, 1)`, or
    /// no delay at all.
    pub fn validate(&self) -> Result<(), SafeRlError> {
        for (name, value) in [("initial", self.initial), ("kp", self.kp), ("ki", self.ki), ("kd", self.kd)] {
            let legal = (0.0..f64::INFINITY).contains(&value);
            ensure(legal, name, value, "must be finite and not negative")?;
        }
        for (name, value) in [("p_decay", self.p_decay), ("d_decay", self.d_decay)] {
            ensure((0.0..1.0).contains(&value), name, value, "must lie in [0, 1)")?;
        }
        ensure(self.d_delay > 0, "d_delay", 0.0, "must be at least 1")
    }
}

/// A multiplier and the state of its controller.
#[derive(Debug, Clone, PartialEq)]
pub struct PidMultiplier {
    cost_limit: f64,
    config: PidMultiplierConfig,
    value: f64,
    integral: f64,
    /// Smoothed error.
    error: f64,
    /// Smoothed cost.
    cost: f64,
    /// Smoothed costs of the last iterations, oldest first, at most `d_delay`; in front a zero until that many are known.
    costs: VecDeque<f64>,
}

impl PidMultiplier {
    /// A multiplier of the constraint `J_C <= cost_limit`, zero until its first update.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] for a limit that is negative or not finite, or a constant out of its domain.
    pub fn new(cost_limit: f64, config: PidMultiplierConfig) -> Result<Self, SafeRlError> {
        super::check_limit(cost_limit)?;
        config.validate()?;
        let (value, error, cost) = (0.0, 0.0, 0.0);
        Ok(Self { cost_limit, config, value, integral: config.initial, error, cost, costs: VecDeque::from([0.0]) })
    }
}

impl Multiplier for PidMultiplier {
    fn update(&mut self, cost: Option<f64>) -> f64 {
        let Some(cost) = cost.filter(|cost| cost.is_finite()) else {
            return self.value;
        };
        let PidMultiplierConfig { kp, ki, kd, d_delay, p_decay, d_decay, .. } = self.config;
        let error = cost - self.cost_limit;
        self.integral = (self.integral + ki * error).max(0.0);
        self.error = p_decay * self.error + (1.0 - p_decay) * error;
        self.cost = d_decay * self.cost + (1.0 - d_decay) * cost;
        let rise = (self.cost - self.costs.front().copied().unwrap_or(0.0)).max(0.0);
        self.value = (kp * self.error + self.integral + kd * rise).max(0.0);
        if self.costs.len() == d_delay {
            self.costs.pop_front();
        }
        self.costs.push_back(self.cost);
        self.value
    }

    fn value(&self) -> f64 {
        self.value
    }

    fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        state.put_f64("multiplier", self.value)?;
        state.put_f64("integral", self.integral)?;
        state.put_f64("error", self.error)?;
        state.put_f64("cost", self.cost)?;
        state.put("costs", &self.costs)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        let (value, integral) = (state.get_f64("multiplier")?, state.get_f64("integral")?);
        let (error, cost) = (state.get_f64("error")?, state.get_f64("cost")?);
        self.costs = state.get("costs")?;
        (self.value, self.integral, self.error, self.cost) = (value, integral, error, cost);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formulas by hand with round constants: limit 10, kp = 1, ki = 0.5, kd = 2, delay 2, both decays 0.5.
    #[test]
    fn four_steps_agree_with_numbers_worked_by_hand() {
        let config =
            PidMultiplierConfig { initial: 1.0, kp: 1.0, ki: 0.5, kd: 2.0, d_delay: 2, p_decay: 0.5, d_decay: 0.5 };
        let mut multiplier = PidMultiplier::new(10.0, config).unwrap();
        assert_eq!(multiplier.value(), 0.0);
        // e = 4: I = 3, P = 2, D = 7 against 0: 2 + 3 + 14.
        assert_eq!(multiplier.update(Some(14.0)), 19.0);
        // e = 2: I = 4, P = 2, D = 9.5 against the zero before the run: 2 + 4 + 19.
        assert_eq!(multiplier.update(Some(12.0)), 25.0);
        // e = -6: I = 1, P = -2, D = 6.75 against 7, which is no rise: -2 + 1 < 0.
        assert_eq!(multiplier.update(Some(4.0)), 0.0);
        // e = 10: I = 6, P = 4, D = 13.375 against 9.5: 4 + 6 + 7.75.
        assert_eq!(multiplier.update(Some(20.0)), 17.75);
        assert_eq!(multiplier.update(None), 17.75);
        assert_eq!(multiplier.update(Some(f64::NAN)), 17.75);
    }

    #[test]
    fn the_integral_does_not_go_below_zero() {
        let mut multiplier = PidMultiplier::new(25.0, PidMultiplierConfig::default()).unwrap();
        (0..100).for_each(|_| _ = multiplier.update(Some(0.0)));
        assert_eq!((multiplier.value(), multiplier.integral), (0.0, 0.0));
        // From there a cost beyond the limit raises it at once.
        assert!(multiplier.update(Some(1000.0)) > 0.0);
    }

    #[test]
    fn a_restored_controller_continues_bit_for_bit() {
        let mut saved = PidMultiplier::new(25.0, PidMultiplierConfig::default()).unwrap();
        (0..13).for_each(|i| _ = saved.update(Some(20.0 + f64::from(i * i % 11))));
        let mut restored = PidMultiplier::new(25.0, PidMultiplierConfig::default()).unwrap();
        restored.load_state(&saved.state().unwrap()).unwrap();
        assert_eq!(restored, saved);
        assert_eq!(restored.update(Some(31.0)).to_bits(), saved.update(Some(31.0)).to_bits());
    }

    #[test]
    fn constants_out_of_their_domain_are_errors() {
        let config = PidMultiplierConfig::default();
        for config in [
            PidMultiplierConfig { kp: -1.0, ..config },
            PidMultiplierConfig { d_decay: 1.0, ..config },
            PidMultiplierConfig { d_delay: 0, ..config },
        ] {
            assert!(matches!(PidMultiplier::new(25.0, config), Err(SafeRlError::InvalidConfig { .. })));
        }
        assert!(PidMultiplier::new(f64::NAN, config).is_err());
    }
}
