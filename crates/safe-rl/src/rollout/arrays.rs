//! A rollout whose steps lie in whole arrays already, as a kernel leaves them.

use burn::tensor::Tensor;
use compute::read;

use super::Rollout;
use super::scalars::StepScalars;
use crate::error::SafeRlError;
use crate::minibatch::{gather_rows, index_tensor};

/// Row of [`RolloutArrays::scalars`] with which the objectives begin.
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
    /// The rows of [`StepScalars`], `[6 + 2 C, N]`.
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
        let [rows, columns] = arrays.scalars.dims();
        check("scalars", [rows, columns], [rows, samples])?;
        let device = arrays.obs.device();
        // Flat first: a row is then a contiguous piece.
        let flat = arrays.scalars.reshape([rows * samples]);
        let scalars = StepScalars::new(read("steps of a rollout", flat.clone())?, samples)?;
        let truncated = scalars.truncated();

        let mut raw = vec![arrays.last_obs];
        if !truncated.is_empty() {
            let kept = |n: &usize| n / envs / arrays.horizon * envs + n % envs;
            let index = index_tensor(&truncated.iter().map(kept).collect::<Vec<_>>(), &device);
            raw.push(gather_rows(&arrays.final_obs, &index));
        }
        let critic_inputs = Tensor::cat(vec![arrays.obs.clone(), normalize(Tensor::cat(raw, 0))], 0);

        let field = |i: usize| flat.clone().narrow(0, i * samples, samples).reshape([steps, envs]);
        let objectives = 1 + scalars.constraints();
        Ok(Self {
            steps,
            num_envs: envs,
            obs: arrays.obs,
            action: arrays.action,
            mean: arrays.mean,
            log_std: arrays.log_std,
            log_prob: arrays.log_prob,
            signals: flat.clone().narrow(0, REWARD, objectives * samples).reshape([objectives, steps, envs]),
            terminated: field(scalars.terminated_row()),
            done: field(scalars.terminated_row()).max_pair(field(scalars.truncated_row())),
            finished: scalars.finished(),
            mean_step_reward: scalars.mean_reward(),
            mean_step_costs: scalars.mean_costs(),
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
