//! The average of a cost over iterations: as long as its noise warrants, and no longer.
//!
//! A rollout's cost is what the policy costs plus noise. Averaged over many rollouts the noise falls, and what the average
//! knows of the policy grows old: a controller that acts on it swings where the cost answers within an iteration. Which of the
//! two a task is can be read off the costs themselves, by the correlation `rho` of successive differences:
//!
//! | costs | `rho` |
//! |---|---|
//! | noise around a policy that stands still | -1/2 |
//! | a random walk without noise | 0 |
//! | a trend, or a swing of more than four iterations | above 0 |
//!
//! From `rho = -0.15` down the average is as long as it may be, from 0 up the last rollout stands alone, and between them the
//! decay is proportional. (The decay of the best forecast follows from `rho` too, Muth 1960; it is not used, since the noise of
//! rollouts that follow each other within an episode is itself correlated and seems smaller than it is.) Differences are of
//! logarithms, since costs fall by a factor of ten in a run.
//!
//! Where `rho` is above 0.25 the costs follow each other: the last change says where they are going, and a controller that acts on
//! the cost a few iterations ahead ([`CostAverage::ahead`]) does not swing about the limit as it does on the cost alone. Not before
//! the cost has come down to the limit once: until then every cost trends, and where it goes is known. What has been found to swing
//! is taken to do so from then on, as far as it is no noise: what is damped no longer looks like a swing.

use compute::State;

use crate::error::SafeRlError;

