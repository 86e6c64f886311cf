//! Running observation statistics: `clip((o - mean) / max(std, floor), +-clip)`.
//!
//! Statistics are frozen until [`Normalizer::commit`]: a rollout records its moments on the way, and the trainer merges
//! them once per rollout, so that the update and the evaluation see the same function as the rollout.

mod cpu;
pub(crate) mod gpu;

use std::convert::Infallible;

use burn::tensor::{Device, Tensor};
use compute::{State, first_of};

use crate::error::{SafeRlError, ensure};

/// Constants of the normaliser; the defaults are OmniSafe's.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct NormalizerConfig {
    /// Results are clipped to `[-clip, clip]`.
    pub clip: f64,
    /// Smallest divisor: a constant observation must not be blown up.
    pub std_floor: f64,
}

impl Default for NormalizerConfig {
    fn default() -> Self {
        Self { clip: 5.0, std_floor: 0.01 }
    }
}

impl NormalizerConfig {
    /// Checks that both are positive.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] otherwise.
    pub fn validate(&self) -> Result<(), SafeRlError> {
        ensure(self.clip > 0.0, "clip", self.clip, "must be positive")?;
        ensure(self.std_floor > 0.0, "std_floor", self.std_floor, "must be positive")
    }

    /// `clip` and `std_floor` as float32.
    fn bounds(&self) -> (f32, f32) {
        (self.clip as f32, self.std_floor as f32)
    }
}

/// Running mean and variance of observations.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use safe_rl::{Normalizer, NormalizerConfig};
///
/// # fn main() -> Result<(), safe_rl::SafeRlError> {
/// let device = Device::flex();
/// let mut normalizer = Normalizer::new(1, NormalizerConfig::default(), &device)?;
/// let obs = Tensor::<2>::from_floats([[1.0], [3.0]], &device);
/// // Nothing is known yet: observations pass through, and are recorded.
/// assert_eq!(compute::read("obs", normalizer.observe(obs.clone()))?, [1.0, 3.0]);
/// normalizer.commit();
/// assert_eq!(compute::read("obs", normalizer.apply(obs))?, [-1.0, 1.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Normalizer {
    config: NormalizerConfig,
    /// `[D]`.
    mean: Tensor<1>,
    /// Population variance, `[D]`.
    variance: Tensor<1>,
    /// `max(sqrt(variance), floor)`, `[D]`; one until anything was committed.
    divisor: Tensor<1>,
    /// Observations merged so far; float64 so that it stays exact and saves exactly.
    count: f64,
    pending: Pending,
}

/// Moments recorded since the last commit, about a fixed shift: far from zero, plain sums of squares would cancel.
#[derive(Debug, Clone)]
struct Pending {
    /// `[D]`.
    shift: Tensor<1>,
    /// Sum of `o - shift`, `[D]`.
    sum: Tensor<1>,
    /// Sum of `(o - shift)^2`, `[D]`.
    squares: Tensor<1>,
    count: f64,
    /// Whether the shift is one that moments can be taken about: that of a fresh normaliser is not.
    begun: bool,
}

impl Pending {
    fn empty(shift: Tensor<1>) -> Self {
        let zero = shift.zeros_like();
        Self { shift, sum: zero.clone(), squares: zero, count: 0.0, begun: true }
    }
}

impl Normalizer {
    /// A normaliser that passes observations through (clipped) until its first commit.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] if `clip` or `std_floor` is not positive.
    pub fn new(obs_dim: usize, config: NormalizerConfig, device: &Device) -> Result<Self, SafeRlError> {
        config.validate()?;
        let mean = Tensor::zeros([obs_dim], device);
        let ones = Tensor::ones([obs_dim], device);
        Ok(Self {
            config,
            variance: ones.clone(),
            divisor: ones,
            count: 0.0,
            pending: Pending { begun: false, ..Pending::empty(mean.clone()) },
            mean,
        })
    }

