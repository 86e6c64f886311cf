//! Adam (Kingma and Ba, 2015) with bias correction, for the flat parameters of several networks of one shape.

mod cpu;
mod gpu;

use burn::tensor::{Device, Tensor};
use compute::{State, first_of};

use crate::error::{SafeRlError, ensure};

/// Constants of Adam; the defaults are PyTorch's, which OmniSafe uses, apart from the rate.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct AdamConfig {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// A network's gradient is scaled down to this norm; `None` leaves it alone.
    pub max_grad_norm: Option<f64>,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, max_grad_norm: None }
    }
}

impl AdamConfig {
    /// Checks every constant's domain.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] for a rate or a norm that is not positive or a decay outside `[0, 1)`.
    pub fn validate(&self) -> Result<(), SafeRlError> {
        ensure(self.learning_rate > 0.0, "learning_rate", self.learning_rate, "must be positive")?;
        for (name, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            ensure((0.0..1.0).contains(&beta), name, beta, "must lie in [0, 1)")?;
        }
        let norm = self.max_grad_norm.unwrap_or(f64::INFINITY);
        ensure(norm > 0.0, "max_grad_norm", norm, "must be positive")
    }
}

/// Moments of the gradients of S networks with P parameters each, network after network in one flat tensor.
///
/// Does not know what it minimises: whoever raises an objective hands over the negative of its gradient.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use safe_rl::{Adam, AdamConfig};
///
/// # fn main() -> Result<(), safe_rl::SafeRlError> {
/// let device = Device::flex();
/// let mut adam = Adam::new(1, 2, AdamConfig { learning_rate: 0.1, ..Default::default() }, &device)?;
/// // The first step moves each parameter by the rate, whatever the size of its gradient.
/// let theta = adam.step(Tensor::from_floats([1.0, 1.0], &device), Tensor::from_floats([30.0, -0.2], &device));
/// let theta = compute::read("theta", theta)?;
/// assert!((theta[0] - 0.9).abs() < 1e-6 && (theta[1] - 1.1).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Adam {
    config: AdamConfig,
    /// `[S * P]`.
    first: Tensor<1>,
    /// `[S * P]`.
    second: Tensor<1>,
    /// Steps asked for, the skipped ones included: the host does not know which were skipped.
    steps: u64,
    /// Steps that each network skipped for a gradient that is not finite, `[S]`.
    skipped: Tensor<1>,
    /// What changes from one of the next steps to another, where a GPU is to read it from its memory.
    planned: Option<Planned>,
}

/// What changes from step to step, on the device.
#[derive(Debug, Clone)]
struct Planned {
    /// Step size and correction of each step, `[2 * steps]`.
    rates: Tensor<1>,
    /// Steps asked for before the first of them.
    before: u64,
}

/// One step's constants, as float32.
#[derive(Debug, Clone, Copy)]
struct Rates {
    /// Step size over the first moment's bias correction.
    rate: f32,
    /// The second moment's bias correction.
    correction: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    /// Largest norm of a network's gradient, if there is one.
    limit: Option<f32>,
}

impl Adam {
    /// An optimiser for `networks` networks of `parameters` parameters each.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] if a constant is out of its domain.
    pub fn new(networks: usize, parameters: usize, config: AdamConfig, device: &Device) -> Result<Self, SafeRlError> {
        config.validate()?;
        let zeros = Tensor::zeros([networks * parameters], device);
        let skipped = Tensor::zeros([networks], device);
        Ok(Self { config, first: zeros.clone(), second: zeros, steps: 0, skipped, planned: None })
    }

