//! The recursion on the CPU, backwards in time, an objective after the other.

use burn::tensor::Tensor;
use compute::cpu::{View, tensor};

use super::{Gae, GaeConfig};

/// [`super::gae`], or `None` on another backend.
pub(super) fn gae(
    signals: &Tensor<3>,
    values: &Tensor<3>,
    next_values: &Tensor<3>,
    done: &Tensor<2>,
    configs: &[GaeConfig],
) -> Option<Gae> {
    let shape = signals.dims();
    let [objectives, steps, envs] = shape;
    let (signals, values) = (View::of(signals)?, View::of(values)?);
    let (next_values, done) = (View::of(next_values)?, View::of(done)?);
    let (signals, values) = (signals.values(), values.values());
    let (next_values, done) = (next_values.values(), done.values());
    let numbers = objectives * steps * envs;
    let (mut advantage, mut target) = (vec![0.0; numbers], vec![0.0; numbers]);
    for (s, config) in configs.iter().enumerate() {
        let (gamma, decay) = config.factors();
        let mut carry = vec![0.0; envs];
        for t in (0..steps).rev() {
            let row = (s * steps + t) * envs..(s * steps + t + 1) * envs;
            let (signal, value) = (&signals[row.clone()], &values[row.clone()]);
            let (next_value, done) = (&next_values[row.clone()], &done[t * envs..(t + 1) * envs]);
            let out = advantage[row.clone()].iter_mut().zip(&mut target[row]);
            for (env, ((advantage, target), carry)) in out.zip(&mut carry).enumerate() {
                let delta = signal[env] + gamma * next_value[env] - value[env];
                *carry = delta + decay * (1.0 - done[env]) * *carry;
                *advantage = *carry;
                *target = *carry + value[env];
            }
        }
    }
    Some(Gae { advantage: tensor(advantage, shape), target: tensor(target, shape) })
}
