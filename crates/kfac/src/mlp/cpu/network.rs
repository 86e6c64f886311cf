//! Forward passes and directional derivatives, row by row of the batch.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activation::{activate, times_slope};
use super::hidden::Hidden;
use super::plan::Plan;
use super::weights::Weights;
use crate::mlp::spec::{Activation, MlpSpec};
use crate::simd::gemm::{dot_rows, gemm_nn};
use crate::simd::scratch::with_scratch;

/// A network with its weights packed.
pub(crate) struct Network {
    pub(super) plan: Plan,
    pub(super) activation: Activation,
    pub(super) weights: Weights,
}

impl Network {
    /// `backward` says whether gradients will be asked for.
    pub fn new(spec: &MlpSpec, theta: &[f32], backward: bool) -> Self {
        let plan = Plan::new(spec);
        let weights = Weights::new(&plan, theta, backward);
        Network { plan, activation: spec.activation(), weights }
    }

    /// `f(x)`, `[N, out]`.
    pub fn forward(&self, x: &[f32], rows: usize) -> Vec<f32> {
        self.rowwise(x, rows, None, Keep::Nothing)
    }

    /// `f(x)` and the hidden activations.
    pub fn forward_keeping(&self, x: &[f32], rows: usize) -> (Vec<f32>, Hidden) {
        let mut hidden = Hidden::new(&self.plan, rows);
        let out = self.rowwise(x, rows, None, Keep::Into(&mut hidden));
        (out, hidden)
    }

    /// `J(x) direction`, `[N, out]`; cheaper with the hidden activations of the same batch.
    pub fn jvp(&self, x: &[f32], rows: usize, hidden: Option<&Hidden>, direction: &[f32]) -> Vec<f32> {
        let tangent = Weights::new(&self.plan, direction, false);
        self.rowwise(x, rows, Some(&tangent), hidden.map_or(Keep::Nothing, Keep::From))
    }

    fn rowwise(&self, x: &[f32], rows: usize, tangent: Option<&Weights>, keep: Keep<'_>) -> Vec<f32> {
        let plan = &self.plan;
        let (inputs, outputs) = (plan.first().inputs, plan.last().outputs);
        let mut out = vec![0.0; rows * outputs];
        if rows == 0 {
            return out;
        }
        let size = plan.chunk.min(rows);
        let sizes = RowwisePass::buffer_sizes(plan, size);
        let run = |out: &mut [f32], x: &[f32], kept: Option<&mut [f32]>, from: Option<&[f32]>| {
            with_scratch(&sizes, |buffers| {
                Arch::new().dispatch(RowwisePass { network: self, tangent, x, out, kept, from, buffers });
            });
        };
        let parallel = plan.parallel(rows, if tangent.is_some() { 3 } else { 1 });
        match keep {
            Keep::Into(hidden) => {
                let width = hidden.width().max(1);
                // A network without hidden layers keeps nothing; give every chunk an empty slice.
                let mut kept: Vec<&mut [f32]> = if hidden.width() == 0 {
                    (0..rows.div_ceil(size)).map(|_| Default::default()).collect()
                } else {
                    hidden.data_mut().chunks_mut(size * width).collect()
                };
                if parallel {
                    let chunks = out.par_chunks_mut(size * outputs).zip(x.par_chunks(size * inputs));
                    kept.par_iter_mut().zip(chunks).for_each(|(kept, (out, x))| run(out, x, Some(&mut **kept), None));
                } else {
                    let chunks = out.chunks_mut(size * outputs).zip(x.chunks(size * inputs));
                    kept.iter_mut().zip(chunks).for_each(|(kept, (out, x))| run(out, x, Some(&mut **kept), None));
                }
            }
            other => {
                let hidden = if let Keep::From(hidden) = other { Some(hidden) } else { None };
                let one = |(i, (out, x)): (usize, (&mut [f32], &[f32]))| {
                    run(out, x, None, hidden.map(|h| h.chunk(i * size, x.len() / inputs)));
                };
                if parallel {
                    out.par_chunks_mut(size * outputs).zip(x.par_chunks(size * inputs)).enumerate().for_each(one);
                } else {
                    out.chunks_mut(size * outputs).zip(x.chunks(size * inputs)).enumerate().for_each(one);
                }
            }
        }
        out
    }

    /// Runs all layers of a chunk: `acts[0]` is loaded, `acts[1..]` and `out` `[rows, out_width]` are written.
    #[inline(always)]
    pub(super) fn forward_chunk<S: Simd>(&self, simd: S, rows: usize, acts: &mut [&mut [f32]], out: &mut [f32]) {
        for (l, layer) in self.plan.layers.iter().enumerate() {
            let (before, after) = acts.split_at_mut(l + 1);
            let input = &before[l][..rows * layer.in_stride];
            match after.first_mut() {
                None => self.last_layer::<S, false>(simd, &self.weights, rows, input, out),
                Some(h) => {
                    let stride = self.plan.layers[l + 1].in_stride;
                    let h = &mut h[..rows * stride];
                    let b = self.weights.forward(l, layer);
                    gemm_nn::<S, false>(simd, rows, input, layer.in_stride, &b, h, stride);
                    activate(simd, self.activation, h, stride, layer.out_width);
                    for row in h.chunks_exact_mut(stride) {
                        row[layer.outputs] = 1.0;
                        row[layer.outputs + 1..].fill(0.0);
                    }
                }
            }
        }
    }

