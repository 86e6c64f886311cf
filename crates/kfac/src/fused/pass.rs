//! The pass over the batch: forward, backward of all seeds, and every sum over samples, chunk by chunk in cache.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activation::{activate, slope_times_row, times_slope};
use super::kernel::{Packed, gemm_nn, gemm_tn, gram, pack};
use super::plan::{LayerPlan, Plan};
use super::scratch::with_scratch;
use crate::{Activation, MlpSpec};

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
    /// `2 (f(x) - target) / N`, computed in the pass; targets `[N, out]`.
    Regression(&'a [f32]),
}

impl Cotangents<'_> {
    pub fn count(&self) -> usize {
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
struct SumLayout {
    /// Per seed and layer: `[in + 1, out_width]`.
    gradients: Vec<Vec<usize>>,
    /// Per layer: `[in + 1, in_width]`, lower blocks.
    a: Vec<usize>,
    /// Per layer: `[out, out_width]`, lower blocks.
    g: Vec<usize>,
    loss: usize,
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
        let gradients =
            (0..seeds).map(|_| plan.layers.iter().map(|l| take((l.inputs + 1) * l.out_width)).collect()).collect();
        let mut a = Vec::new();
        let mut g = Vec::new();
        if fisher {
            for l in &plan.layers {
                a.push(take((l.inputs + 1) * l.in_width));
                g.push(take(l.outputs * l.out_width));
            }
        }
        let loss = take(1);
        SumLayout { gradients, a, g, loss, len }
    }
}

/// Weights rearranged for the kernels.
struct Weights {
    data: Vec<f32>,
    forward: Vec<usize>,
    backward: Vec<usize>,
    /// `u_k = W seed_k` of the last layer for constant Fisher seeds, `[K, in_width]`.
    constant: Vec<f32>,
}

impl Weights {
    fn packed<'a>(&'a self, start: usize, depth: usize, width: usize) -> Packed<'a> {
        Packed { data: &self.data[start..start + depth * width], depth, width }
    }

    fn forward(&self, l: usize, layer: &LayerPlan) -> Packed<'_> {
        self.packed(self.forward[l], layer.inputs + 1, layer.out_width)
    }

    fn backward(&self, l: usize, layer: &LayerPlan) -> Packed<'_> {
        self.packed(self.backward[l], layer.outputs, layer.in_width)
    }
}

struct PackWeights<'a> {
    plan: &'a Plan,
    theta: &'a [f32],
    backward: bool,
    constant: Option<(&'a [f32], usize)>,
}

impl WithSimd for PackWeights<'_> {
    type Output = Weights;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Weights {
        let mut len = 0;
        let mut forward = Vec::new();
        let mut backward = Vec::new();
        for l in &self.plan.layers {
            forward.push(len);
            len += (l.inputs + 1) * l.out_width;
        }
        for l in &self.plan.layers {
            backward.push(len);
            len += if self.backward { l.outputs * l.in_width } else { 0 };
        }
        let mut data = vec![0.0; len];
        for (i, l) in self.plan.layers.iter().enumerate() {
            let theta = &self.theta[l.offset..l.offset + l.weights()];
            let n = (l.inputs + 1) * l.out_width;
            let out = &mut data[forward[i]..forward[i] + n];
            pack(simd, out, l.inputs + 1, l.out_width, l.outputs, |k, j| theta[k * l.outputs + j]);
            if self.backward && i > 0 {
                let out = &mut data[backward[i]..backward[i] + l.outputs * l.in_width];
                pack(simd, out, l.outputs, l.in_width, l.inputs, |k, j| theta[j * l.outputs + k]);
            }
        }
        let mut constant = Vec::new();
        if let (Some((seeds, k)), Some(l)) = (self.constant, self.plan.layers.last()) {
            let theta = &self.theta[l.offset..l.offset + l.weights()];
            constant = vec![0.0; k * l.in_width];
            for (u, seed) in constant.chunks_exact_mut(l.in_width).zip(seeds.chunks_exact(l.outputs)) {
                for (u, w) in u.iter_mut().zip(theta.chunks_exact(l.outputs).take(l.inputs)) {
                    *u = w.iter().zip(seed).map(|(w, s)| w * s).sum();
                }
            }
        }
        Weights { data, forward, backward, constant }
    }
}

