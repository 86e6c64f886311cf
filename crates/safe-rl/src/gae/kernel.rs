//! Both recursions as one kernel: a unit owns an environment and goes backwards in time.

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{Cube, CubeBackend};
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::{Gae, GaeSignal};

/// Environments a cube.
const CUBE: u32 = 64;

/// `A_t = b_t + a_t A_{t+1}` of two signals; `out` is `[4, T, B]`: advantages and targets of each.
#[cube(launch)]
fn gae_kernel(
    reward: &[f32],
    reward_value: &[f32],
    reward_next: &[f32],
    cost: &[f32],
    cost_value: &[f32],
    cost_next: &[f32],
    done: &[f32],
    out: &mut [f32],
    reward_gamma: f32,
    reward_decay: f32,
    cost_gamma: f32,
    cost_decay: f32,
    steps: usize,
    envs: usize,
) {
    if ABSOLUTE_POS < envs {
        let all = steps * envs;
        let mut of_reward = 0.0f32;
        let mut of_cost = 0.0f32;
        for back in 0..steps {
            let at = (steps - 1 - back) * envs + ABSOLUTE_POS;
            let goes_on = 1.0f32 - done[at];
            let value = reward_value[at];
            of_reward = reward[at] + reward_gamma * reward_next[at] - value + reward_decay * goes_on * of_reward;
            out[at] = of_reward;
            out[all + at] = of_reward + value;
            let value = cost_value[at];
            of_cost = cost[at] + cost_gamma * cost_next[at] - value + cost_decay * goes_on * of_cost;
            out[2 * all + at] = of_cost;
            out[3 * all + at] = of_cost + value;
        }
    }
}

fn primitive(tensor: &Tensor<2>) -> CubeTensor {
    into_contiguous(tensor.clone().try_into_primitive::<Cube>().expect("all inputs live on one device"))
}

/// Both signals' advantages, or `None` on a device without kernels.
pub(super) fn launch(reward: &GaeSignal, cost: &GaeSignal, done: &Tensor<2>) -> Option<(Gae, Gae)> {
    if !matches!(done.device().as_dispatch(), DispatchDevice::Cube(_)) {
        return None;
    }
    let [steps, envs] = done.dims();
    let inputs = [reward.signal, reward.value, reward.next_value, cost.signal, cost.value, cost.next_value, done];
    assert!(inputs.iter().all(|x| x.dims() == [steps, envs]), "all inputs are [T, B]");
    let [r, rv, rn, c, cv, cn, done] = inputs.map(primitive);
    let (client, device) = (done.client.clone(), done.device.clone());
    let shape = Shape::from([4, steps, envs]);
    let out = empty_device_contiguous_dtype(client.clone(), device, shape, DType::F32);
    let dim = CubeDim::new_1d(CUBE);
    gae_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, envs, dim),
        dim,
        r.into_buffer_arg(),
        rv.into_buffer_arg(),
        rn.into_buffer_arg(),
        c.into_buffer_arg(),
        cv.into_buffer_arg(),
        cn.into_buffer_arg(),
        done.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        reward.config.gamma,
        reward.config.gamma * reward.config.lambda,
        cost.config.gamma,
        cost.config.gamma * cost.config.lambda,
        steps,
        envs,
    );
    let out = Tensor::<3>::from_primitive::<CubeBackend>(out);
    let part = |i: usize| out.clone().narrow(0, i, 1).reshape([steps, envs]);
    let gae = |i: usize| Gae { advantage: part(i), target: part(i + 1) };
    Some((gae(0), gae(2)))
}
