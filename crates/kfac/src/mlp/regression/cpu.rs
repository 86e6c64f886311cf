//! The gradients of several networks' regressions on the CPU, one thread per network.

use std::ops::Range;

use burn::tensor::Tensor;
use compute::cpu::{View, tensor};
use rayon::prelude::*;

use crate::mlp::cpu::input::{Cotangents, Input};
use crate::mlp::cpu::network::Network;
use crate::mlp::cpu::plan::Plan;
use crate::mlp::cpu::sums::Sums;
use crate::mlp::spec::MlpSpec;

/// Gradients `[S * P]` and losses `[S]`, or `None` where the tensors are of another kind.
pub(super) fn regression(
    spec: &MlpSpec,
    thetas: &Tensor<1>,
    x: &Tensor<2>,
    targets: &Tensor<3>,
    range: Range<usize>,
) -> Option<(Tensor<1>, Tensor<1>)> {
    let (theta, x, target) = (View::of(thetas)?, View::of(x)?, View::of(targets)?);
    let [networks, samples, outputs] = targets.dims();
    let x = &x.values()[range.start * spec.input_size()..range.end * spec.input_size()];
    let one = |(s, theta): (usize, &[f32])| {
        let target = &target.values()[s * samples * outputs..(s + 1) * samples * outputs];
        let cotangents = Cotangents::Regression(&target[range.start * outputs..range.end * outputs]);
        let input = Input { x, rows: range.len(), hidden: None, cotangents, fisher: None };
        Network::new(spec, theta, true).sums(input)
    };
    let params = spec.num_params();
    let sums: Vec<Sums> = if networks > 1 && Plan::new(spec).parallel(networks * range.len(), 3) {
        theta.values().par_chunks_exact(params).enumerate().map(one).collect()
    } else {
        theta.values().chunks_exact(params).enumerate().map(one).collect()
    };
    let losses: Vec<f32> = sums.iter().map(|sums| sums.loss).collect();
    let gradients = sums.into_iter().map(|sums| sums.gradients);
    // One network's gradient is handed on as it is.
    let gradients = gradients.reduce(|mut all, own| {
        all.extend(own);
        all
    });
    Some((tensor(gradients.unwrap_or_default(), [networks * params]), tensor(losses, [networks])))
}
