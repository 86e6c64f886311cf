//! A bound on the price of cost, never much more than what the policy earns per cost; on request the price itself, where the cost is
//! mostly noise.
//!
//! A blend that climbs `J_r - lambda J_c` with `lambda > J_r / J_c` prefers doing nothing to what the policy does: less of
//! everything is then the best answer, and where the limit lies far below the cost, the skill is thrown away with it.
//! The margin's weight alone saturates there. With `lambda <= kappa J_r / max(J_c, d)` and `kappa = 1` only a better return
//! per cost is climbed while the cost is beyond the limit, and before anything is earned hardly more than the reward. In units of
//! the reward's advantages `lambda` is divided by their scale ([`Prices::scaled`]). Where a task earns nothing or less (a reward of penalties),
//! `J_r` is taken as 25 standard deviations of the advantages: a bound of zero would switch its limit off.
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
//! # A price in the margin's place
//!
//! In Goal and Button twenty episodes tell little of a policy's cost, and the margin's sigmoid turns that noise into prices between
//! nothing and three times too much. With `price_noisy` the margin's weight gives way to the price by `eta`, how far noise rules
//! the cost ([`CostAverage::noise`](crate::CostAverage::noise), [`MarginWeights::yielding`](crate::MarginWeights::yielding)), and
//! `kappa` is `price_bound^(1 - eta) (price_noisy (max(J_c, d / 5) / d)^price_power)^eta` times the controller's factor, which may
//! then fall below one where the cost is below the limit. This is an experiment and off: it keeps more return in the middle of a run
//! and ends no better (AH to AJ in the experiments' log).
//!
//! This bound is this project's own addition to the KFCPO paper's ideas.

use burn::tensor::Tensor;
use compute::State;

use crate::error::{SafeRlError, ensure};

/// Constants of the price.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct PriceBoundConfig {
    /// Highest price of a unit of cost at first, in what the policy earns per cost; 0 leaves the price unbounded.
    pub price_bound: f64,
    /// The same where noise rules the cost, at the limit; there it is the price itself. Null: the margin's weight decides there too.
    pub price_noisy: Option<f64>,
    /// Power of the cost over its limit by which `price_noisy` is multiplied.
    pub price_power: f64,
    /// Share of the run after which the price rises where the cost does not fall towards its limit.
    pub price_bound_hold: f64,
    /// Share of the run at which the cost shall have come to its limit.
    pub price_bound_end: f64,
    /// Gain of the controller, on the logarithm of the cost over its set-point.
    pub price_gain: f64,
    /// Integral gain of that controller, per iteration.
    pub price_integral: f64,
}

impl Default for PriceBoundConfig {
    fn default() -> Self {
        Self {
            price_bound: 1.0,
            price_noisy: None,
            price_power: 0.5,
            price_bound_hold: 0.3,
            price_bound_end: 0.7,
            price_gain: 0.5,
            price_integral: 0.015,
        }
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
        let gains = [("price_gain", self.price_gain), ("price_integral", self.price_integral)];
        for (name, constant) in [("price_power", self.price_power), gains[0], gains[1]] {
            ensure((0.0..=100.0).contains(&constant), name, constant, "must lie in [0, 100]")?;
        }
        if let Some(price) = self.price_noisy {
            ensure((1e-3..=1e3).contains(&price), "price_noisy", price, "must lie in [1e-3, 1e3]")?;
            ensure(bound > 0.0, "price_bound", bound, "must be positive where price_noisy is given")?;
        }
        Ok(())
    }

    /// `kappa` before the controller, for an average cost.
    fn first(&self, cost: f64, limit: f64, noise: f64) -> f64 {
        let Some(noisy) = self.price_noisy else { return self.price_bound };
        let limit = if limit > 0.0 { limit } else { LEAST_SET_POINT };
        let noisy = noisy * (cost.max(LEAST_COST * limit) / limit).powf(self.price_power);
        self.price_bound.powf(1.0 - noise) * noisy.powf(noise)
    }

    /// How far the set-point has come from the cost at `price_bound_hold` (0) to the limit (1).
    fn along(&self, fraction: f64) -> f64 {
        let rest = self.price_bound_end - self.price_bound_hold;
        let done = fraction - self.price_bound_hold;
        if rest > 0.0 { (done / rest).clamp(0.0, 1.0) } else { f64::from(u8::from(done > 0.0)) }
    }
}

/// Largest `ln kappa` above the starting value, and least below it: a factor of 30.
const MOST: f64 = 3.4;
/// Largest deviation of the logarithm of a cost that the controller sees.
const LARGEST_ERROR: f64 = 1.0;
/// Least set-point, where the limit is zero.
const LEAST_SET_POINT: f64 = 1.0;
/// Least cost, in limits, that the power is taken of.
const LEAST_COST: f64 = 0.2;

/// What is known of an episodic cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Its average; NaN where there is none.
    pub cost: f64,
    /// How far noise rules it, in `[0, 1]`.
    pub noise: f64,
}

/// What steers the price of one cost.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Controller {
    /// The cost when the set-point began to fall; NaN before.
    start: f64,
    integral: f64,
}