    /// `out (+)= input W` for the last layer of `weights`.
    #[inline(always)]
    fn last_layer<S: Simd, const ADD: bool>(
        &self,
        simd: S,
        weights: &Weights,
        rows: usize,
        input: &[f32],
        out: &mut [f32],
    ) {
        let l = self.plan.layers.len() - 1;
        let layer = self.plan.last();
        if self.plan.narrow(l) {
            let w = weights.narrow(l, layer);
            dot_rows::<S, ADD>(simd, &input[..rows * layer.in_stride], layer.in_stride, w, out, layer.out_width);
        } else {
            gemm_nn::<S, ADD>(simd, rows, input, layer.in_stride, &weights.forward(l, layer), out, layer.out_width);
        }
    }
}

/// What a pass does with the hidden activations.
enum Keep<'a> {
    Nothing,
    Into(&'a mut Hidden),
    From(&'a Hidden),
}

/// Copies rows of `width` floats into rows of `stride`, a one after each if asked, zeros to the end.
#[inline(always)]
pub(super) fn load_rows(out: &mut [f32], stride: usize, source: &[f32], width: usize, with_one: bool) {
    for (row, x) in out.chunks_exact_mut(stride).zip(source.chunks_exact(width)) {
        row[..width].copy_from_slice(x);
        row[width..].fill(0.0);
        if with_one {
            row[width] = 1.0;
        }
    }
}

/// One chunk of a forward pass or a directional derivative.
struct RowwisePass<'a, 'b> {
    network: &'a Network,
    tangent: Option<&'a Weights>,
    x: &'a [f32],
    out: &'a mut [f32],
    /// Where to keep the hidden activations.
    kept: Option<&'a mut [f32]>,
    /// Hidden activations kept before.
    from: Option<&'a [f32]>,
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
        let network = self.network;
        let plan = &network.plan;
        let (first, last) = (plan.first(), plan.last());
        let rows = self.x.len() / first.inputs;
        let (acts, rest) = self.buffers.split_at_mut(plan.layers.len());
        let [one, two] = rest else { return };
        load_rows(&mut acts[0][..rows * first.in_stride], first.in_stride, self.x, first.inputs, true);
        let result: &[f32] = match (self.tangent, self.from, self.kept) {
            (None, _, None) => {
                network.forward_chunk(simd, rows, acts, one);
                one
            }
            (None, _, Some(mut kept)) => {
                let mut own: Vec<&mut [f32]> = Vec::with_capacity(plan.layers.len());
                own.push(&mut *acts[0]);
                for layer in &plan.layers[1..] {
                    let (h, rest) = kept.split_at_mut(rows * layer.in_stride);
                    own.push(h);
                    kept = rest;
                }
                network.forward_chunk(simd, rows, &mut own, one);
                one
            }
            (Some(tangent), from, _) => {
                if from.is_none() {
                    network.forward_chunk(simd, rows, acts, one);
                }
                let views = views(plan, rows, acts, from);
                network.tangent_chunk(simd, tangent, rows, &views, one, two)
            }
        };
        for (out, row) in self.out.chunks_exact_mut(last.outputs).zip(result.chunks_exact(last.out_width)) {
            out.copy_from_slice(&row[..last.outputs]);
        }
    }
}

/// The inputs of all layers: the first from the buffers, the others from there or from the kept activations.
#[inline(always)]
pub(super) fn views<'a>(plan: &Plan, rows: usize, acts: &'a [&mut [f32]], from: Option<&'a [f32]>) -> Vec<&'a [f32]> {
    let mut from = from;
    let layers = plan.layers.iter().zip(acts).enumerate();
    layers
        .map(|(l, (layer, own))| {
            let len = rows * layer.in_stride;
            match from {
                Some(kept) if l > 0 => {
                    let (h, rest) = kept.split_at(len);
                    from = Some(rest);
                    h
                }
                _ => &own[..len],
            }
        })
        .collect()
}

impl Network {
    /// Tangents through all layers; returns the outputs' `[rows, out_width]`.
    #[inline(always)]
    fn tangent_chunk<'b, S: Simd>(
        &self,
        simd: S,
        tangent: &Weights,
        rows: usize,
        acts: &[&[f32]],
        one: &'b mut [f32],
        two: &'b mut [f32],
    ) -> &'b [f32] {
        let plan = &self.plan;
        let last = plan.layers.len() - 1;
        let (mut from, mut to) = (one, two);
        for (l, layer) in plan.layers.iter().enumerate() {
            // t' = f'(s) o (t W + h D); the tangent of the bias column is zero.
            if l == last {
                self.last_layer::<S, false>(simd, tangent, rows, acts[l], to);
                if l > 0 {
                    self.last_layer::<S, true>(simd, &self.weights, rows, from, to);
                }
                return to;
            }
            let width = layer.out_width;
            gemm_nn::<S, false>(simd, rows, acts[l], layer.in_stride, &tangent.forward(l, layer), to, width);
            if l > 0 {
                gemm_nn::<S, true>(simd, rows, from, layer.in_stride, &self.weights.forward(l, layer), to, width);
            }
            let stride = plan.layers[l + 1].in_stride;
            times_slope(simd, self.activation, &mut to[..rows * width], width, acts[l + 1], stride, width);
            widen_rows(to, width, stride, rows, layer.outputs);
            (from, to) = (to, from);
        }
        from
    }
}

/// Moves rows of `width` floats to rows of `stride >= width` in place, zero from column `used` on.
#[inline(always)]
fn widen_rows(data: &mut [f32], width: usize, stride: usize, rows: usize, used: usize) {
    for r in (0..rows).rev() {
        data.copy_within(r * width..r * width + used, r * stride);
        data[r * stride + used..(r + 1) * stride].fill(0.0);
    }
}
