//! The CPU backend: rayon over blocks of 32 environments, in place.

mod advance;
mod block;
mod clearance;
mod gremlins;

use burn::tensor::{Device, Tensor};
use compute::cpu::{Memory, View, is_cpu, tensor};
use rayon::prelude::*;

pub use self::block::reset_first;
use self::block::{reset_block, step_blocks};
use super::{Batch, Stepped};
use crate::kinds::for_kind;
use crate::state::LANES;
use crate::step::{SCALARS, SCRATCH};

/// As many environments as the memory holds.
pub fn most_envs(device: &Device) -> Option<usize> {
    is_cpu(device).then_some(usize::MAX)
}

pub fn reset(batch: &mut Batch, staggered: bool) -> Option<Tensor<2>> {
    if !is_cpu(&batch.device) {
        return None;
    }
    let mut state = Memory::of(batch.take_state())?;
    let mut obs = vec![0.0; batch.num_envs * batch.obs_dim];
    state
        .values_mut()
        .par_chunks_mut(batch.state_dim * LANES)
        .zip(obs.par_chunks_mut(batch.obs_dim * LANES))
        .enumerate()
        .for_each(|(i, (state, obs))| {
            let (first_env, obs_dim) = (i * LANES, batch.obs_dim);
            let reset = for_kind!(batch.agent, batch.task, reset_block);
            reset(&batch.params, state, first_env, staggered, obs, obs_dim);
        });
    batch.set_state(state.into_tensor());
    Some(tensor(obs, [batch.num_envs, batch.obs_dim]))
}

/// Blocks that a task takes at most: their environments in contact fill the registers together.
const MOST_BLOCKS: usize = 32;

/// A block's part of every row of scalars: those that all levels have, and those of further constraints.
type Parts<'a> = ([&'a mut [f32]; SCALARS], Vec<&'a mut [f32]>);

pub fn step(batch: &mut Batch, action: &Tensor<2>) -> Option<Stepped> {
    if !is_cpu(&batch.device) {
        return None;
    }
    let (n, obs_dim, rows) = (batch.num_envs, batch.obs_dim, batch.scalars);
    let action = View::of(action)?;
    let mut obs = batch.buffers.take([n, obs_dim]);
    let mut final_obs = batch.buffers.take([n, obs_dim]);
    let mut scalars = vec![0.0; n * rows];
    step_into(batch, action.values(), obs.values_mut(), final_obs.values_mut(), &mut scalars)?;
    batch.buffers.remember(&obs);
    batch.buffers.remember(&final_obs);
    let scalars = tensor(scalars, [rows, n]);
    Some(Stepped { obs: obs.into_tensor(), final_obs: final_obs.into_tensor(), scalars })
}

/// [`step`] from a slice into slices: action `[n, action_dim]`, observations `[n, obs_dim]`, scalars `[scalars, n]`.
pub fn step_into(
    batch: &mut Batch,
    action: &[f32],
    obs: &mut [f32],
    final_obs: &mut [f32],
    scalars: &mut [f32],
) -> Option<()> {
    if !is_cpu(&batch.device) {
        return None;
    }
    let (n, obs_dim, rows_of_scalars) = (batch.num_envs, batch.obs_dim, batch.scalars);
    let mut state = Memory::of(batch.take_state())?;

    // Row-major [scalars, n]: hand every block its part of each row. The rows of further constraints stand apart: most
    // levels have none, and an empty vector is free.
    let (common, further) = scalars.split_at_mut(n * SCALARS);
    let mut rows: Vec<_> = common.chunks_exact_mut(n).map(|row| row.chunks_mut(LANES)).collect();
    let mut further: Vec<_> = further.chunks_exact_mut(n).map(|row| row.chunks_mut(LANES)).collect();
    let mut parts: Vec<Parts> = (0..n.div_ceil(LANES))
        .map(|_| {
            let common = core::array::from_fn(|row| rows[row].next().expect("one part per block"));
            (common, further.iter_mut().map(|row| row.next().expect("one part per block")).collect())
        })
        .collect();

    let blocks = n.div_ceil(LANES).div_ceil(rayon::current_num_threads()).clamp(1, MOST_BLOCKS);
    let stretch = blocks * LANES;
    state
        .values_mut()
        .par_chunks_mut(batch.state_dim * stretch)
        .zip(action.par_chunks(batch.action_dim * stretch))
        .zip(obs.par_chunks_mut(obs_dim * stretch))
        .zip(final_obs.par_chunks_mut(obs_dim * stretch))
        .zip(parts.par_chunks_mut(blocks))
        .enumerate()
        .for_each_init(
            || (vec![0.0; SCRATCH], Vec::new()),
            |(scratch, out), (i, ((((state, action), obs), final_obs), parts))| {
                let block_len = rows_of_scalars * LANES;
                out.resize(parts.len() * block_len, 0.0);
                let (params, first_env, action_dim) = (&batch.params, i * stretch, batch.action_dim);
                let step = for_kind!(batch.agent, batch.task, step_blocks);
                step(params, state, first_env, action, action_dim, obs, final_obs, obs_dim, out, scratch);
                for ((common, further), out) in parts.iter_mut().zip(out.chunks_exact(block_len)) {
                    for (part, row) in common.iter_mut().chain(further).zip(out.chunks_exact(LANES)) {
                        part.copy_from_slice(&row[..part.len()]);
                    }
                }
            },
        );

    batch.set_state(state.into_tensor());
    Some(())
}