    /// A normaliser of known statistics `[D]`, for a trained policy: only [`apply`](Self::apply) makes sense of it.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] if `clip` or `std_floor` is not positive.
    pub fn frozen(mean: Tensor<1>, std: Tensor<1>, config: NormalizerConfig) -> Result<Self, SafeRlError> {
        let blank = Self::new(mean.dims()[0], config, &mean.device())?;
        let divisor = std.clone().clamp_min(config.bounds().1);
        Ok(Self { mean, variance: std.square(), divisor, ..blank })
    }

    /// The same statistics as though `count` observations had been merged into them, so that further ones can be.
    #[must_use]
    pub fn counting(self, count: f64) -> Self {
        let pending = Pending::empty(self.mean.clone());
        Self { count, pending, ..self }
    }

    /// Constants in use.
    pub fn config(&self) -> NormalizerConfig {
        self.config
    }

    /// Mean `[D]`.
    pub fn mean(&self) -> Tensor<1> {
        self.mean.clone()
    }

    /// Standard deviation `[D]`, without the floor (one until the first commit).
    pub fn std(&self) -> Tensor<1> {
        self.variance.clone().sqrt()
    }

    /// What is subtracted from observations, and what they are divided by then, each `[D]`.
    pub fn scale(&self) -> [Tensor<1>; 2] {
        [self.mean.clone(), self.divisor.clone()]
    }

    /// Observations merged so far.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// Normalises `obs` `[n, D]` with the frozen statistics.
    pub fn apply(&self, obs: Tensor<2>) -> Tensor<2> {
        first_of!(cpu::apply(self, &obs), self.apply_by_tensors(obs))
    }

    /// Normalises raw observations `[n, D]` and records their moments for the next [`commit`](Self::commit), in one pass.
    pub fn observe(&mut self, obs: Tensor<2>) -> Tensor<2> {
        let [rows, _] = obs.dims();
        self.begin(&obs);
        self.pending.count += rows as f64;
        first_of!(cpu::observe(self, &obs), self.observe_by_tensors(obs))
    }

    fn observe_by_tensors(&mut self, obs: Tensor<2>) -> Tensor<2> {
        let deviation = obs.clone() - self.pending.shift.clone().unsqueeze();
        self.pending.sum = self.pending.sum.clone() + deviation.clone().sum_dim(0).squeeze_dim(0);
        self.pending.squares = self.pending.squares.clone() + deviation.square().sum_dim(0).squeeze_dim(0);
        self.apply_by_tensors(obs)
    }

    /// Prepares for recording, raw observations `[n, D]` being the first ones: before anything is known their mean is what
    /// moments are taken about.
    pub fn begin(&mut self, obs: &Tensor<2>) {
        let Ok(()) = self.begin_by(obs, Ok::<_, Infallible>);
    }

    /// [`begin`](Self::begin) where `obs` is a part of all first observations: `mean` makes of the mean `[D]` over this part that
    /// over all.
    ///
    /// # Errors
    /// Those of `mean`.
    pub fn begin_by<E>(
        &mut self,
        obs: &Tensor<2>,
        mean: impl FnOnce(Tensor<1>) -> Result<Tensor<1>, E>,
    ) -> Result<(), E> {
        if self.count == 0.0 && !self.pending.begun {
            self.pending = Pending::empty(mean(obs.clone().mean_dim(0).squeeze_dim(0))?);
        }
        Ok(())
    }

    /// Puts the moments recorded here together with those of `parts - 1` others of as many observations, which took theirs about
    /// the same shift: `sum` makes of this part's sums `[2 D]` those of all.
    ///
    /// # Errors
    /// Those of `sum`.
    pub fn pool<E>(&mut self, parts: usize, sum: impl FnOnce(Tensor<1>) -> Result<Tensor<1>, E>) -> Result<(), E> {
        let [size] = self.mean.dims();
        let moments = sum(Tensor::cat(vec![self.pending.sum.clone(), self.pending.squares.clone()], 0))?;
        self.pending.sum = moments.clone().narrow(0, 0, size);
        self.pending.squares = moments.narrow(0, size, size);
        self.pending.count *= parts as f64;
        Ok(())
    }

