//! A rollout whose steps lie in whole arrays already, as a kernel leaves them.

use burn::tensor::Tensor;

use super::{Rollout, index_tensor};
use crate::{FinishedEpisode, SafeRlError, gather_rows};
use compute::read;

/// Rows of [`RolloutArrays::scalars`].
const ROWS: usize = 8;
const REWARD: usize = 0;
const COST: usize = 1;
const TERMINATED: usize = 2;
const TRUNCATED: usize = 3;
const EPISODE_RETURN: usize = 4;
const EPISODE_COST: usize = 5;
const EPISODE_LENGTH: usize = 6;
const EPISODE_PARTIAL: usize = 7;

/// T steps of B environments, N = T * B samples, row `n = t * B + b`.
#[derive(Debug, Clone)]
pub struct RolloutArrays {
    /// T.
    pub steps: usize,
    /// Normalised observations acted on, `[N, D]`.
    pub obs: Tensor<2>,
    /// Raw observations after the last step, `[B, D]`.
    pub last_obs: Tensor<2>,
    /// Actions taken, `[N, A]`.
    pub action: Tensor<2>,
    /// Means of the policy, `[N, A]`.
    pub mean: Tensor<2>,
    /// Log standard deviations of the policy, `[A]`.
    pub log_std: Tensor<1>,
    /// Log-probabilities of the actions, `[N]`.
    pub log_prob: Tensor<1>,
    /// Reward, cost, terminated, truncated, and of the episode so far return, cost, length and whether it began in the
    /// middle, `[8, N]`.
    pub scalars: Tensor<2>,
    /// Raw observations before the reset, `[C * B, D]`: that of a sample (t, b) truncated is row `t / horizon * B + b`.
    pub final_obs: Tensor<2>,
    /// Steps between two truncations of an environment, at least.
    pub horizon: usize,
}

impl Rollout {
    /// The rollout of these arrays: one read-back, that of `scalars`.
    ///
    /// `normalize` maps raw observations `[K, D]` to what the critics see.
    ///
    /// # Errors
    /// [`SafeRlError::EmptyRollout`], [`SafeRlError::ShapeMismatch`], or [`SafeRlError::Compute`] if the device fails.
    pub fn from_arrays(
        arrays: RolloutArrays,
        normalize: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Result<Self, SafeRlError> {
        let (steps, [envs, obs_dim]) = (arrays.steps, arrays.last_obs.dims());
        if steps == 0 {
            return Err(SafeRlError::EmptyRollout);
        }
        let samples = steps * envs;
        check("obs", arrays.obs.dims(), [samples, obs_dim])?;
        check("scalars", arrays.scalars.dims(), [ROWS, samples])?;
        let device = arrays.obs.device();
        // Flat first: a row is then a contiguous piece.
        let flat = arrays.scalars.reshape([ROWS * samples]);
        let numbers = read("steps of a rollout", flat.clone())?;
        let row = |i: usize| &numbers[i * samples..(i + 1) * samples];
        let (terminated, cut) = (row(TERMINATED), row(TRUNCATED));
        let mut finished = Vec::new();
        let mut truncated = Vec::new();
        for n in 0..samples {
            let (end, cut) = (terminated[n] > 0.5, cut[n] > 0.5);
            if end || cut {
                finished.push(FinishedEpisode {
                    episode_return: row(EPISODE_RETURN)[n],
                    cost: row(EPISODE_COST)[n],
                    length: row(EPISODE_LENGTH)[n],
                    partial: row(EPISODE_PARTIAL)[n] > 0.5,
                });
            }
            // An episode that is both cut off and at a terminal state is terminated: nothing to bootstrap from.
            if cut && !end {
                truncated.push(n);
            }
        }
        let mean = |i: usize| row(i).iter().map(|&x| f64::from(x)).sum::<f64>() / samples as f64;

        let mut raw = vec![arrays.last_obs];
        if !truncated.is_empty() {
            let kept = |n: &usize| n / envs / arrays.horizon * envs + n % envs;
            let index = index_tensor(&truncated.iter().map(kept).collect::<Vec<_>>(), &device);
            raw.push(gather_rows(&arrays.final_obs, &index));
        }
        let critic_inputs = Tensor::cat(vec![arrays.obs.clone(), normalize(Tensor::cat(raw, 0))], 0);

        let field = |i: usize| flat.clone().narrow(0, i * samples, samples).reshape([steps, envs]);
        Ok(Self {
            steps,
            envs,
            obs: arrays.obs,
            action: arrays.action,
            mean: arrays.mean,
            log_std: arrays.log_std,
            log_prob: arrays.log_prob,
            reward: field(REWARD),
            cost: field(COST),
            terminated: field(TERMINATED),
            done: field(TERMINATED).max_pair(field(TRUNCATED)),
            finished,
            mean_step_reward: mean(REWARD),
            mean_step_cost: mean(COST),
            critic_inputs,
            truncated,
        })
    }
}

fn check(what: &'static str, got: [usize; 2], expected: [usize; 2]) -> Result<(), SafeRlError> {
    if got == expected {
        return Ok(());
    }
    Err(SafeRlError::ShapeMismatch { what, expected: expected.to_vec(), got: got.to_vec() })
}
