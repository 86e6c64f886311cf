//! Generalised advantage estimation (Schulman et al., 2016, equation 16), aware of truncation.
//!
//! `delta_t = r_t + gamma V(s'_t) - V(s_t)` and `A_t = delta_t + gamma lambda (1 - done_t) A_{t+1}`. The next value
//! carries the difference between the two ends of an episode: it is zero after a termination and the value of the
//! final observation after a truncation, which [`Rollout::values`](crate::Rollout::values) sees to.

mod cpu;
mod gpu;

use burn::tensor::Tensor;
use compute::first_of;

use crate::error::{SafeRlError, ensure};

/// Discounts of one objective; the defaults are OmniSafe's, the same for reward and cost.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct GaeConfig {
    /// Discount factor.
    pub gamma: f64,
    /// Exponential weight of the n-step estimates.
    pub gae_lambda: f64,
}

impl Default for GaeConfig {
    fn default() -> Self {
        Self { gamma: 0.99, gae_lambda: 0.95 }
    }
}

impl GaeConfig {
    /// Checks that both factors lie in `[0, 1]`.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] otherwise.
    pub fn validate(&self) -> Result<(), SafeRlError> {
        for (name, value) in [("gamma", self.gamma), ("gae_lambda", self.gae_lambda)] {
            ensure((0.0..=1.0).contains(&value), name, value, "must lie in [0, 1]")?;
        }
        Ok(())
    }

    /// `gamma` and `gamma lambda`.
    fn factors(&self) -> (f32, f32) {
        let (gamma, lambda) = (self.gamma as f32, self.gae_lambda as f32);
        (gamma, gamma * lambda)
    }
}

/// Advantages and value targets of S objectives, both `[S, T, B]`.
#[derive(Debug, Clone)]
pub struct Gae {
    /// `A_t`.
    pub advantage: Tensor<3>,
    /// `A_t + V(s_t)`: the lambda return.
    pub target: Tensor<3>,
}

/// Advantages of S objectives whose episodes end together.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use safe_rl::{GaeConfig, gae};
///
/// let device = Device::flex();
/// let of = |x: [f32; 2]| Tensor::<3>::from_floats([[[x[0]], [x[1]]]], &device);
/// let done = Tensor::<2>::from_floats([[0.0], [1.0]], &device);
/// // Two steps of one environment, terminated at the second: A_1 = 1 - 4, A_0 = 1 + 2 - 2 + A_1 / 4.
/// let config = GaeConfig { gamma: 0.5, gae_lambda: 0.5 };
/// let gae = gae(&of([1.0, 1.0]), &of([2.0, 4.0]), &of([4.0, 0.0]), &done, &[config]);
/// assert_eq!(compute::read("a", gae.advantage).unwrap(), [0.25, -3.0]);
/// ```
///
/// # Shapes
/// `signals` (the reward, then the costs), `values` of the observations acted on and `next_values` of the next ones (zero
/// after a termination) `[S, T, B]`; `done` `[T, B]`, 1 where the episode ended in either way; `configs` `[S]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn gae(
    signals: &Tensor<3>,
    values: &Tensor<3>,
    next_values: &Tensor<3>,
    done: &Tensor<2>,
    configs: &[GaeConfig],
) -> Gae {
    let [objectives, steps, envs] = signals.dims();
    assert_eq!([values.dims(), next_values.dims()], [signals.dims(); 2], "all signals and values are [S, T, B]");
    assert_eq!((done.dims(), configs.len()), ([steps, envs], objectives), "done is [T, B], a config per objective");
    first_of!(
        cpu::gae(signals, values, next_values, done, configs),
        gpu::gae(signals, values, next_values, done, configs),
        reference(signals, values, next_values, done, configs)
    )
}

