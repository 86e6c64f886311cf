//! Statistics of finished episodes.

use std::collections::VecDeque;

use compute::{ComputeError, HostTensor, State};

use crate::error::SafeRlError;

/// Finished episodes that are remembered, as in OmniSafe.
pub const RECENT_EPISODES: usize = 100;

/// An episode that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedEpisode {
    /// Undiscounted sum of rewards.
    pub episode_return: f32,
    /// Undiscounted sums of the costs, `[C]`.
    pub costs: Vec<f32>,
    /// Steps.
    pub length: f32,
    /// It began in the middle (staggered reset), so its sums do not describe a whole episode.
    pub partial: bool,
}

/// Mean and population standard deviation over the remembered episodes.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeStatistics {
    /// Number of episodes the figures are over, at most 100.
    pub episodes: usize,
    /// Mean return.
    pub return_mean: f64,
    /// Standard deviation of the return.
    pub return_std: f64,
    /// Mean of each cost, `[C]`.
    pub cost_mean: Vec<f64>,
    /// Standard deviation of each cost, `[C]`.
    pub cost_std: Vec<f64>,
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
            if self.recent.len() == RECENT_EPISODES {
                self.recent.pop_front();
            }
            self.recent.push_back(episode.clone());
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
        let costs = self.recent.front()?.costs.len();
        let n = self.recent.len() as f64;
        let moments = |get: &dyn Fn(&FinishedEpisode) -> f32| {
            let mean = self.recent.iter().map(|e| f64::from(get(e))).sum::<f64>() / n;
            let variance = self.recent.iter().map(|e| (f64::from(get(e)) - mean).powi(2)).sum::<f64>() / n;
            (mean, variance.sqrt())
        };
        let (return_mean, return_std) = moments(&|e| e.episode_return);
        let (cost_mean, cost_std) = (0..costs).map(|k| moments(&|e| e.costs[k])).unzip();
        let (length_mean, _) = moments(&|e| e.length);
        Some(EpisodeStatistics {
            episodes: self.recent.len(),
            return_mean,
            return_std,
            cost_mean,
            cost_std,
            length_mean,
        })
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
        put("length", |e| e.length)?;
        let costs = self.recent.front().map_or(0, |episode| episode.costs.len());
        let values = self.recent.iter().flat_map(|episode| episode.costs.iter().copied()).collect();
        state.put_host("costs", HostTensor::new([self.recent.len(), costs], values)?)?;
        state.put("finished", self.finished)?;
        state.put("partial", self.partial)?;
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry is missing or of another shape.
    pub fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        let (returns, lengths, costs) = (state.host("return")?, state.host("length")?, state.host("costs")?);
        let episodes = returns.values.len();
        let per_episode = costs.shape.get(1).copied().unwrap_or(0);
        for (name, found, expected) in
            [("length", lengths, vec![episodes]), ("costs", costs, vec![episodes, per_episode])]
        {
            if found.shape != expected {
                let (name, got) = (name.to_owned(), found.shape.clone());
                return Err(ComputeError::Shape { name, expected, got }.into());
            }
        }
        let (finished, partial) = (state.get("finished")?, state.get("partial")?);
        let episode = |i: usize| FinishedEpisode {
            episode_return: returns.values[i],
            costs: costs.values[i * per_episode..(i + 1) * per_episode].to_vec(),
            length: lengths.values[i],
            partial: false,
        };
        self.recent = (0..episodes).map(episode).collect();
        (self.finished, self.partial) = (finished, partial);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(cost: f32, partial: bool) -> FinishedEpisode {
        FinishedEpisode { episode_return: 2.0 * cost, costs: vec![cost, 3.0 * cost], length: 1000.0, partial }
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
        assert!((statistics.cost_mean[0] - mean).abs() < 1e-9 && (statistics.return_mean - 2.0 * mean).abs() < 1e-9);
        assert!((statistics.cost_mean[1] - 3.0 * mean).abs() < 1e-9);
        assert!((statistics.return_std - 2.0 * statistics.cost_std[0]).abs() < 1e-9);
        assert!((statistics.cost_std[1] - 3.0 * statistics.cost_std[0]).abs() < 1e-9);
        let mut restored = EpisodeTracker::new();
        restored.load_state(&tracker.state().unwrap()).unwrap();
        assert_eq!(restored.state().unwrap(), tracker.state().unwrap());
        assert_eq!(restored.statistics(), tracker.statistics());
    }

    #[test]
    fn a_state_whose_arrays_do_not_fit_together_is_refused() {
        let mut tracker = EpisodeTracker::new();
        tracker.record(&[episode(1.0, false), episode(2.0, false)]);
        let mut state = tracker.state().unwrap();
        state.tensors.insert("length".to_owned(), HostTensor::new([1], vec![1.0]).unwrap());
        let error = EpisodeTracker::new().load_state(&state).unwrap_err().to_string();
        assert!(error.contains("`length`"), "{error}");
    }
}
