//! The candidate at the end of the longest step that the trust region leaves.
//!
//! To second order the KL divergence of a step `eta d` is `eta^2 d^T F d / 2`, `F` the true Fisher matrix, **undamped**:
//! a damped one hides divergence. For a Gaussian with state-independent variance `d^T F d` is exact from one forward-mode
//! pass: `mean_n sum_k (J d)_nk^2 / sigma_k^2` for the mean's parameters plus `2 |d_sigma|^2` for the log standard
//! deviations. The Kronecker form is not used for it (it underestimated the divergence about three times in this project's
//! experiments).

mod gpu;

use std::convert::Infallible;

use burn::tensor::Tensor;
use compute::first_of;

use crate::elementwise::{mean as mean_of, scaled_squares};
use crate::kl_guard::KlGuard;
use crate::policy::{Gaussian, LOG_STD_FISHER, clamp_log_std};

/// A step to be taken from a policy of P network parameters and A log standard deviations.
#[derive(Debug, Clone, Copy)]
pub struct TrustRegionStep<'a> {
    /// The policy at N states.
    pub policy: &'a Gaussian,
    /// Its parameters, the log standard deviations behind the network's, `[P + A]`.
    pub params: &'a Tensor<1>,
    /// The behaviour policy's means at the same states, `[N, A]`.
    pub old_mean: &'a Tensor<2>,
    /// Its log standard deviations, `[A]`.
    pub old_log_std: &'a Tensor<1>,
    /// Where to, `[P + A]`.
    pub direction: &'a Tensor<1>,
    /// How the means move along the direction, `J d`, `[N, A]`.
    pub moved: &'a Tensor<2>,
    /// The longest step, as a multiple of the radius: where the objectives nearly cancel, what is left of the direction is
    /// noise and must not be blown up.
    pub max_step: f64,
}

/// The parameters `[P + A]` at the end of the step.
///
/// The step has the length `min(rho / sqrt(d^T F d), max_step rho)`, `rho` as [`KlGuard::radius`] finds it. A quadratic form
/// that is not a number leads to a candidate that is none, for [`KlGuard::accept_or_reject`] to refuse. Log standard
/// deviations move as [`clamp_log_std`] lets them.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use safe_rl::{Gaussian, KlGuard, KlGuardConfig, TrustRegionStep, trust_region_step};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// // A policy whose mean is its one parameter, with sigma 1, and the step that raises it.
/// let policy = Gaussian { mean: Tensor::zeros([1, 1], &device), log_std: Tensor::zeros([1], &device) };
/// let config = KlGuardConfig { target_kl: 0.02, step_kl_share: 1.0, radius_share: 1.0, ..Default::default() };
/// let step = TrustRegionStep {
///     policy: &policy,
///     params: &Tensor::zeros([2], &device),
///     old_mean: &policy.mean,
///     old_log_std: &policy.log_std,
///     direction: &Tensor::from_floats([1.0, 0.0], &device),
///     moved: &Tensor::ones([1, 1], &device),
///     max_step: 10.0,
/// };
/// let params = compute::read("params", trust_region_step(&KlGuard::new(config, &device)?, &step))?;
/// // KL = step^2 / 2 = 0.02.
/// assert!((params[0] - 0.2).abs() < 1e-6 && params[1] == 0.0);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// If the shapes do not fit.
pub fn trust_region_step(guard: &KlGuard, step: &TrustRegionStep) -> Tensor<1> {
    let shape = step.policy.mean.dims();
    assert_eq!([step.old_mean.dims(), step.moved.dims()], [shape; 2], "old means and moved means are [N, A]");
    assert_eq!(step.direction.dims(), step.params.dims(), "parameters and direction are [P + A]");
    first_of!(gpu::trust_region_step(guard, step), {
        let Ok(params) = trust_region_step_by(guard, step, Ok::<_, Infallible>);
        params
    })
}