/// Copies rows of `width` floats into rows of `stride`, a one after each and zeros to the end.
#[inline(always)]
fn load_rows(out: &mut [f32], stride: usize, source: &[f32], width: usize, with_one: bool) {
    for (row, x) in out.chunks_exact_mut(stride).zip(source.chunks_exact(width)) {
        row[..width].copy_from_slice(x);
        row[width..].fill(0.0);
        if with_one {
            row[width] = 1.0;
        }
    }
}

/// Runs the layers up to the last one's outputs; `acts[l]` is the input of layer `l`, `acts[0]` loaded by the caller.
#[inline(always)]
fn forward_chunk<S: Simd>(
    simd: S,
    plan: &Plan,
    activation: Activation,
    weights: &Weights,
    rows: usize,
    acts: &mut [&mut [f32]],
    out: &mut [f32],
) {
    let last = plan.layers.len() - 1;
    for (l, layer) in plan.layers.iter().enumerate() {
        let (before, after) = acts.split_at_mut(l + 1);
        let input = &before[l][..rows * layer.in_stride];
        let b = weights.forward(l, layer);
        if l == last {
            gemm_nn::<S, false>(simd, rows, input, layer.in_stride, &b, out, layer.out_width);
        } else {
            let stride = plan.layers[l + 1].in_stride;
            let h = &mut after[0][..rows * stride];
            gemm_nn::<S, false>(simd, rows, input, layer.in_stride, &b, h, stride);
            activate(simd, activation, h, stride, layer.out_width);
            set_ones(h, stride, layer.outputs);
        }
    }
}

/// Writes the bias column and zeros behind it.
#[inline(always)]
fn set_ones(h: &mut [f32], stride: usize, outputs: usize) {
    for row in h.chunks_exact_mut(stride) {
        row[outputs] = 1.0;
        row[outputs + 1..].fill(0.0);
    }
}

struct ShardPass<'a, 'b> {
    plan: &'a Plan,
    activation: Activation,
    weights: &'a Weights,
    layout: &'a SumLayout,
    input: Input<'a>,
    start: usize,
    end: usize,
    sums: &'a mut [f32],
    /// One for each layer's input, the outputs, and two for the backward pass.
    buffers: &'a mut [&'b mut [f32]],
}

impl ShardPass<'_, '_> {
    fn buffer_sizes(plan: &Plan) -> Vec<usize> {
        let widest = plan.layers.iter().map(|l| l.out_width.max(l.in_width)).max().unwrap_or(0);
        let outputs = plan.layers.last().map_or(0, |l| l.out_width);
        let inputs = plan.layers.iter().map(|l| l.in_stride);
        inputs.chain([outputs, widest, widest]).map(|width| plan.chunk * width).collect()
    }
}

impl WithSimd for ShardPass<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (acts, rest) = self.buffers.split_at_mut(self.plan.layers.len());
        let [out, delta, other] = rest else { return };
        let mut row = self.start;
        while row < self.end {
            let rows = (self.end - row).min(self.plan.chunk);
            sum_chunk(
                simd,
                self.plan,
                self.activation,
                self.weights,
                self.layout,
                &self.input,
                row,
                rows,
                self.sums,
                acts,
                out,
                delta,
                other,
            );
            row += rows;
        }
    }
}

