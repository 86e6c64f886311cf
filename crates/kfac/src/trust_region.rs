//! The step length: the exact quadratic form of a direction, and the longest step within a radius.
//!
//! To second order the KL divergence of a step `eta d` is `eta^2 d^T F d / 2`, `F` the true Fisher matrix, **undamped**:
//! a damped one hides divergence. For a Gaussian with state-independent variance `d^T F d` is exact from one forward-mode
//! pass: `mean_n sum_k (J d)_nk^2 / sigma_k^2` for the mean's parameters plus `2 |d|^2` for `log sigma`. The Kronecker
//! form is not used for it (it underestimated the divergence about three times in this project's experiments).
//!
//! Steps compose in the square root of the divergence: after a divergence `KL_now` from the old policy a step may cover
//! `sqrt(2 KL_max) - sqrt(2 KL_now)`.

use burn::tensor::Tensor;

/// `d^T F d` `[1]` for a Gaussian's mean, from `jvp` = `J d` `[N, out]` and `inv_variance` `[out]`.
pub fn gaussian_quadratic(jvp: Tensor<2>, inv_variance: Tensor<1>) -> Tensor<1> {
    let [n, _] = jvp.dims();
    (jvp.clone() * jvp * inv_variance.unsqueeze_dim::<2>(0)).sum().div_scalar(n as f32)
}

/// `d^T F d` `[1]` for a state-independent `log sigma`: `2 |d|^2`, `direction` `[out]`.
pub fn log_std_quadratic(direction: Tensor<1>) -> Tensor<1> {
    (direction.clone() * direction).sum().mul_scalar(2.0)
}

/// `min(max_step, radius / sqrt(quadratic))`; everything `[1]`, nothing read back.
///
/// A radius of zero gives zero, a quadratic of zero otherwise `max_step`; NaN stays NaN, for the caller to refuse.
pub fn step_length(quadratic: Tensor<1>, radius: Tensor<1>, max_step: f32) -> Tensor<1> {
    // The floor makes 0 / 0 zero and leaves every other case as it is.
    let step = radius / quadratic.sqrt().add_scalar(f32::MIN_POSITIVE);
    let above = step.clone().greater_elem(max_step);
    step.mask_fill(above, max_step)
}
