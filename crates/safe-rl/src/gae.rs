//! Generalised advantage estimation (Schulman et al., 2016, equation 16), aware of truncation.
//!
//! `delta_t = r_t + gamma V(s'_t) - V(s_t)` and `A_t = delta_t + gamma lambda (1 - done_t) A_{t+1}`. The next value
//! carries the difference between the two ends of an episode: it is zero after a termination and the value of the
//! final observation after a truncation, which [`Rollout::values`](crate::Rollout::values) sees to.

#[cfg(feature = "gpu")]
mod kernel;

use burn::tensor::Tensor;

use crate::{SafeRlError, Values};
use compute::cpu::{self, View};

/// Discounts; the defaults are OmniSafe's, the same for reward and cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaeConfig {
    /// Discount factor.
    pub gamma: f32,
    /// Exponential weight of the n-step estimates.
    pub lambda: f32,
}

impl Default for GaeConfig {
    fn default() -> Self {
        Self { gamma: 0.99, lambda: 0.95 }
    }
}

impl GaeConfig {
    /// Checks that both factors lie in `[0, 1]`.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] otherwise.
    pub fn validate(&self) -> Result<(), SafeRlError> {
        for (name, value) in [("gamma", self.gamma), ("gae_lambda", self.lambda)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(SafeRlError::InvalidConfig { name, value: value.into(), reason: "must lie in [0, 1]" });
            }
        }
        Ok(())
    }
}

/// Advantages and value targets, both `[T, B]`.
#[derive(Debug, Clone)]
pub struct Gae {
    /// `A_t`.
    pub advantage: Tensor<2>,
    /// `A_t + V(s_t)`: the lambda return.
    pub target: Tensor<2>,
}

/// Advantages of `reward` (or of cost: the same formula).
///
/// # Shapes
/// All `[T, B]`: reward, value of the observation acted on, value of the next one (zero after a termination), and `done`
/// (1 where the episode ended in either way).
pub fn gae(reward: &Tensor<2>, value: &Tensor<2>, next_value: &Tensor<2>, done: &Tensor<2>, config: &GaeConfig) -> Gae {
    let advantage = fused(reward, value, next_value, done, config)
        .unwrap_or_else(|| plain(reward, value, next_value, done, config));
    Gae { target: advantage.clone() + value.clone(), advantage }
}

/// A signal whose advantages are wanted: reward or cost. All `[T, B]`, as in [`gae`].
#[derive(Debug, Clone, Copy)]
pub struct GaeSignal<'a> {
    /// The reward, or the cost.
    pub signal: &'a Tensor<2>,
    /// Values of the observations acted on.
    pub value: &'a Tensor<2>,
    /// Values of the next ones, zero after a termination.
    pub next_value: &'a Tensor<2>,
    /// Discounts.
    pub config: GaeConfig,
}

impl<'a> GaeSignal<'a> {
    /// A signal with the values of its critic.
    pub fn new(signal: &'a Tensor<2>, values: &'a Values, config: GaeConfig) -> Self {
        Self { signal, value: &values.value, next_value: &values.next_value, config }
    }
}

/// [`gae`] of reward and cost with the same episode ends: one launch on a GPU.
pub fn gae_pair(reward: &GaeSignal, cost: &GaeSignal, done: &Tensor<2>) -> (Gae, Gae) {
    #[cfg(feature = "gpu")]
    if let Some(both) = kernel::launch(reward, cost, done) {
        return both;
    }
    let one = |x: &GaeSignal| gae(x.signal, x.value, x.next_value, done, &x.config);
    (one(reward), one(cost))
}

/// The recursion `A_t = b_t + a_t A_{t+1}` by recursive doubling: log2(T) rounds on whole tensors instead of T on rows,
/// since a GPU pays for every launch.
fn plain(
    reward: &Tensor<2>,
    value: &Tensor<2>,
    next_value: &Tensor<2>,
    done: &Tensor<2>,
    config: &GaeConfig,
) -> Tensor<2> {
    let [steps, envs] = reward.dims();
    let mut b = reward.clone() + next_value.clone() * config.gamma - value.clone();
    let mut a = (-done.clone() + 1.0) * (config.gamma * config.lambda);
    let mut reach = 1;
    while reach < steps {
        let zeros = Tensor::zeros([reach, envs], &b.device());
        let later = |x: &Tensor<2>| Tensor::cat(vec![x.clone().narrow(0, reach, steps - reach), zeros.clone()], 0);
        let (later_a, later_b) = (later(&a), later(&b));
        b = b + a.clone() * later_b;
        a = a * later_a;
        reach *= 2;
    }
    b
}