#[inline(always)]
fn sum_chunk<S: Simd>(
    simd: S,
    plan: &Plan,
    activation: Activation,
    weights: &Weights,
    layout: &SumLayout,
    input: &Input<'_>,
    row: usize,
    rows: usize,
    sums: &mut [f32],
    acts: &mut [&mut [f32]],
    out: &mut [f32],
    delta: &mut [f32],
    other: &mut [f32],
) {
    let first = plan.layers[0];
    let last = plan.layers.len() - 1;
    let top = plan.layers[last];
    load_rows(
        &mut acts[0][..rows * first.in_stride],
        first.in_stride,
        &input.x[row * first.inputs..(row + rows) * first.inputs],
        first.inputs,
        true,
    );
    forward_chunk(simd, plan, activation, weights, rows, acts, out);

    // Activation factors: one Gram matrix a layer.
    if input.fisher.is_some() {
        for (l, layer) in plan.layers.iter().enumerate() {
            let c = &mut sums[layout.a[l]..][..(layer.inputs + 1) * layer.in_width];
            gram(
                simd,
                &acts[l][..rows * layer.in_stride],
                layer.in_stride,
                layer.inputs + 1,
                layer.in_width,
                c,
                layer.in_width,
            );
        }
    }

    // Gradients: one backward pass a seed.
    for s in 0..input.cotangents.count() {
        match input.cotangents {
            Cotangents::Given(values, _) => {
                let start = (s * input.rows + row) * top.outputs;
                load_rows(
                    &mut delta[..rows * top.out_width],
                    top.out_width,
                    &values[start..start + rows * top.outputs],
                    top.outputs,
                    false,
                );
            }
            Cotangents::Regression(targets) => {
                let scale = 2.0 / input.rows as f32;
                let targets = &targets[row * top.outputs..(row + rows) * top.outputs];
                let mut loss = 0.0;
                let chunk = delta.chunks_exact_mut(top.out_width).zip(out.chunks_exact(top.out_width));
                for ((d, v), t) in chunk.zip(targets.chunks_exact(top.outputs)) {
                    d.fill(0.0);
                    for ((d, v), t) in d.iter_mut().zip(v).zip(t) {
                        let error = v - t;
                        loss += error * error;
                        *d = scale * error;
                    }
                }
                sums[layout.loss] += loss;
            }
        }
        let (mut from, mut to) = (&mut *delta, &mut *other);
        for l in (0..=last).rev() {
            let layer = plan.layers[l];
            let start = layout.gradients[s][l];
            let c = &mut sums[start..start + (layer.inputs + 1) * layer.out_width];
            let d = &from[..rows * layer.out_width];
            gemm_tn(
                simd,
                &acts[l][..rows * layer.in_stride],
                layer.in_stride,
                layer.inputs + 1,
                d,
                layer.out_width,
                layer.out_width,
                c,
                layer.out_width,
            );
            if l > 0 {
                backward_step(simd, activation, weights, l, &layer, rows, d, &acts[l][..rows * layer.in_stride], to);
                (from, to) = (to, from);
            }
        }
    }

    match input.fisher {
        None => {}
        Some(Seeds::PerSample(values, count)) => {
            for k in 0..count {
                let start = (k * input.rows + row) * top.outputs;
                load_rows(
                    &mut delta[..rows * top.out_width],
                    top.out_width,
                    &values[start..start + rows * top.outputs],
                    top.outputs,
                    false,
                );
                fisher_backward(simd, plan, activation, weights, layout, last, rows, sums, acts, delta, other, false);
            }
        }
        Some(Seeds::Constant(_, count)) if last > 0 => {
            // With seeds that are the same for all samples the last layer's factor is known, and the one below is
            // (sum_k u_k u_k^T) o E[f'(s) f'(s)^T]: one Gram matrix of the slopes, whatever the number of seeds.
            let below = plan.layers[last - 1];
            let slopes = &mut delta[..rows * below.out_width];
            slopes.fill(1.0);
            times_slope(
                simd,
                activation,
                slopes,
                below.out_width,
                &acts[last][..rows * top.in_stride],
                top.in_stride,
                below.out_width,
            );
            let c = &mut sums[layout.g[last - 1]..][..below.outputs * below.out_width];
            gram(simd, slopes, below.out_width, below.outputs, below.out_width, c, below.out_width);
            if last > 1 {
                for k in 0..count {
                    let u = &weights.constant[k * top.in_width..(k + 1) * top.in_width];
                    slope_times_row(
                        simd,
                        activation,
                        &mut delta[..rows * below.out_width],
                        below.out_width,
                        &acts[last][..rows * top.in_stride],
                        top.in_stride,
                        u,
                    );
                    fisher_backward(
                        simd,
                        plan,
                        activation,
                        weights,
                        layout,
                        last - 1,
                        rows,
                        sums,
                        acts,
                        delta,
                        other,
                        true,
                    );
                }
            }
        }
        Some(Seeds::Constant(..)) => {}
    }
}

