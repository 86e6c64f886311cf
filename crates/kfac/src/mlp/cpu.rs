//! The network on the CPU backend (`flex`): the same mathematics as [`super::reference`], one pass over the batch, chunk by
//! chunk in cache, all seeds together.
//!
//! A call takes this path when all its tensors are plain float32 tensors on `flex`. Partial sums are added in an order that
//! depends on the shapes alone: the bits do not change with the number of threads.

pub(crate) mod activation;
mod chunk;
mod collect;
pub(super) mod hidden;
pub(super) mod input;
mod layout;
pub(super) mod network;
pub(super) mod plan;
mod seeds;
pub(super) mod sums;
mod weights;

use burn::tensor::Tensor;
use compute::cpu::{View, tensor};

use self::network::Network;
use super::Mlp;

/// Outputs `[N, out]`, or `None` where the tensors are of another kind.
pub(super) fn forward(mlp: &Mlp, x: &Tensor<2>) -> Option<Tensor<2>> {
    let (theta, view) = (View::of(mlp.theta())?, View::of(x)?);
    let rows = x.dims()[0];
    let outputs = Network::new(mlp.spec(), theta.values(), false).forward(view.values(), rows);
    Some(tensor(outputs, [rows, mlp.spec().output_size()]))
}
