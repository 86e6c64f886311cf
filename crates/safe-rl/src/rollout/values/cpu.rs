//! Values picked out of the critics' outputs on the CPU.

use burn::tensor::Tensor;
use compute::cpu::{View, tensor};

use super::{Rollout, Values};

/// [`Rollout::values`], or `None` on another backend.
pub(super) fn values(rollout: &Rollout, critics: &Tensor<2>) -> Option<Values> {
    let [objectives, inputs] = critics.dims();
    let (samples, envs) = (rollout.samples(), rollout.num_envs);
    let (view, terminated) = (View::of(critics)?, View::of(&rollout.terminated)?);
    let terminated = terminated.values();
    let mut value = Vec::with_capacity(objectives * samples);
    let mut next_value = Vec::with_capacity(objectives * samples);
    for row in view.values().chunks_exact(inputs) {
        value.extend_from_slice(&row[..samples]);
        let first = next_value.len();
        next_value.extend_from_slice(&row[envs..envs + samples]);
        let next = &mut next_value[first..];
        for (&sample, &last) in rollout.truncated.iter().zip(&row[envs + samples..]) {
            next[sample] = last;
        }
        for (next, &terminated) in next.iter_mut().zip(terminated) {
            *next = if terminated > 0.5 { 0.0 } else { *next };
        }
    }
    let shape = [objectives, rollout.steps, envs];
    Some(Values { value: tensor(value, shape), next_value: tensor(next_value, shape) })
}
