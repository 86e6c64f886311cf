//! Products of two groups of rows of a memory, summed over the samples: a cube has a tile of [`TILE`] x [`TILE`] of them.
//!
//! A unit takes every [`SUM_UNITS`]th sample and keeps the whole tile in registers, so that 16 numbers are read for 64
//! multiply-adds; at the end the units' sums are folded in pairs.

#![allow(missing_docs)] // of the modules that `cube` makes for the functions
#![allow(clippy::manual_div_ceil, clippy::assign_op_pattern)] // the Rust of kernels

use cubecl::prelude::*;

/// Rows and columns of a tile.
pub(crate) const TILE: usize = 8;
/// Numbers of a tile.
pub(crate) const TILE_SUMS: usize = TILE * TILE;
/// Units of a cube that sums over the samples.
pub(crate) const SUM_UNITS: usize = 128;
/// No row of a tile is that of ones.
pub(crate) const NO_ONES: usize = TILE;

/// One of the two groups: number k of sample n at `memory[first + k * stride + n]`, for k below `count` (1 to [`TILE`]).
#[derive(CubeType, CubeTypeMut, Clone, Copy)]
#[expand(derive(Clone, Copy))]
pub(crate) struct Rows {
    pub first: usize,
    pub count: usize,
    /// Which k stands for ones, whatever the memory holds; [`NO_ONES`] where none does.
    pub ones: usize,
}

/// The numbers of a group for a sample; those beyond its end repeat the last, so that every read is one of the memory's.
#[cube]
fn read_rows(memory: &[f32], rows: Rows, stride: usize, sample: usize) -> Array<f32> {
    let mut numbers = Array::<f32>::new(TILE);
    #[unroll]
    for k in 0..TILE {
        let kept = if k < rows.count { k.runtime() } else { rows.count - 1 };
        let number = memory[rows.first + kept * stride + sample];
        numbers[k] = if k == rows.ones { 1.0f32 } else { number };
    }
    numbers
}

/// Adds the products of the two groups over this unit's samples to its tile, row after row.
#[cube]
pub(crate) fn add_products(
    tile: &mut Array<f32>,
    memory: &[f32],
    left: Rows,
    right: Rows,
    stride: usize,
    samples: usize,
    unit: usize,
) {
    for round in 0..(samples + SUM_UNITS - 1) / SUM_UNITS {
        let sample = round * SUM_UNITS + unit;
        if sample < samples {
            let a = read_rows(memory, left, stride, sample);
            let b = read_rows(memory, right, stride, sample);
            #[unroll]
            for i in 0..TILE {
                #[unroll]
                for k in 0..TILE {
                    tile[i * TILE + k] += a[i] * b[k];
                }
            }
        }
    }
}

/// Leaves the sums over all units of row `row` of their tiles in `shared` `[TILE, SUM_UNITS]`: that of column k at
/// `shared[k * SUM_UNITS]`. Every unit must call it, since units wait for one another here.
#[cube]
pub(crate) fn fold_row(shared: &mut [f32], tile: &Array<f32>, #[comptime] row: usize, unit: usize) {
    sync_cube();
    #[unroll]
    for k in 0..TILE {
        shared[k * SUM_UNITS + unit] = tile[row * TILE + k];
    }
    sync_cube();
    let mut width = (SUM_UNITS / 2).runtime();
    while width > 0 {
        if unit < width {
            #[unroll]
            for k in 0..TILE {
                shared[k * SUM_UNITS + unit] = shared[k * SUM_UNITS + unit] + shared[k * SUM_UNITS + unit + width];
            }
        }
        sync_cube();
        width = width / 2;
    }
}
