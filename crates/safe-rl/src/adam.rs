//! Adam (Kingma and Ba, 2015) on one flat parameter tensor, with bias correction.

#[cfg(feature = "gpu")]
mod kernel;

use burn::tensor::{Device, Tensor};

use crate::{SafeRlError, all_finite};
use compute::State;
use compute::cpu::{self, View};

/// Constants of Adam; the defaults are PyTorch's, which OmniSafe uses, apart from the rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamConfig {
    /// Step size.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// The gradient is scaled down to this norm; `None` leaves it alone.
    pub max_grad_norm: Option<f32>,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, max_grad_norm: None }
    }
}

/// Moments of the gradient of a flat tensor `[P]`.
#[derive(Debug, Clone)]
pub struct Adam {
    config: AdamConfig,
    first: Tensor<1>,
    second: Tensor<1>,
    /// Steps asked for, the skipped ones included: the host does not know which were skipped.
    steps: u64,
    /// Steps skipped for a non-finite gradient, `[1]`.
    skipped: Tensor<1>,
}

impl Adam {
    /// An optimiser for `parameters` parameters.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] for a rate that is not positive or a decay outside `[0, 1)`.
    pub fn new(parameters: usize, config: AdamConfig, device: &Device) -> Result<Self, SafeRlError> {
        if config.learning_rate.is_nan() || config.learning_rate <= 0.0 {
            let value = config.learning_rate.into();
            return Err(SafeRlError::InvalidConfig { name: "learning_rate", value, reason: "must be positive" });
        }
        for (name, beta) in [("beta1", config.beta1), ("beta2", config.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(SafeRlError::InvalidConfig { name, value: beta.into(), reason: "must lie in [0, 1)" });
            }
        }
        let zeros = Tensor::zeros([parameters], device);
        Ok(Self { config, first: zeros.clone(), second: zeros, steps: 0, skipped: Tensor::zeros([1], device) })
    }

    /// Constants in use.
    pub fn config(&self) -> AdamConfig {
        self.config
    }

    /// Changes the step size, for a schedule.
    pub fn set_learning_rate(&mut self, learning_rate: f32) {
        self.config.learning_rate = learning_rate;
    }

    /// Steps skipped for a non-finite gradient, `[1]`.
    pub fn skipped(&self) -> Tensor<1> {
        self.skipped.clone()
    }

    /// One optimiser for the networks of two, whose parameters lie one behind the other: on a GPU a step of both is then one
    /// launch. A gradient that is not finite holds back its own network alone there; elsewhere it holds back both.
    ///
    /// # Panics
    /// If they differ in their constants, parameters or steps.
    #[cfg(feature = "gpu")]
    pub fn join(a: &Self, b: &Self) -> Self {
        let alike = a.config == b.config && a.steps == b.steps && a.first.dims() == b.first.dims();
        assert!(alike, "only optimisers that have done the same can be joined");
        let both = |a: &Tensor<1>, b: &Tensor<1>| Tensor::cat(vec![a.clone(), b.clone()], 0);
        Self {
            config: a.config,
            first: both(&a.first, &b.first),
            second: both(&a.second, &b.second),
            steps: a.steps,
            skipped: both(&a.skipped, &b.skipped),
        }
    }

    /// The two optimisers that [`join`](Self::join) put together.
    #[cfg(feature = "gpu")]
    pub fn split(self) -> [Self; 2] {
        let half = |x: &Tensor<1>, i: usize| {
            let length = x.dims()[0] / 2;
            x.clone().narrow(0, i * length, length)
        };
        [0, 1].map(|i| Self {
            config: self.config,
            first: half(&self.first, i),
            second: half(&self.second, i),
            steps: self.steps,
            skipped: half(&self.skipped, i),
        })
    }

