//! Both recursions as one kernel: a unit owns an environment and goes backwards in time.

use burn::tensor::Tensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::{Gae, GaeSignal};
use compute::gpu::{empty_like, into_tensor, is_gpu, primitive};

/// Environments a cube.
const CUBE: u32 = 64;

/// `A_t = b_t + a_t A_{t+1}` of two signals, all arrays `[T, B]`.
#[cube(launch)]
fn gae_kernel(
    reward: &[f32],
    reward_value: &[f32],
    reward_next: &[f32],
    cost: &[f32],
    cost_value: &[f32],
    cost_next: &[f32],
    done: &[f32],
    reward_advantage: &mut [f32],
    reward_target: &mut [f32],
    cost_advantage: &mut [f32],
    cost_target: &mut [f32],
    reward_gamma: f32,
    reward_decay: f32,
    cost_gamma: f32,
    cost_decay: f32,
    steps: usize,
    envs: usize,
) {
    if ABSOLUTE_POS < envs {
        let mut of_reward = 0.0f32;
        let mut of_cost = 0.0f32;
        for back in 0..steps {
            let at = (steps - 1 - back) * envs + ABSOLUTE_POS;
            let goes_on = 1.0f32 - done[at];
            let value = reward_value[at];
            of_reward = reward[at] + reward_gamma * reward_next[at] - value + reward_decay * goes_on * of_reward;
            reward_advantage[at] = of_reward;
            reward_target[at] = of_reward + value;
            let value = cost_value[at];
            of_cost = cost[at] + cost_gamma * cost_next[at] - value + cost_decay * goes_on * of_cost;
            cost_advantage[at] = of_cost;
            cost_target[at] = of_cost + value;
        }
    }
}

/// Both signals' advantages, or `None` on a device without kernels.
pub(super) fn launch(reward: &GaeSignal, cost: &GaeSignal, done: &Tensor<2>) -> Option<(Gae, Gae)> {
    if !is_gpu(&done.device()) {
        return None;
    }
    let [steps, envs] = done.dims();
    let inputs = [reward.signal, reward.value, reward.next_value, cost.signal, cost.value, cost.next_value, done];
    assert!(inputs.iter().all(|x| x.dims() == [steps, envs]), "all inputs are [T, B]");
    let [r, rv, rn, c, cv, cn, done] = inputs.map(primitive);
    let done = done?;
    let client = done.client.clone();
    let out = [(); 4].map(|()| empty_like(&done, [steps * envs]));
    let dim = CubeDim::new_1d(CUBE);
    gae_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, envs, dim),
        dim,
        r?.into_buffer_arg(),
        rv?.into_buffer_arg(),
        rn?.into_buffer_arg(),
        c?.into_buffer_arg(),
        cv?.into_buffer_arg(),
        cn?.into_buffer_arg(),
        done.into_buffer_arg(),
        out[0].clone().into_buffer_arg(),
        out[1].clone().into_buffer_arg(),
        out[2].clone().into_buffer_arg(),
        out[3].clone().into_buffer_arg(),
        reward.config.gamma,
        reward.config.gamma * reward.config.lambda,
        cost.config.gamma,
        cost.config.gamma * cost.config.lambda,
        steps,
        envs,
    );
    let [reward, reward_target, cost, cost_target] = out.map(|x| into_tensor::<1>(x).reshape([steps, envs]));
    Some((Gae { advantage: reward, target: reward_target }, Gae { advantage: cost, target: cost_target }))
}
