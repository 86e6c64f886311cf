//! The network and its derivatives as burn tensor operations, on every backend; the other paths are tested against them.

use std::ops::Range;

use burn::tensor::Tensor;

use super::Mlp;
use super::forward_pass::Pass;
use super::spec::{Activation, MlpSpec};
use crate::fisher::FisherSeeds;

/// Fewest samples of a block of [`sum_over_samples`].
const BLOCK: usize = 256;

/// Most blocks: their products are all in memory before they are added.
const MOST_BLOCKS: usize = 64;

/// `x^T y` `[S, m, n]` of S seeds, `x` `[N, m]` or `[S, N, m]` and `y` `[S, N, n]`.
///
/// Block by block: a GPU adds the terms of a product one after the other, and the error of that grows with their number
/// (2,200 equal terms missed by 3e-5). The blocks also keep it busy where the matrices are small and the batch is large.
fn sum_over_samples(x: &Tensor<3>, y: Tensor<3>) -> Tensor<3> {
    let ([seeds, rows, n], [own, _, m]) = (y.dims(), x.dims());
    let product = |from: usize, blocks: usize, length: usize| {
        let range = from..from + blocks * length;
        let x = x.clone().slice([0..own, range.clone()]).reshape([own, blocks, length, m]);
        let y = y.clone().slice([0..seeds, range]).reshape([seeds, blocks, length, n]);
        let x = x.swap_dims(2, 3).expand([seeds, blocks, m, length]);
        x.matmul(y).sum_dim(1).reshape([seeds, m, n])
    };
    let blocks = (rows / BLOCK).clamp(1, MOST_BLOCKS);
    let length = rows / blocks;
    let sum = product(0, blocks, length);
    let rest = rows - blocks * length;
    if rest == 0 { sum } else { sum + product(rows - rest, 1, rest) }
}

/// Weights `[in + 1, out]` of layer `l`.
fn layer(spec: &MlpSpec, theta: &Tensor<1>, l: usize) -> Tensor<2> {
    let (rows, columns) = spec.layer_shape(l);
    theta.clone().slice([spec.layer_range(l)]).reshape([rows, columns])
}

fn activate(spec: &MlpSpec, s: Tensor<2>) -> Tensor<2> {
    match spec.activation() {
        Activation::Tanh => s.tanh(),
        Activation::Relu => burn::tensor::activation::relu(s),
    }
}

/// The derivative at activation values `h`.
fn slope(spec: &MlpSpec, h: Tensor<2>) -> Tensor<2> {
    match spec.activation() {
        Activation::Tanh => h.clone().mul(h).neg().add_scalar(1.0),
        Activation::Relu => h.greater_elem(0.0).float(),
    }
}

/// `[x, 1]`: homogeneous coordinates, `[N, in + 1]`.
fn with_ones(x: Tensor<2>) -> Tensor<2> {
    let ones = Tensor::ones([x.dims()[0], 1], &x.device());
    Tensor::cat(vec![x, ones], 1)
}

/// A batch in a network, as tensor operations keep it.
pub(super) struct ReferencePass {
    mlp: Mlp,
    /// The layers' inputs with the ones column.
    inputs: Vec<Tensor<2>>,
    outputs: Tensor<2>,
}

/// The batch `x` `[N, in]` in a network.
pub(super) fn pass(mlp: &Mlp, x: &Tensor<2>) -> ReferencePass {
    let (inputs, outputs) = activations(mlp.spec(), mlp.theta(), x.clone());
    ReferencePass { mlp: mlp.clone(), inputs, outputs }
}

impl Pass for ReferencePass {
    fn outputs(&self) -> Tensor<2> {
        self.outputs.clone()
    }

    fn jvp(&self, direction: &Tensor<1>) -> Tensor<2> {
        jvp(self.mlp.spec(), self.mlp.theta(), &self.inputs, direction)
    }

    fn sums(&self, cotangents: &Tensor<3>, fisher: Option<&FisherSeeds>) -> (Tensor<2>, Tensor<1>) {
        statistics(self.mlp.spec(), self.mlp.theta(), &self.inputs, cotangents.clone(), fisher)
    }
}

/// The layers' inputs with the ones column, and the outputs.
fn activations(spec: &MlpSpec, theta: &Tensor<1>, x: Tensor<2>) -> (Vec<Tensor<2>>, Tensor<2>) {
    let mut inputs = Vec::with_capacity(spec.num_layers());
    let mut h = x;
    for l in 0..spec.num_layers() {
        let a = with_ones(h);
        let s = a.clone().matmul(layer(spec, theta, l));
        inputs.push(a);
        h = if l + 1 < spec.num_layers() { activate(spec, s) } else { s };
    }
    (inputs, h)
}

/// Outputs `[N, out]`.
pub(super) fn forward(spec: &MlpSpec, theta: &Tensor<1>, x: Tensor<2>) -> Tensor<2> {
    let mut h = x;
    for l in 0..spec.num_layers() {
        let (rows, _) = spec.layer_shape(l);
        let w = layer(spec, theta, l);
        let bias = w.clone().slice([rows - 1..rows]);
        let s = h.matmul(w.slice([0..rows - 1])) + bias;
        h = if l + 1 < spec.num_layers() { activate(spec, s) } else { s };
    }
    h
}