/// [`trust_region_step`] where the N states are a part of all: `mean` makes of the means `[2]` over this part those over all.
///
/// # Errors
/// Those of `mean`.
///
/// # Panics
/// As [`trust_region_step`].
pub fn trust_region_step_by<E>(
    guard: &KlGuard,
    step: &TrustRegionStep,
    mean: impl FnOnce(Tensor<1>) -> Result<Tensor<1>, E>,
) -> Result<Tensor<1>, E> {
    let ([_, actions], [all]) = (step.moved.dims(), step.params.dims());
    let parts = |x: &Tensor<1>| (x.clone().narrow(0, 0, all - actions), x.clone().narrow(0, all - actions, actions));
    let ((theta, log_std), (along, along_log_std)) = (parts(step.params), parts(step.direction));
    // A mean over samples and actions, times the actions.
    let weighted = mean_of(&scaled_squares(step.moved, &step.policy.inverse_variance()).reshape([-1]));
    let of_log_std = (along_log_std.clone() * along_log_std.clone()).sum().mul_scalar(LOG_STD_FISHER);
    let kl = step.policy.mean_kl(step.old_mean, step.old_log_std);
    let means = mean(Tensor::cat(vec![weighted.mul_scalar(actions as f32), kl], 0))?;
    let quadratic = means.clone().narrow(0, 0, 1) + of_log_std;

    let radius = guard.radius(&means.narrow(0, 1, 1));
    let longest = radius.clone() * step.max_step as f32;
    // The floor makes 0 / 0 zero and leaves every other case as it is.
    let length = radius / quadratic.sqrt().add_scalar(f32::MIN_POSITIVE);
    let infinite = length.clone().greater_elem(f32::MAX);
    let length = length.mask_fill(infinite, f32::MAX).min_pair(longest);
    let theta = theta + along * length.clone();
    Ok(Tensor::cat(vec![theta, clamp_log_std(&log_std, along_log_std * length)], 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kl_guard::KlGuardConfig;
    use crate::test_device::test_device;
    use compute::noise::{NoiseKey, Stream, normal_tensor};
    use compute::read;

    const SAMPLES: usize = 50;
    const PARAMS: usize = 3;

    /// The candidate from parameters of zero along `direction`, the means moving by `moved` everywhere.
    fn candidate(direction: [f32; PARAMS + 1], moved: f32, max_step: f64) -> Vec<f32> {
        let device = test_device();
        let guard = KlGuard::new(KlGuardConfig { target_kl: 0.01, ..Default::default() }, &device).unwrap();
        let mean = normal_tensor(NoiseKey { seed: 1, stream: Stream::Other(0), step: 0 }, [SAMPLES, 1], &device);
        let policy = Gaussian::new(mean.clone(), Tensor::zeros([1], &device));
        let step = TrustRegionStep {
            policy: &policy,
            params: &Tensor::zeros([PARAMS + 1], &device),
            old_mean: &mean,
            old_log_std: &Tensor::zeros([1], &device),
            direction: &Tensor::from_floats(direction, &device),
            moved: &Tensor::full([SAMPLES, 1], moved, &device),
            max_step,
        };
        let Ok(expected) = trust_region_step_by(&guard, &step, Ok::<_, Infallible>);
        let got = trust_region_step(&guard, &step);
        let (got, expected) = (read("g", got).unwrap(), read("e", expected).unwrap());
        for (a, b) in got.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-6 || (a.is_nan() && b.is_nan()), "{got:?} {expected:?}");
        }
        got
    }

    #[test]
    fn the_length_agrees_with_numbers_worked_by_hand() {
        // d^T F d = 2^2 + 2 * 1^2 = 6, and the whole radius 0.9 sqrt(2 * 0.0025) is left.
        let radius = 0.9 * 0.005f32.sqrt();
        let length = radius / 6.0f32.sqrt();
        for (got, d) in candidate([1.0, -2.0, 0.0, 1.0], 2.0, 4.0).iter().zip([1.0, -2.0, 0.0, 1.0]) {
            assert!((got - d * length).abs() < 1e-6, "{got}");
        }
        // A direction that hardly moves the policy is bounded by max_step radii.
        for (got, d) in candidate([1.0, -2.0, 0.0, 0.0], 1e-6, 4.0).iter().zip([1.0, -2.0, 0.0, 0.0]) {
            assert!((got - d * 4.0 * radius).abs() < 1e-6, "{got}");
        }
    }

    #[test]
    fn a_quadratic_that_is_no_number_leads_to_no_candidate() {
        assert!(candidate([1.0; PARAMS + 1], f32::NAN, 4.0).iter().all(|x| x.is_nan()));
        assert_eq!(candidate([1.0; PARAMS + 1], f32::INFINITY, 4.0), [0.0; PARAMS + 1]);
    }
}
