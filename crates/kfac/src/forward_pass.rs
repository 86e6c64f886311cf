use burn::tensor::Tensor;

use crate::fisher::FisherSeeds;
use crate::statistics::{FactorSample, Statistics};
#[cfg(feature = "gpu")]
use crate::unit_pass::UnitPass;
use crate::{Mlp, plain};

#[cfg(feature = "flex")]
use crate::fused::{self, Cotangents, Hidden, Host, Input, Network, Seeds};

/// A batch that went through a network, with what its derivatives need.
///
/// Made by [`Mlp::forward_pass`]. An update that needs the outputs, then gradients, then a directional derivative of the
/// same batch computes the activations once.
pub struct ForwardPass {
    mlp: Mlp,
    rows: usize,
    state: State,
}

#[allow(clippy::large_enum_variant)] // one value a minibatch: boxing the plain path would save nothing
enum State {
    /// The layers' inputs, and the outputs.
    Plain(Vec<Tensor<2>>, Tensor<2>),
    #[cfg(feature = "flex")]
    Fused(Box<Kept>),
    /// On a GPU, and the outputs if more than one call follows.
    #[cfg(feature = "gpu")]
    Units(UnitPass, Option<Tensor<2>>),
}

#[cfg(feature = "flex")]
struct Kept {
    network: Network,
    x: Host,
    /// Hidden activations and outputs; absent where one derivative is all that is wanted, which computes them itself.
    done: Option<(Hidden, Tensor<2>)>,
}

impl ForwardPass {
    /// `keep`: more than one call will follow.
    pub(crate) fn new(mlp: Mlp, x: Tensor<2>, keep: bool) -> Self {
        let rows = x.dims()[0];
        #[cfg(feature = "flex")]
        if let (Some(theta), Some(x)) = (Host::of(mlp.theta()), Host::of(&x)) {
            let network = Network::new(mlp.spec(), theta.values(), true);
            let done = keep.then(|| {
                let (outputs, hidden) = network.forward_keeping(x.values(), rows);
                (hidden, fused::tensor(outputs, [rows, mlp.spec().output_size()]))
            });
            return ForwardPass { mlp, rows, state: State::Fused(Box::new(Kept { network, x, done })) };
        }
        #[cfg(feature = "gpu")]
        if let Some(pass) = UnitPass::new(&mlp, &x) {
            let outputs = keep.then(|| pass.forward());
            return ForwardPass { mlp, rows, state: State::Units(pass, outputs) };
        }
        let (inputs, outputs) = plain::activations(mlp.spec(), mlp.theta(), x);
        ForwardPass { mlp, rows, state: State::Plain(inputs, outputs) }
    }

    /// The outputs, `[N, out]`.
    pub fn outputs(&self) -> Tensor<2> {
        match &self.state {
            State::Plain(_, outputs) => outputs.clone(),
            #[cfg(feature = "gpu")]
            State::Units(pass, outputs) => outputs.clone().unwrap_or_else(|| pass.forward()),
            #[cfg(feature = "flex")]
            State::Fused(kept) => match &kept.done {
                Some((_, outputs)) => outputs.clone(),
                None => {
                    let outputs = kept.network.forward(kept.x.values(), self.rows);
                    fused::tensor(outputs, [self.rows, self.mlp.spec().output_size()])
                }
            },
        }
    }

    /// [`Mlp::jvp`] of this batch, `direction` `[P]` or longer: what follows the network's parameters is of others.
    ///
    /// # Panics
    /// If the direction is shorter.
    pub fn jvp(&self, direction: Tensor<1>) -> Tensor<2> {
        let (spec, [given]) = (self.mlp.spec(), direction.dims());
        let params = spec.num_params();
        assert!(given >= params, "the direction must be [P] or longer");
        #[cfg(feature = "gpu")]
        if let State::Units(pass, _) = &self.state
            && let Some(moved) = pass.jvp(&direction)
        {
            return moved;
        }
        let direction = if given > params { direction.narrow(0, 0, params) } else { direction };
        match &self.state {
            State::Plain(inputs, _) => plain::jvp(spec, self.mlp.theta(), inputs, &direction),
            #[cfg(feature = "gpu")]
            State::Units(pass, _) => plain::jvp(spec, self.mlp.theta(), &pass.inputs(), &direction),
            #[cfg(feature = "flex")]
            State::Fused(kept) => match Host::of(&direction) {
                Some(direction) => {
                    let values = kept.network.jvp(kept.x.values(), self.rows, kept.hidden(), direction.values());
                    fused::tensor(values, [self.rows, spec.output_size()])
                }
                None => self.plain_inputs(|inputs| plain::jvp(spec, self.mlp.theta(), inputs, &direction)),
            },
        }
    }

    /// [`Mlp::gradients`] of this batch, `[S, P]` for cotangents `[S, N, out]`.
    ///
    /// # Panics
    /// If the cotangents do not fit.
    pub fn gradients(&self, cotangents: Tensor<3>) -> Tensor<2> {
        self.sums(cotangents, None).0
    }

