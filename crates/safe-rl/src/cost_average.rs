//! The average of a cost over iterations: as long as its noise warrants, and no longer.
//!
//! A rollout's cost is what the policy costs plus noise. Averaged over many rollouts the noise falls, and what the average
//! knows of the policy grows old: a controller that acts on it swings where the cost answers within an iteration. How long
//! to average can be read off the costs themselves. If what the policy costs moves as a random walk, exponential smoothing
//! is the best forecast (Muth, "Optimal properties of exponentially weighted forecasts", 1960), and its decay `theta`
//! follows from the correlation `rho` of successive differences of the costs:
//!
//! ```text
//! rho = -theta / (1 + theta^2),    theta = (1 - sqrt(1 - 4 rho^2)) / (-2 rho)
//! ```
//!
//! Noise alone has `rho = -1/2` and `theta = 1`; a cost that goes its way without noise, or swings, has `rho >= 0` and
//! `theta = 0`: the last rollout is then the best that is known. Differences are of logarithms, since costs fall by a factor of
//! ten in a run.

use compute::State;

use crate::error::SafeRlError;

/// Decay of the averages that the correlation is computed from, per iteration.
const MEMORY: f64 = 0.97;
/// What is added to a cost before its logarithm is taken, as a share of the limit.
const OFFSET: f64 = 0.1;

/// The average of one cost over iterations.
///
/// ```
/// use safe_rl::CostAverage;
///
/// let mut average = CostAverage::new(25.0, 0.8);
/// assert_eq!(average.update(40.0), Some(40.0));
/// // Falling steadily, without noise: the last cost is what the policy costs.
/// assert_eq!(average.update(35.0), Some(35.0));
/// assert_eq!(average.update(30.0), Some(30.0));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CostAverage {
    /// Added to a cost before its logarithm is taken.
    offset: f64,
    /// The longest average, as a decay.
    longest: f64,
    average: Option<f64>,
    /// The logarithm of the last cost and its difference from the one before, NaN where there is none.
    last: [f64; 2],
    /// Averages of a difference times the one before, and of its square.
    moments: [f64; 2],
}

impl CostAverage {
    /// An average for a cost of this limit, whose decay is at most `longest` (in `[0, 1)`; 0 takes the last rollout alone).
    pub fn new(limit: f64, longest: f64) -> Self {
        let offset = OFFSET * limit.max(1.0);
        Self { offset, longest, average: None, last: [f64::NAN; 2], moments: [0.0; 2] }
    }

    /// One iteration: takes in the rollout's cost, which is left out where it is not finite; returns the average, `None` before a first cost.
    pub fn update(&mut self, cost: f64) -> Option<f64> {
        if cost.is_finite() {
            self.observe(cost);
            let decay = self.decay();
            self.average = Some(self.average.map_or(cost, |old| decay * old + (1.0 - decay) * cost));
        }
        self.average
    }

    /// The average; `None` before a first cost.
    pub fn get(&self) -> Option<f64> {
        self.average
    }

    /// The decay that the costs so far warrant.
    pub fn decay(&self) -> f64 {
        let [product, square] = self.moments;
        if product >= 0.0 {
            return 0.0;
        }
        let rho = (product / square).max(-0.5);
        let theta = (1.0 - (1.0 - 4.0 * rho * rho).sqrt()) / (-2.0 * rho);
        theta.min(self.longest)
    }

    fn observe(&mut self, cost: f64) {
        let logarithm = (cost.max(0.0) + self.offset).ln();
        let difference = logarithm - self.last[0];
        if difference.is_finite() {
            let product = difference * self.last[1];
            let new = [if product.is_finite() { product } else { 0.0 }, difference * difference];
            for (moment, new) in self.moments.iter_mut().zip(new) {
                *moment = MEMORY * *moment + (1.0 - MEMORY) * new;
            }
        }
        self.last = [logarithm, difference];
    }

