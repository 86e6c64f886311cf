use burn::tensor::Tensor;

/// What [`crate::Mlp::statistics`] takes from a batch.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// `[S, P]`, sums over the samples.
    pub gradients: Tensor<2>,
    /// The factors of this batch.
    pub factors: FactorSample,
}

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
}
