//! Whole rollouts of a policy in one launch, where the device can.

mod gpu;

use burn::tensor::{Device, Tensor};
use compute::first_of;
use compute::noise::NoiseKey;
use envs::VecEnv;
use safe_rl::{Normalizer, RolloutArrays};

use crate::device;
use crate::policy::Policy;

/// What a whole rollout gave.
pub struct Collected {
    /// Its arrays.
    pub arrays: RolloutArrays,
    /// `[N]` The bits of the kinds of cost ([`envs::CostKind`]) that its steps brought.
    pub kinds: Tensor<1>,
}

/// The way to whole rollouts on a device.
#[derive(Clone, Copy, Debug)]
pub struct RolloutKernel {
    steps_per_launch: usize,
}

impl RolloutKernel {
    /// The way on this device.
    pub fn new(device: &Device) -> Self {
        Self { steps_per_launch: device::steps_per_launch(device) }
    }

    /// The same with at most so many steps in one launch; the rollout's bits are the same.
    #[must_use]
    pub fn with_steps_per_launch(self, steps_per_launch: usize) -> Self {
        Self { steps_per_launch }
    }

    /// `steps` steps of every environment under `policy`, by the noise of `key` and its successors; records the
    /// observations' moments in the normaliser and leaves the next observations in `obs` `[B, D]`.
    ///
    /// `None` where the device has no such kernel or cannot hold the arrays: nothing has happened then.
    pub fn collect(
        self,
        env: &mut dyn VecEnv,
        obs: &mut Tensor<2>,
        normalizer: &mut Normalizer,
        policy: &Policy,
        key: NoiseKey,
        steps: usize,
    ) -> Option<Collected> {
        first_of!(gpu::collect(env, obs, normalizer, policy, key, steps, self.steps_per_launch))
    }
}
