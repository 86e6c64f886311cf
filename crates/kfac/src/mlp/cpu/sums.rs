//! The sums over a batch: forward, backward of all seeds, and every product, chunk by chunk in cache.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::chunk::Chunk;
use super::collect::collect;
use super::input::Input;
use super::layout::SumLayout;
use super::network::{Network, load_rows, views};
use super::plan::Plan;
use super::seeds::SeedPlan;
use crate::simd::recycle::Recycled;
use crate::simd::scratch::with_scratch;
use crate::simd::width::padded;

/// One call's result.
pub(crate) struct Sums {
    /// `[S, P]`.
    pub gradients: Vec<f32>,
    /// The flat factors (see [`crate::FactorLayout`]), means over the batch; empty without Fisher seeds.
    pub factors: Vec<f32>,
    /// `mean_n sum_o (f - t)^2`, of a regression.
    pub loss: f32,
}

impl Network {
    /// Everything a minibatch update needs from the batch, in one pass.
    pub fn sums(&self, input: Input<'_>) -> Sums {
        let plan = &self.plan;
        let seeds = input.cotangents.count();
        let layout = SumLayout::new(plan, seeds, input.fisher.is_some());
        let arch = Arch::new();
        let seed_plan = SeedPlan::new(self, &input);
        let shard = plan.shard_rows(input.rows, layout.len);
        let shards = input.rows.div_ceil(shard).max(1);
        let mut partial = Recycled::new(shards * layout.len);
        let sizes = ShardPass::buffer_sizes(plan, seeds, seed_plan.chains());
        let run = |(index, sums): (usize, &mut [f32])| {
            // Cleared here and not at once for all shards: the memory is in this core's cache when it is used.
            sums.fill(0.0);
            let start = index * shard;
            let end = (start + shard).min(input.rows);
            with_scratch(&sizes, |buffers| {
                let seeds = &seed_plan;
                arch.dispatch(ShardPass { network: self, seeds, layout: &layout, input, start, end, sums, buffers });
            });
        };
        let parallel = shards > 1 && plan.parallel(input.rows, 3 + 2 * seeds);
        if parallel {
            partial.par_chunks_exact_mut(layout.len).enumerate().for_each(run);
        } else {
            partial.chunks_exact_mut(layout.len).enumerate().for_each(run);
        }
        add_shards(&mut partial, layout.len, parallel);
        collect(plan, &layout, &seed_plan.constant, &partial[..layout.len], &input, seeds)
    }
}

/// Adds the shards' sums onto the first one's, in shard order, so the result does not depend on who computed them.
fn add_shards(partial: &mut [f32], len: usize, parallel: bool) {
    const PIECE: usize = 16 * 1024;
    let (total, rest) = partial.split_at_mut(len);
    let add = |(index, total): (usize, &mut [f32])| {
        for other in rest.chunks_exact(len) {
            for (t, o) in total.iter_mut().zip(&other[index * PIECE..]) {
                *t += o;
            }
        }
    };
    if parallel && len > 4 * PIECE {
        total.par_chunks_mut(PIECE).enumerate().for_each(add);
    } else {
        total.chunks_mut(PIECE).enumerate().for_each(add);
    }
}

struct ShardPass<'a, 'b> {
    network: &'a Network,
    seeds: &'a SeedPlan,
    layout: &'a SumLayout,
    input: Input<'a>,
    start: usize,
    end: usize,
    sums: &'a mut [f32],
    /// One for each layer's input, the outputs, the narrow cotangents, and three for the backward pass.
    buffers: &'a mut [&'b mut [f32]],
}

impl ShardPass<'_, '_> {
    fn buffer_sizes(plan: &Plan, seeds: usize, chains: usize) -> Vec<usize> {
        let widest = plan.layers.iter().map(|l| l.out_stride).max().unwrap_or(0);
        let last = plan.last();
        let inputs = plan.layers.iter().map(|l| l.in_stride);
        let others = [last.out_width, padded(seeds * last.outputs), widest, chains * widest, chains * widest];
        inputs.chain(others).map(|width| plan.chunk * width).collect()
    }
}

impl WithSimd for ShardPass<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let plan = &self.network.plan;
        let first = plan.first();
        let (acts, rest) = self.buffers.split_at_mut(plan.layers.len());
        let [out, narrow, top, delta, other] = rest else { return };
        let mut row = self.start;
        while row < self.end {
            let rows = (self.end - row).min(plan.chunk);
            let x = &self.input.x[row * first.inputs..(row + rows) * first.inputs];
            load_rows(&mut acts[0][..rows * first.in_stride], first.in_stride, x, first.inputs, true);
            let kept = self.input.hidden.map(|h| h.chunk(row, rows));
            if kept.is_none() {
                self.network.forward_chunk(simd, rows, acts, out);
            }
            let chunk = Chunk {
                network: self.network,
                seeds: self.seeds,
                layout: self.layout,
                input: &self.input,
                acts: &views(plan, rows, acts, kept),
                row,
                rows,
            };
            chunk.activation_factors(simd, self.sums);
            chunk.head(simd, self.sums, out, narrow, top);
            chunk.slopes(simd, self.sums, top);
            match self.seeds.basis {
                Some(_) => chunk.combined_chains(simd, self.sums, top, delta, other),
                None => chunk.separate_chains(simd, self.sums, out, delta, other),
            }
            row += rows;
        }
    }
}
