//! Statistics of finished episodes, and the estimate of the episodic cost J_C.

use std::{collections::VecDeque, str::FromStr};

use crate::SafeRlError;
use compute::{ComputeError, HostTensor, State};

/// Finished episodes remembered, as in OmniSafe.
const WINDOW: usize = 100;

/// An episode that ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FinishedEpisode {
    /// Undiscounted sum of rewards.
    pub episode_return: f32,
    /// Undiscounted sum of costs.
    pub cost: f32,
    /// Steps.
    pub length: f32,
    /// It began in the middle (staggered reset), so its sums do not describe a whole episode.
    pub partial: bool,
}

/// How J_C is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CostEstimator {
    /// Horizon times the mean step cost of the last rollout: no lag, and it needs no finished episode.
    #[default]
    StepMean,
    /// Mean cost of the remembered episodes; the step mean while fewer than ten are known.
    Episodes,
}

/// Fewer finished episodes than this say too little about the cost.
const ENOUGH_EPISODES: usize = 10;

impl FromStr for CostEstimator {
    type Err = SafeRlError;

    fn from_str(name: &str) -> Result<Self, SafeRlError> {
        match name {
            "step_mean" => Ok(Self::StepMean),
            "episodes" => Ok(Self::Episodes),
            _ => Err(SafeRlError::UnknownName {
                what: "cost estimator",
                name: name.to_string(),
                valid: "step_mean, episodes",
            }),
        }
    }
}

/// Mean and population standard deviation over the remembered episodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpisodeStatistics {
    /// Number of episodes the figures are over, at most 100.
    pub episodes: usize,
    /// Mean return.
    pub return_mean: f64,
    /// Standard deviation of the return.
    pub return_std: f64,
    /// Mean cost.
    pub cost_mean: f64,
    /// Standard deviation of the cost.
    pub cost_std: f64,
    /// Mean length.
    pub length_mean: f64,
}

/// Remembers the last 100 whole episodes.
#[derive(Debug, Clone, Default)]
pub struct EpisodeTracker {
    recent: VecDeque<FinishedEpisode>,
    finished: u64,
    partial: u64,
}

impl EpisodeTracker {
    /// An empty tracker.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the episodes a rollout finished, oldest first. Partial ones are counted and left out.
    pub fn record(&mut self, episodes: &[FinishedEpisode]) {
        for episode in episodes {
            if episode.partial {
                self.partial += 1;
                continue;
            }
            self.finished += 1;
            if self.recent.len() == WINDOW {
                self.recent.pop_front();
            }
            self.recent.push_back(*episode);
        }
    }

    /// Whole episodes finished since the start of the run.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// Partial episodes left out.
    pub fn partial(&self) -> u64 {
        self.partial
    }

    /// Figures over the remembered episodes; `None` before the first one.
    pub fn statistics(&self) -> Option<EpisodeStatistics> {
        if self.recent.is_empty() {
            return None;
        }
        let n = self.recent.len() as f64;
        let moments = |get: fn(&FinishedEpisode) -> f32| {
            let mean = self.recent.iter().map(|e| f64::from(get(e))).sum::<f64>() / n;
            let variance = self.recent.iter().map(|e| (f64::from(get(e)) - mean).powi(2)).sum::<f64>() / n;
            (mean, variance.sqrt())
        };
        let (return_mean, return_std) = moments(|e| e.episode_return);
        let (cost_mean, cost_std) = moments(|e| e.cost);
        let (length_mean, _) = moments(|e| e.length);
        Some(EpisodeStatistics {
            episodes: self.recent.len(),
            return_mean,
            return_std,
            cost_mean,
            cost_std,
            length_mean,
        })
    }

