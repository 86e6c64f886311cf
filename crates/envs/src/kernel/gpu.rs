//! CubeCL backends: one launch steps every environment, one environment a unit.

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{Cube, CubeBackend};
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::{Kernel, Stepped};
use crate::agent::{Agent, AgentKind, Point};
use crate::level::TaskKind;
use crate::state::LANES;
use crate::step::{SCALARS, SCRATCH, observe_one, reset_one, step_one};
use crate::task::{Goal, Task};

/// Environments a cube: two warps, so that a few thousand environments still spread over a large GPU.
const CUBE: u32 = 64;

#[cube(launch)]
fn reset_kernel<A: Agent, T: Task>(
    params: &[f32],
    state: &mut [f32],
    obs: &mut [f32],
    stagger: f32,
    num_envs: usize,
    #[comptime] state_dim: usize,
    #[comptime] obs_dim: usize,
) {
    if ABSOLUTE_POS < num_envs {
        let env = ABSOLUTE_POS;
        let base = (env / LANES) * (state_dim * LANES) + env % LANES;
        reset_one::<A, T>(params, state, base, env as u32, stagger);
        observe_one::<A>(params, state, base, obs, env * obs_dim);
    }
}

#[cube(launch)]
fn step_kernel<A: Agent, T: Task>(
    params: &[f32],
    action: &[f32],
    state: &mut [f32],
    obs: &mut [f32],
    final_obs: &mut [f32],
    scalars: &mut [f32],
    scratch: &mut [f32],
    num_envs: usize,
    #[comptime] state_dim: usize,
    #[comptime] obs_dim: usize,
    #[comptime] action_dim: usize,
) {
    if ABSOLUTE_POS < num_envs {
        let env = ABSOLUTE_POS;
        let base = (env / LANES) * (state_dim * LANES) + env % LANES;
        step_one::<A, T>(
            params,
            action,
            env * action_dim,
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
            scratch,
            env * SCRATCH,
        );
    }
}

pub(super) fn lives_here(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Cube(_))
}

fn primitive<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    into_contiguous(tensor.try_into_primitive::<Cube>().expect("tensor lives on the environments' device"))
}

/// The state to write in place: a copy where the caller still holds it.
fn writable(state: Tensor<3>) -> CubeTensor {
    let state = primitive(state);
    if state.can_mut() { state } else { into_contiguous(state.copy()) }
}

fn empty_like(other: &CubeTensor, shape: [usize; 2]) -> CubeTensor {
    let (client, device) = (other.client.clone(), other.device.clone());
    empty_device_contiguous_dtype(client, device, Shape::from(shape), DType::F32)
}

fn grid(kernel: &Kernel, tensor: &CubeTensor) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(CUBE);
    (calculate_cube_count_elemwise(&tensor.client, kernel.num_envs, dim), dim)
}

pub(super) fn reset(kernel: &Kernel, state: Tensor<3>, stagger: bool) -> (Tensor<3>, Tensor<2>) {
    let state = writable(state);
    let params = primitive(Tensor::<1>::from_floats(kernel.params.as_slice(), &kernel.device));
    let obs = empty_like(&state, [kernel.num_envs, kernel.obs_dim]);
    let (count, dim) = grid(kernel, &state);
    let launch = match (kernel.agent, kernel.task) {
        (AgentKind::Point, TaskKind::Goal) => reset_kernel::launch::<Point, Goal>,
    };
    launch(
        &state.client,
        count,
        dim,
        params.into_buffer_arg(),
        state.clone().into_buffer_arg(),
        obs.clone().into_buffer_arg(),
        f32::from(u8::from(stagger)),
        kernel.num_envs,
        kernel.state_dim,
        kernel.obs_dim,
    );
    (Tensor::from_primitive::<CubeBackend>(state), Tensor::from_primitive::<CubeBackend>(obs))
}

pub(super) fn step(kernel: &Kernel, state: Tensor<3>, action: Tensor<2>) -> Stepped {
    let n = kernel.num_envs;
    let state = writable(state);
    let action = primitive(action);
    let params = primitive(Tensor::<1>::from_floats(kernel.params.as_slice(), &kernel.device));
    let obs = empty_like(&state, [n, kernel.obs_dim]);
    let final_obs = empty_like(&state, [n, kernel.obs_dim]);
    let scalars = empty_like(&state, [SCALARS, n]);
    let scratch = empty_like(&state, [n, SCRATCH]);
    let (count, dim) = grid(kernel, &state);
    let launch = match (kernel.agent, kernel.task) {
        (AgentKind::Point, TaskKind::Goal) => step_kernel::launch::<Point, Goal>,
    };
    launch(
        &state.client,
        count,
        dim,
        params.into_buffer_arg(),
        action.into_buffer_arg(),
        state.clone().into_buffer_arg(),
        obs.clone().into_buffer_arg(),
        final_obs.clone().into_buffer_arg(),
        scalars.clone().into_buffer_arg(),
        scratch.into_buffer_arg(),
        n,
        kernel.state_dim,
        kernel.obs_dim,
        kernel.action_dim,
    );
    Stepped {
        state: Tensor::from_primitive::<CubeBackend>(state),
        obs: Tensor::from_primitive::<CubeBackend>(obs),
        final_obs: Tensor::from_primitive::<CubeBackend>(final_obs),
        scalars: Tensor::from_primitive::<CubeBackend>(scalars),
    }
}
