//! Collecting a rollout, and the values its advantages need.
//!
//! A push keeps handles to the step's tensors and copies nothing; [`RolloutBuilder::finish`] concatenates each field
//! once. Of the final observations only the rows that a value is needed for (truncated episodes) are gathered, so one
//! critic pass over [`Rollout::critic_inputs`] yields every value and next value of the rollout.

mod steps;

pub use steps::RolloutArrays;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::{FinishedEpisode, SafeRlError, gather_rows};
use compute::read;

/// What one vector step contributes.
#[derive(Debug, Clone)]
pub struct RolloutStep {
    /// Normalised observation acted on, `[B, D]`.
    pub obs: Tensor<2>,
    /// Action taken, `[B, A]`.
    pub action: Tensor<2>,
    /// Mean of the policy, `[B, A]`.
    pub mean: Tensor<2>,
    /// Log-probability of the action, `[B]`.
    pub log_prob: Tensor<1>,
    /// Reward, `[B]`.
    pub reward: Tensor<1>,
    /// Cost, `[B]`.
    pub cost: Tensor<1>,
    /// 1 where the episode reached a terminal state, `[B]`.
    pub terminated: Tensor<1>,
    /// 1 where the episode was cut off, `[B]`.
    pub truncated: Tensor<1>,
    /// Observation before the reset, **not** normalised, `[B, D]`; read only where `truncated`.
    pub final_obs: Tensor<2>,
    /// Running totals of the episodes.
    pub episode: EpisodeTotals,
}

/// Running totals of each environment's episode, this step included. All `[B]`, float.
#[derive(Debug, Clone)]
pub struct EpisodeTotals {
    /// Undiscounted return.
    pub episode_return: Tensor<1>,
    /// Undiscounted cost.
    pub cost: Tensor<1>,
    /// Steps.
    pub length: Tensor<1>,
    /// 1 where the episode began in the middle.
    pub partial: Tensor<1>,
}

/// Collects the steps of a rollout.
#[derive(Debug, Clone, Default)]
pub struct RolloutBuilder {
    steps: Vec<RolloutStep>,
}

/// A finished rollout of T steps in B environments; flat fields have row `n = t * B + b`.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// T.
    pub steps: usize,
    /// B.
    pub envs: usize,
    /// Normalised observations acted on, `[N, D]`.
    pub obs: Tensor<2>,
    /// `[N, A]`.
    pub action: Tensor<2>,
    /// Mean of the behaviour policy, `[N, A]`.
    pub mean: Tensor<2>,
    /// Log standard deviation of the behaviour policy, `[A]`.
    pub log_std: Tensor<1>,
    /// `[N]`.
    pub log_prob: Tensor<1>,
    /// `[T, B]`.
    pub reward: Tensor<2>,
    /// `[T, B]`.
    pub cost: Tensor<2>,
    /// 1 where a terminal state was reached, `[T, B]`.
    pub terminated: Tensor<2>,
    /// 1 where the episode ended in either way, `[T, B]`.
    pub done: Tensor<2>,
    /// Episodes that ended, in order of time, then environment (partial ones included and marked).
    pub finished: Vec<FinishedEpisode>,
    /// Mean of `reward`.
    pub mean_step_reward: f64,
    /// Mean of `cost`.
    pub mean_step_cost: f64,
    /// `[(T + 1) * B + K, D]`: the observations, those after the last step, then K final ones.
    critic_inputs: Tensor<2>,
    /// The K samples whose episode was truncated, ascending: the owners of the final observations.
    truncated: Vec<usize>,
}

/// Values of one critic over a rollout, both `[T, B]`.
#[derive(Debug, Clone)]
pub struct Values {
    /// Of the observation acted on.
    pub value: Tensor<2>,
    /// Of the next one: the following step's, the final observation's where truncated, zero where terminated.
    pub next_value: Tensor<2>,
}

impl RolloutBuilder {
    /// An empty rollout.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty rollout with room for `steps` steps.
    pub fn with_capacity(steps: usize) -> Self {
        Self { steps: Vec::with_capacity(steps) }
    }

