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
//! | `kappa` | `price_bound`, times what a controller finds necessary |
//!
//! A task may earn the more per cost the more it costs, or have no policy within its limit that earns: `kappa` must then
//! rise. After `price_bound_hold` of the run a set-point falls geometrically from the cost there to the limit, which it
//! reaches at `price_bound_end`, and `ln kappa` is a proportional-integral controller's answer to `ln(J_c / set-point)`,
//! never below the starting value. Its integral does not wind up beyond its bounds.
//!
//! This bound is this project's own addition to the KFCPO paper's ideas.

use compute::State;

use crate::error::{SafeRlError, ensure};

/// Constants of the bound.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct PriceBoundConfig {
    /// Highest price of a unit of cost at first, in what the policy earns per cost; 0 leaves the price unbounded.
    pub price_bound: f64,
    /// Share of the run after which the bound rises where the cost does not fall towards its limit.
    pub price_bound_hold: f64,
    /// Share of the run at which the cost shall have come to its limit.
    pub price_bound_end: f64,
    /// Gain of the controller that raises the bound, on the logarithm of the cost over its set-point.
    pub price_gain: f64,
    /// Integral gain of that controller, per iteration.
    pub price_integral: f64,
}

impl Default for PriceBoundConfig {
    fn default() -> Self {
        Self { price_bound: 1.0, price_bound_hold: 0.3, price_bound_end: 0.7, price_gain: 0.5, price_integral: 0.015 }
    }
}

impl PriceBoundConfig {
    /// Checks every constant's domain.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`].
    pub fn validate(&self) -> Result<(), SafeRlError> {
        let (bound, hold, end) = (self.price_bound, self.price_bound_hold, self.price_bound_end);
        ensure((0.0..=1e6).contains(&bound), "price_bound", bound, "must lie in [0, 1e6]")?;
        ensure((0.0..=1.0).contains(&hold), "price_bound_hold", hold, "must lie in [0, 1]")?;
        ensure((hold..=1.0).contains(&end), "price_bound_end", end, "must lie in [price_bound_hold, 1]")?;
        for (name, gain) in [("price_gain", self.price_gain), ("price_integral", self.price_integral)] {
            ensure((0.0..=100.0).contains(&gain), name, gain, "must lie in [0, 100]")?;
        }
        Ok(())
    }

    /// How far the set-point has come from the cost at `price_bound_hold` (0) to the limit (1).
    fn along(&self, fraction: f64) -> f64 {
        let rest = self.price_bound_end - self.price_bound_hold;
        let done = fraction - self.price_bound_hold;
        if rest > 0.0 { (done / rest).clamp(0.0, 1.0) } else { f64::from(u8::from(done > 0.0)) }
    }
}

/// Largest `ln kappa` above the starting value: a factor of 30.
const MOST: f64 = 3.4;
/// Largest deviation of the logarithm of a cost that the controller sees.
const LARGEST_ERROR: f64 = 1.0;
/// Least set-point, where the limit is zero.
const LEAST_SET_POINT: f64 = 1.0;

/// What raises the bound of one cost.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Controller {
    /// The cost when the set-point began to fall; NaN before.
    start: f64,
    integral: f64,
}

