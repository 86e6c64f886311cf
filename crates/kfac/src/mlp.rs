use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use crate::fisher::FisherSeeds;
use crate::forward_pass::ForwardPass;
use crate::statistics::{FactorSample, Statistics};
#[cfg(feature = "gpu")]
use crate::uploaded::Uploaded;
use crate::{KfacError, init, plain};

#[cfg(feature = "flex")]
use crate::fused::{self, Host, Network};

/// The hidden layers' activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Hyperbolic tangent.
    Tanh,
    /// Rectified linear unit; its slope at zero is taken as zero.
    Relu,
}

/// Sizes and activation of a multilayer perceptron with a linear last layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlpSpec {
    sizes: Vec<usize>,
    activation: Activation,
}

impl MlpSpec {
    /// `sizes` = `[in, hidden.., out]`.
    ///
    /// # Errors
    /// Fewer than two sizes, or a size of zero.
    pub fn new(sizes: impl Into<Vec<usize>>, activation: Activation) -> Result<Self, KfacError> {
        let sizes = sizes.into();
        if sizes.len() < 2 {
            return Err(KfacError::TooFewSizes(sizes));
        }
        if sizes.contains(&0) {
            return Err(KfacError::ZeroSize(sizes));
        }
        Ok(MlpSpec { sizes, activation })
    }

    /// `[in, hidden.., out]`.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The hidden layers' activation.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Size of the input.
    pub fn input_size(&self) -> usize {
        self.sizes[0]
    }

    /// Size of the output.
    pub fn output_size(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }

    /// Linear layers.
    pub fn num_layers(&self) -> usize {
        self.sizes.len() - 1
    }

    /// Rows and columns of layer `l` in theta: `(in + 1, out)`, the last row is the bias.
    ///
    /// # Panics
    /// If there is no layer `l`.
    pub fn layer_shape(&self, l: usize) -> (usize, usize) {
        (self.sizes[l] + 1, self.sizes[l + 1])
    }

    /// Where layer `l` lies in theta.
    ///
    /// # Panics
    /// If there is no layer `l`.
    pub fn layer_range(&self, l: usize) -> Range<usize> {
        let len = |l| {
            let (rows, columns) = self.layer_shape(l);
            rows * columns
        };
        let start = (0..l).map(len).sum();
        start..start + len(l)
    }

    /// Parameters of the network, `P`.
    pub fn num_params(&self) -> usize {
        self.layer_range(self.num_layers() - 1).end
    }
}

/// A multilayer perceptron whose parameters are one flat tensor.
///
/// Layer `l` is a row-major block `[in + 1, out]` of [`theta`](Self::theta), its last row the bias; a gradient has the
/// same layout. Cloning shares the tensor: a clone is a snapshot.
#[derive(Clone, Debug)]
pub struct Mlp {
    spec: MlpSpec,
    theta: Tensor<1>,
    /// The shape as kernels read it.
    #[cfg(feature = "gpu")]
    header: Uploaded,
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
        Self::of(spec, theta)
    }

    fn of(spec: MlpSpec, theta: Tensor<1>) -> Self {
        Mlp {
            spec,
            theta,
            #[cfg(feature = "gpu")]
            header: Uploaded::default(),
        }
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
        Ok(Self::of(spec, theta))
    }

    /// The same network with other parameters `[P]`.
    ///
    /// # Panics
    /// If the length of `theta` differs.
    pub fn with_theta(&self, theta: Tensor<1>) -> Self {
        assert_eq!(theta.dims(), [self.spec.num_params()], "theta must be [P]");
        Mlp { theta, ..self.clone() }
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
        #[cfg(feature = "flex")]
        if let (Some(theta), Some(x)) = (Host::of(&self.theta), Host::of(&x)) {
            let rows = x.values().len() / self.spec.input_size();
            let outputs = Network::new(&self.spec, theta.values(), false).forward(x.values(), rows);
            return fused::tensor(outputs, [rows, self.spec.output_size()]);
        }
        #[cfg(feature = "gpu")]
        if let Some(pass) = crate::unit_pass::UnitPass::new(self, &x) {
            return pass.forward();
        }
        plain::forward(&self.spec, &self.theta, x)
    }

    /// A forward pass that keeps its activations for the derivatives that follow: cheaper than separate calls of
    /// [`forward`](Self::forward), [`jvp`](Self::jvp) and [`statistics`](Self::statistics), with the same results.
    ///
    /// # Panics
    /// If `x` is not `[N, in]`.
    pub fn forward_pass(&self, x: Tensor<2>) -> ForwardPass {
        self.check_input(&x);
        ForwardPass::new(self.clone(), x, true)
    }

    /// Forward mode: `J d`, the change of the outputs `[N, out]` along a parameter direction `[P]`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn jvp(&self, x: Tensor<2>, direction: Tensor<1>) -> Tensor<2> {
        self.check_input(&x);
        ForwardPass::new(self.clone(), x, false).jvp(direction)
    }

    /// Gradients `[S, P]` of `S` losses at once: `sum_n cotangent[s, n] . df(x_n)/dtheta`, a **sum** over the samples.
    ///
    /// `x` is `[N, in]`, `cotangents` `[S, N, out]` holds each loss's derivative with respect to the outputs; fold 1/N
    /// into it for a mean.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn gradients(&self, x: Tensor<2>, cotangents: Tensor<3>) -> Tensor<2> {
        self.check_input(&x);
        ForwardPass::new(self.clone(), x, false).gradients(cotangents)
    }

    /// Gradients as in [`gradients`](Self::gradients) and the Fisher factors of the batch, in one pass.
    ///
    /// `fisher` holds the score seeds: derivatives of `log p` with respect to the outputs. The factors are means over
    /// the batch, `A_l` `[in + 1, in + 1]` and `G_l` `[out, out]`, `G_l` summed over the seeds.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn statistics(&self, x: Tensor<2>, cotangents: Tensor<3>, fisher: FisherSeeds) -> Statistics {
        self.check_input(&x);
        ForwardPass::new(self.clone(), x, false).statistics(cotangents, fisher)
    }

    /// Gradient `[P]` of the loss `mean_n sum_o (f(x_n) - t_n)^2`, and that loss `[1]`, in one pass.
    ///
    /// `x` is `[N, in]`, `targets` `[N, out]`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn regression_gradient(&self, x: Tensor<2>, targets: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        self.check_input(&x);
        #[cfg(feature = "gpu")]
        if let Some(result) = crate::unit_gradient::regression(self, &x, &targets) {
            return result;
        }
        let (gradients, _, loss) = ForwardPass::new(self.clone(), x, false).regression(targets, None);
        (gradients.reshape([self.spec.num_params()]), loss)
    }

    /// [`regression_gradient`](Self::regression_gradient) and the Fisher factors in one pass: statistics with one
    /// gradient, and the loss `[1]`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn regression_statistics(
        &self,
        x: Tensor<2>,
        targets: Tensor<2>,
        fisher: FisherSeeds,
    ) -> (Statistics, Tensor<1>) {
        self.check_input(&x);
        let (gradients, factors, loss) = ForwardPass::new(self.clone(), x, false).regression(targets, Some(fisher));
        (Statistics { gradients, factors: FactorSample::new(factors) }, loss)
    }

    /// The network's shape as kernels read it, on its device.
    #[cfg(feature = "gpu")]
    pub(crate) fn header(&self) -> Tensor<1> {
        self.header.get(&self.theta.device(), || crate::network_header(&self.spec))
    }

    fn check_input(&self, x: &Tensor<2>) {
        assert_eq!(x.dims()[1], self.spec.input_size(), "the input must be [N, in]");
    }
}
