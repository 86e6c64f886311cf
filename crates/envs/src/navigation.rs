//! Navigation environments: an agent in a level, many at once, tensors in, tensors out, on the device.

use burn::tensor::{Device, Tensor};
use compute::State;

use crate::batch::Batch;
use crate::error::EnvError;
use crate::spec::{EnvSpec, NavigationSpec};
use crate::state::TOUCH;
use crate::step::{
    EPISODE_COST, EPISODE_LENGTH, EPISODE_PARTIAL, EPISODE_RETURN, KINDS, REWARD, SCALARS, STEP_COST, TERMINATED,
    TRUNCATED,
};
use crate::vec_env::{MAX_ENVS, StepBatch, VecEnv};

/// A batch of independent navigation environments of one kind, with same-step autoreset.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use envs::{Navigation, VecEnv, find};
///
/// # fn main() -> Result<(), envs::EnvError> {
/// let device = Device::flex();
/// let mut env = Navigation::new(find("PointGoal1")?, 8, 0, &device)?;
/// assert_eq!(env.reset(false).dims(), [8, env.spec().obs_dim]);
/// let batch = env.step(Tensor::zeros([8, env.spec().action_dim], &device));
/// assert_eq!((batch.reward.dims(), batch.costs.dims()), ([8], [1, 8]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Navigation {
    pub(crate) spec: NavigationSpec,
    pub(crate) batch: Batch,
    /// Kinds of cost that steps are told apart by.
    cost_kinds: usize,
}

impl Navigation {
    /// `num_envs` environments on `device`, each in its first episode; layouts follow from `seed` and the environment's
    /// index alone.
    ///
    /// # Errors
    /// [`EnvError::NumEnvs`], [`EnvError::UnsupportedDevice`] or [`EnvError::DeviceMemory`].
    pub fn new(spec: NavigationSpec, num_envs: usize, seed: u64, device: &Device) -> Result<Self, EnvError> {
        if num_envs == 0 || num_envs > MAX_ENVS {
            return Err(EnvError::NumEnvs(num_envs));
        }
        let mut batch = Batch::new(&spec, num_envs, seed, device)?;
        // Never hold a state that no episode has: stepping before the first reset is then harmless.
        batch.reset(false);
        Ok(Self { cost_kinds: spec.cost_kinds().len(), spec, batch })
    }

    /// The agent and its level.
    pub fn navigation_spec(&self) -> &NavigationSpec {
        &self.spec
    }

    /// Bytes that state, two sets of observations and the numbers of a step take on the device: linear in the number of
    /// environments. Working memory of a launch comes on top on a GPU.
    pub fn bytes(&self) -> usize {
        let state: usize = self.batch.state_shape().iter().product();
        let outputs = self.batch.num_envs * (2 * self.batch.obs_dim + self.batch.scalars);
        (state + outputs) * size_of::<f32>()
    }

    /// Everything the environments are, random counters included: `[ceil(B / 32), state_dim, 32]`, field by field in
    /// blocks of 32 environments.
    pub fn fields(&self) -> Tensor<3> {
        self.batch.state().clone()
    }

    /// Puts back what [`Self::fields`] returned; the following steps repeat bit for bit in environments of the same kind,
    /// number and seed.
    ///
    /// # Errors
    /// [`EnvError::StateShape`] when it belongs to other environments.
    pub fn set_fields(&mut self, fields: Tensor<3>) -> Result<(), EnvError> {
        let expected = self.batch.state_shape();
        if fields.dims() != expected {
            return Err(EnvError::StateShape { got: fields.dims().to_vec(), expected: expected.to_vec() });
        }
        let device = self.batch.device.clone();
        self.batch.set_state(fields.to_device(&device));
        Ok(())
    }

    /// `[B]` 1 where the agent touches a solid or movable object now (the floor apart), else 0. An episode that has just
    /// begun touches nothing, so the last step of the one before is not seen.
    pub fn touching(&self) -> Tensor<1> {
        let [blocks, _, lanes] = self.batch.state_shape();
        let touch = self.fields().slice([0..blocks, TOUCH..TOUCH + 1, 0..lanes]);
        touch.reshape([blocks * lanes]).slice([0..self.batch.num_envs])
    }
}

impl VecEnv for Navigation {
    fn spec(&self) -> &EnvSpec {
        &self.spec.env
    }

    fn num_envs(&self) -> usize {
        self.batch.num_envs
    }

    fn device(&self) -> &Device {
        &self.batch.device
    }

    fn reset(&mut self, staggered: bool) -> Tensor<2> {
        self.batch.reset(staggered)
    }

    fn step(&mut self, action: Tensor<2>) -> StepBatch {
        let n = self.batch.num_envs;
        assert_eq!(action.dims(), [n, self.batch.action_dim], "action must have shape [num_envs, action_dim]");
        let stepped = self.batch.step(&action);
        let rows = |i: usize| stepped.scalars.clone().slice([i..i + 1, 0..n]);
        // Flat first: a row is then one operation, not two, and there are eight of them in each step.
        let flat = stepped.scalars.clone().reshape([self.batch.scalars * n]);
        let row = |i: usize| flat.clone().slice([i * n..(i + 1) * n]);
        // The first constraint's row, then every other one from `further` on.
        let constraints = |first: usize, further: usize| match self.batch.scalars {
            SCALARS => rows(first),
            count => Tensor::cat([first].into_iter().chain((further..count).step_by(2)).map(rows).collect(), 0),
        };
        StepBatch {
            reward: row(REWARD),
            costs: constraints(STEP_COST, SCALARS),
            terminated: row(TERMINATED),
            truncated: row(TRUNCATED),
            episode_return: row(EPISODE_RETURN),
            episode_costs: constraints(EPISODE_COST, SCALARS + 1),
            episode_length: row(EPISODE_LENGTH),
            episode_partial: row(EPISODE_PARTIAL),
            kinds: (self.cost_kinds > 1).then(|| row(KINDS)),
            obs: stepped.obs,
            final_obs: stepped.final_obs,
        }
    }

    fn state(&self) -> Result<State, EnvError> {
        let mut state = State::new();
        state.put_tensor("fields", self.batch.state())?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<(), EnvError> {
        let fields = state.tensor("fields", self.batch.state_shape(), &self.batch.device)?;
        self.batch.set_state(fields);
        Ok(())
    }

    fn navigation(&mut self) -> Option<&mut Navigation> {
        Some(self)
    }
}
