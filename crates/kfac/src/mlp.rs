//! A multilayer perceptron whose parameters are one flat tensor.

pub(crate) mod cpu;
pub(crate) mod forward_pass;
pub(crate) mod gpu;
pub(crate) mod init;
mod reference;
mod regression;
pub(crate) mod spec;

use burn::tensor::{Device, Tensor, TensorData};
use compute::first_of;

use self::forward_pass::{ForwardPass, Statistics};
pub use self::init::InitialWeights;
pub use self::regression::regression_gradients;
use self::spec::MlpSpec;
use crate::error::KfacError;
use crate::fisher::FisherSeeds;

/// A multilayer perceptron whose parameters are one flat tensor.
///
/// Layer `l` is a row-major block `[in + 1, out]` of [`theta`](Self::theta), its last row the bias; a gradient has the
/// same layout. Cloning shares the tensor: a clone is a snapshot.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kfac::{Activation, Mlp, MlpSpec};
///
/// # fn main() -> Result<(), kfac::KfacError> {
/// let device = Device::flex();
/// let spec = MlpSpec::new([3, 8, 1], Activation::Relu)?;
/// let network = Mlp::init(spec, 7, 1.0, &device);
/// let x = Tensor::<2>::ones([5, 3], &device);
/// assert_eq!(network.forward(x.clone()).dims(), [5, 1]);
/// let (gradient, loss) = network.regression_gradient(x, Tensor::zeros([5, 1], &device));
/// let moved = network.with_theta(network.theta().clone() - gradient * 0.1);
/// # assert_eq!(loss.dims(), [1]);
/// # assert_eq!(moved.theta().dims(), network.theta().dims());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Mlp {
    spec: MlpSpec,
    theta: Tensor<1>,
}

impl Mlp {
    /// Random weights, zero biases: semi-orthogonal matrices times a gain, `sqrt 2` in the hidden layers and
    /// `output_gain` in the last one (small, e.g. 0.01, for a policy's mean; 1 for a value).
    ///
    /// The numbers come from a counter-based generator on the host, so that a seed gives the same network on every
    /// backend. Orthogonal initialisation: Saxe, McClelland and Ganguli, arXiv 1312.6120.
    pub fn init(spec: MlpSpec, seed: u64, output_gain: f32, device: &Device) -> Self {
        let values = init::orthogonal(&spec, seed, output_gain);
        let theta = Tensor::from_data(TensorData::new(values, [spec.num_params()]), device);
        Mlp { spec, theta }
    }

    /// Random weights and biases, uniform within `1 / sqrt(inputs)` of zero in every layer: what PyTorch's `Linear` draws, and
    /// OmniSafe's networks begin with. The numbers follow from the seed on every backend.
    pub fn init_uniform(spec: MlpSpec, seed: u64, device: &Device) -> Self {
        let values = init::uniform(&spec, seed);
        let theta = Tensor::from_data(TensorData::new(values, [spec.num_params()]), device);
        Mlp { spec, theta }
    }

    /// A network with the given parameters `[P]`.
    ///
    /// # Errors
    /// The length of `theta` is not the network's number of parameters.
    pub fn from_theta(spec: MlpSpec, theta: Tensor<1>) -> Result<Self, KfacError> {
        let [found] = theta.dims();
        let expected = spec.num_params();
        if found != expected {
            return Err(KfacError::ThetaLength { expected, found });
        }
        Ok(Mlp { spec, theta })
    }

    /// The same network with other parameters `[P]`.
    ///
    /// # Panics
    /// If the length of `theta` differs.
    pub fn with_theta(&self, theta: Tensor<1>) -> Self {
        assert_eq!(theta.dims(), [self.spec.num_params()], "theta must be [P]");
        Mlp { spec: self.spec.clone(), theta }
    }

    /// Sizes and activation.
    pub fn spec(&self) -> &MlpSpec {
        &self.spec
    }

    /// The parameters, `[P]`.
    pub fn theta(&self) -> &Tensor<1> {
        &self.theta
    }

    /// Outputs `[N, out]` for inputs `[N, in]`.
    ///
    /// # Panics
    /// If `x` is not `[N, in]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.check_input(&x);
        first_of!(cpu::forward(self, &x), gpu::forward(self, &x), reference::forward(&self.spec, &self.theta, x),)
    }

    /// A forward pass that keeps its activations for the derivatives that follow: cheaper than separate calls of
    /// [`forward`](Self::forward), [`jvp`](Self::jvp) and [`statistics`](Self::statistics), with the same results.
    ///
    /// # Panics
    /// If `x` is not `[N, in]`.
    pub fn forward_pass(&self, x: Tensor<2>) -> ForwardPass {
        ForwardPass::new(self, x, true)
    }

    /// Forward mode: `J d`, the change of the outputs `[N, out]` along a parameter direction `[P]`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn jvp(&self, x: Tensor<2>, direction: Tensor<1>) -> Tensor<2> {
        ForwardPass::new(self, x, false).jvp(direction)
    }

    /// Gradients `[S, P]` of `S` losses at once: `sum_n cotangent[s, n] . df(x_n)/dtheta`, a **sum** over the samples.
    ///
    /// `x` is `[N, in]`, `cotangents` `[S, N, out]` holds each loss's derivative with respect to the outputs; fold 1/N
    /// into it for a mean.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn gradients(&self, x: Tensor<2>, cotangents: Tensor<3>) -> Tensor<2> {
        ForwardPass::new(self, x, false).gradients(cotangents)
    }

    /// Gradients as in [`gradients`](Self::gradients) and the Fisher factors of the batch, in one pass.
    ///
    /// `fisher` holds the score seeds: derivatives of `log p` with respect to the outputs. The factors are means over
    /// the batch, `A_l` `[in + 1, in + 1]` and `G_l` `[out, out]`, `G_l` summed over the seeds.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn statistics(&self, x: Tensor<2>, cotangents: Tensor<3>, fisher: FisherSeeds) -> Statistics {
        ForwardPass::new(self, x, false).statistics(cotangents, fisher)
    }

    /// Gradient `[P]` of the loss `mean_n sum_o (f(x_n) - t_n)^2`, and that loss `[1]`, in one pass.
    ///
    /// `x` is `[N, in]`, `targets` `[N, out]`. [`regression_gradients`] takes several networks at once.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn regression_gradient(&self, x: Tensor<2>, targets: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let samples = 0..x.dims()[0];
        regression_gradients(&self.spec, &self.theta, &x, &targets.unsqueeze_dim(0), samples)
    }

    fn check_input(&self, x: &Tensor<2>) {
        assert_eq!(x.dims()[1], self.spec.input_size(), "the input must be [N, in]");
    }
}
