//! The samples of a minibatch in one launch on a GPU.
#![cfg(feature = "gpu")]

use burn::tensor::{Int, Tensor};
use compute::gpu::{empty_like, grid, indices, into_tensor, is_gpu, primitive};
use cubecl::prelude::*;

use super::Samples;

/// Units of a cube.
const CUBE: u32 = 256;

/// One number per unit, sample after sample: a row of each of three matrices `[N, ..]`, then a column of each of three `[.., N]`.
#[cube(launch)]
fn gather_kernel(
    // sizes
    all: usize,
    taken: usize,
    inputs: usize,
    actions: usize,
    objectives: usize,
    critics: usize,
    // in
    index: &[i32],
    obs: &[f32],
    action: &[f32],
    mean: &[f32],
    log_prob: &[f32],
    advantage: &[f32],
    target: &[f32],
    // out
    obs_out: &mut [f32],
    action_out: &mut [f32],
    mean_out: &mut [f32],
    log_prob_out: &mut [f32],
    advantage_out: &mut [f32],
    target_out: &mut [f32],
) {
    let width = inputs + 2 * actions + 1 + objectives + critics;
    if ABSOLUTE_POS < taken * width {
        let to = ABSOLUTE_POS / width;
        let part = ABSOLUTE_POS % width;
        let from = index[to] as usize;
        let of_action = inputs;
        let of_mean = of_action + actions;
        let of_log_prob = of_mean + actions;
        let of_advantage = of_log_prob + 1;
        let of_target = of_advantage + objectives;
        if part < of_action {
            obs_out[to * inputs + part] = obs[from * inputs + part];
        } else if part < of_mean {
            action_out[to * actions + part - of_action] = action[from * actions + part - of_action];
        } else if part < of_log_prob {
            mean_out[to * actions + part - of_mean] = mean[from * actions + part - of_mean];
        } else if part < of_advantage {
            log_prob_out[to] = log_prob[from];
        } else if part < of_target {
            let row = part - of_advantage;
            advantage_out[row * taken + to] = advantage[row * all + from];
        } else {
            let row = part - of_target;
            target_out[row * taken + to] = target[row * all + from];
        }
    }
}

/// [`Samples::select`], or `None` on a device without kernels.
pub(super) fn select(samples: &Samples, index: &Tensor<1, Int>) -> Option<Samples> {
    if !is_gpu(&samples.obs.device()) {
        return None;
    }
    let ([all, inputs], [_, actions], [taken]) = (samples.obs.dims(), samples.action.dims(), index.dims());
    let (objectives, critics) = (samples.advantage.dims()[0], samples.target.dims()[0]);
    // A buffer needs a number.
    if [taken, inputs, actions, objectives, critics].contains(&0) {
        return None;
    }
    let index = indices(index)?;
    let (obs, action, mean) = (primitive(&samples.obs)?, primitive(&samples.action)?, primitive(&samples.mean)?);
    let (log_prob, advantage) = (primitive(&samples.log_prob)?, primitive(&samples.advantage)?);
    let target = primitive(&samples.target)?;
    let widths = [inputs, actions, actions, 1, objectives, critics];
    let out = widths.map(|width| empty_like(&obs, [taken * width]));
    let (count, dim) = grid(&obs, taken * widths.iter().sum::<usize>(), CUBE);
    gather_kernel::launch(
        &obs.client.clone(),
        count,
        dim,
        all,
        taken,
        inputs,
        actions,
        objectives,
        critics,
        index.into_buffer_arg(),
        obs.into_buffer_arg(),
        action.into_buffer_arg(),
        mean.into_buffer_arg(),
        log_prob.into_buffer_arg(),
        advantage.into_buffer_arg(),
        target.into_buffer_arg(),
        out[0].clone().into_buffer_arg(),
        out[1].clone().into_buffer_arg(),
        out[2].clone().into_buffer_arg(),
        out[3].clone().into_buffer_arg(),
        out[4].clone().into_buffer_arg(),
        out[5].clone().into_buffer_arg(),
    );
    let [obs, action, mean, log_prob, advantage, target] = out.map(into_tensor::<1>);
    Some(Samples {
        obs: obs.reshape([taken, inputs]),
        action: action.reshape([taken, actions]),
        mean: mean.reshape([taken, actions]),
        log_prob,
        advantage: advantage.reshape([objectives, taken]),
        target: target.reshape([critics, taken]),
    })
}
