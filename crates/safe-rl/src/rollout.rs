//! Collecting a rollout, and the values its advantages need.
//!
//! A push keeps handles to the step's tensors and copies nothing; [`RolloutBuilder::finish`] concatenates each field
//! once. Of the final observations only the rows that a value is needed for (truncated episodes) are gathered, so one
//! critic pass over [`Rollout::critic_inputs`] yields every value and next value of the rollout.

mod arrays;
mod scalars;
#[cfg(test)]
mod tests;
mod values;

use burn::tensor::{Tensor, TensorData};
use compute::read;

use crate::elementwise::{concat, mean, plus_twice, stack_rows};
use crate::episode::FinishedEpisode;
use crate::error::SafeRlError;
use crate::minibatch::{gather_rows, index_tensor};

pub use arrays::RolloutArrays;
pub use scalars::StepScalars;
pub use values::Values;

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
    /// The costs of the constraints, `[C, B]`.
    pub costs: Tensor<2>,
    /// 1 where the episode reached a terminal state, `[B]`.
    pub terminated: Tensor<1>,
    /// 1 where the episode was cut off, `[B]`.
    pub truncated: Tensor<1>,
    /// Observation before the reset, **not** normalised, `[B, D]`; read only where `truncated`.
    pub final_obs: Tensor<2>,
    /// Running totals of the episodes.
    pub episode: EpisodeTotals,
}

/// Running totals of each environment's episode, this step included. All float.
#[derive(Debug, Clone)]
pub struct EpisodeTotals {
    /// Undiscounted return, `[B]`.
    pub episode_return: Tensor<1>,
    /// Undiscounted costs, `[C, B]`.
    pub costs: Tensor<2>,
    /// Steps, `[B]`.
    pub length: Tensor<1>,
    /// 1 where the episode began in the middle, `[B]`.
    pub partial: Tensor<1>,
}

/// Collects the steps of a rollout.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use safe_rl::{EpisodeTotals, RolloutBuilder, RolloutStep};
///
/// # fn main() -> Result<(), safe_rl::SafeRlError> {
/// let device = Device::flex();
/// let (flat, rows) = (|x: f32| Tensor::<1>::from_floats([x, x], &device), |x: f32| Tensor::<2>::full([2, 1], x, &device));
/// let mut builder = RolloutBuilder::new();
/// for t in 0..3 {
///     builder.push(RolloutStep {
///         obs: rows(t as f32),
///         action: rows(0.0),
///         mean: rows(0.0),
///         log_prob: flat(0.0),
///         reward: flat(2.0),
///         costs: Tensor::full([1, 2], t as f32, &device),
///         terminated: flat(0.0),
///         truncated: flat(0.0),
///         final_obs: rows(0.0),
///         episode: EpisodeTotals {
///             episode_return: flat(0.0),
///             costs: Tensor::zeros([1, 2], &device),
///             length: flat(1.0),
///             partial: flat(0.0),
///         },
///     })?;
/// }
/// let rollout = builder.finish(rows(3.0), Tensor::zeros([1], &device), |raw| raw)?;
/// assert_eq!(rollout.signals.dims(), [2, 3, 2]);
/// assert_eq!((rollout.mean_step_reward, rollout.mean_step_costs), (2.0, vec![1.0]));
/// # Ok(())
/// # }
/// ```
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
    pub num_envs: usize,
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
    /// What the objectives add up, `[S, T, B]`: the reward, then the costs.
    pub signals: Tensor<3>,
    /// 1 where a terminal state was reached, `[T, B]`.
    pub terminated: Tensor<2>,
    /// 1 where the episode ended in either way, `[T, B]`.
    pub done: Tensor<2>,
    /// Episodes that ended, in order of time, then environment (partial ones included and marked).
    pub finished: Vec<FinishedEpisode>,
    /// Mean reward per step.
    pub mean_step_reward: f64,
    /// Mean of each cost per step, `[C]`.
    pub mean_step_costs: Vec<f64>,
    /// `[(T + 1) * B + K, D]`: the observations, those after the last step, then K final ones.
    critic_inputs: Tensor<2>,
    /// The K samples whose episode was truncated, ascending: the owners of the final observations.
    truncated: Vec<usize>,
}

/// Where episodes ended.
struct Ends {
    /// 1 where a terminal state was reached, `[N]`.
    terminated: Tensor<1>,
    /// The same, plus 2 where the episode was cut off.
    flags: Vec<f32>,
    /// Samples at which an episode was cut off and not terminated, ascending.
    truncated: Vec<usize>,
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
        let [constraints, _] = self.steps.first().unwrap_or(&step).costs.dims();
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
        check("costs", &step.costs.dims(), &[constraints, envs])?;
        check("episode_costs", &step.episode.costs.dims(), &[constraints, envs])?;
        let flat = [
            ("log_prob", &step.log_prob),
            ("reward", &step.reward),
            ("terminated", &step.terminated),
            ("truncated", &step.truncated),
            ("episode_return", &step.episode.episode_return),
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
        // In parts that are no generics: these are compiled where they are called.
        let ends = self.ends()?;
        let finals = (!ends.truncated.is_empty()).then(|| normalize(self.final_rows(&ends.truncated)));
        self.assemble(ends, last_obs, log_std, finals)
    }