/// `to = (delta W^T) o f'(h)` for layer `l > 0`, whose input is `h`.
#[inline(always)]
fn backward_step<S: Simd>(
    simd: S,
    activation: Activation,
    weights: &Weights,
    l: usize,
    layer: &LayerPlan,
    rows: usize,
    delta: &[f32],
    h: &[f32],
    to: &mut [f32],
) {
    let to = &mut to[..rows * layer.in_width];
    gemm_nn::<S, false>(simd, rows, delta, layer.out_width, &weights.backward(l, layer), to, layer.in_width);
    times_slope(simd, activation, to, layer.in_width, h, layer.in_stride, layer.in_width);
}

/// Adds the pre-activation Gram matrices of one seed from layer `top` (whose delta is given) downwards.
#[inline(always)]
fn fisher_backward<S: Simd>(
    simd: S,
    plan: &Plan,
    activation: Activation,
    weights: &Weights,
    layout: &SumLayout,
    top: usize,
    rows: usize,
    sums: &mut [f32],
    acts: &[&mut [f32]],
    delta: &mut [f32],
    other: &mut [f32],
    skip_top: bool,
) {
    let (mut from, mut to) = (&mut *delta, &mut *other);
    for l in (0..=top).rev() {
        let layer = plan.layers[l];
        let d = &from[..rows * layer.out_width];
        if !(skip_top && l == top) {
            let c = &mut sums[layout.g[l]..][..layer.outputs * layer.out_width];
            gram(simd, d, layer.out_width, layer.outputs, layer.out_width, c, layer.out_width);
        }
        if l > 0 {
            backward_step(simd, activation, weights, l, &layer, rows, d, &acts[l][..rows * layer.in_stride], to);
            (from, to) = (to, from);
        }
    }
}

/// Everything a minibatch update needs from the batch, in one pass.
pub(crate) fn sums(spec: &MlpSpec, theta: &[f32], input: Input<'_>) -> Sums {
    let plan = Plan::new(spec);
    let seeds = input.cotangents.count();
    let layout = SumLayout::new(&plan, seeds, input.fisher.is_some());
    let constant = match input.fisher {
        Some(Seeds::Constant(values, k)) => Some((values, k)),
        _ => None,
    };
    let arch = Arch::new();
    let weights = arch.dispatch(PackWeights { plan: &plan, theta, backward: true, constant });
    let shard = plan.shard_rows(input.rows, layout.len);
    let shards = input.rows.div_ceil(shard).max(1);
    let mut partial = vec![0.0f32; shards * layout.len];
    let sizes = ShardPass::buffer_sizes(&plan);
    let run = |(index, sums): (usize, &mut [f32])| {
        let start = index * shard;
        let end = (start + shard).min(input.rows);
        with_scratch(&sizes, |buffers| {
            arch.dispatch(ShardPass {
                plan: &plan,
                activation: spec.activation(),
                weights: &weights,
                layout: &layout,
                input,
                start,
                end,
                sums,
                buffers,
            });
        });
    };
    let parallel = plan.parallel(input.rows, 3 + 2 * seeds);
    if parallel && shards > 1 {
        partial.par_chunks_exact_mut(layout.len).enumerate().for_each(run);
    } else {
        partial.chunks_exact_mut(layout.len).enumerate().for_each(run);
    }
    // Shard sums are added in shard order, so the result does not depend on who computed them.
    let (total, rest) = partial.split_at_mut(layout.len);
    const PIECE: usize = 16 * 1024;
    let add = |(index, total): (usize, &mut [f32])| {
        for other in rest.chunks_exact(layout.len) {
            let other = &other[index * PIECE..][..total.len()];
            for (t, o) in total.iter_mut().zip(other) {
                *t += o;
            }
        }
    };
    if parallel && shards > 1 && layout.len > 4 * PIECE {
        total.par_chunks_mut(PIECE).enumerate().for_each(add);
    } else {
        total.chunks_mut(PIECE).enumerate().for_each(add);
    }
    collect(&plan, &layout, &weights, total, &input, seeds)
}

