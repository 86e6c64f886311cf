//! From padded sums to dense results.

use super::input::{Input, Seeds};
use super::layout::SumLayout;
use super::plan::Plan;
use super::sums::Sums;

/// Copies a batch's padded `total` into dense gradients and factors; `constant` holds the `u_k` of constant seeds.
pub(super) fn collect(
    plan: &Plan,
    layout: &SumLayout,
    constant: &[f32],
    total: &[f32],
    input: &Input<'_>,
    seeds: usize,
) -> Sums {
    let mean = 1.0 / input.rows.max(1) as f32;
    let gradients = dense_gradients(plan, layout, total, seeds);
    let factors = input.fisher.map_or_else(Vec::new, |fisher| factors(plan, layout, constant, total, fisher, mean));
    Sums { gradients, factors, loss: mean * total[layout.loss] }
}

fn dense_gradients(plan: &Plan, layout: &SumLayout, total: &[f32], seeds: usize) -> Vec<f32> {
    let mut gradients = Vec::with_capacity(seeds * plan.params);
    for s in 0..seeds {
        for (l, layer) in plan.layers.iter().enumerate() {
            if plan.narrow(l) {
                let block = &total[layout.narrow + s * layer.outputs * layer.in_stride..];
                for i in 0..=layer.inputs {
                    gradients.extend((0..layer.outputs).map(|o| block[o * layer.in_stride + i]));
                }
            } else {
                let block = &total[layout.gradients[s][l]..];
                for row in block.chunks_exact(layer.out_width).take(layer.inputs + 1) {
                    gradients.extend_from_slice(&row[..layer.outputs]);
                }
            }
        }
    }
    gradients
}

fn factors(plan: &Plan, layout: &SumLayout, constant: &[f32], total: &[f32], fisher: Seeds<'_>, mean: f32) -> Vec<f32> {
    let mut factors = Vec::new();
    let last = plan.layers.len() - 1;
    for (l, layer) in plan.layers.iter().enumerate() {
        // The ones column is the last row of the activations' sums.
        let n = layer.inputs;
        let start = symmetric(&mut factors, &total[layout.a[l]..], layer.in_width, n, n + 1, mean);
        let order = n + 1;
        let a = &mut factors[start..];
        for j in 0..n {
            let value = mean * total[layout.a[l] + n * layer.in_width + j];
            a[n * order + j] = value;
            a[j * order + n] = value;
        }
        a[n * order + n] = 1.0;

        let n = layer.outputs;
        match fisher {
            Seeds::Constant(seeds, _) if l == last => {
                for i in 0..n {
                    factors.extend((0..n).map(|j| seeds.chunks_exact(n).map(|s| s[i] * s[j]).sum::<f32>()));
                }
            }
            _ => {
                let start = symmetric(&mut factors, &total[layout.g[l]..], layer.out_width, n, n, mean);
                if let (Seeds::Constant(..), true) = (fisher, l + 1 == last) {
                    times_outer_products(&mut factors[start..], n, constant, plan.layers[last].in_width);
                }
            }
        }
    }
    factors
}

/// Appends a matrix of order `order` whose leading `n` rows are the mean of the lower blocks `sums` (stride `ld`);
/// returns where it starts. The blocks above the diagonal hold no sums, so the upper triangle is a copy of the lower.
fn symmetric(factors: &mut Vec<f32>, sums: &[f32], ld: usize, n: usize, order: usize, mean: f32) -> usize {
    let start = factors.len();
    factors.resize(start + order * order, 0.0);
    let m = &mut factors[start..];
    for i in 0..n {
        for (x, s) in m[i * order..=i * order + i].iter_mut().zip(&sums[i * ld..]) {
            *x = mean * s;
        }
    }
    // Tiles keep the transposed writes within the first-level cache.
    const TILE: usize = 16;
    for top in (0..n).step_by(TILE) {
        for left in (0..=top).step_by(TILE) {
            for i in top..(top + TILE).min(n) {
                for j in left..(left + TILE).min(i) {
                    m[j * order + i] = m[i * order + j];
                }
            }
        }
    }
    start
}

/// `m = m o sum_k u_k u_k^T`.
fn times_outer_products(m: &mut [f32], n: usize, u: &[f32], stride: usize) {
    let mut outer = vec![0.0f32; n];
    for (i, row) in m.chunks_exact_mut(n).enumerate() {
        outer.fill(0.0);
        for u in u.chunks_exact(stride) {
            for (o, &uj) in outer.iter_mut().zip(u) {
                *o += u[i] * uj;
            }
        }
        for (x, o) in row.iter_mut().zip(&outer) {
            *x *= o;
        }
    }
}
