//! Navigation environments: an agent in a level, many at once, tensors in, tensors out, on the device.

use burn::tensor::{Device, Tensor};

use crate::batch::Batch;
#[cfg(feature = "gpu")]
use crate::batch::{Policy, RolloutPlan, Trajectory};
use crate::error::EnvError;
use crate::spec::{EnvSpec, NavigationSpec};
use crate::state::TOUCH;
use crate::step::{
    EPISODE_COST, EPISODE_LENGTH, EPISODE_PARTIAL, EPISODE_RETURN, REWARD, SCALARS, STEP_COST, TERMINATED, TRUNCATED,
};
use crate::vec_env::{StepBatch, VecEnv};

/// Above this a count is no longer exact in float32.
const MAX_ENVS: usize = (1 << 24) - 1;

/// A batch of independent navigation environments of one kind, with same-step autoreset.
#[derive(Debug)]
pub struct Navigation {
    spec: NavigationSpec,
    num_envs: usize,
    batch: Batch,
    // None only while a step owns it, so that the step updates it in place.
    state: Option<Tensor<3>>,
}

impl Navigation {
    /// `num_envs` environments on `device`; layouts follow from `seed` and the environment's index
    /// alone. Call [`VecEnv::reset`] before the first step.
    ///
    /// # Errors
    /// [`EnvError::NumEnvs`], [`EnvError::UnsupportedDevice`] or [`EnvError::DeviceMemory`].
    pub fn new(spec: NavigationSpec, num_envs: usize, seed: u64, device: &Device) -> Result<Self, EnvError> {
        if num_envs == 0 || num_envs > MAX_ENVS {
            return Err(EnvError::NumEnvs(num_envs));
        }
        let batch = Batch::new(&spec, num_envs, seed, device)?;
        let state = Tensor::zeros(batch.state_shape(), batch.device());
        let mut env = Self { spec, num_envs, batch, state: Some(state) };
        // Never hold a state that no episode has: stepping before the first reset is then harmless.
        env.reset(false);
        Ok(env)
    }

    /// The agent and its level.
    pub fn navigation_spec(&self) -> &NavigationSpec {
        &self.spec
    }

    /// Bytes that state, two sets of observations and the numbers of a step take on the device: linear in the number of
    /// environments. Working memory of a launch comes on top on a GPU.
    pub fn bytes(&self) -> usize {
        let [blocks, fields, lanes] = self.batch.state_shape();
        let outputs = self.num_envs * (2 * self.spec.env.obs_dim + SCALARS);
        (blocks * fields * lanes + outputs) * size_of::<f32>()
    }

    /// Whether [`Self::rollout`] works: the device compiles policies into its kernels, and its buffers hold `steps` steps
    /// and a policy that keeps `memory` numbers per environment.
    #[cfg(feature = "gpu")]
    pub fn has_rollout(&self, steps: usize, memory: usize) -> bool {
        self.batch.has_rollout(steps, memory)
    }

    /// Lets policy `P` act for many steps in one launch, or in launches of [`RolloutPlan::steps_per_launch`] steps; the
    /// trajectory is the same.
    ///
    /// # Panics
    /// If the plan's shapes do not fit, or where [`Self::has_rollout`] says no.
    #[cfg(feature = "gpu")]
    pub fn rollout<P: Policy>(&mut self, plan: RolloutPlan) -> Trajectory {
        assert_eq!(plan.obs.dims(), [self.num_envs, self.spec.env.obs_dim], "observations must be [num_envs, obs_dim]");
        let [memory, envs] = plan.memory.dims();
        assert_eq!(envs, self.num_envs, "the policy's memory must be [.., num_envs]");
        assert!(self.has_rollout(plan.noise.dims()[0], memory), "no kernel for such a rollout here");
        let state = self.take_state();
        let (state, trajectory) = self.batch.rollout::<P>(state, plan);
        self.state = Some(state);
        trajectory
    }

    /// Everything the environments are, random counters included: `[ceil(B / 32), state_dim, 32]`.
    /// Restored by [`Self::set_state`] into environments of the same kind, number and seed, the
    /// following steps repeat bit for bit.
    pub fn state(&self) -> Tensor<3> {
        self.state.clone().expect("the state is only away during a step")
    }

    /// Restores what [`Self::state`] returned.
    ///
    /// # Errors
    /// [`EnvError::StateShape`] when it belongs to other environments.
    pub fn set_state(&mut self, state: Tensor<3>) -> Result<(), EnvError> {
        let expected = self.batch.state_shape();
        if state.dims() != expected {
            return Err(EnvError::StateShape { got: state.dims().to_vec(), expected: expected.to_vec() });
        }
        self.state = Some(state.to_device(self.batch.device()));
        Ok(())
    }

    /// `[B]` 1 where the agent touches a solid or movable object now (the floor apart), else 0. An episode that has just
    /// begun touches nothing, so the last step of the one before is not seen.
    pub fn touching(&self) -> Tensor<1> {
        let [blocks, _, lanes] = self.batch.state_shape();
        self.state().slice([0..blocks, TOUCH..TOUCH + 1, 0..lanes]).reshape([blocks * lanes]).slice([0..self.num_envs])
    }

    fn take_state(&mut self) -> Tensor<3> {
        self.state.take().expect("the state is only away during a step")
    }
}

impl VecEnv for Navigation {
    fn spec(&self) -> &EnvSpec {
        &self.spec.env
    }

    fn num_envs(&self) -> usize {
        self.num_envs
    }

    fn device(&self) -> &Device {
        self.batch.device()
    }

    fn reset(&mut self, staggered: bool) -> Tensor<2> {
        let state = self.take_state();
        let (state, obs) = self.batch.reset(state, staggered);
        self.state = Some(state);
        obs
    }

    fn step(&mut self, action: Tensor<2>) -> StepBatch {
        let n = self.num_envs;
        assert_eq!(action.dims(), [n, self.spec.env.action_dim], "action must have shape [num_envs, action_dim]");
        let state = self.take_state();
        let stepped = self.batch.step(state, action);
        self.state = Some(stepped.state);
        let rows = |i: usize| stepped.scalars.clone().slice([i..i + 1, 0..n]);
        let row = |i: usize| rows(i).reshape([n]);
        StepBatch {
            obs: stepped.obs,
            final_obs: stepped.final_obs,
            reward: row(REWARD),
            costs: rows(STEP_COST),
            terminated: row(TERMINATED),
            truncated: row(TRUNCATED),
            episode_return: row(EPISODE_RETURN),
            episode_costs: rows(EPISODE_COST),
            episode_length: row(EPISODE_LENGTH),
            episode_partial: row(EPISODE_PARTIAL),
        }
    }

    fn navigation(&mut self) -> Option<&mut Navigation> {
        Some(self)
    }
}