/// `J direction`, from the layers' inputs; what follows the network's parameters in `direction` is not read.
fn jvp(spec: &MlpSpec, theta: &Tensor<1>, inputs: &[Tensor<2>], direction: &Tensor<1>) -> Tensor<2> {
    let mut tangent = inputs[0].clone().matmul(layer(spec, direction, 0));
    for (l, a) in inputs.iter().enumerate().skip(1) {
        let (rows, _) = spec.layer_shape(l);
        let h = a.clone().slice([0..a.dims()[0], 0..rows - 1]);
        let t = tangent * slope(spec, h);
        let w = layer(spec, theta, l).slice([0..rows - 1]);
        tangent = a.clone().matmul(layer(spec, direction, l)) + t.matmul(w);
    }
    tangent
}

/// [`regression_gradients`](super::regression_gradients), network after network.
pub(super) fn regression(
    spec: &MlpSpec,
    thetas: &Tensor<1>,
    x: &Tensor<2>,
    targets: &Tensor<3>,
    range: Range<usize>,
) -> (Tensor<1>, Tensor<1>) {
    let ([networks, _, outputs], [_, inputs], params) = (targets.dims(), x.dims(), spec.num_params());
    if networks == 0 {
        return (thetas.clone(), Tensor::zeros([0], &thetas.device()));
    }
    let samples = range.len() as f32;
    let x = x.clone().slice([range.clone(), 0..inputs]);
    let one = |s: usize| {
        let theta = thetas.clone().narrow(0, s * params, params);
        let target = targets.clone().slice([s..s + 1, range.clone(), 0..outputs]).squeeze_dim::<2>(0);
        let (inputs, outputs) = activations(spec, &theta, x.clone());
        let error = outputs - target;
        let loss = error.clone().mul(error.clone()).sum().div_scalar(samples);
        let cotangents = error.mul_scalar(2.0 / samples).unsqueeze_dim(0);
        (statistics(spec, &theta, &inputs, cotangents, None).0.reshape([params]), loss)
    };
    let (gradients, losses): (Vec<_>, Vec<_>) = (0..networks).map(one).unzip();
    (Tensor::cat(gradients, 0), Tensor::cat(losses, 0))
}

/// Gradients `[S, P]` (sums) and, where there are Fisher seeds, the flat factors, from the layers' inputs.
fn statistics(
    spec: &MlpSpec,
    theta: &Tensor<1>,
    inputs: &[Tensor<2>],
    cotangents: Tensor<3>,
    fisher: Option<&FisherSeeds>,
) -> (Tensor<2>, Tensor<1>) {
    let [seeds, rows, outputs] = cotangents.dims();
    let last = spec.num_layers() - 1;

    // All seeds go backwards together, stacked as rows: [(S + K) N, out].
    let mut delta = cotangents.reshape([seeds * rows, outputs]);
    let mut total = seeds;
    if let Some(fisher) = fisher {
        let scores = fisher.expand(rows);
        let [k, _, _] = scores.dims();
        total += k;
        delta = Tensor::cat(vec![delta, scores.reshape([k * rows, outputs])], 0);
    }
    let mut gradients = Vec::new();
    let mut factors = Vec::new();
    for l in (0..=last).rev() {
        let (n_in, n_out) = spec.layer_shape(l);
        let a = &inputs[l];
        let own = a.clone().unsqueeze_dim::<3>(0);
        if seeds > 0 {
            let d = delta.clone().slice([0..seeds * rows]).reshape([seeds, rows, n_out]);
            gradients.push(sum_over_samples(&own, d).reshape([seeds, n_in * n_out]));
        }
        if fisher.is_some() {
            factors.push(if total > seeds {
                let d = delta.clone().slice([seeds * rows..total * rows]).unsqueeze_dim::<3>(0);
                sum_over_samples(&d, d.clone()).div_scalar(rows as f32).reshape([n_out * n_out])
            } else {
                Tensor::zeros([n_out * n_out], &theta.device())
            });
            factors.push(sum_over_samples(&own, own.clone()).div_scalar(rows as f32).reshape([n_in * n_in]));
        }
        if l > 0 {
            let w = layer(spec, theta, l).slice([0..n_in - 1]);
            let h = a.clone().slice([0..rows, 0..n_in - 1]);
            let slopes = slope(spec, h).unsqueeze_dim::<3>(0).expand([total, rows, n_in - 1]);
            let back = delta.matmul(w.transpose()).reshape([total, rows, n_in - 1]);
            delta = (back * slopes).reshape([total * rows, n_in - 1]);
        }
    }
    gradients.reverse();
    factors.reverse();
    let device = theta.device();
    let gradients =
        if gradients.is_empty() { Tensor::zeros([0, spec.num_params()], &device) } else { Tensor::cat(gradients, 1) };
    let factors = if factors.is_empty() { Tensor::zeros([0], &device) } else { Tensor::cat(factors, 0) };
    (gradients, factors)
}