    /// The parameters after one step down `gradient`, both `[P]`. A gradient that is not finite changes neither the
    /// parameters nor the moments, and is counted.
    pub fn step(&mut self, theta: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        assert_eq!(theta.dims(), gradient.dims(), "one gradient entry per parameter");
        self.steps += 1;
        #[cfg(feature = "gpu")]
        if let Some(next) = self.step_launched(&theta, &gradient) {
            return next;
        }
        match self.step_fused(&theta, &gradient) {
            Some(next) => next,
            None => self.step_plain(theta, gradient),
        }
    }

    /// Step size over the first moment's bias correction, and the second moment's correction.
    fn corrections(&self) -> (f32, f32) {
        let correction = |beta: f32| 1.0 - f64::from(beta).powi(self.steps.min(i32::MAX as u64) as i32);
        let rate = f64::from(self.config.learning_rate) / correction(self.config.beta1);
        (rate as f32, correction(self.config.beta2) as f32)
    }

    #[cfg(feature = "gpu")]
    fn step_launched(&mut self, theta: &Tensor<1>, gradient: &Tensor<1>) -> Option<Tensor<1>> {
        let AdamConfig { beta1, beta2, epsilon, max_grad_norm, .. } = self.config;
        let (rate, correction) = self.corrections();
        let rates = kernel::Rates { rate, correction, beta1, beta2, epsilon, limit: max_grad_norm.unwrap_or(0.0) };
        let stepped = kernel::step([theta, gradient, &self.first, &self.second, &self.skipped], &rates)?;
        (self.first, self.second, self.skipped) = (stepped.first, stepped.second, stepped.skipped);
        Some(stepped.theta)
    }

    fn step_plain(&mut self, theta: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        let AdamConfig { beta1, beta2, epsilon, max_grad_norm, .. } = self.config;
        let (rate, correction) = self.corrections();
        let bad = all_finite(&gradient).mask().bool_not();
        let gradient = match max_grad_norm {
            Some(limit) => {
                let norm = gradient.clone().square().sum().sqrt();
                gradient * (norm + 1e-6).recip().mul_scalar(limit).clamp_max(1.0)
            }
            None => gradient,
        };
        let first = self.first.clone() * beta1 + gradient.clone() * (1.0 - beta1);
        let second = self.second.clone() * beta2 + gradient.square() * (1.0 - beta2);
        let next = theta.clone() - first.clone() * rate / ((second.clone() / correction).sqrt() + epsilon);
        let keep = bad.clone().expand(theta.dims());
        self.first = first.mask_where(keep.clone(), self.first.clone());
        self.second = second.mask_where(keep.clone(), self.second.clone());
        self.skipped = self.skipped.clone() + bad.float();
        next.mask_where(keep, theta)
    }

    fn step_fused(&mut self, theta: &Tensor<1>, gradient: &Tensor<1>) -> Option<Tensor<1>> {
        let AdamConfig { beta1, beta2, epsilon, max_grad_norm, .. } = self.config;
        let (rate, correction) = self.corrections();
        let (old, gradient) = (View::of(theta)?, View::of(gradient)?);
        let (first_view, second_view) = (View::of(&self.first)?, View::of(&self.second)?);
        let (old, gradient) = (old.values(), gradient.values());
        if !gradient.iter().all(|g| g.is_finite()) {
            self.skipped = self.skipped.clone() + 1.0;
            return Some(theta.clone());
        }
        let scale = max_grad_norm.map_or(1.0, |limit| {
            let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() as f32;
            (limit / (norm + 1e-6)).min(1.0)
        });
        let parameters = old.len();
        let (mut first, mut second) = (first_view.values().to_vec(), second_view.values().to_vec());
        let mut next = Vec::with_capacity(parameters);
        next.extend(old.iter().zip(gradient).zip(first.iter_mut().zip(second.iter_mut())).map(|((x, g), (m, v))| {
            let g = g * scale;
            *m = *m * beta1 + g * (1.0 - beta1);
            *v = *v * beta2 + g * g * (1.0 - beta2);
            x - *m * rate / ((*v / correction).sqrt() + epsilon)
        }));
        self.first = cpu::tensor(first, [parameters]);
        self.second = cpu::tensor(second, [parameters]);
        Some(cpu::tensor(next, [parameters]))
    }