    /// Number of steps so far.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether no step was pushed yet.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Adds a vector step.
    ///
    /// # Errors
    /// [`SafeRlError::ShapeMismatch`] if a shape differs from the first step's.
    pub fn push(&mut self, step: RolloutStep) -> Result<(), SafeRlError> {
        let [envs, obs_dim] = self.steps.first().unwrap_or(&step).obs.dims();
        let [_, actions] = self.steps.first().unwrap_or(&step).action.dims();
        let check = |what, got: &[usize], expected: &[usize]| {
            if got == expected {
                return Ok(());
            }
            Err(SafeRlError::ShapeMismatch { what, expected: expected.to_vec(), got: got.to_vec() })
        };
        check("obs", &step.obs.dims(), &[envs, obs_dim])?;
        check("final_obs", &step.final_obs.dims(), &[envs, obs_dim])?;
        check("action", &step.action.dims(), &[envs, actions])?;
        check("mean", &step.mean.dims(), &[envs, actions])?;
        let flat = [
            ("log_prob", &step.log_prob),
            ("reward", &step.reward),
            ("cost", &step.cost),
            ("terminated", &step.terminated),
            ("truncated", &step.truncated),
            ("episode_return", &step.episode.episode_return),
            ("episode_cost", &step.episode.cost),
            ("episode_length", &step.episode.length),
            ("episode_partial", &step.episode.partial),
        ];
        for (what, tensor) in flat {
            check(what, &tensor.dims(), &[envs])?;
        }
        self.steps.push(step);
        Ok(())
    }

    /// Ends the rollout: one read-back of the flags, one of the finished episodes' totals and the mean costs.
    ///
    /// `last_obs` `[B, D]` is the normalised observation after the last step, `log_std` `[A]` the behaviour policy's, and
    /// `normalize` maps the raw final observations `[K, D]` of truncated episodes to what the critics see. It is called
    /// only if there are any.
    ///
    /// # Errors
    /// [`SafeRlError::EmptyRollout`], or [`SafeRlError::Compute`] if the device fails.
    pub fn finish(
        self,
        last_obs: Tensor<2>,
        log_std: Tensor<1>,
        normalize: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Result<Rollout, SafeRlError> {
        let first = self.steps.first().ok_or(SafeRlError::EmptyRollout)?;
        let (steps, [envs, _]) = (self.steps.len(), first.obs.dims());
        let samples = steps * envs;
        let device = first.obs.device();
        let flat =
            |get: fn(&RolloutStep) -> &Tensor<1>| Tensor::cat(self.steps.iter().map(|s| get(s).clone()).collect(), 0);
        let rows =
            |get: fn(&RolloutStep) -> &Tensor<2>| Tensor::cat(self.steps.iter().map(|s| get(s).clone()).collect(), 0);

        let (terminated, truncated) = (flat(|s| &s.terminated), flat(|s| &s.truncated));
        let flags = read("episode ends", terminated.clone() + truncated * 2.0)?;
        let ended = |n: &usize| flags[*n] > 0.5;
        // An episode that is both cut off and at a terminal state is terminated: nothing to bootstrap from.
        let cut = |n: &usize| (1.5..2.5).contains(&flags[*n]);
        let done_samples: Vec<usize> = (0..samples).filter(ended).collect();
        let truncated: Vec<usize> = (0..samples).filter(cut).collect();

        let mut inputs: Vec<Tensor<2>> = self.steps.iter().map(|step| step.obs.clone()).collect();
        inputs.push(last_obs);
        if !truncated.is_empty() {
            inputs.push(normalize(self.final_rows(&truncated, envs, &device)));
        }
        let critic_inputs = Tensor::cat(inputs, 0);

        let (reward, cost) = (flat(|s| &s.reward), flat(|s| &s.cost));
        let mut summary = vec![reward.clone().mean(), cost.clone().mean()];
        if !done_samples.is_empty() {
            let index = index_tensor(&done_samples, &device);
            let totals: [fn(&RolloutStep) -> &Tensor<1>; 4] =
                [|s| &s.episode.episode_return, |s| &s.episode.cost, |s| &s.episode.length, |s| &s.episode.partial];
            summary.extend(totals.map(|total| flat(total).select(0, index.clone())));
        }
        let summary = read("episode totals", Tensor::cat(summary, 0))?;
        let (means, totals) = summary.split_at(2);
        let count = done_samples.len();
        let finished = (0..count)
            .map(|k| FinishedEpisode {
                episode_return: totals[k],
                cost: totals[count + k],
                length: totals[2 * count + k],
                partial: totals[3 * count + k] > 0.5,
            })
            .collect();

        let ended_flags: Vec<f32> = flags.iter().map(|&flag| if flag > 0.5 { 1.0 } else { 0.0 }).collect();
        Ok(Rollout {
            steps,
            envs,
            obs: critic_inputs.clone().narrow(0, 0, samples),
            action: rows(|s| &s.action),
            mean: rows(|s| &s.mean),
            log_std,
            log_prob: flat(|s| &s.log_prob),
            reward: reward.reshape([steps, envs]),
            cost: cost.reshape([steps, envs]),
            terminated: terminated.reshape([steps, envs]),
            done: Tensor::from_data(TensorData::new(ended_flags, [steps, envs]), &device),
            finished,
            mean_step_reward: f64::from(means[0]),
            mean_step_cost: f64::from(means[1]),
            critic_inputs,
            truncated,
        })
    }

    /// Raw final observations of the given samples, `[K, D]`, gathered step by step: rows of whole steps never move.
    fn final_rows(&self, samples: &[usize], envs: usize, device: &Device) -> Tensor<2> {
        let per_step = samples.chunk_by(|a, b| a / envs == b / envs).map(|chunk| {
            let local: Vec<usize> = chunk.iter().map(|sample| sample % envs).collect();
            gather_rows(&self.steps[chunk[0] / envs].final_obs, &index_tensor(&local, device))
        });
        Tensor::cat(per_step.collect(), 0)
    }
}

impl Rollout {
    /// N.
    pub fn samples(&self) -> usize {
        self.steps * self.envs
    }