    /// Changes the step size, for a schedule.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.config.learning_rate = learning_rate;
    }

    /// Steps that each network skipped for a gradient that is not finite, `[S]`.
    pub fn skipped(&self) -> Tensor<1> {
        self.skipped.clone()
    }

    /// The parameters after one step down `gradient`, both `[S * P]`.
    ///
    /// A gradient that is not finite changes neither parameters nor moments of its own network, and is counted; the
    /// others step.
    ///
    /// # Panics
    /// If a shape differs from that of the moments.
    pub fn step(&mut self, theta: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        assert_eq!([theta.dims(), gradient.dims()], [self.first.dims(); 2], "one gradient entry per parameter");
        self.steps += 1;
        let rates = self.rates();
        first_of!(
            cpu::step(self, &rates, &theta, &gradient),
            gpu::step(self, &rates, &theta, &gradient),
            self.reference(&rates, theta, gradient)
        )
    }

    /// Step size and second correction of the next `count` steps, one after the other `[2 * count]`: what [`Adam::planned`] takes.
    pub fn rates_ahead(&self, count: usize) -> Tensor<1> {
        let ahead = (1..=count as u64).flat_map(|step| {
            let Rates { rate, correction, .. } = self.rates_of(self.steps + step);
            [rate, correction]
        });
        Tensor::from_floats(ahead.collect::<Vec<f32>>().as_slice(), &self.first.device())
    }

    /// This optimiser with other moments, whose next steps a GPU takes by `rates`, [`Adam::rates_ahead`] of as many steps or more:
    /// its launches depend on nothing but tensors, so that they can be recorded. `moments` are as [`Adam::moments`] returns them.
    pub fn planned(&self, moments: [Tensor<1>; 3], rates: Tensor<1>) -> Self {
        let [first, second, skipped] = moments;
        Self {
            config: self.config,
            first,
            second,
            steps: self.steps,
            skipped,
            planned: Some(Planned { rates, before: self.steps }),
        }
    }

    /// First moments `[S * P]`, second moments `[S * P]`, and the steps that each network skipped `[S]`.
    pub fn moments(&self) -> [Tensor<1>; 3] {
        [self.first.clone(), self.second.clone(), self.skipped.clone()]
    }

    /// Takes what another optimiser has come to in `steps` steps from where this one stands.
    pub fn take_over(&mut self, moments: [Tensor<1>; 3], steps: usize) {
        [self.first, self.second, self.skipped] = moments;
        self.steps += steps as u64;
    }

    /// The plan, and the place in it of the step that is being taken, if it has one.
    fn planned_row(&self) -> Option<(&Tensor<1>, usize)> {
        let Planned { rates, before } = self.planned.as_ref()?;
        let row = (self.steps - before - 1) as usize;
        (row < rates.dims()[0] / 2).then_some((rates, row))
    }

    fn rates(&self) -> Rates {
        self.rates_of(self.steps)
    }

    /// The constants of the step of this number, from 1.
    fn rates_of(&self, step: u64) -> Rates {
        let [beta1, beta2, epsilon] = [self.config.beta1, self.config.beta2, self.config.epsilon].map(|x| x as f32);
        let correction = |beta: f32| 1.0 - f64::from(beta).powi(step.min(i32::MAX as u64) as i32);
        let rate = f64::from(self.config.learning_rate as f32) / correction(beta1);
        let limit = self.config.max_grad_norm.map(|limit| limit as f32);
        Rates { rate: rate as f32, correction: correction(beta2) as f32, beta1, beta2, epsilon, limit }
    }

    fn reference(&mut self, rates: &Rates, theta: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        let ([networks], [all]) = (self.skipped.dims(), self.first.dims());
        let rows = |x: &Tensor<1>| x.clone().reshape([networks, all / networks]);
        let (old, first, second) = (rows(&theta), rows(&self.first), rows(&self.second));
        let gradient = rows(&gradient);
        // A network's gradient is finite where none of its entries is not: their number is counted, `[S, 1]`.
        let bad = gradient.clone().is_finite().bool_not().float().sum_dim(1).greater_scalar(0.5);
        let gradient = match rates.limit {
            Some(limit) => {
                let norm = gradient.clone().square().sum_dim(1).sqrt();
                gradient * (norm + 1e-6).recip().mul_scalar(limit).clamp_max(1.0)
            }
            None => gradient,
        };
        let next_first = first.clone() * rates.beta1 + gradient.clone() * (1.0 - rates.beta1);
        let next_second = second.clone() * rates.beta2 + gradient.square() * (1.0 - rates.beta2);
        let (corrected, scaled) = match self.planned_row() {
            Some((ahead, row)) => {
                let of = |i| ahead.clone().narrow(0, 2 * row + i, 1).unsqueeze::<2>();
                (next_second.clone() / of(1), next_first.clone() * of(0))
            }
            None => (next_second.clone() / rates.correction, next_first.clone() * rates.rate),
        };
        let next = old.clone() - scaled / (corrected.sqrt() + rates.epsilon);
        let keep = bad.clone().expand(old.dims());
        let chosen = |next: Tensor<2>, old: Tensor<2>| next.mask_where(keep.clone(), old).reshape([all]);
        self.first = chosen(next_first, first);
        self.second = chosen(next_second, second);
        self.skipped = self.skipped.clone() + bad.float().squeeze_dim(1);
        chosen(next, old)
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
        let skipped = state.tensor("skipped", self.skipped.dims(), &device)?;
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

    const NETWORKS: usize = 3;
    const PARAMETERS: usize = 40;

    fn noise(step: u64) -> Tensor<1> {
        let values = normals(NoiseKey { seed: 8, stream: Stream::Other(0), step }, NETWORKS * PARAMETERS, 1);
        Tensor::from_floats(values.as_slice(), &test_device())
    }

    fn adam(config: AdamConfig) -> Adam {
        Adam::new(NETWORKS, PARAMETERS, config, &test_device()).unwrap()
    }

    /// A step by the reference, whatever the device.
    fn step_by_reference(adam: &mut Adam, theta: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        adam.steps += 1;
        let rates = adam.rates();
        adam.reference(&rates, theta, gradient)
    }

    #[test]
    fn the_first_step_moves_each_parameter_by_the_rate() {
        let device = test_device();
        let mut adam = Adam::new(1, 2, AdamConfig { learning_rate: 0.1, ..Default::default() }, &device).unwrap();
        let theta = adam.step(Tensor::from_floats([1.0, 1.0], &device), Tensor::from_floats([3.0, -0.02], &device));
        for (got, expected) in read("t", theta).unwrap().iter().zip([0.9, 1.1]) {
            assert!((got - expected).abs() < 1e-6, "{got}");
        }
    }

    #[test]
    fn every_leaf_equals_the_reference() {
        for max_grad_norm in [None, Some(0.5)] {
            let config = AdamConfig { max_grad_norm, ..Default::default() };
            let (mut a, mut b) = (adam(config), adam(config));
            let (mut theta_a, mut theta_b) = (noise(0), noise(0));
            for step in 1..20 {
                let gradient = noise(step) + theta_a.clone();
                theta_a = a.step(theta_a, gradient.clone());
                theta_b = step_by_reference(&mut b, theta_b, gradient);
            }
            for (x, y) in read("a", theta_a).unwrap().iter().zip(read("b", theta_b).unwrap()) {
                assert!((x - y).abs() < 1e-6 * (1.0 + y.abs()), "{x} {y}");
            }
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_holds_back_its_own_network_alone() {
        for by_reference in [false, true] {
            let mut adam = adam(AdamConfig::default());
            let theta = adam.step(noise(0), noise(1));
            let mut alone = adam.clone();
            let before = [theta.clone(), adam.first.clone(), adam.second.clone()].map(|x| read("b", x).unwrap());
            let bad = noise(2).slice_fill(PARAMETERS as i32 + 3..PARAMETERS as i32 + 4, f32::NAN);
            let step = if by_reference { step_by_reference } else { Adam::step };
            let next = step(&mut adam, theta.clone(), bad);
            let after = [next, adam.first.clone(), adam.second.clone()].map(|x| read("a", x).unwrap());
            let good = step(&mut alone, theta, noise(2));
            let expected = [good, alone.first.clone(), alone.second.clone()].map(|x| read("g", x).unwrap());
            for ((before, after), expected) in before.iter().zip(&after).zip(&expected) {
                for i in 0..NETWORKS * PARAMETERS {
                    let held = i / PARAMETERS == 1;
                    assert_eq!(after[i], if held { before[i] } else { expected[i] }, "entry {i}");
                }
            }
            assert_eq!(read("s", adam.skipped()).unwrap(), [0.0, 1.0, 0.0]);
        }
    }

    #[test]
    fn planned_steps_have_the_bits_of_the_others() {
        let mut own = adam(AdamConfig::default());
        let mut theta = own.step(noise(0), noise(1));
        let mut planned = own.planned(own.moments(), own.rates_ahead(5));
        let mut other = theta.clone();
        let (mut by_reference, mut plain) = (planned.clone(), own.clone());
        let (mut third, mut fourth) = (theta.clone(), theta.clone());
        for step in 2..7 {
            theta = own.step(theta, noise(step));
            other = planned.step(other, noise(step));
            third = step_by_reference(&mut by_reference, third, noise(step));
            fourth = step_by_reference(&mut plain, fourth, noise(step));
        }
        assert_eq!(read("a", theta.clone()).unwrap(), read("b", other.clone()).unwrap());
        assert_eq!(read("c", third).unwrap(), read("d", fourth).unwrap());
        // And the steps after them, where another takes over.
        let mut heir = adam(AdamConfig::default());
        heir.steps = 1;
        heir.take_over(planned.moments(), 5);
        let (x, y) = (own.step(theta, noise(7)), heir.step(other, noise(7)));
        assert_eq!(read("x", x).unwrap(), read("y", y).unwrap());
    }

    #[test]
    fn a_restored_optimiser_continues_bit_for_bit() {
        let mut a = adam(AdamConfig::default());
        let theta = a.step(noise(0), noise(1));
        let mut b = adam(AdamConfig::default());
        b.load_state(&a.state().unwrap()).unwrap();
        let (x, y) = (a.step(theta.clone(), noise(2)), b.step(theta, noise(2)));
        assert_eq!(read("x", x).unwrap(), read("y", y).unwrap());
    }

    #[test]
    fn constants_out_of_their_domain_are_named() {
        for (config, expected) in [
            (AdamConfig { learning_rate: f64::NAN, ..Default::default() }, "learning_rate"),
            (AdamConfig { beta2: 1.0, ..Default::default() }, "beta2"),
            (AdamConfig { max_grad_norm: Some(0.0), ..Default::default() }, "max_grad_norm"),
        ] {
            let error = config.validate();
            assert!(matches!(error, Err(SafeRlError::InvalidConfig { name, .. }) if name == expected), "{error:?}");
        }
    }
}
