//! CubeCL backends: a launch moves every environment, another rewards and observes them; one environment per unit.
//!
//! Working memory, by far the largest array, is shared by successive launches where all environments' would not fit
//! one buffer.
#![cfg(feature = "gpu")]

use burn::tensor::{Device, Tensor};
use compute::gpu::{CubeTensor, empty_like, grid, into_tensor, is_gpu, largest_buffer, primitive, writable};
use cubecl::prelude::*;

use super::{Batch, Stepped};
use crate::agent::Agent;
use crate::kinds::for_kind;
use crate::spec::NavigationSpec;
use crate::state::LANES;
use crate::step::{SCALARS, SCRATCH, end_step, observe, reset_env};
use crate::task::Task;

/// `f::<Agent>` of an agent's kind.
macro_rules! for_agent {
    (@function ($($f:ident)::+) $agent:ident) => { $($f)::+::<$crate::agent::$agent> };
    ((@agents ($kind:expr) $f:tt) $($(#[$doc:meta])+ $agent:ident,)+) => {
        match $kind { $($crate::agent::AgentKind::$agent => for_agent!(@function $f $agent),)+ }
    };
    ($agent:expr, $($f:ident)::+) => {
        $crate::agent::agents!(for_agent! (@agents ($agent) ($($f)::+)))
    };
}

/// Environments per cube: two warps, so that a few thousand environments still spread over a large GPU.
pub(crate) const CUBE: u32 = 64;
/// Most working memory a launch may take: enough to fill any GPU, and little compared with what training needs \[bytes\].
const MOST_SCRATCH: usize = 1 << 30;

/// The sizes that all kernels of environments need.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
pub(crate) struct Sizes {
    pub num_envs: usize,
    pub state_dim: usize,
    pub obs_dim: usize,
    pub action_dim: usize,
}

/// Where the numbers of environment `env` begin in the state.
#[cube]
pub(crate) fn base_of(env: usize, sizes: Sizes) -> usize {
    (env / LANES) * (sizes.state_dim * LANES) + env % LANES
}

#[cube(launch)]
fn reset_kernel<A: Agent, T: Task>(
    // sizes
    sizes: Sizes,
    #[comptime] staggered: bool,
    // in
    params: &[f32],
    // out
    state_out: &mut [f32],
    obs_out: &mut [f32],
) {
    if ABSOLUTE_POS < sizes.num_envs {
        let env = ABSOLUTE_POS;
        let base = base_of(env, sizes);
        reset_env::<A, T>(params, state_out, base, env as u32, staggered);
        observe::<A, T>(params, state_out, base, obs_out, env * sizes.obs_dim);
    }
}

/// Moves the agents and objects of environments `first_env ..` `first_env + count`. Apart from [`finish_kernel`], so that
/// the physics, which takes long to compile, is compiled once per agent and not once per task.
#[cube(launch)]
fn advance_kernel<A: Agent>(
    // sizes
    sizes: Sizes,
    first_env: usize,
    count: usize,
    // in
    params: &[f32],
    action: &[f32],
    // out
    state_out: &mut [f32],
    scratch_out: &mut [f32],
) {
    if ABSOLUTE_POS < count {
        let env = first_env + ABSOLUTE_POS;
        let base = base_of(env, sizes);
        let scratch_base = ABSOLUTE_POS * SCRATCH;
        A::advance(params, state_out, base, action, env * sizes.action_dim, scratch_out, scratch_base);
    }
}

#[cube(launch)]
fn finish_kernel<A: Agent, T: Task>(
    // sizes
    sizes: Sizes,
    // in
    params: &[f32],
    // out
    state_out: &mut [f32],
    obs_out: &mut [f32],
    final_obs_out: &mut [f32],
    scalars_out: &mut [f32],
) {
    if ABSOLUTE_POS < sizes.num_envs {
        let env = ABSOLUTE_POS;
        end_step::<A, T>(
            params,
            state_out,
            base_of(env, sizes),
            env as u32,
            obs_out,
            final_obs_out,
            env * sizes.obs_dim,
            sizes.obs_dim,
            scalars_out,
            env,
            sizes.num_envs,
        );
    }
}

impl Batch {
    pub(crate) fn sizes(&self) -> SizesLaunch {
        SizesLaunch::new(self.num_envs, self.state_dim, self.obs_dim, self.action_dim)
    }

    /// The parameters of the scalar bodies, on the device.
    pub(crate) fn device_params(&self) -> Option<CubeTensor> {
        primitive(&Tensor::<1>::from_floats(self.params.as_slice(), &self.device))
    }

    /// Takes the state to write it in place: a copy where the caller still holds it.
    pub(crate) fn writable_state(&mut self) -> Option<CubeTensor> {
        writable(self.take_state())
    }
}

/// Environments of `n` that one launch takes: those whose working memory fits a buffer.
pub(crate) fn envs_per_launch(tensor: &CubeTensor, n: usize) -> usize {
    let room = largest_buffer(tensor).min(MOST_SCRATCH / size_of::<f32>()) / SCRATCH;
    room.clamp(1, n)
}

/// Most environments whose state and observations fit a buffer of `device` each.
pub fn most_envs(device: &Device, spec: &NavigationSpec) -> Option<usize> {
    if !is_gpu(device) {
        return None;
    }
    let probe = primitive(&Tensor::<1>::zeros([1], device))?;
    let envs = largest_buffer(&probe) / spec.state_dim().max(spec.env.obs_dim).max(SCALARS + 2 * spec.further_costs());
    Some(envs / LANES * LANES)
}

pub fn reset(batch: &mut Batch, staggered: bool) -> Option<Tensor<2>> {
    if !is_gpu(&batch.device) {
        return None;
    }
    let state = batch.writable_state()?;
    let params = batch.device_params()?;
    let obs = empty_like(&state, [batch.num_envs, batch.obs_dim]);
    let (count, dim) = grid(&state, batch.num_envs, CUBE);
    let launch = for_kind!(batch.agent, batch.task, reset_kernel::launch);
    launch(
        &state.client,
        count,
        dim,
        batch.sizes(),
        staggered,
        params.into_buffer_arg(),
        state.clone().into_buffer_arg(),
        obs.clone().into_buffer_arg(),
    );
    batch.set_state(into_tensor(state));
    Some(into_tensor(obs))
}

pub fn step(batch: &mut Batch, action: &Tensor<2>) -> Option<Stepped> {
    if !is_gpu(&batch.device) {
        return None;
    }
    let n = batch.num_envs;
    let action = primitive(action)?;
    let state = batch.writable_state()?;
    let params = batch.device_params()?;
    let obs = empty_like(&state, [n, batch.obs_dim]);
    let final_obs = empty_like(&state, [n, batch.obs_dim]);
    let scalars = empty_like(&state, [batch.scalars, n]);
    let envs_per_launch = envs_per_launch(&state, n);
    let scratch = empty_like(&state, [envs_per_launch, SCRATCH]);
    let advance = for_agent!(batch.agent, advance_kernel::launch);
    for first_env in (0..n).step_by(envs_per_launch) {
        let envs = envs_per_launch.min(n - first_env);
        let (count, dim) = grid(&state, envs, CUBE);
        advance(
            &state.client,
            count,
            dim,
            batch.sizes(),
            first_env,
            envs,
            params.clone().into_buffer_arg(),
            action.clone().into_buffer_arg(),
            state.clone().into_buffer_arg(),
            scratch.clone().into_buffer_arg(),
        );
    }
    let (count, dim) = grid(&state, n, CUBE);
    let finish = for_kind!(batch.agent, batch.task, finish_kernel::launch);
    finish(
        &state.client,
        count,
        dim,
        batch.sizes(),
        params.into_buffer_arg(),
        state.clone().into_buffer_arg(),
        obs.clone().into_buffer_arg(),
        final_obs.clone().into_buffer_arg(),
        scalars.clone().into_buffer_arg(),
    );
    batch.set_state(into_tensor(state));
    Some(Stepped { obs: into_tensor(obs), final_obs: into_tensor(final_obs), scalars: into_tensor(scalars) })
}
