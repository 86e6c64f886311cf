//! Many environments stepped as one: what a learner needs of them, whoever made them.

use burn::tensor::{Device, Tensor};
use compute::State;

use crate::error::EnvError;
use crate::navigation::Navigation;
use crate::spec::EnvSpec;

/// Most environments of a batch: above this a count is no longer exact in float32.
pub(crate) const MAX_ENVS: usize = (1 << 24) - 1;

/// What a step returns; B environments, D = observation size, C = constraints, float32, flags 0 or 1.
#[derive(Clone, Debug)]
pub struct StepBatch {
    /// `[B, D]` Observations to act on next; where the episode ended, of the new episode.
    pub obs: Tensor<2>,
    /// `[B, D]` Observations the step led to: the last ones of episodes that ended, else equal to
    /// `obs`. Bootstrapping values from these is right everywhere.
    pub final_obs: Tensor<2>,
    /// `[B]` Rewards.
    pub reward: Tensor<1>,
    /// `[C, B]` Costs, in the order of [`EnvSpec::constraints`].
    pub costs: Tensor<2>,
    /// `[B]` 1 where the episode ended by itself.
    pub terminated: Tensor<1>,
    /// `[B]` 1 where the episode reached its step limit.
    pub truncated: Tensor<1>,
    /// `[B]` Sum of rewards of the episode, this step included.
    pub episode_return: Tensor<1>,
    /// `[C, B]` Sums of costs of the episode, this step included.
    pub episode_costs: Tensor<2>,
    /// `[B]` Steps of the episode, this one included (a partial episode counts from its phase).
    pub episode_length: Tensor<1>,
    /// `[B]` 1 where the episode was begun in its middle by a staggered [`VecEnv::reset`].
    pub episode_partial: Tensor<1>,
    /// `[B]` Which kinds of cost the step brought, the sum of their bits ([`crate::CostKind`]), where there is more than one kind
    /// in the environment and it tells them apart.
    pub kinds: Option<Tensor<1>>,
}

/// A batch of B independent environments of one kind, with same-step autoreset.
///
/// What it does is a function of how it was made, its seed included, of its state and the actions alone, so that runs
/// repeat and resume bit for bit.
pub trait VecEnv: Send {
    /// What kind of environment this is.
    fn spec(&self) -> &EnvSpec;

    /// How many environments there are.
    fn num_envs(&self) -> usize;

    /// The device the tensors live on.
    fn device(&self) -> &Device;

    /// Begins a new episode in every environment; returns observations `[B, D]`.
    ///
    /// `staggered` episodes begin at a uniform random step count, so that truncations spread over time; they are shorter
    /// and flagged ([`StepBatch::episode_partial`]).
    fn reset(&mut self, staggered: bool) -> Tensor<2>;

    /// Steps every environment under `action` `[B, action_dim]` (clipped to [-1, 1]).
    ///
    /// # Panics
    /// On another shape of `action`.
    fn step(&mut self, action: Tensor<2>) -> StepBatch;

    /// Everything the environments are, on the host. Restored by [`Self::load_state`] into environments made in the same
    /// way, the following steps repeat bit for bit.
    ///
    /// # Errors
    /// When the device cannot be read.
    fn state(&self) -> Result<State, EnvError>;

    /// Continues from [`Self::state`].
    ///
    /// # Errors
    /// When an entry is missing or belongs to other environments (it is named).
    fn load_state(&mut self, state: &State) -> Result<(), EnvError>;

    /// The navigation environments that these are, if they are: for whole rollouts in a kernel, and for pictures.
    fn navigation(&mut self) -> Option<&mut Navigation> {
        None
    }
}