    /// Everything a critic has to see, `[(T + 1) * B + K, D]`: hand its `[(T + 1) * B + K]` values to
    /// [`values`](Self::values).
    pub fn critic_inputs(&self) -> Tensor<2> {
        self.critic_inputs.clone()
    }

    /// Number K of truncated episodes whose final observation is among the critic inputs.
    pub fn bootstraps(&self) -> usize {
        self.truncated.len()
    }

    /// Samples (`n = t * B + b`, ascending) at which an episode was truncated and not terminated.
    pub fn truncated_samples(&self) -> &[usize] {
        &self.truncated
    }

    /// Assembles values and next values from a critic's output on [`critic_inputs`](Self::critic_inputs).
    pub fn values(&self, critic: Tensor<1>) -> Values {
        let (samples, envs) = (self.samples(), self.envs);
        assert_eq!(critic.dims(), [samples + envs + self.truncated.len()], "one value per critic input");
        let shape = [self.steps, envs];
        let mut next = critic.clone().narrow(0, envs, samples);
        if !self.truncated.is_empty() {
            // One gather from [following values, final values]: no scatter, whose order a GPU does not fix.
            let mut source: Vec<i32> = (0..samples as i32).collect();
            for (k, &sample) in self.truncated.iter().enumerate() {
                source[sample] = (samples + k) as i32;
            }
            let last = critic.clone().narrow(0, samples + envs, self.truncated.len());
            let index = Tensor::<1, Int>::from_ints(TensorData::new(source, [samples]), &critic.device());
            next = Tensor::cat(vec![next, last], 0).select(0, index);
        }
        let terminated = self.terminated.clone().greater_scalar(0.5);
        Values {
            value: critic.narrow(0, 0, samples).reshape(shape),
            next_value: next.reshape(shape).mask_fill(terminated, 0.0),
        }
    }
}

/// Row indices as a tensor.
pub(crate) fn index_tensor(indices: &[usize], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = indices.iter().map(|&index| index as i32).collect();
    Tensor::from_ints(TensorData::new(values, [indices.len()]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;

    /// A step whose numbers name their time and environment: observation (10 t + b, 0), final observation negative.
    fn step(t: usize, terminated: [f32; 3], truncated: [f32; 3]) -> RolloutStep {
        let device = test_device();
        let flat = |f: fn(f32, f32) -> f32| Tensor::<1>::from_floats([0.0, 1.0, 2.0].map(|b| f(t as f32, b)), &device);
        let rows =
            |f: fn(f32, f32) -> f32| Tensor::<2>::from_floats([0.0, 1.0, 2.0].map(|b| [f(t as f32, b), 0.0]), &device);
        RolloutStep {
            obs: rows(|t, b| 10.0 * t + b),
            action: rows(|t, b| t - b),
            mean: rows(|t, b| t + b),
            log_prob: flat(|t, _| -t),
            reward: flat(|t, b| t * b),
            cost: flat(|_, b| b),
            terminated: Tensor::from_floats(terminated, &device),
            truncated: Tensor::from_floats(truncated, &device),
            final_obs: rows(|t, b| -(10.0 * t + b) - 1.0),
            episode: EpisodeTotals {
                episode_return: flat(|t, b| 100.0 * t + b),
                cost: flat(|t, b| 200.0 * t + b),
                length: flat(|t, _| t + 1.0),
                partial: flat(|_, b| if b == 2.0 { 1.0 } else { 0.0 }),
            },
        }
    }

    fn rollout() -> Rollout {
        let device = test_device();
        let mut builder = RolloutBuilder::with_capacity(3);
        builder.push(step(0, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])).unwrap();
        builder.push(step(1, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0])).unwrap();
        builder.push(step(2, [1.0, 0.0, 0.0], [1.0, 1.0, 0.0])).unwrap();
        let last = Tensor::from_floats([[30.0, 0.0], [31.0, 0.0], [32.0, 0.0]], &device);
        builder.finish(last, Tensor::zeros([2], &device), |raw| raw * 1000.0).unwrap()
    }

    #[test]
    fn values_follow_the_ends_of_episodes() {
        let rollout = rollout();
        assert_eq!(rollout.truncated_samples(), [2, 7]);
        let inputs = rollout.critic_inputs();
        assert_eq!(inputs.dims(), [14, 2]);
        // A critic that returns the first feature names the observation each value came from.
        let Values { value, next_value } = rollout.values(inputs.narrow(1, 0, 1).squeeze_dim(1));
        assert_eq!(read("v", value).unwrap(), [0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 20.0, 21.0, 22.0]);
        let expected = [10.0, 0.0, -3000.0, 20.0, 21.0, 22.0, 0.0, -22_000.0, 32.0];
        assert_eq!(read("n", next_value).unwrap(), expected);
        assert_eq!(read("d", rollout.done.clone()).unwrap(), [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!(read("o", rollout.obs.clone()).unwrap()[6], 10.0);
    }

    #[test]
    fn finished_episodes_and_means_are_read_back() {
        let rollout = rollout();
        let costs: Vec<f32> = rollout.finished.iter().map(|e| e.cost).collect();
        assert_eq!(costs, [1.0, 2.0, 400.0, 401.0]);
        assert_eq!(rollout.finished.iter().map(|e| e.partial).collect::<Vec<_>>(), [false, true, false, false]);
        assert_eq!(rollout.finished[3].length, 3.0);
        assert_eq!((rollout.mean_step_reward, rollout.mean_step_cost), (1.0, 1.0));
    }

    #[test]
    fn a_rollout_without_ends_needs_no_final_observation() {
        let device = test_device();
        let mut builder = RolloutBuilder::new();
        builder.push(step(0, [0.0; 3], [0.0; 3])).unwrap();
        let last = Tensor::from_floats([[30.0, 0.0], [31.0, 0.0], [32.0, 0.0]], &device);
        let rollout = builder.finish(last, Tensor::zeros([2], &device), |_| panic!("nothing to normalise")).unwrap();
        let Values { next_value, .. } = rollout.values(rollout.critic_inputs().narrow(1, 0, 1).squeeze_dim(1));
        assert_eq!(read("n", next_value).unwrap(), [30.0, 31.0, 32.0]);
        assert!(rollout.finished.is_empty() && rollout.bootstraps() == 0);
    }

    #[test]
    fn wrong_shapes_and_empty_rollouts_are_errors() {
        let device = test_device();
        let mut builder = RolloutBuilder::new();
        builder.push(step(0, [0.0; 3], [0.0; 3])).unwrap();
        let mut odd = step(1, [0.0; 3], [0.0; 3]);
        odd.cost = Tensor::zeros([4], &device);
        let expected = SafeRlError::ShapeMismatch { what: "cost", expected: vec![3], got: vec![4] };
        assert_eq!(builder.push(odd), Err(expected));
        let empty = RolloutBuilder::new().finish(Tensor::zeros([3, 2], &device), Tensor::zeros([2], &device), |x| x);
        assert_eq!(empty.err(), Some(SafeRlError::EmptyRollout));
    }

    #[test]
    fn arrays_give_the_same_rollout_as_pushed_steps() {
        let device = test_device();
        let ends: [[[f32; 3]; 2]; 3] =
            [[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [[0.0; 3], [0.0; 3]], [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]];
        let pushed: Vec<RolloutStep> = (0..3).map(|t| step(t, ends[t][0], ends[t][1])).collect();
        let flat =
            |get: fn(&RolloutStep) -> &Tensor<1>| Tensor::cat(pushed.iter().map(|s| get(s).clone()).collect(), 0);
        let rows =
            |get: fn(&RolloutStep) -> &Tensor<2>| Tensor::cat(pushed.iter().map(|s| get(s).clone()).collect(), 0);
        let scalars: [fn(&RolloutStep) -> &Tensor<1>; 8] = [
            |s| &s.reward,
            |s| &s.cost,
            |s| &s.terminated,
            |s| &s.truncated,
            |s| &s.episode.episode_return,
            |s| &s.episode.cost,
            |s| &s.episode.length,
            |s| &s.episode.partial,
        ];
        let arrays = RolloutArrays {
            steps: 3,
            obs: rows(|s| &s.obs),
            last_obs: Tensor::from_floats([[30.0, 0.0], [31.0, 0.0], [32.0, 0.0]], &device) / 1000.0,
            action: rows(|s| &s.action),
            mean: rows(|s| &s.mean),
            log_std: Tensor::zeros([2], &device),
            log_prob: flat(|s| &s.log_prob),
            scalars: Tensor::stack(scalars.map(flat).to_vec(), 0),
            // Horizon 2: the truncation at (0, 2) lies in the first block of three, the one at (2, 1) in the second.
            final_obs: Tensor::from_floats(
                [[7.0, 7.0], [7.0, 7.0], [-3.0, 0.0], [7.0, 7.0], [-22.0, 0.0], [7.0, 7.0]],
                &device,
            ),
            horizon: 2,
        };
        let (a, b) = (Rollout::from_arrays(arrays, |raw| raw * 1000.0).unwrap(), rollout());
        assert_eq!((a.steps, a.envs, &a.finished, a.truncated_samples()), (3, 3, &b.finished, b.truncated_samples()));
        assert_eq!((a.mean_step_reward, a.mean_step_cost), (b.mean_step_reward, b.mean_step_cost));
        let same = |a: Tensor<2>, b: Tensor<2>| {
            for (a, b) in read("a", a).unwrap().iter().zip(read("b", b).unwrap()) {
                assert!((a - b).abs() <= 1e-5 * b.abs(), "{a} {b}");
            }
        };
        same(a.critic_inputs(), b.critic_inputs());
        same(a.done, b.done);
        same(a.terminated, b.terminated);
        same(a.reward, b.reward);
        same(a.cost, b.cost);
        same(a.action, b.action);
    }
}
