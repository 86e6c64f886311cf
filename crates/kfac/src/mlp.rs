use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use crate::fisher::FisherSeeds;
use crate::statistics::{FactorSample, Statistics};
use crate::{KfacError, init, plain};

#[cfg(feature = "flex")]
use crate::fused::{self, Cotangents, Host, Input, Seeds};

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
        #[cfg(feature = "flex")]
        if let Some((theta, x)) = self.host(&x) {
            let [rows, outputs] = [x.values().len() / self.spec.input_size(), self.spec.output_size()];
            return fused::tensor(fused::forward(&self.spec, theta.values(), x.values(), rows), [rows, outputs]);
        }
        plain::forward(&self.spec, &self.theta, x)
    }

    /// Forward mode: `J d`, the change of the outputs `[N, out]` along a parameter direction `[P]`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn jvp(&self, x: Tensor<2>, direction: Tensor<1>) -> Tensor<2> {
        self.check_input(&x);
        assert_eq!(direction.dims(), self.theta.dims(), "the direction must be [P]");
        #[cfg(feature = "flex")]
        if let (Some((theta, x)), Some(direction)) = (self.host(&x), Host::of(&direction)) {
            let [rows, outputs] = [x.values().len() / self.spec.input_size(), self.spec.output_size()];
            let values = fused::jvp(&self.spec, theta.values(), direction.values(), x.values(), rows);
            return fused::tensor(values, [rows, outputs]);
        }
        plain::jvp(&self.spec, &self.theta, x, direction)
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
        self.check_seeds(&x, &cotangents);
        #[cfg(feature = "flex")]
        if let (Some((theta, x)), Some(c)) = (self.host(&x), Host::of(&cotangents)) {
            let [seeds, rows, _] = cotangents.dims();
            let input = Input { x: x.values(), rows, cotangents: Cotangents::Given(c.values(), seeds), fisher: None };
            let sums = fused::sums(&self.spec, theta.values(), input);
            return fused::tensor(sums.gradients, [seeds, self.spec.num_params()]);
        }
        plain::statistics(&self.spec, &self.theta, x, cotangents, None).0
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
        self.check_seeds(&x, &cotangents);
        self.check_fisher(&x, &fisher);
        #[cfg(feature = "flex")]
        if let (Some((theta, x)), Some(c), Some(seeds)) = (self.host(&x), Host::of(&cotangents), fisher.host()) {
            let [count, rows, _] = cotangents.dims();
            let input = Input {
                x: x.values(),
                rows,
                cotangents: Cotangents::Given(c.values(), count),
                fisher: Some(self.seeds(&fisher, &seeds)),
            };
            return self.collect(fused::sums(&self.spec, theta.values(), input), count).0;
        }
        let (gradients, factors) = plain::statistics(&self.spec, &self.theta, x, cotangents, Some(&fisher));
        Statistics { gradients, factors: FactorSample::new(factors) }
    }

    /// Gradient `[P]` of the loss `mean_n sum_o (f(x_n) - t_n)^2`, and that loss `[1]`, in one pass.
    ///
    /// `x` is `[N, in]`, `targets` `[N, out]`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn regression_gradient(&self, x: Tensor<2>, targets: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        self.check_input(&x);
        self.check_targets(&x, &targets);
        #[cfg(feature = "flex")]
        if let (Some((theta, x)), Some(t)) = (self.host(&x), Host::of(&targets)) {
            let rows = targets.dims()[0];
            let input = Input { x: x.values(), rows, cotangents: Cotangents::Regression(t.values()), fisher: None };
            let sums = fused::sums(&self.spec, theta.values(), input);
            return (fused::tensor(sums.gradients, [self.spec.num_params()]), fused::tensor(vec![sums.loss], [1]));
        }
        let (cotangents, loss) = plain::regression_cotangents(&self.spec, &self.theta, x.clone(), targets);
        let (gradients, _) = plain::statistics(&self.spec, &self.theta, x, cotangents, None);
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
        self.check_targets(&x, &targets);
        self.check_fisher(&x, &fisher);
        #[cfg(feature = "flex")]
        if let (Some((theta, x)), Some(t), Some(seeds)) = (self.host(&x), Host::of(&targets), fisher.host()) {
            let input = Input {
                x: x.values(),
                rows: targets.dims()[0],
                cotangents: Cotangents::Regression(t.values()),
                fisher: Some(self.seeds(&fisher, &seeds)),
            };
            return self.collect(fused::sums(&self.spec, theta.values(), input), 1);
        }
        let (cotangents, loss) = plain::regression_cotangents(&self.spec, &self.theta, x.clone(), targets);
        let (gradients, factors) = plain::statistics(&self.spec, &self.theta, x, cotangents, Some(&fisher));
        (Statistics { gradients, factors: FactorSample::new(factors) }, loss)
    }

    fn check_input(&self, x: &Tensor<2>) {
        assert_eq!(x.dims()[1], self.spec.input_size(), "the input must be [N, in]");
    }

    fn check_targets(&self, x: &Tensor<2>, targets: &Tensor<2>) {
        assert_eq!(targets.dims(), [x.dims()[0], self.spec.output_size()], "the targets must be [N, out]");
    }

    fn check_seeds(&self, x: &Tensor<2>, seeds: &Tensor<3>) {
        let [_, rows, outputs] = seeds.dims();
        assert_eq!([rows, outputs], [x.dims()[0], self.spec.output_size()], "cotangents and seeds must be [_, N, out]");
    }

    fn check_fisher(&self, x: &Tensor<2>, fisher: &FisherSeeds) {
        match fisher {
            FisherSeeds::PerSample(seeds) => self.check_seeds(x, seeds),
            FisherSeeds::Constant(seeds) => {
                assert_eq!(seeds.dims()[1], self.spec.output_size(), "constant Fisher seeds must be [K, out]");
            }
        }
    }
}

#[cfg(feature = "flex")]
impl Mlp {
    fn host<const D: usize>(&self, x: &Tensor<D>) -> Option<(Host, Host)> {
        Some((Host::of(&self.theta)?, Host::of(x)?))
    }

    fn seeds<'a>(&self, fisher: &FisherSeeds, values: &'a Host) -> Seeds<'a> {
        match fisher {
            FisherSeeds::PerSample(t) => Seeds::PerSample(values.values(), t.dims()[0]),
            FisherSeeds::Constant(t) => Seeds::Constant(values.values(), t.dims()[0]),
        }
    }

    fn collect(&self, sums: fused::Sums, seeds: usize) -> (Statistics, Tensor<1>) {
        let gradients = fused::tensor(sums.gradients, [seeds, self.spec.num_params()]);
        let len = sums.factors.len();
        let factors = FactorSample::new(fused::tensor(sums.factors, [len]));
        (Statistics { gradients, factors }, fused::tensor(vec![sums.loss], [1]))
    }
}
