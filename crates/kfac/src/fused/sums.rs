//! The sums over a batch: forward, backward of all seeds, and every product, chunk by chunk in cache.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activation::{slope_times_row, times_slope};
use super::collect::collect;
use super::hidden::Hidden;
use super::kernel::{gemm_nn, gemm_tn, gram, padded};
use super::network::{Network, load_rows, views};
use super::plan::{LayerPlan, Plan, row_stride};
use super::scratch::with_scratch;

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
    fn count(&self) -> usize {
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
        let constant = arch.dispatch(ConstantSeeds { network: self, fisher: input.fisher });
        let shard = plan.shard_rows(input.rows, layout.len);
        let shards = input.rows.div_ceil(shard).max(1);
        let mut partial = vec![0.0f32; shards * layout.len];
        let sizes = ShardPass::buffer_sizes(plan, seeds);
        let run = |(index, sums): (usize, &mut [f32])| {
            let start = index * shard;
            let end = (start + shard).min(input.rows);
            with_scratch(&sizes, |buffers| {
                let constant = &constant;
                arch.dispatch(ShardPass { network: self, constant, layout: &layout, input, start, end, sums, buffers });
            });
        };
        let parallel = shards > 1 && plan.parallel(input.rows, 3 + 2 * seeds);
        if parallel {
            partial.par_chunks_exact_mut(layout.len).enumerate().for_each(run);
        } else {
            partial.chunks_exact_mut(layout.len).enumerate().for_each(run);
        }
        add_shards(&mut partial, layout.len, parallel);
        collect(plan, &layout, &constant, &partial[..layout.len], &input, seeds)
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

/// `u_k = W seed_k` `[K, in_width]` of the last layer for constant seeds; empty otherwise.
struct ConstantSeeds<'a> {
    network: &'a Network,
    fisher: Option<Seeds<'a>>,
}

impl WithSimd for ConstantSeeds<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let (Some(Seeds::Constant(seeds, k)), [_, .., top]) = (self.fisher, &*self.network.plan.layers) else {
            return Vec::new();
        };
        let weights = self.network.weights.backward(self.network.plan.layers.len() - 1, top);
        let mut out = vec![0.0; k * top.in_width];
        gemm_nn::<S, false>(simd, k, seeds, top.outputs, &weights, &mut out, top.in_width);
        out
    }
}

struct ShardPass<'a, 'b> {
    network: &'a Network,
    constant: &'a [f32],
    layout: &'a SumLayout,
    input: Input<'a>,
    start: usize,
    end: usize,
    sums: &'a mut [f32],
    /// One for each layer's input, the outputs, the narrow cotangents, and two for the backward pass.
    buffers: &'a mut [&'b mut [f32]],
}

impl ShardPass<'_, '_> {
    fn buffer_sizes(plan: &Plan, seeds: usize) -> Vec<usize> {
        let widest = plan.layers.iter().map(|l| l.out_stride).max().unwrap_or(0);
        let last = plan.last();
        let inputs = plan.layers.iter().map(|l| l.in_stride);
        let others = [last.out_width, padded(seeds * last.outputs), widest, widest];
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
        let [out, narrow, delta, other] = rest else { return };
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
                constant: self.constant,
                layout: self.layout,
                input: &self.input,
                acts: &views(plan, rows, acts, kept),
                row,
                rows,
            };
            chunk.activation_factors(simd, self.sums);
            chunk.gradients(simd, self.sums, out, narrow, delta, other);
            chunk.output_factors(simd, self.sums, delta, other);
            row += rows;
        }
    }
}

/// One chunk of a shard, its activations known.
struct Chunk<'a> {
    network: &'a Network,
    constant: &'a [f32],
    layout: &'a SumLayout,
    input: &'a Input<'a>,
    acts: &'a [&'a [f32]],
    row: usize,
    rows: usize,
}

