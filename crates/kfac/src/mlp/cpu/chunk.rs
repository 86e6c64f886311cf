//! What one chunk of the batch adds to the sums.

use pulp::Simd;

use super::activation::{combine, slope_times_row, times_slope};
use super::input::{Cotangents, Input, Seeds};
use super::layout::SumLayout;
use super::network::{Network, load_rows};
use super::plan::{LayerPlan, Plan};
use super::seeds::SeedPlan;
use crate::simd::gemm::{gemm_nn, gemm_tn, gram};
use crate::simd::width::{padded, row_stride};

/// One chunk of a shard, its activations known.
pub(super) struct Chunk<'a> {
    pub network: &'a Network,
    pub seeds: &'a SeedPlan,
    pub layout: &'a SumLayout,
    pub input: &'a Input<'a>,
    pub acts: &'a [&'a [f32]],
    pub row: usize,
    pub rows: usize,
}

impl Chunk<'_> {
    fn plan(&self) -> &Plan {
        &self.network.plan
    }

    #[inline(always)]
    pub fn activation_factors<S: Simd>(&self, simd: S, sums: &mut [f32]) {
        if self.input.fisher.is_none() {
            return;
        }
        for (l, layer) in self.plan().layers.iter().enumerate() {
            let c = &mut sums[self.layout.a[l]..][..(layer.inputs + 1) * layer.in_width];
            gram(simd, self.acts[l], layer.in_stride, layer.inputs + 1, layer.in_width, c, layer.in_width);
        }
    }

    /// Everything of the last layer: the loss, its gradients, its factor.
    #[inline(always)]
    pub fn head<S: Simd>(&self, simd: S, sums: &mut [f32], out: &[f32], narrow: &mut [f32], top: &mut [f32]) {
        let plan = self.plan();
        let (last, layer) = (plan.layers.len() - 1, plan.last());
        let seeds = self.input.cotangents.count();
        let (rows, stride) = (self.rows, padded((seeds * layer.outputs).max(1)));
        let d = &mut top[..rows * layer.out_stride];
        for s in 0..seeds {
            sums[self.layout.loss] += self.cotangents(d, out, s);
            if plan.narrow(last) {
                for (row, d) in narrow.chunks_exact_mut(stride).zip(d.chunks_exact(layer.out_stride)) {
                    row[s * layer.outputs..(s + 1) * layer.outputs].copy_from_slice(&d[..layer.outputs]);
                }
            } else {
                self.weight_gradient(simd, sums, s, last, d);
            }
        }
        if plan.narrow(last) && seeds > 0 {
            // All seeds in one product with the few outputs as its rows.
            let m = seeds * layer.outputs;
            let c = &mut sums[self.layout.narrow..][..m * layer.in_stride];
            let x = &narrow[..rows * stride];
            gemm_tn(simd, x, stride, m, self.acts[last], layer.in_stride, layer.in_stride, c, layer.in_stride);
        }
        if let Some(Seeds::PerSample(values, count)) = self.input.fisher {
            for k in 0..count {
                self.load(d, values, k);
                self.output_factor(simd, sums, last, d);
            }
        }
    }

    /// With seeds that are the same for all samples the last layer's factor is known, and the one below is
    /// `(sum_k u_k u_k^T) o E[f'(s) f'(s)^T]`: one Gram matrix of the slopes, whatever the number of seeds.
    #[inline(always)]
    pub fn slopes<S: Simd>(&self, simd: S, sums: &mut [f32], buffer: &mut [f32]) {
        let [.., below, top] = &*self.plan().layers else { return };
        if let Some(Seeds::Constant(..)) = self.input.fisher {
            let slopes = &mut buffer[..self.rows * below.out_stride];
            slopes.fill(1.0);
            let h = self.acts[self.acts.len() - 1];
            times_slope(simd, self.network.activation, slopes, below.out_stride, h, top.in_stride, below.out_width);
            self.output_factor(simd, sums, self.acts.len() - 2, slopes);
        }
    }

    /// One backward pass per output; every seed's derivatives are linear combinations of them, sample by sample.
    #[inline(always)]
    pub fn combined_chains<S: Simd>(
        &self,
        simd: S,
        sums: &mut [f32],
        buffer: &mut [f32],
        delta: &mut [f32],
        other: &mut [f32],
    ) {
        let Some(basis) = &self.seeds.basis else { return };
        let plan = self.plan();
        let (last, top) = (plan.layers.len() - 1, plan.last());
        let (rows, outputs) = (self.rows, top.outputs);
        let (mut from, mut to) = (delta, other);
        let size = rows * plan.layers[last - 1].out_stride;
        for (d, u) in from.chunks_exact_mut(size).zip(basis.start.chunks_exact(top.in_width)) {
            let stride = plan.layers[last - 1].out_stride;
            slope_times_row(simd, self.network.activation, d, stride, self.acts[last], top.in_stride, u);
        }
        for l in (0..last).rev() {
            let layer = &plan.layers[l];
            let (width, stride) = (layer.out_width, layer.out_stride);
            let size = rows * stride;
            let sources = &from[..outputs * size];
            let mix = &mut buffer[..size];
            // A regression has one seed: never more than outputs.
            if let Cotangents::Given(values, count) = self.input.cotangents {
                for s in 0..count {
                    let c = self.rows_of(values, s);
                    combine(simd, mix, sources, stride, width, c, outputs, &basis.inverse_scale);
                    self.weight_gradient(simd, sums, s, l, mix);
                }
            }
            match self.input.fisher {
                Some(Seeds::PerSample(values, count)) => {
                    for k in 0..count {
                        let c = self.rows_of(values, k);
                        combine(simd, mix, sources, stride, width, c, outputs, &basis.inverse_scale);
                        self.output_factor(simd, sums, l, mix);
                    }
                }
                Some(Seeds::Constant(..)) if l + 1 == last => {}
                Some(Seeds::Constant(..)) if basis.is_fisher => {
                    for d in sources.chunks_exact(size) {
                        self.output_factor(simd, sums, l, d);
                    }
                }
                Some(Seeds::Constant(values, _)) => {
                    for seed in values.chunks_exact(outputs) {
                        combine(simd, mix, sources, stride, width, seed, 0, &basis.inverse_scale);
                        self.output_factor(simd, sums, l, mix);
                    }
                }
                None => {}
            }
            if l > 0 {
                let below = rows * plan.layers[l - 1].out_stride;
                for (d, to) in sources.chunks_exact(size).zip(to.chunks_exact_mut(below)) {
                    self.step_back(simd, l, layer, d, to);
                }
                (from, to) = (to, from);
            }
        }
    }

    /// One backward pass per seed, where there are no more seeds than outputs.
    #[inline(always)]
    pub fn separate_chains<S: Simd>(
        &self,
        simd: S,
        sums: &mut [f32],
        out: &[f32],
        delta: &mut [f32],
        other: &mut [f32],
    ) {
        let plan = self.plan();
        let last = plan.layers.len() - 1;
        if last == 0 {
            return;
        }
        let top = plan.last();
        let size = self.rows * top.out_stride;
        for s in 0..self.input.cotangents.count() {
            self.cotangents(&mut delta[..size], out, s);
            self.chain(simd, last, delta, other, |l, d| self.weight_gradient(simd, sums, s, l, d));
        }
        match self.input.fisher {
            Some(Seeds::PerSample(values, count)) => {
                for k in 0..count {
                    self.load(&mut delta[..size], values, k);
                    self.chain(simd, last, delta, other, |l, d| self.output_factor(simd, sums, l, d));
                }
            }
            Some(Seeds::Constant(..)) => {
                let below = &plan.layers[last - 1];
                for u in self.seeds.constant.chunks_exact(top.in_width) {
                    let d = &mut delta[..self.rows * below.out_stride];
                    let h = self.acts[last];
                    slope_times_row(simd, self.network.activation, d, below.out_stride, h, top.in_stride, u);
                    self.chain(simd, last - 1, delta, other, |l, d| self.output_factor(simd, sums, l, d));
                }
            }
            None => {}
        }
    }

    /// Takes a derivative from layer `top` downwards and shows it to `visit` at every layer below `top`.
    #[inline(always)]
    fn chain<S: Simd>(
        &self,
        simd: S,
        top: usize,
        delta: &mut [f32],
        other: &mut [f32],
        mut visit: impl FnMut(usize, &[f32]),
    ) {
        let (mut from, mut to) = (delta, other);
        for l in (1..=top).rev() {
            let layer = &self.plan().layers[l];
            self.step_back(simd, l, layer, &from[..self.rows * layer.out_stride], to);
            (from, to) = (to, from);
            visit(l - 1, &from[..self.rows * self.plan().layers[l - 1].out_stride]);
        }
    }

    /// Adds seed `s`'s gradient of layer `l` from its derivative `[rows, out_stride]`.
    #[inline(always)]
    fn weight_gradient<S: Simd>(&self, simd: S, sums: &mut [f32], s: usize, l: usize, d: &[f32]) {
        let layer = &self.plan().layers[l];
        let (m, width) = (layer.inputs + 1, layer.out_width);
        let c = &mut sums[self.layout.gradients[s][l]..][..m * width];
        gemm_tn(simd, self.acts[l], layer.in_stride, m, d, layer.out_stride, width, c, width);
    }

    /// Adds a seed's part of the output factor of layer `l` from its derivative `[rows, out_stride]`.
    #[inline(always)]
    fn output_factor<S: Simd>(&self, simd: S, sums: &mut [f32], l: usize, d: &[f32]) {
        let layer = &self.plan().layers[l];
        let c = &mut sums[self.layout.g[l]..][..layer.outputs * layer.out_width];
        gram(simd, d, layer.out_stride, layer.outputs, layer.out_width, c, layer.out_width);
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

    /// This chunk's rows of seed `index` of `[_, N, out]`.
    #[inline(always)]
    fn rows_of<'v>(&self, values: &'v [f32], index: usize) -> &'v [f32] {
        let outputs = self.plan().last().outputs;
        &values[(index * self.input.rows + self.row) * outputs..][..self.rows * outputs]
    }

    /// [`rows_of`](Self::rows_of), padded to `[rows, out_stride]`.
    #[inline(always)]
    fn load(&self, to: &mut [f32], values: &[f32], index: usize) {
        let top = self.plan().last();
        load_rows(to, top.out_stride, self.rows_of(values, index), top.outputs, false);
    }

    /// Cotangents of seed `s`, `[rows, out_stride]`; returns the chunk's sum of squared errors where they are a
    /// regression's.
    #[inline(always)]
    fn cotangents(&self, to: &mut [f32], out: &[f32], s: usize) -> f32 {
        let top = self.plan().last();
        match self.input.cotangents {
            Cotangents::Given(values, _) => {
                self.load(to, values, s);
                0.0
            }
            Cotangents::Regression(targets) => {
                let errors = self.dense_errors(out, targets);
                load_rows(to, top.out_stride, &errors, top.outputs, false);
                let scale = 0.5 * self.input.rows as f32;
                errors.iter().map(|e| scale * e * (scale * e)).sum()
            }
        }
    }

    /// `2 (f - t) / N` of the chunk, `[rows, out]`.
    #[inline(always)]
    fn dense_errors(&self, out: &[f32], targets: &[f32]) -> Vec<f32> {
        let top = self.plan().last();
        let scale = 2.0 / self.input.rows as f32;
        let rows = out.chunks_exact(top.out_width).zip(self.rows_of(targets, 0).chunks_exact(top.outputs));
        rows.flat_map(|(v, t)| v.iter().zip(t).map(|(v, t)| scale * (v - t))).collect()
    }
}