impl Controller {
    /// One iteration: the factor on the price for an average cost, `noise` of which is noise.
    fn update(&mut self, Cost { cost, noise }: Cost, limit: f64, fraction: f64, config: &PriceBoundConfig) -> f64 {
        let limit = limit.max(LEAST_SET_POINT);
        let over = |set_point: f64| (cost.max(1e-6) / set_point).ln().clamp(-LARGEST_ERROR, LARGEST_ERROR);
        let noise = if config.price_noisy.is_some() { noise } else { 0.0 };
        if fraction < config.price_bound_hold || config.price_bound_hold >= 1.0 {
            return (noise * config.price_gain * over(limit).min(0.0)).exp();
        }
        if self.start.is_nan() {
            self.start = cost.max(limit);
        }
        let error = over(limit * (self.start / limit).powf(1.0 - config.along(fraction)));
        let least = if cost < limit { -MOST * noise } else { self.integral.min(0.0) };
        if self.integral + config.price_gain * error < MOST || error < 0.0 {
            self.integral = (self.integral + config.price_integral * error).clamp(least, MOST);
        }
        (self.integral + config.price_gain * error).clamp(-MOST * noise, MOST).exp()
    }
}

/// Decay of the averages of return and costs, per iteration.
const DECAY: f64 = 0.9;

/// Standard deviations of the reward's advantages that a policy counts as earning at least.
const EARNED_AT_LEAST: f32 = 25.0;
/// Largest price per unit of return that is taken to a device.
const LARGEST_SHARE: f64 = 1e20;

/// The prices of the costs, of one iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices {
    /// The average return, not below zero.
    pub earned: f64,
    /// The price of a unit of each cost, per unit of return `[C]`.
    pub shares: Vec<f64>,
}

impl Prices {
    /// The highest price, in reward per cost.
    pub fn highest(&self) -> f64 {
        self.shares.iter().map(|share| share * self.earned).fold(0.0, f64::max)
    }

    /// The prices `[C]` in units of advantages that were divided by `scale` `[1]`.
    pub fn scaled(&self, scale: &Tensor<1>) -> Tensor<1> {
        let shares: Vec<f32> = self.shares.iter().map(|share| share.min(LARGEST_SHARE) as f32).collect();
        let earned = (scale.ones_like() * self.earned as f32 / scale.clone()).clamp_min(EARNED_AT_LEAST);
        Tensor::<1>::from_floats(shares.as_slice(), &scale.device()) * earned
    }
}

/// Steers the prices of the costs by what the policy earns and costs.
///
/// ```
/// use safe_rl::{Cost, PriceBound, PriceBoundConfig};
///
/// # fn main() -> Result<(), safe_rl::SafeRlError> {
/// let mut price = PriceBound::new(&[25.0], PriceBoundConfig::default())?;
/// // A return of 20 at a cost of 50: a unit of cost is worth no more than 0.4.
/// assert_eq!(price.update(20.0, &[Cost { cost: 50.0, noise: 0.0 }], 0.0).map(|prices| prices.highest()), Some(0.4));
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
    /// Prices of costs of these limits.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] if a constant is out of its domain.
    pub fn new(limits: &[f64], config: PriceBoundConfig) -> Result<Self, SafeRlError> {
        config.validate()?;
        let controllers = vec![Controller { start: f64::NAN, integral: 0.0 }; limits.len()];
        Ok(Self { config, limits: limits.to_vec(), averages: None, controllers })
    }

    /// One iteration: takes in the episodic return and the costs `[C]`; returns the prices after this fraction of the run, or
    /// `None` where they are unbounded or nothing is known yet.
    ///
    /// # Panics
    /// If the number of costs is not that of the limits.
    pub fn update(&mut self, episodic_return: f64, costs: &[Cost], fraction: f64) -> Option<Prices> {
        assert_eq!(costs.len(), self.limits.len(), "a cost per limit");
        let new: Vec<f64> = std::iter::once(episodic_return).chain(costs.iter().map(|cost| cost.cost)).collect();
        if new.iter().all(|x| x.is_finite()) {
            let old = self.averages.take().unwrap_or_else(|| new.clone());
            self.averages = Some(old.iter().zip(&new).map(|(old, new)| DECAY * old + (1.0 - DECAY) * new).collect());
        }
        if self.config.price_bound == 0.0 {
            return None;
        }
        let averages = self.averages.as_ref()?;
        let config = &self.config;
        let share = |(((cost, limit), controller), now): (((&f64, &f64), &mut Controller), &Cost)| {
            let factor = controller.update(Cost { cost: *cost, ..*now }, *limit, fraction, config);
            let kappa = factor * config.first(*cost, *limit, now.noise);
            let cost = cost.max(*limit);
            // Without a cost and at a limit of zero a first unit may have any price.
            if cost > 0.0 { kappa / cost } else { f64::MAX }
        };
        let shares = averages[1..].iter().zip(&self.limits).zip(&mut self.controllers);
        let shares = shares.zip(costs).map(share).collect();
        Some(Prices { earned: averages[0].max(0.0), shares })
    }

    /// Whether the price, and not the margin, is to decide where noise rules a cost.
    pub fn steers(&self) -> bool {
        self.config.price_noisy.is_some()
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
mod tests;
