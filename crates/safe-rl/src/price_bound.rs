//! A bound on the price of cost: never much more than what the policy earns per cost.
//!
//! A blend that climbs `J_r - lambda J_c` with `lambda > J_r / J_c` prefers doing nothing to what the policy does: less of
//! everything is then the best answer, and where the limit lies far below the cost, the skill is thrown away with it.
//! The margin's weight alone saturates there. With `lambda <= kappa J_r / max(J_c, d)` and `kappa = 1` only a better return
//! per cost is climbed while the cost is beyond the limit, and before anything is earned reward alone.
//!
//! | symbol | meaning |
//! |---|---|
//! | `J_r`, `J_c` | episodic return and cost, averaged over some ten iterations |
//! | `d` | cost limit |
//! | `kappa` | `price_bound` until `price_bound_hold` of the run, then rising geometrically to `final_price_bound` |
//!
//! `kappa` rises, since a task may have no policy within its limit that earns: the limit is then worth more than what
//! is earned. This bound is this project's own addition to the KFCPO paper's ideas.

use compute::State;

use crate::error::{SafeRlError, ensure};

/// Constants of the bound.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct PriceBoundConfig {
    /// Highest price of a unit of cost, in what the policy earns per cost; 0 leaves the price unbounded.
    pub price_bound: f64,
    /// What `price_bound` has risen to at the end of the run (geometrically).
    pub final_price_bound: f64,
    /// Share of the run until which `price_bound` holds.
    pub price_bound_hold: f64,
}

impl Default for PriceBoundConfig {
    fn default() -> Self {
        Self { price_bound: 1.0, final_price_bound: 2.0, price_bound_hold: 0.3 }
    }
}

impl PriceBoundConfig {
    /// Checks every constant's domain.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`].
    pub fn validate(&self) -> Result<(), SafeRlError> {
        let (bound, last, hold) = (self.price_bound, self.final_price_bound, self.price_bound_hold);
        ensure((0.0..=1e6).contains(&bound), "price_bound", bound, "must lie in [0, 1e6]")?;
        ensure((1e-6..=1e6).contains(&last), "final_price_bound", last, "must lie in [1e-6, 1e6]")?;
        ensure((0.0..=1.0).contains(&hold), "price_bound_hold", hold, "must lie in [0, 1]")
    }

    /// `kappa` after this fraction of the run.
    fn kappa(&self, fraction: f64) -> f64 {
        let rest = 1.0 - self.price_bound_hold;
        let along = if rest > 0.0 { ((fraction - self.price_bound_hold) / rest).clamp(0.0, 1.0) } else { 0.0 };
        self.price_bound * (self.final_price_bound / self.price_bound).powf(along)
    }
}

/// Decay of the averages of return and costs, per iteration.
const DECAY: f64 = 0.9;

/// Bounds the prices of the costs from what the policy earns and costs.
///
/// ```
/// use safe_rl::{PriceBound, PriceBoundConfig};
///
/// # fn main() -> Result<(), safe_rl::SafeRlError> {
/// let mut bound = PriceBound::new(&[25.0], PriceBoundConfig::default())?;
/// // A return of 20 at a cost of 50: a unit of cost is worth no more than 0.4.
/// assert_eq!(bound.update(20.0, &[50.0], 0.0), Some(vec![0.4]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PriceBound {
    config: PriceBoundConfig,
    limits: Vec<f64>,
    /// Averages of the return and the costs, `[1 + C]`; `None` before the first finite ones.
    averages: Option<Vec<f64>>,
}

impl PriceBound {
    /// A bound for costs of these limits.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] if a constant is out of its domain.
    pub fn new(limits: &[f64], config: PriceBoundConfig) -> Result<Self, SafeRlError> {
        config.validate()?;
        Ok(Self { config, limits: limits.to_vec(), averages: None })
    }