impl Controller {
    /// One iteration: the factor on the bound for an average cost.
    fn update(&mut self, cost: f64, limit: f64, fraction: f64, config: &PriceBoundConfig) -> f64 {
        if fraction < config.price_bound_hold || config.price_bound_hold >= 1.0 {
            return 1.0;
        }
        let limit = limit.max(LEAST_SET_POINT);
        if self.start.is_nan() {
            self.start = cost.max(limit);
        }
        let set_point = limit * (self.start / limit).powf(1.0 - config.along(fraction));
        let error = (cost.max(1e-6) / set_point).ln().clamp(-LARGEST_ERROR, LARGEST_ERROR);
        self.integral = (self.integral + config.price_integral * error).clamp(0.0, MOST);
        (self.integral + config.price_gain * error).clamp(0.0, MOST).exp()
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
    /// One per cost.
    controllers: Vec<Controller>,
}

impl PriceBound {
    /// A bound for costs of these limits.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] if a constant is out of its domain.
    pub fn new(limits: &[f64], config: PriceBoundConfig) -> Result<Self, SafeRlError> {
        config.validate()?;
        let controllers = vec![Controller { start: f64::NAN, integral: 0.0 }; limits.len()];
        Ok(Self { config, limits: limits.to_vec(), averages: None, controllers })
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
        let earned = averages[0].max(0.0);
        let config = &self.config;
        let price = |((cost, limit), controller): ((&f64, &f64), &mut Controller)| {
            let kappa = config.price_bound * controller.update(*cost, *limit, fraction, config);
            let cost = cost.max(*limit);
            // Without a cost and at a limit of zero a first unit may have any price.
            if cost > 0.0 { kappa * earned / cost } else { f64::MAX }
        };
        Some(averages[1..].iter().zip(&self.limits).zip(&mut self.controllers).map(price).collect())
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
        for (k, controller) in self.controllers.iter().enumerate() {
            state.put_f64(&format!("start.{k}"), controller.start)?;
            state.put_f64(&format!("integral.{k}"), controller.integral)?;
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
        for (k, controller) in self.controllers.iter_mut().enumerate() {
            controller.start = state.get_f64(&format!("start.{k}"))?;
            controller.integral = state.get_f64(&format!("integral.{k}"))?;
        }
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
    fn kappa_rises_where_the_cost_does_not_follow_its_set_point() {
        let config = PriceBoundConfig { price_gain: 0.5, price_integral: 0.1, ..Default::default() };
        let mut controller = Controller { start: f64::NAN, integral: 0.0 };
        assert_eq!(controller.update(400.0, 25.0, 0.29, &config), 1.0);
        assert!(controller.start.is_nan(), "nothing is asked before the hold ends");
        assert_eq!(controller.update(400.0, 25.0, 0.3, &config), 1.0);
        // Half way the set-point is 100; e = ln 2 for a cost of 200: ln kappa = (0.1 + 0.5) ln 2.
        let kappa = controller.update(200.0, 25.0, 0.5, &config);
        assert!((kappa - 2.0f64.powf(0.6)).abs() < 1e-9, "{kappa}");
        // At the end the limit: e = 1 at most, then the integral alone remains, and it falls again.
        let kappa = controller.update(400.0, 25.0, 0.9, &config);
        assert!((kappa.ln() - (0.1 * 2.0f64.ln() + 0.6)).abs() < 1e-9, "{kappa}");
        assert!((controller.update(25.0, 25.0, 0.9, &config).ln() - (0.1 * 2.0f64.ln() + 0.1)).abs() < 1e-9);
        for _ in 0..100 {
            controller.update(10.0, 25.0, 1.0, &config);
        }
        assert_eq!((controller.update(10.0, 25.0, 1.0, &config), controller.integral), (1.0, 0.0), "no windup");
        for _ in 0..100 {
            controller.update(1e9, 25.0, 1.0, &config);
        }
        assert_eq!(controller.integral, MOST);
        let held = PriceBoundConfig { price_bound_hold: 1.0, price_bound_end: 1.0, ..config };
        assert_eq!(controller.update(1e9, 25.0, 1.0, &held), 1.0);
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
        for fraction in [0.1, 0.4, 0.5] {
            one.update(20.0, &[50.0], fraction);
        }
        other.load_state(&one.state().unwrap()).unwrap();
        assert_eq!(one.update(22.0, &[40.0], 0.6), other.update(22.0, &[40.0], 0.6));
    }

    #[test]
    fn constants_out_of_their_domain_are_errors() {
        let good = PriceBoundConfig::default();
        for config in [
            PriceBoundConfig { price_bound: -1.0, ..good },
            PriceBoundConfig { price_bound: f64::NAN, ..good },
            PriceBoundConfig { price_bound_hold: 1.1, ..good },
            PriceBoundConfig { price_bound_end: 0.1, ..good },
            PriceBoundConfig { price_gain: -1.0, ..good },
            PriceBoundConfig { price_integral: f64::INFINITY, ..good },
        ] {
            assert!(matches!(PriceBound::new(&[25.0], config), Err(SafeRlError::InvalidConfig { .. })));
        }
    }
}