    /// J_C by `estimator`, given the episode length and the last rollout's mean step cost. `None` if nothing finite is
    /// known, in which case the margin is zero.
    pub fn episodic_cost(&self, estimator: CostEstimator, horizon: usize, mean_step_cost: f64) -> Option<f64> {
        let step_mean = horizon as f64 * mean_step_cost;
        let estimate = match (estimator, self.statistics()) {
            (CostEstimator::Episodes, Some(statistics)) if statistics.episodes >= ENOUGH_EPISODES => {
                statistics.cost_mean
            }
            _ => step_mean,
        };
        estimate.is_finite().then_some(estimate)
    }

    /// Everything needed to continue.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry cannot be stored.
    pub fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        let mut put = |name: &str, get: fn(&FinishedEpisode) -> f32| {
            let values = self.recent.iter().map(get).collect();
            state.put_host(name, HostTensor::new([self.recent.len()], values)?)
        };
        put("return", |e| e.episode_return)?;
        put("cost", |e| e.cost)?;
        put("length", |e| e.length)?;
        state.put("finished", self.finished)?;
        state.put("partial", self.partial)?;
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry is missing or of another shape.
    pub fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        let HostTensor { shape, values: returns } = state.host("return")?;
        let same_length = |name: &str| {
            let found = state.host(name)?;
            if found.shape != *shape {
                let (name, expected, got) = (name.to_owned(), shape.clone(), found.shape.clone());
                return Err(ComputeError::Shape { name, expected, got });
            }
            Ok(&found.values)
        };
        let (costs, lengths) = (same_length("cost")?, same_length("length")?);
        let (finished, partial) = (state.get("finished")?, state.get("partial")?);
        self.recent = returns
            .iter()
            .zip(costs)
            .zip(lengths)
            .map(|((&episode_return, &cost), &length)| FinishedEpisode { episode_return, cost, length, partial: false })
            .collect();
        (self.finished, self.partial) = (finished, partial);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(cost: f32, partial: bool) -> FinishedEpisode {
        FinishedEpisode { episode_return: 2.0 * cost, cost, length: 1000.0, partial }
    }

    #[test]
    fn the_window_holds_the_last_hundred_whole_episodes() {
        let mut tracker = EpisodeTracker::new();
        assert_eq!(tracker.statistics(), None);
        let episodes: Vec<_> = (0..150).map(|i| episode(i as f32, i % 15 == 14)).collect();
        tracker.record(&episodes);
        assert_eq!((tracker.finished(), tracker.partial()), (140, 10));
        let whole: Vec<f64> = (0..150).filter(|i| i % 15 != 14).skip(40).map(f64::from).collect();
        let mean = whole.iter().sum::<f64>() / 100.0;
        let statistics = tracker.statistics().unwrap();
        assert_eq!(statistics.episodes, 100);
        assert!((statistics.cost_mean - mean).abs() < 1e-9 && (statistics.return_mean - 2.0 * mean).abs() < 1e-9);
        assert!((statistics.return_std - 2.0 * statistics.cost_std).abs() < 1e-9);
        let mut restored = EpisodeTracker::new();
        restored.load_state(&tracker.state().unwrap()).unwrap();
        assert_eq!(restored.state().unwrap(), tracker.state().unwrap());
        assert_eq!(restored.statistics(), tracker.statistics());
    }

    #[test]
    fn the_cost_estimate_falls_back_to_the_step_mean() {
        let mut tracker = EpisodeTracker::new();
        assert_eq!(tracker.episodic_cost(CostEstimator::StepMean, 1000, 0.05), Some(50.0));
        assert_eq!(tracker.episodic_cost(CostEstimator::Episodes, 1000, 0.05), Some(50.0));
        assert_eq!(tracker.episodic_cost(CostEstimator::Episodes, 1000, f64::NAN), None);
        tracker.record(&[episode(30.0, false); 10]);
        assert_eq!(tracker.episodic_cost(CostEstimator::Episodes, 1000, 0.05), Some(30.0));
        assert_eq!(tracker.episodic_cost(CostEstimator::StepMean, 1000, 0.05), Some(50.0));
    }
}
