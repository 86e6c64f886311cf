//! A rollout whose steps lie in whole arrays already, as a kernel leaves them.

use burn::tensor::Tensor;
use compute::read;

use super::Rollout;
use crate::episode::FinishedEpisode;
use crate::error::SafeRlError;
use crate::minibatch::{gather_rows, index_tensor};

/// Rows of [`RolloutArrays::scalars`] whatever the number of constraints.
const COMMON_ROWS: usize = 6;
const REWARD: usize = 0;

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
    /// Reward, C costs, terminated, truncated, and of the episode so far return, C costs, length and whether it began in the
    /// middle, `[6 + 2 C, N]`.
    pub scalars: Tensor<2>,
    /// Raw observations before the reset, `[K * B, D]`, K blocks of `horizon` steps: that of a truncated sample (t, b) is row `t / horizon * B + b`.
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
        let [rows, _] = arrays.scalars.dims();
        let constraints = rows.saturating_sub(COMMON_ROWS) / 2;
        check("scalars", arrays.scalars.dims(), [COMMON_ROWS + 2 * constraints, samples])?;
        let terminated_row = 1 + constraints;
        let (truncated_row, return_row) = (terminated_row + 1, terminated_row + 2);
        let length_row = return_row + 1 + constraints;
        let device = arrays.obs.device();
        // Flat first: a row is then a contiguous piece.
        let flat = arrays.scalars.reshape([rows * samples]);
        let numbers = read("steps of a rollout", flat.clone())?;
        let row = |i: usize| &numbers[i * samples..(i + 1) * samples];
        let (terminated, cut) = (row(terminated_row), row(truncated_row));
        let mut finished = Vec::new();
        let mut truncated = Vec::new();
        for n in 0..samples {
            let (end, cut) = (terminated[n] > 0.5, cut[n] > 0.5);
            if end || cut {
                finished.push(FinishedEpisode {
                    episode_return: row(return_row)[n],
                    costs: (0..constraints).map(|k| row(return_row + 1 + k)[n]).collect(),
                    length: row(length_row)[n],
                    partial: row(length_row + 1)[n] > 0.5,
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
        let objectives = 1 + constraints;
        Ok(Self {
            steps,
            num_envs: envs,
            obs: arrays.obs,
            action: arrays.action,
            mean: arrays.mean,
            log_std: arrays.log_std,
            log_prob: arrays.log_prob,
            signals: flat.clone().narrow(0, REWARD, objectives * samples).reshape([objectives, steps, envs]),
            terminated: field(terminated_row),
            done: field(terminated_row).max_pair(field(truncated_row)),
            finished,
            mean_step_reward: mean(REWARD),
            mean_step_costs: (1..objectives).map(mean).collect(),
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
