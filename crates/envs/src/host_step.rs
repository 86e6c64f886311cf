//! A step in memory of the caller's, on the CPU: what a front in another language calls, without a tensor or a copy between.

use crate::batch::step_into;
use crate::navigation::Navigation;
use crate::step::{
    EPISODE_COST, EPISODE_LENGTH, EPISODE_PARTIAL, EPISODE_RETURN, KINDS, REWARD, SCALARS, STEP_COST, TERMINATED,
    TRUNCATED,
};

/// The numbers of a step of B environments, a row of B each: what [`StepBatch`](crate::StepBatch) has as tensors.
#[derive(Debug, Clone)]
pub struct StepRows {
    values: Vec<f32>,
    num_envs: usize,
}

impl StepRows {
    /// Rows for the steps of `env`, zero at first.
    pub fn of(env: &Navigation) -> Self {
        let num_envs = env.batch.num_envs;
        Self { values: vec![0.0; env.batch.scalars * num_envs], num_envs }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.num_envs..][..self.num_envs]
    }

    /// The row of constraint `c`: the first one's stands apart from the others', of which each has two.
    fn constraint(&self, c: usize, first: usize, further: usize) -> &[f32] {
        self.row(if c == 0 { first } else { SCALARS + 2 * (c - 1) + further })
    }

    /// `[B]` Rewards.
    pub fn reward(&self) -> &[f32] {
        self.row(REWARD)
    }

    /// `[B]` Costs by constraint `c`.
    ///
    /// # Panics
    /// If there is no such constraint.
    pub fn cost(&self, c: usize) -> &[f32] {
        self.constraint(c, STEP_COST, 0)
    }

    /// `[B]` 1 where the episode ended by itself.
    pub fn terminated(&self) -> &[f32] {
        self.row(TERMINATED)
    }

    /// `[B]` 1 where the episode reached its step limit.
    pub fn truncated(&self) -> &[f32] {
        self.row(TRUNCATED)
    }

    /// `[B]` Sums of rewards of the episodes, this step included.
    pub fn episode_return(&self) -> &[f32] {
        self.row(EPISODE_RETURN)
    }

    /// `[B]` Sums of costs of the episodes by constraint `c`, this step included.
    ///
    /// # Panics
    /// If there is no such constraint.
    pub fn episode_cost(&self, c: usize) -> &[f32] {
        self.constraint(c, EPISODE_COST, 1)
    }

    /// `[B]` Steps of the episodes, this one included.
    pub fn episode_length(&self) -> &[f32] {
        self.row(EPISODE_LENGTH)
    }

    /// `[B]` 1 where the episode began in its middle.
    pub fn episode_partial(&self) -> &[f32] {
        self.row(EPISODE_PARTIAL)
    }

    /// `[B]` The bits of the kinds of cost that the step brought.
    pub fn kinds(&self) -> &[f32] {
        self.row(KINDS)
    }
}

impl Navigation {
    /// [`VecEnv::step`](crate::VecEnv::step) of slices: `action` `[B, A]`, the observations after and before an autoreset `obs`
    /// and `final_obs` `[B, D]`. False, and nothing is done, where the environments are not in the CPU's memory.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use envs::{Navigation, StepRows, VecEnv, find};
    ///
    /// # fn main() -> Result<(), envs::EnvError> {
    /// let mut env = Navigation::new(find("PointGoal1")?, 8, 0, &Device::flex())?;
    /// let mut rows = StepRows::of(&env);
    /// let mut obs = vec![0.0; 8 * env.spec().obs_dim];
    /// let mut final_obs = obs.clone();
    /// assert!(env.step_into(&[0.0; 8 * 2], &mut obs, &mut final_obs, &mut rows));
    /// assert_eq!((rows.reward().len(), rows.episode_length()[0]), (8, 1.0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If a slice has another length.
    pub fn step_into(&mut self, action: &[f32], obs: &mut [f32], final_obs: &mut [f32], rows: &mut StepRows) -> bool {
        let (n, obs_dim) = (self.batch.num_envs, self.batch.obs_dim);
        assert_eq!(action.len(), n * self.batch.action_dim, "action must be [num_envs, action_dim]");
        assert_eq!([obs.len(), final_obs.len()], [n * obs_dim; 2], "observations must be [num_envs, obs_dim]");
        assert_eq!(rows.values.len(), self.batch.scalars * n, "rows of these environments");
        step_into(&mut self.batch, action, obs, final_obs, &mut rows.values).is_some()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use compute::read;

    use super::*;
    use crate::{VecEnv, find};

    #[test]
    fn a_step_into_slices_is_the_step_of_tensors() {
        let device = Device::flex();
        for id in ["PointGoal1", "CarButton2"] {
            let make = || Navigation::new(find(id).unwrap(), 45, 3, &device).unwrap();
            let (mut env, mut other) = (make(), make());
            let obs_dim = env.spec().obs_dim;
            let mut rows = StepRows::of(&env);
            let (mut obs, mut final_obs) = (vec![0.0; 45 * obs_dim], vec![0.0; 45 * obs_dim]);
            for t in 0..1002 {
                let action: Vec<f32> = (0..90).map(|i| ((i * 7 + t / 20) as f32).sin()).collect();
                assert!(env.step_into(&action, &mut obs, &mut final_obs, &mut rows));
                let batch = other.step(Tensor::from_data(TensorData::new(action, [45, 2]), &device));
                if t % 50 > 0 && t < 998 {
                    continue;
                }
                let values = |row: Tensor<1>| read("row", row).unwrap();
                assert_eq!(rows.reward(), values(batch.reward));
                assert_eq!(rows.cost(0), values(batch.costs.flatten(0, 1)));
                assert_eq!(rows.terminated(), values(batch.terminated));
                assert_eq!(rows.truncated(), values(batch.truncated));
                assert_eq!(rows.episode_return(), values(batch.episode_return));
                assert_eq!(rows.episode_cost(0), values(batch.episode_costs.flatten(0, 1)));
                assert_eq!(rows.episode_length(), values(batch.episode_length));
                assert_eq!(rows.episode_partial(), values(batch.episode_partial));
                assert_eq!(
                    rows.kinds(),
                    values(batch.kinds.unwrap_or_else(|| Tensor::from_floats(rows.kinds(), &device)))
                );
                assert_eq!(obs, read("obs", batch.obs.flatten::<1>(0, 1)).unwrap());
                assert_eq!(final_obs, read("final_obs", batch.final_obs.flatten::<1>(0, 1)).unwrap());
            }
        }
    }
}
