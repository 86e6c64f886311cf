//! Sizes and activation of a network, and where each layer lies in its parameters.

use std::ops::Range;

use crate::error::KfacError;
use burn::tensor::{Device, Tensor};
use compute::Uploaded;

/// The hidden layers' activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Activation {
    /// Hyperbolic tangent.
    #[default]
    Tanh,
    /// Rectified linear unit; its slope at zero is taken as zero.
    Relu,
}

impl Activation {
    /// The name as it stands in files: `tanh`, `relu`.
    pub fn name(self) -> &'static str {
        match self {
            Activation::Tanh => "tanh",
            Activation::Relu => "relu",
        }
    }
}

/// Sizes and activation of a multilayer perceptron with a linear last layer.
///
/// ```
/// use kfac::{Activation, MlpSpec};
///
/// # fn main() -> Result<(), kfac::KfacError> {
/// let spec = MlpSpec::new([4, 16, 2], Activation::Tanh)?;
/// assert_eq!(spec.layer_shape(1), (17, 2)); // the last row is the bias
/// assert_eq!(spec.layer_range(1), 80..114);
/// assert_eq!(spec.num_params(), 114);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlpSpec {
    sizes: Vec<usize>,
    activation: Activation,
    header: Uploaded,
}

impl MlpSpec {
    /// `sizes` = `[in, hidden.., out]`.
    ///
    /// # Errors
    /// Fewer than two sizes, or a size of zero.
    pub fn new(sizes: impl Into<Vec<usize>>, activation: Activation) -> Result<Self, KfacError> {
        let sizes = sizes.into();
        if sizes.len() < 2 {
            return Err(KfacError::TooFewSizes(sizes));
        }
        if sizes.contains(&0) {
            return Err(KfacError::ZeroSize(sizes));
        }
        Ok(MlpSpec { sizes, activation, header: Uploaded::default() })
    }

    /// `[in, hidden.., out]`.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The hidden layers' activation.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Size of the input.
    pub fn input_size(&self) -> usize {
        self.sizes[0]
    }

    /// Size of the output.
    pub fn output_size(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }

    /// Linear layers, `L`.
    pub fn num_layers(&self) -> usize {
        self.sizes.len() - 1
    }

    /// Rows and columns of layer `l` in theta: `(in + 1, out)`, the last row is the bias.
    ///
    /// # Panics
    /// If there is no layer `l`.
    pub fn layer_shape(&self, l: usize) -> (usize, usize) {
        (self.sizes[l] + 1, self.sizes[l + 1])
    }

    /// Where layer `l` lies in theta.
    ///
    /// # Panics
    /// If there is no layer `l`.
    pub fn layer_range(&self, l: usize) -> Range<usize> {
        let len = |l| {
            let (rows, columns) = self.layer_shape(l);
            rows * columns
        };
        let start = (0..l).map(len).sum();
        start..start + len(l)
    }

    /// Parameters of the network, `P`.
    pub fn num_params(&self) -> usize {
        self.layer_range(self.num_layers() - 1).end
    }

    /// Inputs, hidden activations and outputs together, `M`: the numbers a sample's passes are made of.
    pub fn num_nodes(&self) -> usize {
        self.sizes.iter().sum()
    }

    /// The shape as kernels read it, `[layers, relu, sizes..]`, on `device`; copied there once for all clones.
    pub fn header(&self, device: &Device) -> Tensor<1> {
        self.header.get(device, || {
            let relu = f32::from(u8::from(self.activation == Activation::Relu));
            let head = [self.num_layers() as f32, relu];
            head.into_iter().chain(self.sizes.iter().map(|&size| size as f32)).collect()
        })
    }
}
