//! Many environments stepped as one: tensors in, tensors out, on the device.

use burn::tensor::{Device, Tensor};

use crate::error::EnvError;
use crate::kernel::Kernel;
#[cfg(feature = "gpu")]
use crate::kernel::{Policy, RolloutPlan, Trajectory};
use crate::registry::EnvSpec;
use crate::state::TOUCH;
use crate::step::{
    EPISODE_COST, EPISODE_LENGTH, EPISODE_PARTIAL, EPISODE_RETURN, REWARD, SCALARS, STEP_COST, TERMINATED, TRUNCATED,
};

/// Above this a count is no longer exact in float32.
const MAX_ENVS: usize = (1 << 24) - 1;

/// What a step returns; B environments, D = observation size, float32, flags 0 or 1.
#[derive(Clone, Debug)]
pub struct StepBatch {
    /// `[B, D]` Observations to act on next; where the episode ended, of the new episode.
    pub obs: Tensor<2>,
    /// `[B, D]` Observations the step led to: the last ones of episodes that ended, else equal to
    /// `obs`. Bootstrapping values from these is right everywhere.
    pub final_obs: Tensor<2>,
    /// `[B]` Rewards.
    pub reward: Tensor<1>,
    /// `[B]` Costs, 0 or 1.
    pub cost: Tensor<1>,
    /// `[B]` 1 where the episode ended by itself.
    pub terminated: Tensor<1>,
    /// `[B]` 1 where the episode reached its step limit.
    pub truncated: Tensor<1>,
    /// `[B]` Sum of rewards of the episode, this step included.
    pub episode_return: Tensor<1>,
    /// `[B]` Sum of costs of the episode, this step included.
    pub episode_cost: Tensor<1>,
    /// `[B]` Steps of the episode, this one included (a partial episode counts from its phase).
    pub episode_length: Tensor<1>,
    /// `[B]` 1 where the episode was begun in its middle by [`VecEnv::reset_staggered`].
    pub episode_partial: Tensor<1>,
}

/// A batch of independent environments of one kind, with same-step autoreset.
#[derive(Debug)]
pub struct VecEnv {
    spec: EnvSpec,
    num_envs: usize,
    kernel: Kernel,
    // None only while a step owns it, so that the step updates it in place.
    state: Option<Tensor<3>>,
}

impl VecEnv {
    /// `num_envs` environments on `device`; layouts follow from `seed` and the environment's index
    /// alone. Call [`Self::reset`] before the first step.
    ///
    /// # Errors
    /// [`EnvError::NumEnvs`], [`EnvError::UnsupportedDevice`] or [`EnvError::DeviceMemory`].
    pub fn new(spec: EnvSpec, num_envs: usize, seed: u64, device: &Device) -> Result<Self, EnvError> {
        if num_envs == 0 || num_envs > MAX_ENVS {
            return Err(EnvError::NumEnvs(num_envs));
        }
        let kernel = Kernel::new(&spec, num_envs, seed, device)?;
        let state = Tensor::zeros(kernel.state_shape(), kernel.device());
        let mut env = Self { spec, num_envs, kernel, state: Some(state) };
        // Never hold a state that no episode has: stepping before the first reset is then harmless.
        env.reset();
        Ok(env)
    }

    /// What kind of environment this is.
    pub fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    /// How many environments there are.
    pub fn num_envs(&self) -> usize {
        self.num_envs
    }

    /// Bytes that state, two sets of observations and the numbers of a step take on the device: linear in the number of
    /// environments. Working memory of a launch comes on top on a GPU.
    pub fn bytes(&self) -> usize {
        let [blocks, fields, lanes] = self.kernel.state_shape();
        let outputs = self.num_envs * (2 * self.spec.obs_dim + SCALARS);
        (blocks * fields * lanes + outputs) * size_of::<f32>()
    }

    /// The device the tensors live on.
    pub fn device(&self) -> &Device {
        self.kernel.device()
    }