/// Copies the padded sums into the dense results.
fn collect(plan: &Plan, layout: &SumLayout, weights: &Weights, total: &[f32], input: &Input<'_>, seeds: usize) -> Sums {
    let mut gradients = Vec::with_capacity(seeds * plan.params);
    for offsets in &layout.gradients {
        for (layer, &start) in plan.layers.iter().zip(offsets) {
            for row in total[start..].chunks_exact(layer.out_width).take(layer.inputs + 1) {
                gradients.extend_from_slice(&row[..layer.outputs]);
            }
        }
    }
    let mean = 1.0 / input.rows.max(1) as f32;
    let mut factors = Vec::new();
    if let Some(fisher) = input.fisher {
        let last = plan.layers.len() - 1;
        for (l, layer) in plan.layers.iter().enumerate() {
            // Activations: the ones column is the last row of the sums.
            let a = &total[layout.a[l]..];
            let n = layer.inputs;
            for i in 0..=n {
                for j in 0..=n {
                    let (row, column) = (i.max(j), i.min(j));
                    factors.push(if column == n { 1.0 } else { mean * a[row * layer.in_width + column] });
                }
            }
            let n = layer.outputs;
            let g = &total[layout.g[l]..];
            let lower = |i: usize, j: usize| mean * g[i.max(j) * layer.out_width + i.min(j)];
            match fisher {
                Seeds::Constant(seeds, _) if l == last => {
                    for i in 0..n {
                        for j in 0..n {
                            factors.push(seeds.chunks_exact(n).map(|s| s[i] * s[j]).sum());
                        }
                    }
                }
                Seeds::Constant(..) if l + 1 == last => {
                    let stride = plan.layers[last].in_width;
                    let mut outer = vec![0.0f32; n * n];
                    for u in weights.constant.chunks_exact(stride) {
                        for (row, &ui) in outer.chunks_exact_mut(n).zip(u) {
                            for (o, &uj) in row.iter_mut().zip(u) {
                                *o += ui * uj;
                            }
                        }
                    }
                    for i in 0..n {
                        for j in 0..n {
                            factors.push(outer[i * n + j] * lower(i, j));
                        }
                    }
                }
                _ => {
                    for i in 0..n {
                        for j in 0..n {
                            factors.push(lower(i, j));
                        }
                    }
                }
            }
        }
    }
    Sums { gradients, factors, loss: mean * total[layout.loss] }
}

/// `f(x)`, `[N, out]`.
pub(crate) fn forward(spec: &MlpSpec, theta: &[f32], x: &[f32], rows: usize) -> Vec<f32> {
    rowwise(spec, theta, None, x, rows)
}

/// `J(x) direction`, `[N, out]`.
pub(crate) fn jvp(spec: &MlpSpec, theta: &[f32], direction: &[f32], x: &[f32], rows: usize) -> Vec<f32> {
    rowwise(spec, theta, Some(direction), x, rows)
}

