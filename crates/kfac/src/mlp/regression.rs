//! The gradients of several networks' regressions at once.

mod cpu;
mod gpu;

use std::ops::Range;

use burn::tensor::Tensor;
use compute::first_of;

use super::reference;
use super::spec::MlpSpec;

/// Gradients of `S` networks of one shape, each of its own loss `mean_n sum_o (f_s(x_n) - t_sn)^2`, and those losses.
///
/// The networks share the inputs and nothing else. On a CPU each has a thread of its own, on a GPU two launches serve all.
///
/// # Shapes
/// `thetas` `[S * P]`, network after network; `x` `[N, in]` and `targets` `[S, N, out]`, of which the samples of `range` are
/// taken. Returns gradients `[S * P]` and losses `[S]`.
///
/// # Panics
/// If the shapes do not fit, or `range` leaves the samples.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kfac::{Activation, Mlp, MlpSpec, regression_gradients};
///
/// # fn main() -> Result<(), kfac::KfacError> {
/// let device = Device::flex();
/// let spec = MlpSpec::new([3, 8, 1], Activation::Tanh)?;
/// let thetas = Tensor::cat((0..2).map(|seed| Mlp::init(spec.clone(), seed, 1.0, &device).theta().clone()).collect(), 0);
/// let (x, targets) = (Tensor::ones([100, 3], &device), Tensor::zeros([2, 100, 1], &device));
/// let (gradients, losses) = regression_gradients(&spec, &thetas, &x, &targets, 0..50);
/// assert_eq!(gradients.dims(), thetas.dims());
/// assert_eq!(losses.dims(), [2]);
/// # Ok(())
/// # }
/// ```
pub fn regression_gradients(
    spec: &MlpSpec,
    thetas: &Tensor<1>,
    x: &Tensor<2>,
    targets: &Tensor<3>,
    range: Range<usize>,
) -> (Tensor<1>, Tensor<1>) {
    let ([samples, inputs], [networks, ..]) = (x.dims(), targets.dims());
    assert_eq!(inputs, spec.input_size(), "the input must be [N, in]");
    assert_eq!(targets.dims(), [networks, samples, spec.output_size()], "the targets must be [S, N, out]");
    assert_eq!(thetas.dims(), [networks * spec.num_params()], "thetas must be [S * P]");
    assert!(range.start <= range.end && range.end <= samples, "the range {range:?} leaves the {samples} samples");
    first_of!(
        cpu::regression(spec, thetas, x, targets, range.clone()),
        gpu::regression(spec, thetas, x, targets, range.clone()),
        reference::regression(spec, thetas, x, targets, range),
    )
}
