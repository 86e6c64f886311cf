use std::ops::Range;

use burn::tensor::{Device, Tensor};

use crate::statistics::FactorSample;
#[cfg(feature = "gpu")]
use crate::uploaded::Uploaded;
use crate::{KfacError, MlpSpec};

/// Where each factor lies in a flat tensor `[F]`: `A_0, G_0, A_1, G_1, ..`, each row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactorLayout {
    /// Order of each matrix: `in + 1` and `out` of each layer in turn.
    orders: Vec<usize>,
}

impl FactorLayout {
    /// The layout of a network's factors.
    pub fn new(spec: &MlpSpec) -> Self {
        let orders = (0..spec.num_layers()).flat_map(|l| <[usize; 2]>::from(spec.layer_shape(l))).collect();
        FactorLayout { orders }
    }

    /// Matrices: two a layer.
    pub fn count(&self) -> usize {
        self.orders.len()
    }

    /// Order of matrix `i`; `2 l` is layer l's `A`, `2 l + 1` its `G`.
    pub fn order(&self, i: usize) -> usize {
        self.orders[i]
    }

    /// Elements of matrix `i`.
    pub fn range(&self, i: usize) -> Range<usize> {
        let start = self.orders[..i].iter().map(|n| n * n).sum();
        start..start + self.orders[i] * self.orders[i]
    }

    /// Elements of all matrices, `F`.
    pub fn len(&self) -> usize {
        self.orders.iter().map(|n| n * n).sum()
    }

    /// Whether there is no matrix; never true for a network.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Name of matrix `i`: `a.0`, `g.0`, `a.1`, ..
    pub fn name(&self, i: usize) -> String {
        format!("{}.{}", if i.is_multiple_of(2) { "a" } else { "g" }, i / 2)
    }

    /// Matrix `i` of a flat tensor.
    pub(crate) fn matrix(&self, flat: &Tensor<1>, i: usize) -> Tensor<2> {
        let n = self.order(i);
        flat.clone().slice([self.range(i)]).reshape([n, n])
    }
}