    /// One field of all steps, `[N]`.
    fn flat(&self, get: fn(&RolloutStep) -> &Tensor<1>) -> Tensor<1> {
        concat(self.steps.iter().map(|step| get(step).clone()).collect())
    }

    fn ends(&self) -> Result<Ends, SafeRlError> {
        if self.steps.is_empty() {
            return Err(SafeRlError::EmptyRollout);
        }
        let terminated = self.flat(|s| &s.terminated);
        let flags = read("episode ends", plus_twice(&terminated, &self.flat(|s| &s.truncated)))?;
        // An episode that is both cut off and at a terminal state is terminated: nothing to bootstrap from.
        let cut = |n: &usize| (1.5..2.5).contains(&flags[*n]);
        let truncated = (0..flags.len()).filter(cut).collect();
        Ok(Ends { terminated, flags, truncated })
    }

    /// The rollout of the steps; `finals` are the normalised final observations of the truncated episodes.
    fn assemble(
        self,
        ends: Ends,
        last_obs: Tensor<2>,
        log_std: Tensor<1>,
        finals: Option<Tensor<2>>,
    ) -> Result<Rollout, SafeRlError> {
        let Ends { terminated, flags, truncated } = ends;
        let first = self.steps.first().ok_or(SafeRlError::EmptyRollout)?;
        let (steps, [envs, _]) = (self.steps.len(), first.obs.dims());
        let samples = steps * envs;
        let device = first.obs.device();
        let flat = |get| self.flat(get);
        let rows = |get: fn(&RolloutStep) -> &Tensor<2>| concat(self.steps.iter().map(|s| get(s).clone()).collect());
        let ended = |n: &usize| flags[*n] > 0.5;
        let done_samples: Vec<usize> = (0..samples).filter(ended).collect();

        let mut inputs: Vec<Tensor<2>> = self.steps.iter().map(|step| step.obs.clone()).collect();
        inputs.push(last_obs);
        inputs.extend(finals);
        let critic_inputs = concat(inputs);

        let [constraints, _] = first.costs.dims();
        let reward = flat(|s| &s.reward);
        let stacked = |get: fn(&RolloutStep) -> &Tensor<2>| -> Tensor<3> {
            stack_rows(self.steps.iter().map(|s| get(s).clone()).collect())
        };
        let costs = stacked(|s| &s.costs);
        let cost = |k: usize| costs.clone().narrow(0, k, 1).reshape([samples]);
        let mut summary = vec![mean(&reward)];
        summary.extend((0..constraints).map(|k| mean(&cost(k))));
        if !done_samples.is_empty() {
            let index = index_tensor(&done_samples, &device);
            let at_ends = |total: Tensor<1>| total.select(0, index.clone());
            let totals: [fn(&RolloutStep) -> &Tensor<1>; 3] =
                [|s| &s.episode.episode_return, |s| &s.episode.length, |s| &s.episode.partial];
            summary.extend(totals.map(|total| at_ends(flat(total))));
            let costs = stacked(|s| &s.episode.costs);
            summary.extend((0..constraints).map(|k| at_ends(costs.clone().narrow(0, k, 1).reshape([samples]))));
        }
        let summary = read("episode totals", Tensor::cat(summary, 0))?;
        let (means, totals) = summary.split_at(1 + constraints);
        let count = done_samples.len();
        let finished = (0..count)
            .map(|i| FinishedEpisode {
                episode_return: totals[i],
                length: totals[count + i],
                partial: totals[2 * count + i] > 0.5,
                costs: (0..constraints).map(|k| totals[(3 + k) * count + i]).collect(),
            })
            .collect();

        let ended_flags: Vec<f32> = flags.iter().map(|&flag| if flag > 0.5 { 1.0 } else { 0.0 }).collect();
        Ok(Rollout {
            steps,
            num_envs: envs,
            obs: critic_inputs.clone().narrow(0, 0, samples),
            action: rows(|s| &s.action),
            mean: rows(|s| &s.mean),
            log_std,
            log_prob: flat(|s| &s.log_prob),
            signals: concat(vec![reward.reshape([1, steps, envs]), costs]),
            terminated: terminated.reshape([steps, envs]),
            done: Tensor::from_data(TensorData::new(ended_flags, [steps, envs]), &device),
            finished,
            mean_step_reward: f64::from(means[0]),
            mean_step_costs: means[1..].iter().map(|&mean| f64::from(mean)).collect(),
            critic_inputs,
            truncated,
        })
    }

    /// Raw final observations of the given samples, `[K, D]`, gathered step by step: rows of whole steps never move.
    fn final_rows(&self, samples: &[usize]) -> Tensor<2> {
        let (envs, device) = (self.steps[0].obs.dims()[0], self.steps[0].obs.device());
        let per_step = samples.chunk_by(|a, b| a / envs == b / envs).map(|chunk| {
            let local: Vec<usize> = chunk.iter().map(|sample| sample % envs).collect();
            gather_rows(&self.steps[chunk[0] / envs].final_obs, &index_tensor(&local, &device))
        });
        concat(per_step.collect())
    }
}

impl Rollout {
    /// N.
    pub fn samples(&self) -> usize {
        self.steps * self.num_envs
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
}
