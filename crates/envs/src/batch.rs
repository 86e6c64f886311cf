//! Steps all environments of a batch: what knows threads, vectors and launches lives here.
//!
//! On the CPU backend a rayon task takes whole blocks of 32 environments and updates the state in place; on CubeCL backends
//! two launches step one environment per unit. Both call the functions of [`crate::step`], and there is no third path.

mod cpu;
pub(crate) mod gpu;

pub(crate) use cpu::{reset_first, step_into};

use burn::tensor::{Device, Tensor};
use compute::cpu::Buffers;
use compute::first_of;

use crate::agent::AgentKind;
use crate::error::EnvError;
use crate::spec::NavigationSpec;
use crate::state::LANES;
use crate::step::SCALARS;
use crate::task::TaskKind;

/// What one step of all environments returns.
pub(crate) struct Stepped {
    /// `[num_envs, obs_dim]`, after autoreset.
    pub obs: Tensor<2>,
    /// `[num_envs, obs_dim]`, before autoreset.
    pub final_obs: Tensor<2>,
    /// `[scalars, num_envs]`, see `crate::step`
    pub scalars: Tensor<2>,
}

/// All environments: their state and what a step needs besides the action.
#[derive(Debug)]
pub(crate) struct Batch {
    pub agent: AgentKind,
    pub task: TaskKind,
    pub params: Vec<f32>,
    pub num_envs: usize,
    pub obs_dim: usize,
    pub action_dim: usize,
    pub state_dim: usize,
    /// Rows of the per-step scalars.
    pub scalars: usize,
    pub device: Device,
    // None only while a step owns it, so that the step updates it in place.
    state: Option<Tensor<3>>,
    buffers: Buffers,
}

impl Batch {
    /// # Errors
    /// [`EnvError::UnsupportedDevice`] where `device` has no kernels, [`EnvError::DeviceMemory`] where its buffers are too
    /// small.
    pub fn new(spec: &NavigationSpec, num_envs: usize, seed: u64, device: &Device) -> Result<Self, EnvError> {
        let device = device.clone().without_autodiff();
        let most = first_of!(
            cpu::most_envs(&device),
            gpu::most_envs(&device, spec),
            return Err(EnvError::UnsupportedDevice(format!("{device:?}")))
        );
        if num_envs > most {
            return Err(EnvError::DeviceMemory { num_envs, device: format!("{device:?}"), most });
        }
        let shape = [num_envs.div_ceil(LANES), spec.state_dim(), LANES];
        Ok(Self {
            agent: spec.agent,
            task: spec.level.task,
            params: spec.params(seed),
            num_envs,
            obs_dim: spec.env.obs_dim,
            action_dim: spec.env.action_dim,
            state_dim: spec.state_dim(),
            scalars: SCALARS + 2 * spec.further_costs(),
            state: Some(Tensor::zeros(shape, &device)),
            device,
            buffers: Buffers::default(),
        })
    }

    /// Shape of the state tensor: `[ceil(num_envs / 32), state_dim, 32]`.
    pub fn state_shape(&self) -> [usize; 3] {
        [self.num_envs.div_ceil(LANES), self.state_dim, LANES]
    }

    /// Everything the environments are, random counters included.
    pub fn state(&self) -> &Tensor<3> {
        self.state.as_ref().expect("the state is only away during a step")
    }

    /// Restores what [`Self::state`] returned; the shape must be [`Self::state_shape`].
    pub fn set_state(&mut self, state: Tensor<3>) {
        self.state = Some(state);
    }

    fn take_state(&mut self) -> Tensor<3> {
        self.state.take().expect("the state is only away during a step")
    }

    /// Begins a new episode everywhere; returns the observations `[num_envs, obs_dim]`.
    pub fn reset(&mut self, staggered: bool) -> Tensor<2> {
        first_of!(cpu::reset(self, staggered), gpu::reset(self, staggered), unreachable!("`new` refuses other devices"))
    }

    /// Steps every environment under `action [num_envs, action_dim]`.
    pub fn step(&mut self, action: &Tensor<2>) -> Stepped {
        first_of!(cpu::step(self, action), gpu::step(self, action), unreachable!("`new` refuses other devices"))
    }
}
