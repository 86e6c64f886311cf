//! Steps all environments of a batch: what knows threads, vectors and launches lives here.
//!
//! On the CPU backend (`flex`) a rayon task takes whole blocks of 32 environments and updates the
//! state in place; on CubeCL backends two launches step one environment a unit, or one launch makes a whole rollout, the
//! policy included. All call the same functions of [`crate::step`].

#[cfg(feature = "flex")]
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;

use burn::tensor::{Device, Tensor};

use crate::agent::AgentKind;
use crate::error::EnvError;
use crate::spec::NavigationSpec;
use crate::state::LANES;
use crate::task::TaskKind;

#[cfg(feature = "gpu")]
pub use gpu::{Policy, RolloutPlan, Trajectory};

/// What one step of all environments returns.
pub(crate) struct Stepped {
    /// `[blocks, state_dim, 32]`
    pub state: Tensor<3>,
    /// `[num_envs, obs_dim]`, after autoreset.
    pub obs: Tensor<2>,
    /// `[num_envs, obs_dim]`, before autoreset.
    pub final_obs: Tensor<2>,
    /// `[SCALARS, num_envs]`
    pub scalars: Tensor<2>,
}

/// Everything a step needs besides the tensors.
#[derive(Debug)]
pub(crate) struct Batch {
    agent: AgentKind,
    task: TaskKind,
    params: Vec<f32>,
    num_envs: usize,
    obs_dim: usize,
    action_dim: usize,
    state_dim: usize,
    #[cfg(feature = "gpu")]
    horizon: usize,
    device: Device,
    #[cfg(feature = "flex")]
    buffers: cpu::Buffers,
}

impl Batch {
    /// # Errors
    /// [`EnvError::UnsupportedDevice`] where `device` has no kernels, [`EnvError::DeviceMemory`] where its buffers are too
    /// small.
    pub fn new(spec: &NavigationSpec, num_envs: usize, seed: u64, device: &Device) -> Result<Self, EnvError> {
        let device = device.clone().without_autodiff();
        if !supports(&device) {
            return Err(EnvError::UnsupportedDevice(format!("{device:?}")));
        }
        #[cfg(feature = "gpu")]
        if gpu::lives_here(&device) {
            let most = gpu::most_envs(&device, spec.state_dim(), spec.env.obs_dim);
            if num_envs > most {
                return Err(EnvError::DeviceMemory { num_envs, device: format!("{device:?}"), most });
            }
        }
        Ok(Self {
            agent: spec.agent,
            task: spec.level.task,
            params: spec.params(seed),
            num_envs,
            obs_dim: spec.env.obs_dim,
            action_dim: spec.env.action_dim,
            state_dim: spec.state_dim(),
            #[cfg(feature = "gpu")]
            horizon: spec.env.max_episode_steps,
            device,
            #[cfg(feature = "flex")]
            buffers: cpu::Buffers::default(),
        })
    }

    /// Shape of the state tensor.
    pub fn state_shape(&self) -> [usize; 3] {
        [self.num_envs.div_ceil(LANES), self.state_dim, LANES]
    }

    /// The device the tensors live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Begins a new episode everywhere. Returns the state and the observations `[num_envs, obs_dim]`.
    pub fn reset(&self, state: Tensor<3>, staggered: bool) -> (Tensor<3>, Tensor<2>) {
        #[cfg(feature = "flex")]
        if cpu::lives_here(&self.device) {
            return cpu::reset(self, state, staggered);
        }
        #[cfg(feature = "gpu")]
        if gpu::lives_here(&self.device) {
            return gpu::reset(self, state, staggered);
        }
        unreachable!("Batch::new refuses devices without kernels (reset, {staggered}, {state:?})")
    }

    /// Steps every environment under `action [num_envs, action_dim]`.
    pub fn step(&mut self, state: Tensor<3>, action: Tensor<2>) -> Stepped {
        #[cfg(feature = "flex")]
        if cpu::lives_here(&self.device) {
            return cpu::step(self, state, action);
        }
        #[cfg(feature = "gpu")]
        if gpu::lives_here(&self.device) {
            return gpu::step(self, state, action);
        }
        unreachable!("Batch::new refuses devices without kernels (step, {state:?}, {action:?})")
    }

    /// Whether [`Self::rollout`] can make `steps` steps here, with a policy that keeps `memory` numbers an environment.
    #[cfg(feature = "gpu")]
    pub fn has_rollout(&self, steps: usize, memory: usize) -> bool {
        gpu::lives_here(&self.device) && gpu::rollout_fits(self, steps, memory)
    }

    /// Steps and acts as `plan` says; returns the state and what happened.
    #[cfg(feature = "gpu")]
    pub fn rollout<P: Policy>(&self, state: Tensor<3>, plan: RolloutPlan) -> (Tensor<3>, Trajectory) {
        gpu::rollout::<P>(self, state, plan)
    }
}

fn supports(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    if cpu::lives_here(device) {
        return true;
    }
    #[cfg(feature = "gpu")]
    if gpu::lives_here(device) {
        return true;
    }
    let _ = device;
    false
}
