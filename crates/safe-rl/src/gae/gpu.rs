//! The recursion as one launch on a GPU: a unit owns an objective in an environment and goes backwards in time.
#![cfg(feature = "gpu")]

use burn::tensor::Tensor;
use compute::gpu::{empty_like, grid, into_tensor, is_gpu, primitive};
use cubecl::prelude::*;

use super::{Gae, GaeConfig};

/// Units of a cube.
const CUBE: u32 = 64;

/// `A_t = b_t + a_t A_{t+1}`; `factors` `[S, 2]` are gamma and gamma lambda, `done` `[T, B]`, all others `[S, T, B]`.
#[cube(launch)]
fn gae_kernel(
    // sizes
    objectives: usize,
    steps: usize,
    envs: usize,
    // in
    factors: &[f32],
    signals: &[f32],
    values: &[f32],
    next_values: &[f32],
    done: &[f32],
    // out
    advantage_out: &mut [f32],
    target_out: &mut [f32],
) {
    if ABSOLUTE_POS < objectives * envs {
        let s = ABSOLUTE_POS / envs;
        let env = ABSOLUTE_POS % envs;
        let gamma = factors[2 * s];
        let decay = factors[2 * s + 1];
        let mut advantage = 0.0f32;
        for back in 0..steps {
            let t = steps - 1 - back;
            let i = (s * steps + t) * envs + env;
            let value = values[i];
            let goes_on = 1.0f32 - done[t * envs + env];
            advantage = signals[i] + gamma * next_values[i] - value + decay * goes_on * advantage;
            advantage_out[i] = advantage;
            target_out[i] = advantage + value;
        }
    }
}

/// [`super::gae`], or `None` on a device without kernels.
pub(super) fn gae(
    signals: &Tensor<3>,
    values: &Tensor<3>,
    next_values: &Tensor<3>,
    done: &Tensor<2>,
    configs: &[GaeConfig],
) -> Option<Gae> {
    let device = signals.device();
    if !is_gpu(&device) {
        return None;
    }
    let [objectives, steps, envs] = signals.dims();
    let factors: Vec<f32> = configs.iter().map(GaeConfig::factors).flat_map(|(gamma, decay)| [gamma, decay]).collect();
    let factors = primitive(&Tensor::<1>::from_floats(factors.as_slice(), &device))?;
    let (signals, values) = (primitive(signals)?, primitive(values)?);
    let (next_values, done) = (primitive(next_values)?, primitive(done)?);
    let [advantage, target] = [(); 2].map(|()| empty_like(&signals, [objectives, steps, envs]));
    let (count, dim) = grid(&signals, objectives * envs, CUBE);
    gae_kernel::launch(
        &signals.client.clone(),
        count,
        dim,
        objectives,
        steps,
        envs,
        factors.into_buffer_arg(),
        signals.into_buffer_arg(),
        values.into_buffer_arg(),
        next_values.into_buffer_arg(),
        done.into_buffer_arg(),
        advantage.clone().into_buffer_arg(),
        target.clone().into_buffer_arg(),
    );
    Some(Gae { advantage: into_tensor(advantage), target: into_tensor(target) })
}