fn rowwise(spec: &MlpSpec, theta: &[f32], direction: Option<&[f32]>, x: &[f32], rows: usize) -> Vec<f32> {
    let plan = Plan::new(spec);
    let arch = Arch::new();
    let pack = |theta| arch.dispatch(PackWeights { plan: &plan, theta, backward: false, constant: None });
    let weights = pack(theta);
    let tangent = direction.map(pack);
    let last = plan.layers[plan.layers.len() - 1];
    let mut out = vec![0.0; rows * last.outputs];
    if rows == 0 {
        return out;
    }
    let inputs = plan.layers[0].inputs;
    let size = plan.chunk.min(rows);
    let sizes = RowwisePass::buffer_sizes(&plan, size);
    let run = |(out, x): (&mut [f32], &[f32])| {
        with_scratch(&sizes, |buffers| {
            let tangent = tangent.as_ref();
            arch.dispatch(RowwisePass {
                plan: &plan,
                activation: spec.activation(),
                weights: &weights,
                tangent,
                x,
                out,
                buffers,
            });
        });
    };
    if plan.parallel(rows, if direction.is_some() { 3 } else { 1 }) {
        out.par_chunks_mut(size * last.outputs).zip(x.par_chunks(size * inputs)).for_each(run);
    } else {
        out.chunks_mut(size * last.outputs).zip(x.chunks(size * inputs)).for_each(run);
    }
    out
}

struct RowwisePass<'a, 'b> {
    plan: &'a Plan,
    activation: Activation,
    weights: &'a Weights,
    tangent: Option<&'a Weights>,
    x: &'a [f32],
    out: &'a mut [f32],
    /// One for each layer's input, and two for outputs and tangents.
    buffers: &'a mut [&'b mut [f32]],
}

impl RowwisePass<'_, '_> {
    fn buffer_sizes(plan: &Plan, rows: usize) -> Vec<usize> {
        let widest = plan.layers.iter().map(|l| l.out_width.max(l.in_stride)).max().unwrap_or(0);
        plan.layers.iter().map(|l| l.in_stride).chain([widest, widest]).map(|width| rows * width).collect()
    }
}

impl WithSimd for RowwisePass<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let plan = self.plan;
        let first = plan.layers[0];
        let last = plan.layers[plan.layers.len() - 1];
        let rows = self.x.len() / first.inputs;
        let (acts, rest) = self.buffers.split_at_mut(plan.layers.len());
        let [one, two] = rest else { return };
        load_rows(acts[0], first.in_stride, self.x, first.inputs, true);
        forward_chunk(simd, plan, self.activation, self.weights, rows, acts, one);
        let (mut from, mut to) = (one, two);
        if let Some(tangent) = self.tangent {
            for (l, layer) in plan.layers.iter().enumerate() {
                // t' = f'(s) o (t W + h D); the tangent of the bias column is zero.
                let d = tangent.forward(l, layer);
                gemm_nn::<S, false>(simd, rows, acts[l], layer.in_stride, &d, to, layer.out_width);
                if l > 0 {
                    let w = self.weights.forward(l, layer);
                    gemm_nn::<S, true>(simd, rows, from, layer.in_stride, &w, to, layer.out_width);
                }
                if l + 1 < plan.layers.len() {
                    let stride = plan.layers[l + 1].in_stride;
                    let h = &acts[l + 1][..rows * stride];
                    let width = layer.out_width;
                    times_slope(simd, self.activation, &mut to[..rows * width], width, h, stride, width);
                    spread(to, width, stride, rows, layer.outputs);
                }
                (from, to) = (to, from);
            }
        }
        for (out, row) in self.out.chunks_exact_mut(last.outputs).zip(from.chunks_exact(last.out_width)) {
            out.copy_from_slice(&row[..last.outputs]);
        }
    }
}

/// Moves rows of `width` floats to rows of `stride >= width` in place, zero from column `used` on.
#[inline(always)]
fn spread(data: &mut [f32], width: usize, stride: usize, rows: usize, used: usize) {
    for r in (0..rows).rev() {
        data.copy_within(r * width..r * width + used, r * stride);
        data[r * stride + used..(r + 1) * stride].fill(0.0);
    }
}
