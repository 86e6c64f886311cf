//! What a policy does in its environments: episodes that ended, and mean steps.

use anyhow::Result;
use compute::State;
use safe_rl::{EpisodeStatistics, EpisodeTracker, FinishedEpisode};

/// Figures of one kind of actions. A step estimate is what an episode would come to if all its steps were as the mean one.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Whole episodes finished since the start.
    pub episodes: u64,
    /// Figures over the last 100 finished episodes; `None` before the first.
    pub recent: Option<EpisodeStatistics>,
    /// Episode length times the mean step reward of the last rollout.
    pub step_return: f64,
    /// Episode length times the mean step costs of the last rollout, `[C]`.
    pub step_costs: Vec<f64>,
    /// Moving average of `step_return`.
    pub average_return: f64,
    /// Moving averages of `step_costs`, `[C]`.
    pub average_costs: Vec<f64>,
}

/// Keeps the figures of one kind of actions.
#[derive(Clone, Debug)]
pub(crate) struct FigureTracker {
    horizon: f64,
    decay: f64,
    episodes: EpisodeTracker,
    /// Step estimates of the last rollout and their moving averages, `[1 + C]`, the return first.
    last: Vec<f64>,
    average: Vec<f64>,
    /// Rollouts in the average.
    rollouts: u64,
}

impl FigureTracker {
    /// A tracker that has seen nothing, of episodes of `horizon` steps with so many constraints.
    pub fn new(horizon: usize, constraints: usize, decay: f64) -> Self {
        let unknown = vec![f64::NAN; 1 + constraints];
        let episodes = EpisodeTracker::new();
        Self { horizon: horizon as f64, decay, episodes, last: unknown.clone(), average: unknown, rollouts: 0 }
    }

    /// Adds a rollout: the episodes that ended in it, and its mean step.
    pub fn record(&mut self, finished: &[FinishedEpisode], mean_reward: f64, mean_costs: &[f64]) {
        self.episodes.record(finished);
        let means = std::iter::once(&mean_reward).chain(mean_costs);
        self.last = means.map(|mean| self.horizon * mean).collect();
        // A number that is none must not stay in the averages for ever.
        if self.last.iter().any(|estimate| !estimate.is_finite()) {
            return;
        }
        self.rollouts += 1;
        let weight = (1.0 / self.rollouts as f64).max(1.0 - self.decay);
        if self.rollouts == 1 {
            self.average.clone_from(&self.last);
        }
        for (average, last) in self.average.iter_mut().zip(&self.last) {
            *average += weight * (last - *average);
        }
    }

    /// The figures as they stand.
    pub fn figures(&self) -> Figures {
        Figures {
            episodes: self.episodes.finished(),
            recent: self.episodes.statistics(),
            step_return: self.last[0],
            step_costs: self.last[1..].to_vec(),
            average_return: self.average[0],
            average_costs: self.average[1..].to_vec(),
        }
    }

    /// Everything needed to continue.
    ///
    /// # Errors
    /// If an entry cannot be stored.
    pub fn state(&self) -> Result<State> {
        let mut state = State::new();
        state.put_part("episodes", self.episodes.state()?)?;
        state.put("rollouts", self.rollouts)?;
        for (s, (last, average)) in self.last.iter().zip(&self.average).enumerate() {
            state.put_f64(&format!("last.{s}"), *last)?;
            state.put_f64(&format!("average.{s}"), *average)?;
        }
        Ok(state)
    }

    /// Takes what [`Self::state`] gave.
    ///
    /// # Errors
    /// If an entry is missing or of another shape.
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        self.episodes.load_state(&state.part("episodes")?)?;
        self.rollouts = state.get("rollouts")?;
        for (s, (last, average)) in self.last.iter_mut().zip(&mut self.average).enumerate() {
            *last = state.get_f64(&format!("last.{s}"))?;
            *average = state.get_f64(&format!("average.{s}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_begin_with_the_plain_mean_and_pass_over_what_is_no_number() {
        let mut tracker = FigureTracker::new(10, 1, 0.5);
        assert!(tracker.figures().average_return.is_nan());
        tracker.record(&[], 1.0, &[0.4]);
        assert_eq!((tracker.figures().average_return, tracker.figures().average_costs), (10.0, vec![4.0]));
        tracker.record(&[], f64::NAN, &[0.8]);
        let figures = tracker.figures();
        assert_eq!((figures.average_return, figures.step_costs), (10.0, vec![8.0]));
        for (mean, expected) in [(3.0, 20.0), (4.0, 30.0), (1.0, 20.0)] {
            tracker.record(&[], mean, &[0.4]);
            assert_eq!(tracker.figures().average_return, expected);
        }
        let mut restored = FigureTracker::new(10, 1, 0.5);
        restored.load_state(&tracker.state().unwrap()).unwrap();
        assert_eq!(restored.figures(), tracker.figures());
        assert_eq!(restored.state().unwrap(), tracker.state().unwrap());
    }
}