    /// [`Mlp::statistics`] of this batch.
    ///
    /// # Panics
    /// If cotangents or seeds do not fit.
    pub fn statistics(&self, cotangents: Tensor<3>, fisher: FisherSeeds) -> Statistics {
        let (gradients, factors) = self.sums(cotangents, Some(&fisher));
        Statistics { gradients, factors: FactorSample::new(factors) }
    }

    fn sums(&self, cotangents: Tensor<3>, fisher: Option<&FisherSeeds>) -> (Tensor<2>, Tensor<1>) {
        let spec = self.mlp.spec();
        let [_, rows, outputs] = cotangents.dims();
        assert_eq!([rows, outputs], [self.rows, spec.output_size()], "the cotangents must be [S, N, out]");
        self.check_fisher(fisher);
        let plain =
            |inputs: &[Tensor<2>]| plain::statistics(spec, self.mlp.theta(), inputs, cotangents.clone(), fisher);
        match &self.state {
            State::Plain(inputs, _) => plain(inputs),
            #[cfg(feature = "gpu")]
            State::Units(pass, _) => pass.sums(&cotangents, fisher).unwrap_or_else(|| plain(&pass.inputs())),
            #[cfg(feature = "flex")]
            State::Fused(kept) => {
                let seeds = fisher.map(FisherSeeds::host);
                match (Host::of(&cotangents), seeds) {
                    (Some(c), None) => {
                        self.fused(kept, kept.hidden(), Cotangents::Given(c.values(), cotangents.dims()[0]), None).0
                    }
                    (Some(c), Some(Some(seeds))) => {
                        let seeds = fisher.map(|f| f.slices(&seeds));
                        self.fused(kept, kept.hidden(), Cotangents::Given(c.values(), cotangents.dims()[0]), seeds).0
                    }
                    _ => self.plain_inputs(plain),
                }
            }
        }
    }

    /// Gradient `[1, P]`, flat factors (empty without seeds) and loss `[1]` of the mean squared error.
    pub(crate) fn regression(
        &self,
        targets: Tensor<2>,
        fisher: Option<FisherSeeds>,
    ) -> (Tensor<2>, Tensor<1>, Tensor<1>) {
        let spec = self.mlp.spec();
        assert_eq!(targets.dims(), [self.rows, spec.output_size()], "the targets must be [N, out]");
        self.check_fisher(fisher.as_ref());
        #[cfg(feature = "flex")]
        if let (State::Fused(kept), Some(t)) = (&self.state, Host::of(&targets)) {
            let host = fisher.as_ref().map(FisherSeeds::host);
            if let Some(host) = host.map_or(Some(None), |h| h.map(Some)) {
                let seeds = fisher.as_ref().zip(host.as_ref()).map(|(f, h)| f.slices(h));
                let ((gradients, factors), loss) = self.fused(kept, None, Cotangents::Regression(t.values()), seeds);
                return (gradients, factors, loss);
            }
        }
        let (cotangents, loss) = plain::regression_cotangents(self.outputs(), targets);
        let (gradients, factors) = self.sums(cotangents, fisher.as_ref());
        (gradients, factors, loss)
    }

    fn check_fisher(&self, fisher: Option<&FisherSeeds>) {
        let outputs = self.mlp.spec().output_size();
        match fisher {
            Some(FisherSeeds::PerSample(seeds)) => {
                let [_, rows, columns] = seeds.dims();
                assert_eq!([rows, columns], [self.rows, outputs], "Fisher seeds must be [K, N, out]");
            }
            Some(FisherSeeds::Constant(seeds)) => {
                assert_eq!(seeds.dims()[1], outputs, "constant Fisher seeds must be [K, out]");
            }
            None => {}
        }
    }
}

#[cfg(feature = "flex")]
impl Kept {
    fn hidden(&self) -> Option<&Hidden> {
        self.done.as_ref().map(|(hidden, _)| hidden)
    }
}

#[cfg(feature = "flex")]
impl ForwardPass {
    fn fused(
        &self,
        kept: &Kept,
        hidden: Option<&Hidden>,
        cotangents: Cotangents<'_>,
        fisher: Option<Seeds<'_>>,
    ) -> ((Tensor<2>, Tensor<1>), Tensor<1>) {
        let input = Input { x: kept.x.values(), rows: self.rows, hidden, cotangents, fisher };
        let sums = kept.network.sums(input);
        let params = self.mlp.spec().num_params();
        let (seeds, len) = (sums.gradients.len() / params, sums.factors.len());
        let gradients = fused::tensor(sums.gradients, [seeds, params]);
        ((gradients, fused::tensor(sums.factors, [len])), fused::tensor(vec![sums.loss], [1]))
    }

    /// The tensor path for a fused batch that meets a tensor of another kind (autodiff, another type).
    fn plain_inputs<R>(&self, body: impl FnOnce(&[Tensor<2>]) -> R) -> R {
        let State::Fused(kept) = &self.state else { unreachable!("called on the fused path only") };
        let x = fused::tensor(kept.x.values().to_vec(), [self.rows, self.mlp.spec().input_size()]);
        body(&plain::activations(self.mlp.spec(), self.mlp.theta(), x).0)
    }
}
