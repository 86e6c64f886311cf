//! What a policy does in its environments: episodes that ended, and mean steps.

use anyhow::Result;
use compute::State;
use safe_rl::{EpisodeStatistics, EpisodeTracker, FinishedEpisode, RECENT_EPISODES};

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
    /// Moving averages of `step_costs` as old in the mean as the last 100 episodes are where rollouts hold whole ones, `[C]`.
    pub recent_costs: Vec<f64>,
    /// Mean length of the episodes in `recent`, as a part of the longest; 1 before the first.
    pub length_share: f64,
}

/// Keeps the figures of one kind of actions.
#[derive(Clone, Debug)]
pub(crate) struct FigureTracker {
    horizon: f64,
    decay: f64,
    recent_decay: f64,
    episodes: EpisodeTracker,
    /// Step estimates of the last rollout and their moving averages, `[1 + C]`, the return first.
    last: Vec<f64>,
    average: Vec<f64>,
    recent: Vec<f64>,
    /// Rollouts in the averages.
    rollouts: u64,
}

impl FigureTracker {
    /// A tracker that has seen nothing, of episodes of `horizon` steps with so many constraints, `samples` steps a rollout.
    pub fn new(horizon: usize, constraints: usize, decay: f64, samples: usize) -> Self {
        let unknown = vec![f64::NAN; 1 + constraints];
        let episodes = EpisodeTracker::new();
        let horizon = horizon as f64;
        Self {
            horizon,
            decay,
            recent_decay: decay_of_window(RECENT_EPISODES as f64 * horizon / samples as f64),
            episodes,
            last: unknown.clone(),
            average: unknown.clone(),
            recent: unknown,
            rollouts: 0,
        }
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
        for (averages, decay) in [(&mut self.average, self.decay), (&mut self.recent, self.recent_decay)] {
            let weight = (1.0 / self.rollouts as f64).max(1.0 - decay);
            if self.rollouts == 1 {
                averages.clone_from(&self.last);
            }
            for (average, last) in averages.iter_mut().zip(&self.last) {
                *average += weight * (last - *average);
            }
        }
    }

    /// The figures as they stand.
    pub fn figures(&self) -> Figures {
        let recent = self.episodes.statistics();
        Figures {
            episodes: self.episodes.finished(),
            length_share: recent.as_ref().map_or(1.0, |recent| recent.length_mean / self.horizon),
            recent,
            step_return: self.last[0],
            step_costs: self.last[1..].to_vec(),
            average_return: self.average[0],
            average_costs: self.average[1..].to_vec(),
            recent_costs: self.recent[1..].to_vec(),
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
        for s in 0..self.last.len() {
            state.put_f64(&format!("last.{s}"), self.last[s])?;
            state.put_f64(&format!("average.{s}"), self.average[s])?;
            state.put_f64(&format!("recent.{s}"), self.recent[s])?;
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
        for s in 0..self.last.len() {
            self.last[s] = state.get_f64(&format!("last.{s}"))?;
            self.average[s] = state.get_f64(&format!("average.{s}"))?;
            self.recent[s] = state.get_f64(&format!("recent.{s}"))?;
        }
        Ok(())
    }
}

/// Decay of the exponential average that is as old in the mean as the plain mean of the last `window` rollouts; 0 where a rollout
/// holds as much.
fn decay_of_window(window: f64) -> f64 {
    ((window - 1.0) / (window + 1.0)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_begin_with_the_plain_mean_and_pass_over_what_is_no_number() {
        let mut tracker = FigureTracker::new(10, 1, 0.5, 1000);
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
        let mut restored = FigureTracker::new(10, 1, 0.5, 1000);
        restored.load_state(&tracker.state().unwrap()).unwrap();
        assert_eq!(restored.figures(), tracker.figures());
        assert_eq!(restored.state().unwrap(), tracker.state().unwrap());
    }

    #[test]
    fn recent_costs_are_as_old_as_a_hundred_episodes_of_whole_rollouts() {
        // 100 episodes of 10 steps are 4 rollouts of 250 steps, 1.5 rollouts old in the mean: weights 0.4 * 0.6^age.
        let mut tracker = FigureTracker::new(10, 1, 0.9, 250);
        (0..100).for_each(|_| tracker.record(&[], 0.0, &[1.0]));
        for expected in [6.0, 3.6, 2.16] {
            tracker.record(&[], 0.0, &[0.0]);
            assert!((tracker.figures().recent_costs[0] - expected).abs() < 1e-9);
        }
        // A rollout that holds a hundred episodes stands alone.
        let mut wide = FigureTracker::new(10, 1, 0.9, 2000);
        for cost in [0.4, 0.1, 0.3] {
            wide.record(&[], 0.0, &[cost]);
            assert!((wide.figures().recent_costs[0] - 10.0 * cost).abs() < 1e-9);
        }
    }
}