/// The recursion `A_t = b_t + a_t A_{t+1}` by recursive doubling: log2(T) rounds on whole tensors instead of T on rows,
/// since a GPU pays for every launch.
fn reference(
    signals: &Tensor<3>,
    values: &Tensor<3>,
    next_values: &Tensor<3>,
    done: &Tensor<2>,
    configs: &[GaeConfig],
) -> Gae {
    let [objectives, steps, envs] = signals.dims();
    let device = signals.device();
    let column = |get: fn(&GaeConfig) -> f32| {
        let factors: Vec<f32> = configs.iter().map(get).collect();
        Tensor::<1>::from_floats(factors.as_slice(), &device).reshape([objectives, 1, 1])
    };
    let mut b = signals.clone() + next_values.clone() * column(|c| c.factors().0) - values.clone();
    let mut a = (-done.clone() + 1.0).unsqueeze_dim::<3>(0) * column(|c| c.factors().1);
    let mut reach = 1;
    while reach < steps {
        let zeros = Tensor::zeros([objectives, reach, envs], &device);
        let later = |x: &Tensor<3>| Tensor::cat(vec![x.clone().narrow(1, reach, steps - reach), zeros.clone()], 1);
        let (later_a, later_b) = (later(&a), later(&b));
        b = b + a.clone() * later_b;
        a = a * later_a;
        reach *= 2;
    }
    Gae { target: b.clone() + values.clone(), advantage: b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::noise::{NoiseKey, Stream, normal_tensor};
    use compute::read;

    #[test]
    fn truncation_bootstraps_and_termination_does_not() {
        let device = test_device();
        let column = |values: [f32; 3]| Tensor::<2>::from_floats(values.map(|x| [x]), &device).unsqueeze_dim::<3>(0);
        let configs = [GaeConfig { gamma: 0.5, gae_lambda: 0.5 }];
        let (reward, value) = (column([1.0, 1.0, 1.0]), column([2.0, 4.0, 8.0]));
        let one = |next: [f32; 3], done: [f32; 3]| {
            gae(&reward, &value, &column(next), &column(done).squeeze_dim(0), &configs)
        };
        // Worked by hand. Nothing ends: deltas 1 + 2 - 2, 1 + 4 - 4, 1 + 8 - 8.
        let open = one([4.0, 8.0, 16.0], [0.0, 0.0, 0.0]);
        assert_eq!(read("a", open.advantage).unwrap(), [1.0 + 0.25 * (1.0 + 0.25), 1.25, 1.0]);
        // Truncated at step 1 with final value 6: delta 1 + 3 - 4 = 0, and nothing flows over the end.
        let truncated = one([4.0, 6.0, 16.0], [0.0, 1.0, 0.0]);
        assert_eq!(read("a", truncated.advantage).unwrap(), [1.0, 0.0, 1.0]);
        // Terminated at step 1: next value 0, delta 1 - 4 = -3.
        let terminated = one([4.0, 0.0, 16.0], [0.0, 1.0, 0.0]);
        assert_eq!(read("a", terminated.advantage).unwrap(), [0.25, -3.0, 1.0]);
        assert_eq!(read("t", terminated.target).unwrap(), [2.25, 1.0, 9.0]);
    }

    #[test]
    fn every_leaf_equals_the_reference_and_objectives_do_not_mix() {
        let device = test_device();
        let configs = [
            GaeConfig::default(),
            GaeConfig { gamma: 0.9, gae_lambda: 0.5 },
            GaeConfig { gamma: 0.5, gae_lambda: 0.99 },
        ];
        for steps in [1, 2, 3, 40, 64] {
            let noise =
                |step, rows| normal_tensor(NoiseKey { seed: 2, stream: Stream::Other(0), step }, [rows, 9], &device);
            let stacked = |step| noise(step, 3 * steps).reshape([3, steps, 9]);
            let done = noise(3, steps).greater_scalar(1.2).float();
            let (signals, values, next) = (stacked(0), stacked(1), stacked(2));
            let all = gae(&signals, &values, &next, &done, &configs);
            let plain = reference(&signals, &values, &next, &done, &configs);
            for (a, b) in [(all.advantage.clone(), plain.advantage), (all.target, plain.target)] {
                for (a, b) in read("a", a).unwrap().iter().zip(read("b", b).unwrap()) {
                    assert!((a - b).abs() < 2e-5 * (1.0 + b.abs()), "{a} {b}");
                }
            }
            for s in 0..3 {
                let row = |x: &Tensor<3>| x.clone().narrow(0, s, 1);
                let alone = gae(&row(&signals), &row(&values), &row(&next), &done, &configs[s..=s]);
                assert_eq!(read("r", row(&all.advantage)).unwrap(), read("o", alone.advantage).unwrap());
            }
        }
    }
}