    /// Begins a new episode in every environment; returns observations `[B, D]`.
    pub fn reset(&mut self) -> Tensor<2> {
        self.begin(false)
    }

    /// Like [`Self::reset`], but every episode begins at a uniform random step count, so that
    /// truncations spread over time. These first episodes are shorter and flagged
    /// ([`StepBatch::episode_partial`]).
    pub fn reset_staggered(&mut self) -> Tensor<2> {
        self.begin(true)
    }

    fn begin(&mut self, stagger: bool) -> Tensor<2> {
        let state = self.take_state();
        let (state, obs) = self.kernel.reset(state, stagger);
        self.state = Some(state);
        obs
    }

    /// Steps every environment under `action` (clipped to [-1, 1]).
    ///
    /// # Shapes
    /// `action`: `[B, action_dim]`.
    ///
    /// # Panics
    /// On another shape of `action`.
    pub fn step(&mut self, action: Tensor<2>) -> StepBatch {
        let expected = [self.num_envs, self.spec.action_dim];
        assert_eq!(action.dims(), expected, "action must have shape [num_envs, action_dim]");
        let state = self.take_state();
        let stepped = self.kernel.step(state, action);
        self.state = Some(stepped.state);
        let n = self.num_envs;
        let row = |i: usize| stepped.scalars.clone().slice([i..i + 1, 0..n]).reshape([n]);
        StepBatch {
            obs: stepped.obs,
            final_obs: stepped.final_obs,
            reward: row(REWARD),
            cost: row(STEP_COST),
            terminated: row(TERMINATED),
            truncated: row(TRUNCATED),
            episode_return: row(EPISODE_RETURN),
            episode_cost: row(EPISODE_COST),
            episode_length: row(EPISODE_LENGTH),
            episode_partial: row(EPISODE_PARTIAL),
        }
    }

    /// Whether [`Self::rollout`] works: the device compiles policies into its kernels, and its buffers hold `steps` steps
    /// and a policy that keeps `memory` numbers an environment.
    #[cfg(feature = "gpu")]
    pub fn has_rollout(&self, steps: usize, memory: usize) -> bool {
        self.kernel.has_rollout(steps, memory)
    }

    /// Lets policy `P` act for many steps in one launch, or in launches of [`RolloutPlan::steps_per_launch`] steps; the
    /// trajectory is the same.
    ///
    /// # Panics
    /// If the plan's shapes do not fit, or where [`Self::has_rollout`] says no.
    #[cfg(feature = "gpu")]
    pub fn rollout<P: Policy>(&mut self, plan: RolloutPlan) -> Trajectory {
        assert_eq!(plan.obs.dims(), [self.num_envs, self.spec.obs_dim], "observations must be [num_envs, obs_dim]");
        let [memory, envs] = plan.memory.dims();
        assert_eq!(envs, self.num_envs, "the policy's memory must be [.., num_envs]");
        assert!(self.has_rollout(plan.noise.dims()[0], memory), "no kernel for such a rollout here");
        let state = self.take_state();
        let (state, trajectory) = self.kernel.rollout::<P>(state, plan);
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
        let expected = self.kernel.state_shape();
        if state.dims() != expected {
            return Err(EnvError::StateShape { got: state.dims().to_vec(), expected: expected.to_vec() });
        }
        self.state = Some(state.to_device(self.kernel.device()));
        Ok(())
    }

    /// `[B]` 1 where the agent touches a solid or movable object now (the floor apart), else 0. An episode that has just
    /// begun touches nothing, so the last step of the one before is not seen.
    pub fn touching(&self) -> Tensor<1> {
        let [blocks, _, lanes] = self.kernel.state_shape();
        self.state().slice([0..blocks, TOUCH..TOUCH + 1, 0..lanes]).reshape([blocks * lanes]).slice([0..self.num_envs])
    }

    fn take_state(&mut self) -> Tensor<3> {
        self.state.take().expect("the state is only away during a step")
    }
}