    /// Everything needed to continue bit for bit.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if the device fails.
    pub fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        state.put_tensor("first", &self.first)?;
        state.put_tensor("second", &self.second)?;
        state.put_tensor("skipped", &self.skipped)?;
        state.put("steps", self.steps)?;
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry is missing or of another shape.
    pub fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        let (shape, device) = (self.first.dims(), self.first.device());
        let (first, second) = (state.tensor("first", shape, &device)?, state.tensor("second", shape, &device)?);
        let skipped = state.tensor("skipped", [1], &device)?;
        self.steps = state.get("steps")?;
        (self.first, self.second, self.skipped) = (first, second, skipped);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::noise::{NoiseKey, Stream, normals};
    use compute::read;

    fn noise(step: u64) -> Tensor<1> {
        let values = normals(NoiseKey { seed: 8, stream: Stream::Other(0), step }, 40, 1);
        Tensor::from_floats(values.as_slice(), &test_device())
    }

    #[test]
    fn the_first_step_moves_each_parameter_by_the_rate() {
        let device = test_device();
        let mut adam = Adam::new(2, AdamConfig { learning_rate: 0.1, ..Default::default() }, &device).unwrap();
        let theta = adam.step(Tensor::from_floats([1.0, 1.0], &device), Tensor::from_floats([3.0, -0.02], &device));
        for (got, expected) in read("t", theta).unwrap().iter().zip([0.9, 1.1]) {
            assert!((got - expected).abs() < 1e-6, "{got}");
        }
    }

    #[test]
    fn the_fused_step_equals_the_plain_one() {
        let device = test_device();
        for max_grad_norm in [None, Some(0.5)] {
            let config = AdamConfig { max_grad_norm, ..Default::default() };
            let (mut a, mut b) = (Adam::new(40, config, &device).unwrap(), Adam::new(40, config, &device).unwrap());
            let (mut theta_a, mut theta_b) = (noise(0), noise(0));
            for step in 1..20 {
                let gradient = noise(step) + theta_a.clone();
                theta_a = a.step(theta_a, gradient.clone());
                b.steps += 1;
                theta_b = b.step_plain(theta_b, gradient);
            }
            for (x, y) in read("a", theta_a).unwrap().iter().zip(read("b", theta_b).unwrap()) {
                assert!((x - y).abs() < 1e-6 * (1.0 + y.abs()), "{x} {y}");
            }
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let device = test_device();
        for fused in [true, false] {
            let mut adam = Adam::new(40, AdamConfig::default(), &device).unwrap();
            let theta = adam.step(noise(0), noise(1));
            let (first, second) = (read("m", adam.first.clone()).unwrap(), read("v", adam.second.clone()).unwrap());
            let bad = noise(2).slice_fill(3..4, f32::NAN);
            let next = if fused { adam.step(theta.clone(), bad) } else { adam.step_plain(theta.clone(), bad) };
            assert_eq!(read("t", next).unwrap(), read("t", theta).unwrap());
            assert_eq!(read("m", adam.first.clone()).unwrap(), first);
            assert_eq!(read("v", adam.second.clone()).unwrap(), second);
            assert_eq!(read("s", adam.skipped()).unwrap(), [1.0]);
        }
    }

    #[test]
    fn a_restored_optimiser_continues_bit_for_bit() {
        let device = test_device();
        let mut a = Adam::new(40, AdamConfig::default(), &device).unwrap();
        let theta = a.step(noise(0), noise(1));
        let mut b = Adam::new(40, AdamConfig::default(), &device).unwrap();
        b.load_state(&a.state().unwrap()).unwrap();
        let (x, y) = (a.step(theta.clone(), noise(2)), b.step(theta, noise(2)));
        assert_eq!(read("x", x).unwrap(), read("y", y).unwrap());
    }
}
