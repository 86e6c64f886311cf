//! A batch that went through a network, with what its derivatives need.

mod cpu;
mod gpu;

use burn::tensor::Tensor;
use compute::first_of;

use super::{Mlp, reference};
use crate::factor::FactorSample;
use crate::fisher::{FisherSeeds, LOG_STD_FISHER};

/// What [`Mlp::statistics`] takes from a batch.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// `[S, P]`, sums over the samples.
    pub gradients: Tensor<2>,
    /// The factors of this batch.
    pub factors: FactorSample,
}

/// A batch that went through a network, with what its derivatives need.
///
/// Made by [`Mlp::forward_pass`]. An update that needs the outputs, then gradients, then a directional derivative of the
/// same batch computes the activations once.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kfac::{Activation, Mlp, MlpSpec};
///
/// # fn main() -> Result<(), kfac::KfacError> {
/// let device = Device::flex();
/// let network = Mlp::init(MlpSpec::new([3, 8, 2], Activation::Tanh)?, 0, 1.0, &device);
/// let pass = network.forward_pass(Tensor::ones([10, 3], &device));
/// let gradients = pass.gradients(Tensor::ones([1, 10, 2], &device) / 10.0); // [1, P]
/// let direction = gradients.squeeze_dim::<1>(0);
/// let moved = pass.jvp(direction.clone()); // [10, 2]
/// let fisher = pass.fisher_product(direction, Tensor::ones([2], &device)); // [P]
/// # assert_eq!((moved.dims(), fisher.dims()), ([10, 2], [network.spec().num_params()]));
/// # Ok(())
/// # }
/// ```
pub struct ForwardPass {
    mlp: Mlp,
    rows: usize,
    pass: Box<dyn Pass>,
}

/// A batch in a network as one of the three paths keeps it; the shapes have been checked.
pub(super) trait Pass: Send {
    /// `[N, out]`.
    fn outputs(&self) -> Tensor<2>;

    /// `J direction` `[N, out]`, of a direction `[P]` or longer.
    fn jvp(&self, direction: &Tensor<1>) -> Tensor<2>;

    /// Gradients `[S, P]` (sums) and the flat factors `[F]`, empty without seeds.
    fn sums(&self, cotangents: &Tensor<3>, fisher: Option<&FisherSeeds>) -> (Tensor<2>, Tensor<1>);
}

impl ForwardPass {
    /// `keep`: more than one call will follow.
    pub(super) fn new(mlp: &Mlp, x: Tensor<2>, keep: bool) -> Self {
        mlp.check_input(&x);
        let pass: Box<dyn Pass> =
            first_of!(cpu::pass(mlp, &x, keep), gpu::pass(mlp, &x, keep), Box::new(reference::pass(mlp, &x)),);
        ForwardPass { mlp: mlp.clone(), rows: x.dims()[0], pass }
    }

    /// The outputs, `[N, out]`.
    pub fn outputs(&self) -> Tensor<2> {
        self.pass.outputs()
    }

    /// [`Mlp::jvp`] of this batch, `direction` `[P]` or longer: what follows the network's parameters is not read.
    ///
    /// # Panics
    /// If the direction is shorter.
    pub fn jvp(&self, direction: Tensor<1>) -> Tensor<2> {
        assert!(direction.dims()[0] >= self.mlp.spec().num_params(), "the direction must be [P] or longer");
        self.pass.jvp(&direction)
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

    /// `F v`: the exact Fisher matrix of `N(f(x), diag sigma^2)`, a mean over the batch, times a vector, undamped.
    ///
    /// `direction` is `[P]`, or `[P + out]` with the entries of `log sigma` behind, whose block is `2 I`; the result is as
    /// long. `inv_variance` `[out]` is `1 / sigma^2`. One forward-mode and one backward pass: `J^T (J v / sigma^2) / N`. What
    /// conjugate gradients ask for; no matrix is formed.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn fisher_product(&self, direction: Tensor<1>, inv_variance: Tensor<1>) -> Tensor<1> {
        let ([length], params) = (direction.dims(), self.mlp.spec().num_params());
        let weight = inv_variance.div_scalar(self.rows as f32).unsqueeze_dim::<2>(0);
        let moved = self.jvp(direction.clone()) * weight;
        let product = self.gradients(moved.unsqueeze_dim(0)).reshape([params]);
        if length == params {
            return product;
        }
        let of_log_std = direction.narrow(0, params, length - params).mul_scalar(LOG_STD_FISHER);
        Tensor::cat(vec![product, of_log_std], 0)
    }

    fn sums(&self, cotangents: Tensor<3>, fisher: Option<&FisherSeeds>) -> (Tensor<2>, Tensor<1>) {
        let outputs = self.mlp.spec().output_size();
        let [_, rows, width] = cotangents.dims();
        assert_eq!([rows, width], [self.rows, outputs], "the cotangents must be [S, N, out]");
        match fisher {
            Some(FisherSeeds::PerSample(seeds)) => {
                let [_, rows, width] = seeds.dims();
                assert_eq!([rows, width], [self.rows, outputs], "Fisher seeds must be [K, N, out]");
            }
            Some(FisherSeeds::Constant(seeds)) => {
                assert_eq!(seeds.dims()[1], outputs, "constant Fisher seeds must be [K, out]");
            }
            None => {}
        }
        self.pass.sums(&cotangents, fisher)
    }
}
