//! Natural gradients on the CPU: a task takes some rows of one layer's product.

use burn::tensor::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::factor::layout::FactorLayout;
use crate::simd::gemm::gemm_nn;
use crate::simd::pack::{Packed, pack_rows};
use crate::simd::width::padded;
use compute::cpu::{View, tensor};

/// Rows of `A^-1` a task takes.
const TASK_ROWS: usize = 96;

/// Multiply-adds from which on a second thread pays.
const PARALLEL_WORK: usize = 1_500_000;

struct LayerProduct<'a> {
    rows: usize,
    columns: usize,
    width: usize,
    /// `[rows, rows]`.
    a_inverse: &'a [f32],
    /// The gradients of all seeds side by side, `[rows, S * width]`.
    gradients: Vec<f32>,
    /// `[columns, width]`.
    g_inverse: Vec<f32>,
}

/// Natural gradients of `[S, P + A]` gradients with the flat inverses, the last A numbers of each divided by
/// `log_std_block`; `None` where the tensors are of another kind.
pub(super) fn natural_gradients(
    layout: &FactorLayout,
    inverses: &Tensor<1>,
    gradients: &Tensor<2>,
    log_std_block: f32,
) -> Option<Tensor<2>> {
    let (inverses, host) = (View::of(inverses)?, View::of(gradients)?);
    let [seeds, total] = gradients.dims();
    let arch = Arch::new();
    let mut offset = 0;
    let mut layers = Vec::new();
    let mut work = 0;
    for l in 0..layout.count() / 2 {
        let (rows, columns) = (layout.order(2 * l), layout.order(2 * l + 1));
        let pack = PackLayer {
            rows,
            columns,
            seeds,
            total,
            offset,
            gradients: host.values(),
            a_inverse: &inverses.values()[layout.range(2 * l)],
            g_inverse: &inverses.values()[layout.range(2 * l + 1)],
        };
        layers.push((offset, arch.dispatch(pack)));
        offset += rows * columns;
        work += seeds * rows * columns * (rows + columns);
    }
    let tasks: Vec<(usize, usize)> =
        layers.iter().enumerate().flat_map(|(l, (_, p))| (0..p.rows).step_by(TASK_ROWS).map(move |r| (l, r))).collect();
    let run = |&(l, row): &(usize, usize)| arch.dispatch(ProductRows { layer: &layers[l].1, seeds, row });
    let blocks: Vec<Vec<f32>> =
        if work >= PARALLEL_WORK { tasks.par_iter().map(run).collect() } else { tasks.iter().map(run).collect() };
    let mut out = vec![0.0; seeds * total];
    for (out, own) in out.chunks_exact_mut(total).zip(host.values().chunks_exact(total)) {
        for (out, own) in out[offset..].iter_mut().zip(&own[offset..]) {
            *out = own / log_std_block;
        }
    }
    for (&(l, row), block) in tasks.iter().zip(&blocks) {
        let (offset, p) = &layers[l];
        let rows = (p.rows - row).min(TASK_ROWS);
        for s in 0..seeds {
            for r in 0..rows {
                let target = s * total + offset + (row + r) * p.columns;
                out[target..target + p.columns].copy_from_slice(&block[(s * rows + r) * p.width..][..p.columns]);
            }
        }
    }
    Some(tensor(out, [seeds, total]))
}

struct PackLayer<'a> {
    rows: usize,
    columns: usize,
    seeds: usize,
    /// Numbers of one gradient.
    total: usize,
    offset: usize,
    gradients: &'a [f32],
    a_inverse: &'a [f32],
    g_inverse: &'a [f32],
}

impl<'a> WithSimd for PackLayer<'a> {
    type Output = LayerProduct<'a>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> LayerProduct<'a> {
        let PackLayer { rows, columns, seeds, total, offset, gradients: source, a_inverse, .. } = self;
        let width = padded(columns);
        let mut gradients = vec![0.0; rows * seeds * width];
        for (s, out) in gradients.chunks_exact_mut(rows * width).enumerate() {
            let source = &source[s * total + offset..][..rows * columns];
            pack_rows(simd, out, rows, width, source, columns);
        }
        let mut g_inverse = vec![0.0; columns * width];
        pack_rows(simd, &mut g_inverse, columns, width, self.g_inverse, columns);
        LayerProduct { rows, columns, width, a_inverse, gradients, g_inverse }
    }
}

struct ProductRows<'a> {
    layer: &'a LayerProduct<'a>,
    seeds: usize,
    row: usize,
}

impl WithSimd for ProductRows<'_> {
    type Output = Vec<f32>;

    /// `[S, rows, width]`.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let p = self.layer;
        let rows = (p.rows - self.row).min(TASK_ROWS);
        let mut half = vec![0.0; rows * p.width];
        let mut out = vec![0.0; self.seeds * rows * p.width];
        let a = &p.a_inverse[self.row * p.rows..];
        let g = Packed { data: &p.g_inverse, depth: p.columns, width: p.width };
        let seeds = out.chunks_exact_mut(rows * p.width).zip(p.gradients.chunks_exact(p.rows * p.width));
        for (out, gradient) in seeds {
            let v = Packed { data: gradient, depth: p.rows, width: p.width };
            gemm_nn::<S, false>(simd, rows, a, p.rows, &v, &mut half, p.width);
            gemm_nn::<S, false>(simd, rows, &half, p.width, &g, out, p.width);
        }
        out
    }
}
