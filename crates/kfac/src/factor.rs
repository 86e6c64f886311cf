//! The Kronecker factors: those of one batch, and their moving average.

mod cpu;
mod gpu;
pub(crate) mod layout;

use burn::tensor::{Device, Tensor};
use compute::{HostTensor, State, first_of, read};

use self::layout::FactorLayout;
use crate::error::KfacError;
use crate::mlp::spec::MlpSpec;

/// The Kronecker factors of one batch, flat (see [`crate::FactorLayout`]); they enter the average by
/// [`crate::Factors::update`].
#[derive(Clone, Debug)]
pub struct FactorSample {
    flat: Tensor<1>,
}

impl FactorSample {
    pub(crate) fn new(flat: Tensor<1>) -> Self {
        FactorSample { flat }
    }

    /// All factors as one tensor `[F]`.
    pub fn flat(&self) -> &Tensor<1> {
        &self.flat
    }

    /// The factors `flat` `[F]` in the place of these: those of a larger batch that this one is a part of, say.
    ///
    /// # Panics
    /// If their number differs.
    #[must_use]
    pub fn with_flat(&self, flat: Tensor<1>) -> Self {
        assert_eq!(flat.dims(), self.flat.dims(), "factors of the same network");
        FactorSample { flat }
    }
}

/// Bias-corrected exponential moving average of the factors.
///
/// The correction's weight `1 - decay^t` is a tensor too, so that a masked update needs no read-back. Cloning shares
/// the tensors: a clone is a snapshot, and putting it back undoes an update bit for bit.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kfac::{Activation, Factors, FisherSeeds, Mlp, MlpSpec};
///
/// # fn main() -> Result<(), kfac::KfacError> {
/// let device = Device::flex();
/// let spec = MlpSpec::new([3, 8, 2], Activation::Tanh)?;
/// let network = Mlp::init(spec.clone(), 0, 1.0, &device);
/// let mut factors = Factors::new(&spec, 0.95, &device)?;
/// let seeds = FisherSeeds::Constant(Tensor::eye(2, &device)); // least squares
/// let statistics = network.statistics(Tensor::ones([50, 3], &device), Tensor::ones([1, 50, 2], &device), seeds);
/// factors.update(&statistics.factors);
/// let inverses = factors.inverse(0.1)?;
/// let natural = inverses.natural_gradients(statistics.gradients); // [1, P]
/// # assert_eq!(natural.dims(), [1, spec.num_params()]);
/// let mut resumed = Factors::new(&spec, 0.95, &device)?;
/// resumed.load_state(&factors.state()?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Factors {
    layout: FactorLayout,
    decay: f32,
    /// `[F]`, not yet divided by the weight.
    average: Tensor<1>,
    /// `[1]`.
    weight: Tensor<1>,
}

/// The average `[F]` and its weight `[1]` before an update.
#[derive(Clone, Copy)]
struct Average<'a> {
    average: &'a Tensor<1>,
    weight: &'a Tensor<1>,
}

/// Name of the weight in a checkpoint.
const WEIGHT: &str = "weight";

impl Factors {
    /// No observation yet. The usual `decay` is 0.95.
    ///
    /// # Errors
    /// A decay outside [0, 1).
    pub fn new(spec: &MlpSpec, decay: f32, device: &Device) -> Result<Self, KfacError> {
        if !(0.0..1.0).contains(&decay) {
            return Err(KfacError::Decay(decay));
        }
        let layout = FactorLayout::new(spec);
        let average = Tensor::zeros([layout.len()], device);
        let weight = Tensor::zeros([1], device);
        Ok(Factors { layout, decay, average, weight })
    }

    /// Takes a batch into the average.
    ///
    /// # Panics
    /// If the sample is of another network.
    pub fn update(&mut self, sample: &FactorSample) {
        self.take(sample, None);
    }

