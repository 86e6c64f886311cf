//! The sums over a batch: forward, backward of all seeds, and every product, chunk by chunk in cache.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::chunk::Chunk;
use super::collect::collect;
use super::hidden::Hidden;
use super::kernel::padded;
use super::network::{Network, load_rows, views};
use super::plan::Plan;
use super::recycle::Recycled;
use super::scratch::with_scratch;
use super::seeds::SeedPlan;

/// Fisher seeds as slices.
#[derive(Clone, Copy)]
pub(crate) enum Seeds<'a> {
    /// `[K, N, out]`.
    PerSample(&'a [f32], usize),
    /// `[K, out]`, the same for every sample.
    Constant(&'a [f32], usize),
}

/// Where the gradients' cotangents come from.
#[derive(Clone, Copy)]
pub(crate) enum Cotangents<'a> {
    /// `[S, N, out]`, given.
    Given(&'a [f32], usize),
    /// `2 (f(x) - target) / N`, computed in the pass; targets `[N, out]`. Needs a forward pass of its own.
    Regression(&'a [f32]),
}

impl Cotangents<'_> {
    pub(super) fn count(&self) -> usize {
        match self {
            Cotangents::Given(_, s) => *s,
            Cotangents::Regression(_) => 1,
        }
    }
}

/// One call's input.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub x: &'a [f32],
    pub rows: usize,
    /// Hidden activations of this very batch, if kept.
    pub hidden: Option<&'a Hidden>,
    pub cotangents: Cotangents<'a>,
    pub fisher: Option<Seeds<'a>>,
}

/// One call's result.
pub(crate) struct Sums {
    /// `[S, P]`.
    pub gradients: Vec<f32>,
    /// The flat factors (see [`crate::FactorLayout`]), means over the batch; empty without Fisher seeds.
    pub factors: Vec<f32>,
    /// `mean_n sum_o (f - t)^2`, of a regression.
    pub loss: f32,
}

/// Offsets of the partial sums within a shard's buffer.
pub(super) struct SumLayout {
    /// Per seed and layer: `[in + 1, out_width]`; a narrow last layer is in `narrow`.
    pub gradients: Vec<Vec<usize>>,
    /// Gradients of a narrow last layer, transposed: `[S * out, in_stride]`.
    pub narrow: usize,
    /// Per layer: `[in + 1, in_width]`, lower blocks.
    pub a: Vec<usize>,
    /// Per layer: `[out, out_width]`, lower blocks.
    pub g: Vec<usize>,
    pub loss: usize,
    len: usize,
}

impl SumLayout {
    fn new(plan: &Plan, seeds: usize, fisher: bool) -> Self {
        let mut len = 0;
        let mut take = |n: usize| {
            let start = len;
            len += n.next_multiple_of(16);
            start
        };
        let wide = plan.layers.iter().enumerate().filter(|(l, _)| !plan.narrow(*l)).map(|(_, layer)| layer);
        let gradients =
            (0..seeds).map(|_| wide.clone().map(|l| take((l.inputs + 1) * l.out_width)).collect()).collect();
        let last = plan.last();
        let narrow = take(if plan.narrow(plan.layers.len() - 1) { seeds * last.outputs * last.in_stride } else { 0 });
        let (mut a, mut g) = (Vec::new(), Vec::new());
        if fisher {
            for l in &plan.layers {
                a.push(take((l.inputs + 1) * l.in_width));
                g.push(take(l.outputs * l.out_width));
            }
        }
        let loss = take(1);
        SumLayout { gradients, narrow, a, g, loss, len }
    }
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
                Some(_) => chunk.combined_chains(simd, self.sums, out, top, delta, other),
                None => chunk.separate_chains(simd, self.sums, out, delta, other),
            }
            row += rows;
        }
    }
}
