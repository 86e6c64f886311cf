//! CubeCL backends: a launch moves every environment, another rewards and observes them; one environment a unit.
//!
//! Working memory, by far the largest array, is shared by successive launches where all environments' would not fit
//! one buffer.

mod rollout;

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{Cube, CubeBackend};
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

pub use self::rollout::{Policy, RolloutPlan, Trajectory};
pub(super) use self::rollout::{fits as rollout_fits, run as rollout};
use super::{Batch, Stepped};
use crate::agent::Agent;
use crate::kinds::for_kind;
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

/// Environments a cube: two warps, so that a few thousand environments still spread over a large GPU.
const CUBE: u32 = 64;
/// Most working memory a launch may take: enough to fill any GPU, and little beside what training needs \[bytes\].
const MOST_SCRATCH: u64 = 1 << 30;
/// Bytes of a number.
const F32: u64 = size_of::<f32>() as u64;

#[cube(launch)]
fn reset_kernel<A: Agent, T: Task>(
    params: &[f32],
    state: &mut [f32],
    obs: &mut [f32],
    stagger: f32,
    num_envs: usize,
    state_dim: usize,
    obs_dim: usize,
) {
    if ABSOLUTE_POS < num_envs {
        let env = ABSOLUTE_POS;
        let base = (env / LANES) * (state_dim * LANES) + env % LANES;
        reset_env::<A, T>(params, state, base, env as u32, stagger);
        observe::<A, T>(params, state, base, obs, env * obs_dim);
    }
}

/// Moves the agents and objects of environments `first ..` `first + count`. Apart from [`finish_kernel`], so that the
/// physics, which takes long to compile, is compiled once an agent and not once a task.
#[cube(launch)]
fn advance_kernel<A: Agent>(
    params: &[f32],
    action: &[f32],
    state: &mut [f32],
    scratch: &mut [f32],
    first: usize,
    count: usize,
    state_dim: usize,
    action_dim: usize,
) {
    if ABSOLUTE_POS < count {
        let env = first + ABSOLUTE_POS;
        let base = (env / LANES) * (state_dim * LANES) + env % LANES;
        A::advance(params, state, base, action, env * action_dim, scratch, ABSOLUTE_POS * SCRATCH);
    }
}

#[cube(launch)]
fn finish_kernel<A: Agent, T: Task>(
    params: &[f32],
    state: &mut [f32],
    obs: &mut [f32],
    final_obs: &mut [f32],
    scalars: &mut [f32],
    num_envs: usize,
    state_dim: usize,
    obs_dim: usize,
) {
    if ABSOLUTE_POS < num_envs {
        let env = ABSOLUTE_POS;
        let base = (env / LANES) * (state_dim * LANES) + env % LANES;
        end_step::<A, T>(
            params,
            state,
            base,
            env as u32,
            obs,
            final_obs,
            env * obs_dim,
            obs_dim,
            scalars,
            env,
            num_envs,
        );
    }
}

pub(super) fn lives_here(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Cube(_))
}

pub(super) fn primitive<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    into_contiguous(tensor.try_into_primitive::<Cube>().expect("tensor lives on the environments' device"))
}

/// A tensor to write in place: a copy where the caller still holds it.
pub(super) fn writable<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    let tensor = primitive(tensor);
    if tensor.can_mut() { tensor } else { into_contiguous(tensor.copy()) }
}

pub(super) fn empty_like(other: &CubeTensor, shape: [usize; 2]) -> CubeTensor {
    let (client, device) = (other.client.clone(), other.device.clone());
    empty_device_contiguous_dtype(client, device, Shape::from(shape), DType::F32)
}

pub(super) fn grid(envs: usize, tensor: &CubeTensor) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(CUBE);
    (calculate_cube_count_elemwise(&tensor.client, envs, dim), dim)
}

/// Numbers in the largest buffer that kernels can bind; a kernel's indices have 32 bits.
pub(super) fn largest_buffer(tensor: &CubeTensor) -> u64 {
    tensor.client.properties().memory.max_page_size.min(u64::from(u32::MAX)) / F32
}

/// Environments of `n` that one launch takes: those whose working memory fits a buffer.
pub(super) fn together(tensor: &CubeTensor, n: usize) -> usize {
    let room = largest_buffer(tensor).min(MOST_SCRATCH / F32) as usize / SCRATCH;
    room.clamp(1, n)
}

/// Most environments whose state and observations fit a buffer of `device` each.
pub(super) fn most_envs(device: &Device, state_dim: usize, obs_dim: usize) -> usize {
    let probe = primitive(Tensor::<1>::zeros([1], device));
    let envs = largest_buffer(&probe) as usize / state_dim.max(obs_dim).max(SCALARS);
    envs / LANES * LANES
}

pub(super) fn reset(batch: &Batch, state: Tensor<3>, stagger: bool) -> (Tensor<3>, Tensor<2>) {
    let state = writable(state);
    let params = primitive(Tensor::<1>::from_floats(batch.params.as_slice(), &batch.device));
    let obs = empty_like(&state, [batch.num_envs, batch.obs_dim]);
    let (count, dim) = grid(batch.num_envs, &state);
    let launch = for_kind!(batch.agent, batch.task, reset_kernel::launch);
    launch(
        &state.client,
        count,
        dim,
        params.into_buffer_arg(),
        state.clone().into_buffer_arg(),
        obs.clone().into_buffer_arg(),
        f32::from(u8::from(stagger)),
        batch.num_envs,
        batch.state_dim,
        batch.obs_dim,
    );
    (Tensor::from_primitive::<CubeBackend>(state), Tensor::from_primitive::<CubeBackend>(obs))
}

pub(super) fn step(batch: &Batch, state: Tensor<3>, action: Tensor<2>) -> Stepped {
    let n = batch.num_envs;
    let state = writable(state);
    let action = primitive(action);
    let params = primitive(Tensor::<1>::from_floats(batch.params.as_slice(), &batch.device));
    let obs = empty_like(&state, [n, batch.obs_dim]);
    let final_obs = empty_like(&state, [n, batch.obs_dim]);
    let scalars = empty_like(&state, [SCALARS, n]);
    let together = together(&state, n);
    let scratch = empty_like(&state, [together, SCRATCH]);
    let advance = for_agent!(batch.agent, advance_kernel::launch);
    for first in (0..n).step_by(together) {
        let envs = together.min(n - first);
        let (count, dim) = grid(envs, &state);
        advance(
            &state.client,
            count,
            dim,
            params.clone().into_buffer_arg(),
            action.clone().into_buffer_arg(),
            state.clone().into_buffer_arg(),
            scratch.clone().into_buffer_arg(),
            first,
            envs,
            batch.state_dim,
            batch.action_dim,
        );
    }
    let (count, dim) = grid(n, &state);
    let finish = for_kind!(batch.agent, batch.task, finish_kernel::launch);
    finish(
        &state.client,
        count,
        dim,
        params.into_buffer_arg(),
        state.clone().into_buffer_arg(),
        obs.clone().into_buffer_arg(),
        final_obs.clone().into_buffer_arg(),
        scalars.clone().into_buffer_arg(),
        n,
        batch.state_dim,
        batch.obs_dim,
    );
    Stepped {
        state: Tensor::from_primitive::<CubeBackend>(state),
        obs: Tensor::from_primitive::<CubeBackend>(obs),
        final_obs: Tensor::from_primitive::<CubeBackend>(final_obs),
        scalars: Tensor::from_primitive::<CubeBackend>(scalars),
    }
}