    /// Everything needed to continue.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry cannot be stored.
    pub fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        for (name, value) in self.entries() {
            state.put_f64(name, value)?;
        }
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry is missing.
    pub fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        self.average = Some(state.get_f64("average")?).filter(|average| average.is_finite());
        self.last = [state.get_f64("last")?, state.get_f64("difference")?];
        self.moments = [state.get_f64("product")?, state.get_f64("square")?];
        Ok(())
    }

    fn entries(&self) -> [(&'static str, f64); 5] {
        [
            ("average", self.average.unwrap_or(f64::NAN)),
            ("last", self.last[0]),
            ("difference", self.last[1]),
            ("product", self.moments[0]),
            ("square", self.moments[1]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in [-1, 1) that follow no pattern.
    fn noise(seed: u32) -> impl Iterator<Item = f64> {
        (0..).map(move |i: u32| {
            let mut x = i.wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b);
            for shift in [16, 13, 16] {
                x = (x ^ (x >> shift)).wrapping_mul(0xc2b2_ae35);
            }
            f64::from(x) / f64::from(1u32 << 31) - 1.0
        })
    }

    /// The decays after each of the last 200 of 400 costs.
    fn decays(costs: impl Iterator<Item = f64>) -> f64 {
        let mut average = CostAverage::new(25.0, 0.99);
        let decays: Vec<f64> = costs.take(400).map(|cost| (average.update(cost), average.decay()).1).collect();
        decays[200..].iter().sum::<f64>() / 200.0
    }

    #[test]
    fn three_costs_by_hand() {
        let mut average = CostAverage::new(10.0, 0.9);
        average.update(9.0);
        average.update(19.0);
        // ln 10, ln 20, ln 15: differences ln 2 and ln 3/4.
        let [first, second] = [2.0f64.ln(), 0.75f64.ln()];
        let after = average.update(14.0).unwrap();
        let [product, square] = [0.03 * first * second, 0.97 * 0.03 * first * first + 0.03 * second * second];
        let rho = product / square;
        let theta = (1.0 - (1.0 - 4.0 * rho * rho).sqrt()) / (-2.0 * rho);
        assert!((average.decay() - theta).abs() < 1e-12 && (0.3..0.6).contains(&theta), "{theta}");
        assert!((theta / (1.0 + theta * theta) + rho).abs() < 1e-12, "the decay belongs to the correlation");
        assert!((after - (theta * 19.0 + (1.0 - theta) * 14.0)).abs() < 1e-12);
    }

    #[test]
    fn noise_is_averaged_and_what_moves_by_itself_is_not() {
        let alone = decays(noise(1).map(|x| 25.0 + 10.0 * x));
        assert!(alone > 0.6, "noise alone: {alone}");
        let walk = decays(noise(2).scan(0.0, |sum, x| {
            *sum += 0.05 * x;
            Some(25.0 * f64::exp(*sum))
        }));
        assert!(walk < 0.25, "a random walk: {walk}");
        let swing = decays((0..).map(|i| 25.0 + 20.0 * f64::sin(f64::from(i) * 0.5)));
        assert_eq!(swing, 0.0, "a swing");
        let both = decays(noise(3).zip(noise(4)).scan(0.0, |sum, (x, y)| {
            *sum += 0.1 * x;
            Some(25.0 * f64::exp(*sum + 0.1 * y))
        }));
        // A walk and noise of equal spread: rho = -1/3, theta = 0.38.
        assert!((0.2..0.55).contains(&both), "both: {both}");
    }

    #[test]
    fn the_longest_average_bounds_and_zero_takes_the_last_cost() {
        let mut last = CostAverage::new(25.0, 0.0);
        let mut bounded = CostAverage::new(25.0, 0.5);
        for cost in noise(5).map(|x| 25.0 + 10.0 * x).take(50) {
            assert_eq!(last.update(cost), Some(cost));
            bounded.update(cost);
            assert!(bounded.decay() <= 0.5);
        }
    }

    #[test]
    fn costs_that_are_not_finite_are_left_out() {
        let mut average = CostAverage::new(25.0, 0.8);
        assert_eq!(average.update(f64::NAN), None);
        average.update(22.0);
        average.update(20.0);
        let before = average.clone();
        assert_eq!(average.update(f64::INFINITY), before.get());
        assert_eq!(average, before);
        let mut free = CostAverage::new(0.0, 0.8);
        for cost in [0.0, 3.0, 0.0, -1.0, 0.0] {
            assert!(free.update(cost).unwrap().is_finite(), "a limit of zero");
        }
    }

    #[test]
    fn a_restored_average_goes_on_alike() {
        let mut one = CostAverage::new(25.0, 0.8);
        let mut other = CostAverage::new(25.0, 0.8);
        other.load_state(&one.state().unwrap()).unwrap();
        assert_eq!(other.update(3.0), Some(3.0));
        for cost in [30.0, 20.0, 28.0, 22.0] {
            one.update(cost);
        }
        other.load_state(&one.state().unwrap()).unwrap();
        assert_eq!(one.update(26.0), other.update(26.0));
    }
}