/// Bias-corrected exponential moving average of the factors.
///
/// The correction's weight `1 - decay^t` is a tensor too, so that a masked update needs no read-back. Cloning shares
/// the tensors: a clone is a snapshot, and putting it back undoes an update bit for bit.
#[derive(Clone, Debug)]
pub struct Factors {
    layout: FactorLayout,
    decay: f32,
    /// `[F]`, not yet divided by the weight.
    average: Tensor<1>,
    /// `[1]`.
    weight: Tensor<1>,
    /// The layout as kernels read it.
    #[cfg(feature = "gpu")]
    pub(crate) places: Uploaded,
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
        Ok(Factors {
            layout,
            decay,
            average,
            weight,
            #[cfg(feature = "gpu")]
            places: Uploaded::default(),
        })
    }

    /// Takes a batch into the average.
    pub fn update(&mut self, sample: &FactorSample) {
        let (average, weight) = self.launched(None, sample).unwrap_or_else(|| self.updated(sample));
        self.average = average;
        self.weight = weight;
    }

    /// [`update`](Self::update) where `mask` `[1]` is above one half, no change elsewhere.
    ///
    /// The result is selected, never multiplied: a NaN in a refused sample does not enter. Nothing is read back.
    pub fn update_if(&mut self, mask: Tensor<1>, sample: &FactorSample) {
        if let Some((average, weight)) = self.launched(Some(&mask), sample) {
            (self.average, self.weight) = (average, weight);
            return;
        }
        let (average, weight) = self.updated(sample);
        let keep = mask.lower_equal_elem(0.5);
        self.average = average.mask_where(keep.clone().expand([self.layout.len()]), self.average.clone());
        self.weight = weight.mask_where(keep, self.weight.clone());
    }

    /// Average and weight after a sample in one launch, where there is a GPU.
    #[cfg(feature = "gpu")]
    fn launched(&self, mask: Option<&Tensor<1>>, sample: &FactorSample) -> Option<(Tensor<1>, Tensor<1>)> {
        assert_eq!(sample.flat().dims(), [self.layout.len()], "the sample is of another network");
        crate::unit_factor::update([&self.average, &self.weight, sample.flat()], mask, self.decay)
    }

    #[cfg(not(feature = "gpu"))]
    fn launched(&self, _mask: Option<&Tensor<1>>, _sample: &FactorSample) -> Option<(Tensor<1>, Tensor<1>)> {
        None
    }

    fn updated(&self, sample: &FactorSample) -> (Tensor<1>, Tensor<1>) {
        assert_eq!(sample.flat().dims(), [self.layout.len()], "the sample is of another network");
        let weight = self.weight.clone().mul_scalar(self.decay).add_scalar(1.0 - self.decay);
        #[cfg(feature = "flex")]
        if let Some(average) = crate::fused::moving_average(&self.average, sample.flat(), self.decay) {
            return (average, weight);
        }
        let new = sample.flat().clone().mul_scalar(1.0 - self.decay);
        (self.average.clone().mul_scalar(self.decay) + new, weight)
    }

    /// Where the factors lie in [`flat`](Self::flat).
    pub fn layout(&self) -> &FactorLayout {
        &self.layout
    }

    /// All factors, bias-corrected, `[F]`; zero before the first update.
    pub fn flat(&self) -> Tensor<1> {
        // Before the first update both are zero: the floor only avoids 0 / 0.
        #[cfg(feature = "gpu")]
        if let Some(flat) = crate::unit_factor::corrected(&self.average, &self.weight, f32::MIN_POSITIVE) {
            return flat;
        }
        self.average.clone() / self.weight.clone().clamp_min(f32::MIN_POSITIVE)
    }

    /// Activation factor `A_l` `[in + 1, in + 1]`, bias-corrected.
    pub fn a(&self, l: usize) -> Tensor<2> {
        self.layout.matrix(&self.flat(), 2 * l)
    }

    /// Output factor `G_l` `[out, out]`, bias-corrected.
    pub fn g(&self, l: usize) -> Tensor<2> {
        self.layout.matrix(&self.flat(), 2 * l + 1)
    }

    /// Named tensors for a checkpoint: the uncorrected averages and the weight `[1, 1]`.
    pub fn to_tensors(&self) -> Vec<(String, Tensor<2>)> {
        let matrices = (0..self.layout.count()).map(|i| (self.layout.name(i), self.layout.matrix(&self.average, i)));
        matrices.chain([(WEIGHT.to_string(), self.weight.clone().reshape([1, 1]))]).collect()
    }

    /// The factors saved by [`to_tensors`](Self::to_tensors), bit for bit.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, a decay outside [0, 1).
    pub fn from_tensors(spec: &MlpSpec, decay: f32, tensors: &[(String, Tensor<2>)]) -> Result<Self, KfacError> {
        let layout = FactorLayout::new(spec);
        let find = |name: &str, order: usize| {
            let tensor = tensors.iter().find(|(n, _)| n == name);
            let (_, tensor) = tensor.ok_or_else(|| KfacError::MissingTensor(name.to_string()))?;
            let (expected, found) = ([order, order], tensor.dims());
            if found != expected {
                return Err(KfacError::TensorShape { name: name.to_string(), expected, found });
            }
            Ok(tensor.clone().reshape([order * order]))
        };
        let weight: Tensor<1> = find(WEIGHT, 1)?;
        let mut factors = Factors::new(spec, decay, &weight.device())?;
        let matrices = (0..layout.count()).map(|i| find(&layout.name(i), layout.order(i)));
        factors.average = Tensor::cat(matrices.collect::<Result<Vec<_>, _>>()?, 0);
        factors.weight = weight;
        Ok(factors)
    }
}
