//! Where each factor lies in one flat tensor.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use crate::mlp::spec::MlpSpec;
use compute::Uploaded;

/// Where each factor lies in a flat tensor `[F]`: `A_0, G_0, A_1, G_1, ..`, each row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactorLayout {
    /// Order of each matrix: `in + 1` and `out` of one layer after another.
    orders: Vec<usize>,
    table: Uploaded,
}

impl FactorLayout {
    /// The layout of a network's factors.
    pub fn new(spec: &MlpSpec) -> Self {
        let orders = (0..spec.num_layers()).flat_map(|l| <[usize; 2]>::from(spec.layer_shape(l))).collect();
        FactorLayout { orders, table: Uploaded::default() }
    }

    /// Matrices: two per layer.
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

    /// The layout as kernels read it, beginning and order of every matrix `[2 * 2 L]`, on `device`; copied there once for all
    /// clones.
    pub fn table(&self, device: &Device) -> Tensor<1> {
        self.table.get(device, || {
            (0..self.count()).flat_map(|i| [self.range(i).start as f32, self.order(i) as f32]).collect()
        })
    }

    /// Parameters of the network, `P`.
    pub(crate) fn num_params(&self) -> usize {
        self.orders.chunks_exact(2).map(|pair| pair[0] * pair[1]).sum()
    }

    /// Matrix `i` of a flat tensor.
    pub(crate) fn matrix(&self, flat: &Tensor<1>, i: usize) -> Tensor<2> {
        let n = self.order(i);
        flat.clone().slice([self.range(i)]).reshape([n, n])
    }
}
