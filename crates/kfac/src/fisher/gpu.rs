//! The seeds of the exact Fisher matrix in one launch on a GPU.
#![cfg(feature = "gpu")]

use burn::tensor::Tensor;
use compute::gpu::{empty_like, grid, into_tensor, primitive};
use cubecl::prelude::*;

/// Units of a cube.
const CUBE: u32 = 256;

#[cube(launch)]
fn seeds_kernel(
    // sizes
    outputs: usize,
    // in
    log_std: &[f32],
    // out
    seeds_out: &mut [f32],
) {
    if ABSOLUTE_POS < outputs * outputs {
        let row = ABSOLUTE_POS / outputs;
        let mut seed = 0.0f32;
        if row == ABSOLUTE_POS % outputs {
            seed = (-log_std[row]).exp();
        }
        seeds_out[ABSOLUTE_POS] = seed;
    }
}

/// Row k is `e_k / sigma_k`, `[out, out]`; `None` where `log_std` `[out]` does not live on a GPU.
pub(super) fn exact_seeds(log_std: &Tensor<1>) -> Option<Tensor<2>> {
    let [outputs] = log_std.dims();
    let log_std = primitive(log_std)?;
    let seeds = empty_like(&log_std, [outputs, outputs]);
    let (cubes, dim) = grid(&log_std, outputs * outputs, CUBE);
    seeds_kernel::launch(
        &log_std.client.clone(),
        cubes,
        dim,
        outputs,
        log_std.into_buffer_arg(),
        seeds.clone().into_buffer_arg(),
    );
    Some(into_tensor(seeds))
}
