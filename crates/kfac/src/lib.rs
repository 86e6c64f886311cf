//! Kronecker-factored curvature (K-FAC) for multilayer perceptrons, on every burn backend.
//!
//! The Fisher matrix of a network is approximated layer by layer as `A (x) G`, `A` the second moment of the layer's
//! input (with a one for the bias) and `G` that of the score with respect to its output; natural gradients then cost
//! two small products a layer instead of a linear solve. Reference: Martens and Grosse, *Optimizing Neural Networks
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
//! # Two paths
//! Every operation exists as burn tensor operations, which run on any backend, and as a fused pass for the CPU backend
//! (`flex`), chosen by the tensors' device. Tests hold them equal to rounding. The fused pass adds partial sums in an
//! order that depends on the shapes alone: the bits do not change with the number of threads.
//!
//! # Symbols
//! `N` samples, `P` parameters, `S` gradients at once, `K` Fisher seeds, `L` layers. All tensors are float32.

#![warn(missing_docs)]

pub mod benchmark;
mod damping;
mod error;
mod factor;
mod fisher;
mod forward_pass;
#[cfg(feature = "flex")]
mod fused;
mod init;
mod inverse;
mod kfac;
mod mlp;
mod plain;
mod precondition;
mod statistics;
pub mod trust_region;
#[cfg(feature = "gpu")]
mod unit_factor;
#[cfg(feature = "gpu")]
mod unit_forward;
#[cfg(feature = "gpu")]
mod unit_gradient;
#[cfg(feature = "gpu")]
mod unit_inverse;
#[cfg(feature = "gpu")]
mod unit_pass;
#[cfg(feature = "gpu")]
mod unit_precondition;
#[cfg(feature = "gpu")]
mod uploaded;

pub use damping::AdaptiveDamping;
pub use error::KfacError;
pub use factor::{FactorLayout, Factors};
pub use fisher::{FisherSeeds, exact_seeds, log_std_natural_gradient, score_seeds};
pub use forward_pass::ForwardPass;
pub use inverse::InverseSet;
pub use kfac::{Kfac, KfacConfig, KfacReport};
pub use mlp::{Activation, Mlp, MlpSpec};
pub use statistics::{FactorSample, Statistics};
#[cfg(feature = "gpu")]
pub use unit_forward::{forward_unit, network_header, unit_memory};
#[cfg(feature = "gpu")]
pub use unit_gradient::regression_gradients;
