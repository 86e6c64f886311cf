//! The moving average of gradients.

#[cfg(feature = "gpu")]
mod kernel;

use burn::tensor::Tensor;

/// `decay * average + (1 - decay) * new` of the gradients of S objectives.
///
/// A minibatch's cost gradient is mostly noise: averaged over some of them it is a direction.
///
/// # Shapes
/// `average` `[S, P + A]`; the new gradients come in two parts, `[S, P]` and `[S, A]`.
pub fn average_gradients(average: &Tensor<2>, new: [Tensor<2>; 2], decay: f32) -> Tensor<2> {
    #[cfg(feature = "gpu")]
    if let Some(averaged) = kernel::average(average, &new, decay) {
        return averaged;
    }
    average.clone() * decay + Tensor::cat(new.into(), 1) * (1.0 - decay)
}
