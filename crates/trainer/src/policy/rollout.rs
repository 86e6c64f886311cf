//! Whole rollouts of a policy in one launch, where the device can.

#[cfg(feature = "gpu")]
pub mod gpu;

use burn::tensor::{Device, Tensor};
use compute::noise::NoiseKey;
use envs::VecEnv;
use safe_rl::{Normalizer, RolloutArrays};

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
    #[cfg(feature = "gpu")]
    steps_per_launch: usize,
}

impl RolloutKernel {
    /// The way on this device.
    #[cfg_attr(not(feature = "gpu"), expect(unused_variables, reason = "there is nothing to ask the device for"))]
    pub fn new(device: &Device) -> Self {
        Self {
            #[cfg(feature = "gpu")]
            steps_per_launch: crate::device::steps_per_launch(device),
        }
    }

    /// The same with at most so many steps in one launch; the rollout's bits are the same.
    #[must_use]
    #[cfg_attr(not(feature = "gpu"), expect(unused_variables, unused_mut, reason = "there are no launches"))]
    pub fn with_steps_per_launch(mut self, steps: usize) -> Self {
        #[cfg(feature = "gpu")]
        {
            self.steps_per_launch = steps;
        }
        self
    }

    /// `steps` steps of every environment under `policy`, by the noise of `key` and its successors; records the
    /// observations' moments in the normaliser and leaves the next observations in `obs` `[B, D]`.
    ///
    /// `None` where the device has no such kernel or cannot hold the arrays: nothing has happened then.
    #[cfg(feature = "gpu")]
    pub fn collect(
        self,
        env: &mut dyn VecEnv,
        obs: &mut Tensor<2>,
        normalizer: &mut Normalizer,
        policy: &Policy,
        key: NoiseKey,
        steps: usize,
    ) -> Option<Collected> {
        gpu::collect(env, obs, normalizer, policy, key, steps, self.steps_per_launch)
    }

    /// Never: there is no GPU in this build.
    #[cfg(not(feature = "gpu"))]
    pub fn collect(
        self,
        _env: &mut dyn VecEnv,
        _obs: &mut Tensor<2>,
        _normalizer: &mut Normalizer,
        _policy: &Policy,
        _key: NoiseKey,
        _steps: usize,
    ) -> Option<Collected> {
        None
    }
}
