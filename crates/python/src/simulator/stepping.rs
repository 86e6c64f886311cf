//! A step of all environments, into arrays that were made once.

use burn::tensor::{Tensor, TensorData};
use envs::{Navigation, StepRows, VecEnv};

use crate::arrays::Slices;
use crate::autoreset::keep;
use crate::values::Values;

/// Steps all environments but those that are `held`, whose rows of `out` mean nothing afterwards: into the arrays
/// themselves on the CPU.
pub(super) fn step_all(
    env: &mut Navigation,
    rows: &mut StepRows,
    action: &[f32],
    shape: [usize; 2],
    held: Option<&[bool]>,
    out: &mut Slices,
) {
    let before = held.map(|_| env.fields());
    if env.step_into(action, out.obs, out.final_obs, rows) {
        take_rows(rows, out);
    } else {
        step_on_device(env, action, shape, out);
    }
    if let (Some(before), Some(held)) = (before, held) {
        keep(env, before, held);
    }
}

/// The numbers of a step of the CPU.
fn take_rows(rows: &StepRows, out: &mut Slices) {
    let n = rows.reward().len();
    out.reward.copy_from_slice(rows.reward());
    out.episode_return.copy_from_slice(rows.episode_return());
    for (c, (costs, sums)) in out.costs.chunks_exact_mut(n).zip(out.episode_costs.chunks_exact_mut(n)).enumerate() {
        costs.copy_from_slice(rows.cost(c));
        sums.copy_from_slice(rows.episode_cost(c));
    }
    set_flags(rows.terminated(), out.terminated);
    set_flags(rows.truncated(), out.truncated);
    set_integers(rows.episode_length(), out.episode_length);
    set_integers(rows.kinds(), out.cost_kinds);
}

/// A step where the environments are tensors of another device.
fn step_on_device(env: &mut Navigation, action: &[f32], shape: [usize; 2], out: &mut Slices) {
    let device = env.device().clone();
    let batch = env.step(Tensor::from_data(TensorData::new(action.to_vec(), shape), &device));
    out.obs.copy_from_slice(&Values::of(&batch.obs));
    out.reward.copy_from_slice(&Values::of(&batch.reward));
    out.costs.copy_from_slice(&Values::of(&batch.costs));
    out.episode_return.copy_from_slice(&Values::of(&batch.episode_return));
    out.episode_costs.copy_from_slice(&Values::of(&batch.episode_costs));
    set_flags(&Values::of(&batch.terminated), out.terminated);
    set_flags(&Values::of(&batch.truncated), out.truncated);
    if out.terminated.contains(&true) || out.truncated.contains(&true) {
        out.final_obs.copy_from_slice(&Values::of(&batch.final_obs));
    }
    set_integers(&Values::of(&batch.episode_length), out.episode_length);
    if let Some(kinds) = &batch.kinds {
        set_integers(&Values::of(kinds), out.cost_kinds);
    }
}

/// The only kind of a level has bit 1.
pub(super) fn set_only_kind(out: &mut Slices) {
    out.cost_kinds.iter_mut().zip(out.costs.iter()).for_each(|(bits, cost)| *bits = i32::from(*cost > 0.0));
}

fn set_flags(values: &[f32], flags: &mut [bool]) {
    flags.iter_mut().zip(values).for_each(|(flag, value)| *flag = *value > 0.5);
}

fn set_integers(values: &[f32], integers: &mut [i32]) {
    integers.iter_mut().zip(values).for_each(|(integer, value)| *integer = *value as i32);
}
