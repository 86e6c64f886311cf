//! What the shards of a run have seen in a rollout, put together.

use anyhow::{Result, ensure};
use safe_rl::FinishedEpisode;

use crate::comm::Comm;

/// Episodes that ended, and the mean step, in the environments of one shard or of all.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Oldest first.
    pub finished: Vec<FinishedEpisode>,
    /// Mean reward per step.
    pub mean_reward: f64,
    /// Mean of each cost per step, `[C]`.
    pub mean_costs: Vec<f64>,
}

/// Numbers of an episode beside its costs.
const EPISODE: usize = 3;

impl Seen {
    /// What all shards of `comm` have seen, of as many environments each. Episodes alternate between the shards, so that the last
    /// hundred are of all; within a shard the oldest comes first.
    ///
    /// # Errors
    /// When another shard fails.
    pub fn by_all(self, comm: &dyn Comm) -> Result<Self> {
        if comm.size() == 1 {
            return Ok(self);
        }
        let constraints = self.mean_costs.len();
        let shards: Vec<Self> = comm
            .gather(&self.numbers())?
            .into_iter()
            .map(|numbers| Self::of_numbers(&numbers, constraints))
            .collect::<Result<_>>()?;
        let mean = |get: &dyn Fn(&Self) -> f64| shards.iter().map(get).sum::<f64>() / shards.len() as f64;
        let mean_reward = mean(&|seen| seen.mean_reward);
        let mean_costs = (0..constraints).map(|k| mean(&|seen| seen.mean_costs[k])).collect();
        let most = shards.iter().map(|seen| seen.finished.len()).max().unwrap_or(0);
        let turn = |i: usize| shards.iter().filter_map(move |seen| seen.finished.get(i).cloned());
        Ok(Self { finished: (0..most).flat_map(turn).collect(), mean_reward, mean_costs })
    }

    fn numbers(&self) -> Vec<f64> {
        let mut numbers = vec![self.mean_reward];
        numbers.extend(&self.mean_costs);
        for episode in &self.finished {
            numbers.extend([episode.episode_return, episode.length].map(f64::from));
            numbers.push(f64::from(u8::from(episode.partial)));
            numbers.extend(episode.costs.iter().map(|cost| f64::from(*cost)));
        }
        numbers
    }

    fn of_numbers(numbers: &[f64], constraints: usize) -> Result<Self> {
        ensure!(numbers.len() > constraints, "a shard has sent too few numbers of its rollout");
        let (means, episodes) = numbers.split_at(1 + constraints);
        let episode = |numbers: &[f64]| FinishedEpisode {
            episode_return: numbers[0] as f32,
            length: numbers[1] as f32,
            partial: numbers[2] > 0.5,
            costs: numbers[EPISODE..].iter().map(|cost| *cost as f32).collect(),
        };
        Ok(Self {
            finished: episodes.chunks_exact(EPISODE + constraints).map(episode).collect(),
            mean_reward: means[0],
            mean_costs: means[1..].to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::{Alone, Group, OneProcess};
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn episodes_of_the_shards_alternate_and_mean_steps_are_means() {
        let episode = |number: f32| FinishedEpisode {
            episode_return: number,
            costs: vec![10.0 * number, 0.25],
            length: 7.0,
            partial: number == 3.0,
        };
        let seen = |numbers: &[f32], mean| Seen {
            finished: numbers.iter().map(|number| episode(*number)).collect(),
            mean_reward: mean,
            mean_costs: vec![2.0 * mean, 1.0],
        };
        assert_eq!(seen(&[1.0], 0.5).by_all(&Alone).unwrap(), seen(&[1.0], 0.5));
        let own = [seen(&[1.0, 3.0, 4.0], 0.5), seen(&[], 1.0), seen(&[2.0], 3.0)];
        let shards = Group::new(3, Arc::new(OneProcess)).unwrap().shards();
        thread::scope(|scope| {
            for (shard, seen_by_it) in shards.into_iter().zip(own) {
                let expected = seen(&[1.0, 2.0, 3.0, 4.0], 1.5);
                scope.spawn(move || assert_eq!(seen_by_it.by_all(&shard).unwrap(), expected));
            }
        });
    }
}