/// Decay of the averages that the correlation is computed from, per iteration.
const MEMORY: f64 = 0.97;
/// Correlation of successive differences from which noise rules.
const NOISE: f64 = -0.15;
/// Cost, in limits, from which one is on its way down to the limit.
const BEYOND: f64 = 1.5;
/// Correlation from which costs about the limit swing.
const SWING: f64 = 0.25;
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
/// // It has not come to its limit yet, and is not looked ahead; then it is.
/// assert_eq!(average.ahead(Some(35.0), 1.0), Some(30.0));
/// assert_eq!(average.update(25.0), Some(25.0));
/// assert_eq!(average.ahead(Some(30.0), 1.0), Some(20.0));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CostAverage {
    limit: f64,
    /// Whether the cost has been far beyond its limit, has come down to it since, and has swung about it since then.
    beyond: bool,
    reached: bool,
    swings: bool,
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
        Self {
            limit,
            beyond: false,
            reached: false,
            swings: false,
            offset,
            longest,
            average: None,
            last: [f64::NAN; 2],
            moments: [0.0; 2],
        }
    }

    /// One iteration: takes in the rollout's cost, which is left out where it is not finite; returns the average, `None` before a first cost.
    pub fn update(&mut self, cost: f64) -> Option<f64> {
        if cost.is_finite() {
            self.observe(cost);
            let decay = self.decay();
            let average = self.average.map_or(cost, |old| decay * old + (1.0 - decay) * cost);
            self.beyond |= average > BEYOND * self.limit;
            self.reached |= self.beyond && average <= self.limit;
            self.swings |= self.reached && self.correlation() > SWING;
            self.average = Some(average);
        }
        self.average
    }

    /// The average; `None` before a first cost.
    pub fn get(&self) -> Option<f64> {
        self.average
    }

    /// The decay that the costs so far warrant.
    pub fn decay(&self) -> f64 {
        self.longest * self.noise()
    }

    /// How far noise rules the costs so far: 0 where they trend or swing, 1 where they are noise around a policy that stands still.
    pub fn noise(&self) -> f64 {
        (self.correlation() / NOISE).clamp(0.0, 1.0)
    }

    /// How far the costs swing about their limit: 0 where they are noise, or have not been found to swing; 1 where they are no noise.
    pub fn swing(&self) -> f64 {
        if self.swings { 1.0 - self.noise() } else { 0.0 }
    }

    /// The average as it will be after so many iterations, if what moves it goes on: as far ahead as [`swing`](Self::swing) warrants, along the
    /// change from `before`, what it was an iteration ago. Not below 0, and `None` before a first cost.
    pub fn ahead(&self, before: Option<f64>, iterations: f64) -> Option<f64> {
        let now = self.average?;
        let change = before.map_or(0.0, |before| now - before);
        Some((now + iterations * self.swing() * change).max(now.min(0.0)))
    }

    /// That of successive differences; 0 while there are none.
    fn correlation(&self) -> f64 {
        let [product, square] = self.moments;
        if square > 0.0 { product / square } else { 0.0 }
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
        // States of before costs were looked ahead lack them; those runs go on.
        let flag = |name| state.get_f64(name).is_ok_and(|value| value > 0.0);
        (self.beyond, self.reached, self.swings) = (flag("beyond"), flag("reached"), flag("swings"));
        Ok(())
    }

    fn entries(&self) -> [(&'static str, f64); 8] {
        [
            ("average", self.average.unwrap_or(f64::NAN)),
            ("last", self.last[0]),
            ("difference", self.last[1]),
            ("product", self.moments[0]),
            ("square", self.moments[1]),
            ("beyond", f64::from(u8::from(self.beyond))),
            ("reached", f64::from(u8::from(self.reached))),
            ("swings", f64::from(u8::from(self.swings))),
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

    /// The mean of the decays after the last 200 of 400 costs.
    fn decays(costs: impl Iterator<Item = f64>) -> f64 {
        let mut average = CostAverage::new(25.0, 0.8);
        let decays: Vec<f64> = costs.take(400).map(|cost| (average.update(cost), average.decay()).1).collect();
        decays[200..].iter().sum::<f64>() / 200.0
    }

    #[test]
    fn four_costs_by_hand() {
        let mut average = CostAverage::new(10.0, 0.8);
        for cost in [9.0, 19.0, 29.0] {
            assert_eq!(average.update(cost), Some(cost));
        }
        let after = average.update(25.0).unwrap();
        // ln 10, 20, 30 and 26: differences ln 2, ln 1.5 and ln 26/30.
        let d = [2.0f64, 1.5, 26.0 / 30.0].map(f64::ln);
        let product = 0.97 * d[0] * d[1] + d[1] * d[2];
        let square = 0.97 * (0.97 * d[0] * d[0] + d[1] * d[1]) + d[2] * d[2];
        assert!(product > 0.0 && after == 25.0, "still a trend");
        let after = average.update(40.0).unwrap();
        let last = (41.0f64 / 26.0).ln();
        let [product, square] = [0.97 * product + d[2] * last, 0.97 * square + last * last];
        let decay = 0.8 * (product / square / -0.15).clamp(0.0, 1.0);
        assert!((average.decay() - decay).abs() < 1e-12, "{decay}");
        assert!((after - (decay * 25.0 + (1.0 - decay) * 40.0)).abs() < 1e-12);
    }

    #[test]
    fn noise_is_averaged_and_what_moves_by_itself_is_not() {
        let alone = decays(noise(1).map(|x| 25.0 + 10.0 * x));
        assert!(alone > 0.75, "noise alone: {alone}");
        let both = decays(noise(3).zip(noise(4)).scan(0.0, |sum, (x, y)| {
            *sum += 0.1 * x;
            Some(25.0 * f64::exp(*sum + 0.1 * y))
        }));
        assert!(both > 0.6, "a walk and noise of equal spread, rho = -1/3: {both}");
        let swing = decays((0..).map(|i| 25.0 + 20.0 * f64::sin(f64::from(i) * 0.5)));
        assert_eq!(swing, 0.0, "a swing");
        let trend = decays((0..).map(|i| 200.0 * f64::exp(-0.01 * f64::from(i))));
        assert_eq!(trend, 0.0, "a trend");
        let walk = decays(noise(2).scan(0.0, |sum, x| {
            *sum += 0.05 * x;
            Some(25.0 * f64::exp(*sum))
        }));
        assert!(walk < 0.5, "a random walk: {walk}");
    }

    #[test]
    fn only_costs_that_follow_each_other_are_looked_ahead() {
        let swing = |costs: &mut dyn Iterator<Item = f64>| {
            let mut average = CostAverage::new(25.0, 0.8);
            costs.take(300).for_each(|cost| {
                average.update(cost);
            });
            average
        };
        let wave = |i: i32| 25.0 + 20.0 * f64::sin(f64::from(i) * 0.3);
        let above = swing(&mut (0..).map(|i| 26.0 + wave(i)));
        assert_eq!((above.swing(), above.noise()), (0.0, 0.0), "it has never come down to the limit");
        let below = swing(&mut (0..).map(|i| 0.5 * wave(i)));
        assert_eq!(below.swing(), 0.0, "it has never been beyond it");
        let swinging = swing(&mut (0..).map(wave));
        assert_eq!((swinging.swing(), swinging.noise()), (1.0, 0.0));
        let (before, now) = (wave(298), wave(299));
        assert_eq!(swinging.ahead(Some(before), 3.0), Some(now + 3.0 * (now - before)));
        assert_eq!(swinging.ahead(Some(before), 0.0), Some(now));
        assert_eq!(swinging.ahead(None, 3.0), Some(now), "nothing is known of a change");
        assert_eq!(swinging.ahead(Some(now + 100.0), 3.0), Some(0.0), "no cost is negative");
        let mut restored = CostAverage::new(25.0, 0.8);
        restored.load_state(&swinging.state().unwrap()).unwrap();
        assert_eq!(restored, swinging);
        let mut former = State::new();
        for (name, value) in &swinging.entries()[..5] {
            former.put_f64(name, *value).unwrap();
        }
        restored.load_state(&former).unwrap();
        assert_eq!(
            (restored.get(), restored.noise(), restored.swing()),
            (swinging.get(), 0.0, 0.0),
            "of an earlier version"
        );
        let noisy = swing(&mut noise(1).map(|x| 25.0 + 10.0 * x));
        assert_eq!((noisy.swing(), noisy.ahead(Some(3.0), 3.0)), (0.0, noisy.get()));
        assert_eq!(CostAverage::new(25.0, 0.8).ahead(None, 3.0), None);
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