    /// [`update`](Self::update) where `mask` `[1]` is above one half, no change elsewhere.
    ///
    /// The result is selected, never multiplied: a NaN in a refused sample does not enter. Nothing is read back.
    ///
    /// # Panics
    /// If the sample is of another network.
    pub fn update_if(&mut self, mask: Tensor<1>, sample: &FactorSample) {
        self.take(sample, Some(&mask));
    }

    fn take(&mut self, sample: &FactorSample, mask: Option<&Tensor<1>>) {
        assert_eq!(sample.flat().dims(), [self.layout.len()], "the sample is of another network");
        let old = Average { average: &self.average, weight: &self.weight };
        (self.average, self.weight) = first_of!(
            cpu::update(old, sample.flat(), mask, self.decay),
            gpu::update(old, sample.flat(), mask, self.decay),
            update(old, sample.flat(), mask, self.decay),
        );
    }

    /// Where the factors lie in [`flat`](Self::flat).
    pub fn layout(&self) -> &FactorLayout {
        &self.layout
    }

    /// All factors, bias-corrected, `[F]`; zero before the first update.
    pub fn flat(&self) -> Tensor<1> {
        // Before the first update both are zero: the floor only avoids 0 / 0.
        let least = f32::MIN_POSITIVE;
        first_of!(
            gpu::corrected(&self.average, &self.weight, least),
            self.average.clone() / self.weight.clone().clamp_min(least),
        )
    }

    /// Activation factor `A_l` `[in + 1, in + 1]`, bias-corrected.
    pub fn a(&self, l: usize) -> Tensor<2> {
        self.layout.matrix(&self.flat(), 2 * l)
    }

    /// Output factor `G_l` `[out, out]`, bias-corrected.
    pub fn g(&self, l: usize) -> Tensor<2> {
        self.layout.matrix(&self.flat(), 2 * l + 1)
    }

    /// What a checkpoint needs: the uncorrected averages by [`FactorLayout::name`], and the weight `[1, 1]`.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn state(&self) -> Result<State, KfacError> {
        let average = read("the factors", self.average.clone())?;
        let mut state = State::new();
        for i in 0..self.layout.count() {
            let order = self.layout.order(i);
            let values = average[self.layout.range(i)].to_vec();
            state.put_host(&self.layout.name(i), HostTensor::new([order, order], values)?)?;
        }
        state.put_tensor(WEIGHT, &self.weight.clone().reshape([1, 1]))?;
        Ok(state)
    }

    /// Continues from a [`state`](Self::state), bit for bit.
    ///
    /// # Errors
    /// A missing entry, or one of another network.
    pub fn load_state(&mut self, state: &State) -> Result<(), KfacError> {
        let device = self.weight.device();
        let matrices = (0..self.layout.count()).map(|i| {
            let order = self.layout.order(i);
            let matrix = state.tensor(&self.layout.name(i), [order, order], &device)?;
            Ok(matrix.reshape([order * order]))
        });
        let average = Tensor::cat(matrices.collect::<Result<Vec<_>, KfacError>>()?, 0);
        self.weight = state.tensor(WEIGHT, [1, 1], &device)?.reshape([1]);
        self.average = average;
        Ok(())
    }
}

/// Average `[F]` and weight `[1]` after a sample `[F]`, if `mask` `[1]` is above one half or absent.
fn update(old: Average<'_>, sample: &Tensor<1>, mask: Option<&Tensor<1>>, decay: f32) -> (Tensor<1>, Tensor<1>) {
    let new = sample.clone().mul_scalar(1.0 - decay);
    let average = old.average.clone().mul_scalar(decay) + new;
    let weight = old.weight.clone().mul_scalar(decay).add_scalar(1.0 - decay);
    let Some(mask) = mask else { return (average, weight) };
    let taken = mask.clone().greater_elem(0.5);
    let length = average.dims();
    let average = old.average.clone().mask_where(taken.clone().expand(length), average);
    (average, old.weight.clone().mask_where(taken, weight))
}
