//! Kronecker-factored curvature (K-FAC) for multilayer perceptrons, on every burn backend.
//!
//! The Fisher matrix of a network is approximated layer by layer as `A (x) G`, `A` the second moment of the layer's
//! input (with a one for the bias) and `G` that of the score with respect to its output; natural gradients then cost
//! two small products per layer instead of a linear solve. Reference: Martens and Grosse, *Optimizing Neural Networks
//! with Kronecker-factored Approximate Curvature*, ICML 2015 (arXiv 1503.05671).
//!
//! # The pieces, in the order an update uses them
//! 1. [`Mlp`]: parameters as one flat tensor; [`Mlp::forward_pass`] gives the outputs and keeps what follows needs.
//! 2. [`ForwardPass::statistics`]: several gradients and the factors of one batch in one pass ([`FisherSeeds`] say which Fisher).
//! 3. [`Factors`]: the bias-corrected moving average; [`Factors::inverse`] damps and inverts it into an [`InverseSet`].
//! 4. [`InverseSet::natural_gradients`]: several gradients against one set of inverses.
//! 5. [`trust_region`]: the exact quadratic form of a step and the longest step within a radius.
//!
//! [`Kfac`] puts them together for least-squares regression.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use kfac::{Activation, Factors, Mlp, MlpSpec, exact_seeds, trust_region};
//!
//! # fn main() -> Result<(), kfac::KfacError> {
//! let device = Device::flex();
//! let spec = MlpSpec::new([4, 16, 2], Activation::Tanh)?;
//! let policy = Mlp::init(spec.clone(), 0, 0.01, &device);
//! let mut factors = Factors::new(&spec, 0.95, &device)?;
//! let log_std = Tensor::<1>::zeros([2], &device);
//! let observations = Tensor::<2>::ones([32, 4], &device);
//! let cotangents = Tensor::<3>::ones([1, 32, 2], &device) / 32.0; // d(mean output)/d(outputs)
//!
//! let pass = policy.forward_pass(observations);
//! let statistics = pass.statistics(cotangents, exact_seeds(log_std));
//! factors.update(&statistics.factors);
//! let natural = factors.inverse(0.1)?.natural_gradients(statistics.gradients);
//! let direction = natural.reshape([spec.num_params()]);
//! let quadratic = trust_region::gaussian_quadratic(pass.jvp(direction.clone()), Tensor::ones([2], &device));
//! let radius = Tensor::full([1], 0.1, &device);
//! let step = trust_region::step_length(quadratic, radius, 10.0);
//! let moved = policy.with_theta(policy.theta().clone() + direction * step);
//! # assert_eq!(moved.theta().dims(), policy.theta().dims());
//! # Ok(())
//! # }
//! ```
//!
//! # Three paths
//! An operation is a reference in burn tensor operations, which run on any backend and through autodiff, and two leaves: one
//! for the memory of the CPU backend (`cpu.rs`), one that launches kernels on a GPU (`gpu.rs`). The tensors' device picks the
//! first leaf that applies; tests hold them equal to rounding. The CPU leaf adds partial sums in an order that depends on the
//! shapes alone: the bits do not change with the number of threads.
//!
//! # What it does not do
//! Convolutions, weight sharing, other than fully connected layers, activations beside tanh and relu, heads whose variance
//! depends on the state. Automatic differentiation goes through the reference only.
//!
//! # Symbols
//! `N` samples, `P` parameters, `S` gradients (or networks) at once, `K` Fisher seeds, `L` layers, `A` entries of `log sigma`,
//! `F` elements of all factors. All tensors are float32.

#![warn(missing_docs)]

pub mod benchmark;
mod damping;
mod error;
mod factor;
mod fisher;
pub mod gpu;
mod inverse;
mod kfac;
mod mlp;
mod precondition;
mod simd;
pub mod trust_region;

pub use error::KfacError;
pub use factor::layout::FactorLayout;
pub use factor::{FactorSample, Factors};
pub use fisher::{FisherKind, FisherSeeds, LOG_STD_FISHER, exact_seeds, score_seeds};
pub use inverse::InverseSet;
pub use kfac::{Kfac, KfacConfig, KfacReport};
pub use mlp::forward_pass::{ForwardPass, Statistics};
pub use mlp::spec::{Activation, MlpSpec};
pub use mlp::{InitialWeights, Mlp, regression_gradients};
pub use simd::vector_lanes;