fn fused(
    reward: &Tensor<2>,
    value: &Tensor<2>,
    next_value: &Tensor<2>,
    done: &Tensor<2>,
    config: &GaeConfig,
) -> Option<Tensor<2>> {
    let [steps, envs] = reward.dims();
    let shape = [steps, envs];
    assert_eq!([value.dims(), next_value.dims(), done.dims()], [shape; 3], "all inputs are [T, B]");
    let (reward, value) = (View::of(reward)?, View::of(value)?);
    let (next_value, done) = (View::of(next_value)?, View::of(done)?);
    let decay = config.gamma * config.lambda;
    let mut advantage = vec![0.0; steps * envs];
    let mut carry = vec![0.0; envs];
    for t in (0..steps).rev() {
        let row = t * envs..(t + 1) * envs;
        let (reward, value) = (&reward.values()[row.clone()], &value.values()[row.clone()]);
        let (next_value, done) = (&next_value.values()[row.clone()], &done.values()[row.clone()]);
        for (env, (out, carry)) in advantage[row].iter_mut().zip(&mut carry).enumerate() {
            let delta = reward[env] + config.gamma * next_value[env] - value[env];
            *carry = delta + decay * (1.0 - done[env]) * *carry;
            *out = *carry;
        }
    }
    Some(cpu::tensor(advantage, shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::{on_cpu, test_device};
    use compute::noise::{NoiseKey, Stream, normal_tensor};
    use compute::read;

    #[test]
    fn truncation_bootstraps_and_termination_does_not() {
        let device = test_device();
        let column = |values: [f32; 3]| Tensor::<2>::from_floats(values.map(|x| [x]), &device);
        let config = GaeConfig { gamma: 0.5, lambda: 0.5 };
        let reward = column([1.0, 1.0, 1.0]);
        let value = column([2.0, 4.0, 8.0]);
        // Worked by hand. Nothing ends: deltas 1 + 2 - 2, 1 + 4 - 4, 1 + 8 - 8.
        let open = gae(&reward, &value, &column([4.0, 8.0, 16.0]), &column([0.0, 0.0, 0.0]), &config);
        assert_eq!(read("a", open.advantage).unwrap(), [1.0 + 0.25 * (1.0 + 0.25), 1.25, 1.0]);
        // Truncated at step 1 with final value 6: delta 1 + 3 - 4 = 0, and nothing flows over the end.
        let truncated = gae(&reward, &value, &column([4.0, 6.0, 16.0]), &column([0.0, 1.0, 0.0]), &config);
        assert_eq!(read("a", truncated.advantage).unwrap(), [1.0, 0.0, 1.0]);
        // Terminated at step 1: next value 0, delta 1 - 4 = -3.
        let terminated = gae(&reward, &value, &column([4.0, 0.0, 16.0]), &column([0.0, 1.0, 0.0]), &config);
        assert_eq!(read("a", terminated.advantage).unwrap(), [0.25, -3.0, 1.0]);
        assert_eq!(read("t", terminated.target).unwrap(), [2.25, 1.0, 9.0]);
    }

    #[test]
    fn the_fused_recursion_equals_the_plain_doubling() {
        let device = test_device();
        let config = GaeConfig::default();
        for steps in [1, 2, 3, 40, 64] {
            let noise = |step| normal_tensor(NoiseKey { seed: 2, stream: Stream::Other(0), step }, [steps, 9], &device);
            let done = noise(3).greater_scalar(1.2).float();
            let (reward, value, next) = (noise(0), noise(1), noise(2));
            let Some(a) = fused(&reward, &value, &next, &done, &config) else { return assert!(!on_cpu()) };
            let a = read("a", a).unwrap();
            let b = read("b", plain(&reward, &value, &next, &done, &config)).unwrap();
            for (a, b) in a.iter().zip(b) {
                assert!((a - b).abs() < 2e-5 * (1.0 + b.abs()), "{a} {b}");
            }
        }
    }
}