    /// One iteration: takes in the episodic return and the costs `[C]`; returns the highest prices `[C]` in reward per cost
    /// after this fraction of the run, or `None` where they are unbounded or nothing is known yet.
    ///
    /// # Panics
    /// If the number of costs is not that of the limits.
    pub fn update(&mut self, episodic_return: f64, costs: &[f64], fraction: f64) -> Option<Vec<f64>> {
        assert_eq!(costs.len(), self.limits.len(), "a cost per limit");
        let new: Vec<f64> = std::iter::once(episodic_return).chain(costs.iter().copied()).collect();
        if new.iter().all(|x| x.is_finite()) {
            let old = self.averages.take().unwrap_or_else(|| new.clone());
            self.averages = Some(old.iter().zip(&new).map(|(old, new)| DECAY * old + (1.0 - DECAY) * new).collect());
        }
        if self.config.price_bound == 0.0 {
            return None;
        }
        let averages = self.averages.as_ref()?;
        let earned = self.config.kappa(fraction) * averages[0].max(0.0);
        let price = |(cost, limit): (&f64, &f64)| {
            let cost = cost.max(*limit);
            // Without a cost and at a limit of zero a first unit may have any price.
            if cost > 0.0 { earned / cost } else { f64::MAX }
        };
        Some(averages[1..].iter().zip(&self.limits).map(price).collect())
    }

    /// Everything needed to continue.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry cannot be stored.
    pub fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        for i in 0..=self.limits.len() {
            let average = self.averages.as_ref().map_or(f64::NAN, |averages| averages[i]);
            state.put_f64(&format!("average.{i}"), average)?;
        }
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry is missing.
    pub fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        let averages = (0..=self.limits.len()).map(|i| state.get_f64(&format!("average.{i}")));
        let averages: Vec<f64> = averages.collect::<Result<_, _>>()?;
        self.averages = averages.iter().all(|average| average.is_finite()).then_some(averages);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(limits: &[f64], price_bound: f64) -> PriceBound {
        PriceBound::new(limits, PriceBoundConfig { price_bound, ..Default::default() }).unwrap()
    }

    #[test]
    fn a_price_is_what_is_earned_per_cost_and_no_less_than_at_the_limit() {
        let mut two = bound(&[25.0, 10.0], 2.0);
        assert_eq!(two.update(20.0, &[50.0, 4.0], 0.0), Some(vec![0.8, 4.0]));
        // Averages: 18, 46 and 5.6.
        let prices = two.update(0.0, &[10.0, 20.0], 0.1).unwrap();
        assert!((prices[0] - 36.0 / 46.0).abs() < 1e-12 && (prices[1] - 3.6).abs() < 1e-12, "{prices:?}");
        assert_eq!(bound(&[25.0], 1.0).update(-3.0, &[50.0], 0.0), Some(vec![0.0]), "reward alone");
    }

    #[test]
    fn kappa_holds_and_then_rises_to_its_end() {
        let config = PriceBoundConfig { final_price_bound: 4.0, price_bound_hold: 0.4, ..Default::default() };
        for (fraction, kappa) in [(0.0, 1.0), (0.4, 1.0), (0.7, 2.0), (1.0, 4.0)] {
            assert!((config.kappa(fraction) - kappa).abs() < 1e-12, "{fraction}");
        }
        let held = PriceBoundConfig { price_bound_hold: 1.0, ..config };
        assert_eq!(held.kappa(1.0), 1.0);
    }

    #[test]
    fn nothing_is_bounded_without_a_bound_or_before_anything_is_known() {
        assert_eq!(bound(&[25.0], 0.0).update(20.0, &[50.0], 0.5), None);
        let mut unknown = bound(&[25.0], 1.0);
        assert_eq!(unknown.update(f64::NAN, &[50.0], 0.5), None);
        assert_eq!(unknown.update(10.0, &[f64::NAN], 0.5), None);
        assert_eq!(bound(&[0.0], 1.0).update(10.0, &[0.0], 0.0), Some(vec![f64::MAX]));
    }

    #[test]
    fn a_restored_bound_goes_on_alike() {
        let mut one = bound(&[25.0], 1.0);
        let mut other = bound(&[25.0], 1.0);
        other.load_state(&one.state().unwrap()).unwrap();
        assert_eq!(other.update(f64::NAN, &[1.0], 0.0), None);
        one.update(20.0, &[50.0], 0.1);
        other.load_state(&one.state().unwrap()).unwrap();
        assert_eq!(one.update(22.0, &[40.0], 0.2), other.update(22.0, &[40.0], 0.2));
    }

    #[test]
    fn constants_out_of_their_domain_are_errors() {
        let good = PriceBoundConfig::default();
        for config in [
            PriceBoundConfig { price_bound: -1.0, ..good },
            PriceBoundConfig { price_bound: f64::NAN, ..good },
            PriceBoundConfig { final_price_bound: 0.0, ..good },
            PriceBoundConfig { price_bound_hold: 1.1, ..good },
        ] {
            assert!(matches!(PriceBound::new(&[25.0], config), Err(SafeRlError::InvalidConfig { .. })));
        }
    }
}
