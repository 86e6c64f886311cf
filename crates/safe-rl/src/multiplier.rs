//! Multipliers of constraints: the price lambda of a cost in the policy's objective.
//!
//! One constraint has one multiplier, a host float64 that is updated once per iteration, before the policy, which then
//! maximises `(A_r - sum_k lambda_k A_k) / (1 + sum_k lambda_k)` ([`lagrangian_advantage`]).

mod adam;
mod fixed;
mod pid;

use burn::tensor::Tensor;
use compute::State;

use crate::error::{SafeRlError, ensure};

pub use adam::{AdamMultiplier, AdamMultiplierConfig};
pub use fixed::FixedMultiplier;
pub use pid::{PidMultiplier, PidMultiplierConfig};

/// A rule for the multiplier of one constraint.
pub trait Multiplier: Send {
    /// One step for the episodic cost `J_C`; an unknown cost or one that is not finite changes nothing. Returns the new
    /// value.
    fn update(&mut self, cost: Option<f64>) -> f64;

    /// The multiplier, not negative.
    fn value(&self) -> f64;

    /// Everything needed to continue bit for bit.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry cannot be stored.
    fn state(&self) -> Result<State, SafeRlError>;

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry is missing.
    fn load_state(&mut self, state: &State) -> Result<(), SafeRlError>;
}

/// The Lagrangian's advantage `(A_r - sum_k lambda_k A_k) / (1 + sum_k lambda_k)`, `[1, N]`, from those of the objectives
/// `[S, N]` and the multipliers of the C = S - 1 constraints. Divided by the sum, its size does not grow with the
/// multipliers, and a step size that fits the reward alone fits it too.
///
/// # Panics
/// If there is not a multiplier per constraint.
pub fn lagrangian_advantage(advantage: &Tensor<2>, multipliers: &[f64]) -> Tensor<2> {
    assert_eq!(advantage.dims()[0], 1 + multipliers.len(), "the reward and a multiplier per constraint");
    let row = |s: usize| advantage.clone().narrow(0, s, 1);
    let priced = multipliers.iter().enumerate().fold(row(0), |sum, (k, price)| sum - row(k + 1) * *price);
    priced / (1.0 + multipliers.iter().sum::<f64>())
}

fn check_limit(cost_limit: f64) -> Result<(), SafeRlError> {
    let legal = (0.0..f64::INFINITY).contains(&cost_limit);
    ensure(legal, "cost_limit", cost_limit, "must be finite and not negative")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::read;

    #[test]
    fn the_advantage_is_a_convex_combination() {
        let rows = Tensor::<2>::from_floats([[3.0, 1.0], [1.0, -1.0], [2.0, 4.0]], &test_device());
        let mixed = |count: usize, multipliers: &[f64]| {
            read("a", lagrangian_advantage(&rows.clone().narrow(0, 0, count), multipliers)).unwrap()
        };
        assert_eq!(mixed(1, &[]), [3.0, 1.0]);
        assert_eq!(mixed(2, &[1.0]), [1.0, 1.0]);
        assert_eq!(mixed(3, &[1.0, 2.0]), [(3.0 - 1.0 - 4.0) / 4.0, (1.0 + 1.0 - 8.0) / 4.0]);
    }
}
