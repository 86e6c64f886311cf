//! The CPU backend: rayon over blocks of 32 environments, in place.

mod advance;
mod block;
mod clearance;
mod gremlins;

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use self::block::{reset_block, step_block};
use super::{Batch, Stepped};
use crate::kinds::for_kind;
use crate::state::LANES;
use crate::step::SCALARS;

pub(super) fn lives_here(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

fn primitive<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    let flex = tensor.try_into_primitive::<Flex>().expect("tensor lives on the environments' device");
    if flex.as_slice::<f32>().is_some_and(|s| s.len() * 4 == flex.bytes().len()) { flex } else { flex.to_contiguous() }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(FlexTensor::from_data(TensorData::new(values, shape)))
}

/// Observation buffers handed out before: those that the caller has dropped since are written again.
/// A fresh buffer a step would cost more in page faults than the step itself.
#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<FlexTensor>);

impl Buffers {
    /// Buffers remembered: the two of a step, and those of steps the caller still looks at.
    const KEPT: usize = 8;

    /// A tensor of this shape that nobody else holds; its numbers are arbitrary.
    fn take(&mut self, shape: [usize; 2]) -> FlexTensor {
        match self.0.iter().position(FlexTensor::is_unique) {
            Some(free) => self.0.swap_remove(free),
            None => FlexTensor::zeros(Shape::from(shape), DType::F32),
        }
    }

    /// Remembers a tensor that goes out to the caller, forgetting the oldest.
    fn remember(&mut self, buffer: &FlexTensor) {
        if self.0.len() >= Self::KEPT {
            self.0.remove(0);
        }
        self.0.push(buffer.clone());
    }
}

pub(super) fn reset(batch: &Batch, state: Tensor<3>, staggered: bool) -> (Tensor<3>, Tensor<2>) {
    let mut state = primitive(state);
    let mut obs = vec![0.0; batch.num_envs * batch.obs_dim];
    state
        .storage_mut::<f32>()
        .par_chunks_mut(batch.state_dim * LANES)
        .zip(obs.par_chunks_mut(batch.obs_dim * LANES))
        .enumerate()
        .for_each(|(i, (state, obs))| {
            let (first, dim) = (i * LANES, batch.obs_dim);
            let reset = for_kind!(batch.agent, batch.task, reset_block);
            reset(&batch.params, state, first, staggered, obs, dim);
        });
    (Tensor::from_primitive::<Flex>(state), tensor(obs, [batch.num_envs, batch.obs_dim]))
}

pub(super) fn step(batch: &mut Batch, state: Tensor<3>, action: Tensor<2>) -> Stepped {
    let (n, dim) = (batch.num_envs, batch.obs_dim);
    let mut state = primitive(state);
    let action = primitive(action);
    let action = action.as_slice::<f32>().expect("actions are contiguous float32");
    let mut obs = batch.buffers.take([n, dim]);
    let mut final_obs = batch.buffers.take([n, dim]);
    let mut scalars = vec![0.0; n * SCALARS];

    // Row-major [SCALARS, n]: hand every block its part of each row.
    let mut rows: Vec<_> = scalars.chunks_exact_mut(n).map(|row| row.chunks_mut(LANES)).collect();
    let parts: Vec<[&mut [f32]; SCALARS]> = (0..n.div_ceil(LANES))
        .map(|_| core::array::from_fn(|row| rows[row].next().expect("one part a block")))
        .collect();

    state
        .storage_mut::<f32>()
        .par_chunks_mut(batch.state_dim * LANES)
        .zip(action.par_chunks(batch.action_dim * LANES))
        .zip(obs.storage_mut::<f32>().par_chunks_mut(dim * LANES))
        .zip(final_obs.storage_mut::<f32>().par_chunks_mut(dim * LANES))
        .zip(parts)
        .enumerate()
        .for_each(|(i, ((((state, action), obs), final_obs), mut parts))| {
            let mut out = [0.0; SCALARS * LANES];
            let (params, first, action_dim) = (&batch.params, i * LANES, batch.action_dim);
            let step = for_kind!(batch.agent, batch.task, step_block);
            step(params, state, first, action, action_dim, obs, final_obs, dim, &mut out);
            for (part, row) in parts.iter_mut().zip(out.chunks_exact(LANES)) {
                part.copy_from_slice(&row[..part.len()]);
            }
        });

    batch.buffers.remember(&obs);
    batch.buffers.remember(&final_obs);
    Stepped {
        state: Tensor::from_primitive::<Flex>(state),
        obs: Tensor::from_primitive::<Flex>(obs),
        final_obs: Tensor::from_primitive::<Flex>(final_obs),
        scalars: tensor(scalars, [SCALARS, n]),
    }
}