    /// Records `count` observations by the sums of their deviations from the shift and of the deviations' squares, both
    /// `[D]`: what [`observe`](Self::observe) does, for kernels that scale observations themselves.
    pub fn record(&mut self, sum: Tensor<1>, squares: Tensor<1>, count: usize) {
        self.pending.sum = self.pending.sum.clone() + sum;
        self.pending.squares = self.pending.squares.clone() + squares;
        self.pending.count += count as f64;
    }

    /// The frozen mean, what observations are divided by and what moments are taken about, each `[D]`: what units of a GPU
    /// need to do [`observe`](Self::observe).
    pub fn unit_parts(&self) -> [Tensor<1>; 3] {
        [self.mean.clone(), self.divisor.clone(), self.pending.shift.clone()]
    }

    /// Merges the recorded moments into the statistics (Chan, Golub and LeVeque, 1979). Without any, nothing changes.
    pub fn commit(&mut self) {
        let n = self.pending.count;
        if n == 0.0 {
            return;
        }
        let offset = self.pending.sum.clone() / n as f32;
        let batch_mean = self.pending.shift.clone() + offset.clone();
        let batch_variance = (self.pending.squares.clone() / n as f32 - offset.square()).clamp_min(0.0);
        let fraction = (n / (self.count + n)) as f32;
        if self.count == 0.0 {
            self.mean = batch_mean;
            self.variance = batch_variance;
        } else {
            let delta = batch_mean - self.mean.clone();
            self.mean = self.mean.clone() + delta.clone() * fraction;
            self.variance = self.variance.clone() * (1.0 - fraction)
                + batch_variance * fraction
                + delta.square() * (fraction * (1.0 - fraction));
        }
        self.count += n;
        self.divisor = self.variance.clone().sqrt().clamp_min(self.config.bounds().1);
        self.pending = Pending::empty(self.mean.clone());
    }

    /// Everything needed to continue bit for bit.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if the device fails.
    pub fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        state.put_tensor("mean", &self.mean)?;
        state.put_tensor("variance", &self.variance)?;
        state.put_tensor("pending_shift", &self.pending.shift)?;
        state.put_tensor("pending_sum", &self.pending.sum)?;
        state.put_tensor("pending_squares", &self.pending.squares)?;
        state.put_f64("count", self.count)?;
        state.put_f64("pending_count", self.pending.count)?;
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// [`SafeRlError::Compute`] if an entry is missing or of another shape.
    pub fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        let shape = self.mean.dims();
        let device = self.mean.device();
        let get = |name| state.tensor(name, shape, &device);
        let (mean, variance) = (get("mean")?, get("variance")?);
        let pending_count = state.get_f64("pending_count")?;
        self.count = state.get_f64("count")?;
        let pending = Pending {
            shift: get("pending_shift")?,
            sum: get("pending_sum")?,
            squares: get("pending_squares")?,
            count: pending_count,
            begun: self.count > 0.0 || pending_count > 0.0,
        };
        self.mean = mean;
        self.divisor = if self.count == 0.0 {
            variance.ones_like()
        } else {
            variance.clone().sqrt().clamp_min(self.config.bounds().1)
        };
        self.variance = variance;
        self.pending = pending;
        Ok(())
    }

    pub(crate) fn apply_by_tensors(&self, obs: Tensor<2>) -> Tensor<2> {
        let scaled = (obs - self.mean.clone().unsqueeze()) / self.divisor.clone().unsqueeze();
        let (clip, _) = self.config.bounds();
        scaled.clamp(-clip, clip)
    }
}

#[cfg(test)]
mod tests;
