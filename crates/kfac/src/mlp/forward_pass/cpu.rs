//! A batch in a network on the CPU, its activations kept where more than one call follows.

use burn::tensor::Tensor;
use compute::cpu::{View, tensor};

use super::Pass;
use crate::fisher::FisherSeeds;
use crate::mlp::cpu::hidden::Hidden;
use crate::mlp::cpu::input::{Cotangents, Input, Seeds};
use crate::mlp::cpu::network::Network;
use crate::mlp::{Mlp, reference};

struct CpuPass {
    mlp: Mlp,
    network: Network,
    x: Tensor<2>,
    view: View,
    /// Hidden activations and outputs; absent where one derivative is all that is wanted, which computes them itself.
    done: Option<(Hidden, Tensor<2>)>,
}

/// The batch `x` `[N, in]`, or `None` where the tensors are of another kind.
pub(super) fn pass(mlp: &Mlp, x: &Tensor<2>, keep: bool) -> Option<Box<dyn Pass>> {
    let (theta, view) = (View::of(mlp.theta())?, View::of(x)?);
    let network = Network::new(mlp.spec(), theta.values(), true);
    let rows = x.dims()[0];
    let done = keep.then(|| {
        let (outputs, hidden) = network.forward_keeping(view.values(), rows);
        (hidden, tensor(outputs, [rows, mlp.spec().output_size()]))
    });
    Some(Box::new(CpuPass { mlp: mlp.clone(), network, x: x.clone(), view, done }))
}

impl CpuPass {
    fn rows(&self) -> usize {
        self.x.dims()[0]
    }

    fn hidden(&self) -> Option<&Hidden> {
        self.done.as_ref().map(|(hidden, _)| hidden)
    }

    /// [`Pass::sums`], or `None` where a tensor is of another kind (autodiff, another type).
    fn own_sums(&self, cotangents: &Tensor<3>, fisher: Option<&FisherSeeds>) -> Option<(Tensor<2>, Tensor<1>)> {
        let (view, count) = (View::of(cotangents)?, cotangents.dims()[0]);
        let host = match fisher {
            Some(FisherSeeds::PerSample(seeds)) => Some(View::of(seeds)?),
            Some(FisherSeeds::Constant(seeds)) => Some(View::of(seeds)?),
            None => None,
        };
        let seeds = fisher.zip(host.as_ref()).map(|(fisher, host)| match fisher {
            FisherSeeds::PerSample(seeds) => Seeds::PerSample(host.values(), seeds.dims()[0]),
            FisherSeeds::Constant(seeds) => Seeds::Constant(host.values(), seeds.dims()[0]),
        });
        let sums = self.network.sums(Input {
            x: self.view.values(),
            rows: self.rows(),
            hidden: self.hidden(),
            cotangents: Cotangents::Given(view.values(), count),
            fisher: seeds,
        });
        let (params, len) = (self.mlp.spec().num_params(), sums.factors.len());
        Some((tensor(sums.gradients, [count, params]), tensor(sums.factors, [len])))
    }
}

impl Pass for CpuPass {
    fn outputs(&self) -> Tensor<2> {
        match &self.done {
            Some((_, outputs)) => outputs.clone(),
            None => {
                let outputs = self.network.forward(self.view.values(), self.rows());
                tensor(outputs, [self.rows(), self.mlp.spec().output_size()])
            }
        }
    }

    fn jvp(&self, direction: &Tensor<1>) -> Tensor<2> {
        let spec = self.mlp.spec();
        match View::of(direction) {
            Some(direction) => {
                let direction = &direction.values()[..spec.num_params()];
                let values = self.network.jvp(self.view.values(), self.rows(), self.hidden(), direction);
                tensor(values, [self.rows(), spec.output_size()])
            }
            None => reference::pass(&self.mlp, &self.x).jvp(direction),
        }
    }

    fn sums(&self, cotangents: &Tensor<3>, fisher: Option<&FisherSeeds>) -> (Tensor<2>, Tensor<1>) {
        let own = self.own_sums(cotangents, fisher);
        own.unwrap_or_else(|| reference::pass(&self.mlp, &self.x).sums(cotangents, fisher))
    }
}