impl Chunk<'_> {
    fn plan(&self) -> &Plan {
        &self.network.plan
    }

    #[inline(always)]
    fn activation_factors<S: Simd>(&self, simd: S, sums: &mut [f32]) {
        if self.input.fisher.is_none() {
            return;
        }
        for (l, layer) in self.plan().layers.iter().enumerate() {
            let c = &mut sums[self.layout.a[l]..][..(layer.inputs + 1) * layer.in_width];
            gram(simd, self.acts[l], layer.in_stride, layer.inputs + 1, layer.in_width, c, layer.in_width);
        }
    }

    /// One backward pass a seed.
    #[inline(always)]
    fn gradients<S: Simd>(
        &self,
        simd: S,
        sums: &mut [f32],
        out: &[f32],
        narrow: &mut [f32],
        delta: &mut [f32],
        other: &mut [f32],
    ) {
        let plan = self.plan();
        let (rows, seeds) = (self.rows, self.input.cotangents.count());
        let last = plan.layers.len() - 1;
        let top = plan.last();
        let is_narrow = plan.narrow(last);
        let stride = padded((seeds * top.outputs).max(1));
        for s in 0..seeds {
            let from = &mut delta[..rows * top.out_stride];
            match self.input.cotangents {
                Cotangents::Given(values, _) => self.load(from, values, s),
                Cotangents::Regression(targets) => sums[self.layout.loss] += self.errors(from, out, targets),
            }
            if is_narrow {
                for (row, d) in narrow.chunks_exact_mut(stride).zip(from.chunks_exact(top.out_stride)) {
                    row[s * top.outputs..(s + 1) * top.outputs].copy_from_slice(&d[..top.outputs]);
                }
            }
            let (mut from, mut to) = (&mut *delta, &mut *other);
            for l in (0..=last).rev() {
                let layer = &plan.layers[l];
                let d = &from[..rows * layer.out_stride];
                if !plan.narrow(l) {
                    let width = layer.out_width;
                    let c = &mut sums[self.layout.gradients[s][l]..][..(layer.inputs + 1) * width];
                    gemm_tn(
                        simd,
                        self.acts[l],
                        layer.in_stride,
                        layer.inputs + 1,
                        d,
                        layer.out_stride,
                        width,
                        c,
                        width,
                    );
                }
                if l > 0 {
                    self.step_back(simd, l, layer, d, to);
                    (from, to) = (to, from);
                }
            }
        }
        if is_narrow && seeds > 0 {
            // All seeds' last layers in one product with the few outputs as its rows.
            let m = seeds * top.outputs;
            let c = &mut sums[self.layout.narrow..][..m * top.in_stride];
            let x = &narrow[..rows * stride];
            gemm_tn(simd, x, stride, m, self.acts[last], top.in_stride, top.in_stride, c, top.in_stride);
        }
    }

    /// Pre-activation Gram matrices of the Fisher seeds.
    #[inline(always)]
    fn output_factors<S: Simd>(&self, simd: S, sums: &mut [f32], delta: &mut [f32], other: &mut [f32]) {
        let plan = self.plan();
        let last = plan.layers.len() - 1;
        let top = plan.last();
        match self.input.fisher {
            Some(Seeds::PerSample(values, count)) => {
                for k in 0..count {
                    self.load(&mut delta[..self.rows * top.out_stride], values, k);
                    self.grams(simd, last, true, sums, delta, other);
                }
            }
            Some(Seeds::Constant(_, count)) if last > 0 => {
                // With seeds that are the same for all samples the last layer's factor is known, and the one below is
                // (sum_k u_k u_k^T) o E[f'(s) f'(s)^T]: one Gram matrix of the slopes, whatever the number of seeds.
                let below = &plan.layers[last - 1];
                let (width, kind, h) = (below.out_width, self.network.activation, self.acts[last]);
                let stride = below.out_stride;
                let slopes = &mut delta[..self.rows * stride];
                slopes.fill(1.0);
                times_slope(simd, kind, slopes, stride, h, top.in_stride, width);
                let c = &mut sums[self.layout.g[last - 1]..][..below.outputs * width];
                gram(simd, slopes, stride, below.outputs, width, c, width);
                if last > 1 {
                    for u in self.constant.chunks_exact(top.in_width).take(count) {
                        slope_times_row(simd, kind, &mut delta[..self.rows * stride], stride, h, top.in_stride, u);
                        self.grams(simd, last - 1, false, sums, delta, other);
                    }
                }
            }
            _ => {}
        }
    }

    /// Adds one seed's Gram matrices from layer `top` (whose delta is given) downwards.
    #[inline(always)]
    fn grams<S: Simd>(
        &self,
        simd: S,
        top: usize,
        with_top: bool,
        sums: &mut [f32],
        delta: &mut [f32],
        other: &mut [f32],
    ) {
        let (mut from, mut to) = (delta, other);
        for l in (0..=top).rev() {
            let layer = &self.plan().layers[l];
            let d = &from[..self.rows * layer.out_stride];
            if with_top || l < top {
                let c = &mut sums[self.layout.g[l]..][..layer.outputs * layer.out_width];
                gram(simd, d, layer.out_stride, layer.outputs, layer.out_width, c, layer.out_width);
            }
            if l > 0 {
                self.step_back(simd, l, layer, d, to);
                (from, to) = (to, from);
            }
        }
    }

    /// `to = (delta W^T) o f'(h)` for layer `l > 0`, whose input is `h`.
    #[inline(always)]
    fn step_back<S: Simd>(&self, simd: S, l: usize, layer: &LayerPlan, delta: &[f32], to: &mut [f32]) {
        let (width, stride) = (layer.in_width, row_stride(layer.in_width));
        let to = &mut to[..self.rows * stride];
        let weights = self.network.weights.backward(l, layer);
        gemm_nn::<S, false>(simd, self.rows, delta, layer.out_stride, &weights, to, stride);
        times_slope(simd, self.network.activation, to, stride, self.acts[l], layer.in_stride, width);
    }

    /// This chunk's rows of seed `index` of `[_, N, out]`, padded.
    #[inline(always)]
    fn load(&self, to: &mut [f32], values: &[f32], index: usize) {
        let top = self.plan().last();
        let start = (index * self.input.rows + self.row) * top.outputs;
        load_rows(to, top.out_stride, &values[start..start + self.rows * top.outputs], top.outputs, false);
    }

    /// Cotangents of the squared error; returns the chunk's sum of squares.
    #[inline(always)]
    fn errors(&self, to: &mut [f32], out: &[f32], targets: &[f32]) -> f32 {
        let top = self.plan().last();
        let scale = 2.0 / self.input.rows as f32;
        let targets = &targets[self.row * top.outputs..][..self.rows * top.outputs];
        let mut loss = 0.0;
        let rows = to.chunks_exact_mut(top.out_stride).zip(out.chunks_exact(top.out_width));
        for ((d, v), t) in rows.zip(targets.chunks_exact(top.outputs)) {
            d.fill(0.0);
            for ((d, v), t) in d.iter_mut().zip(v).zip(t) {
                let error = v - t;
                loss += error * error;
                *d = scale * error;
            }
        }
        loss
    }
}
