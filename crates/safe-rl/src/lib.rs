//! Building blocks of constrained policy optimisation, as burn tensors.
//!
//! The crate knows no network and no environment: it takes means, log standard deviations, gradients and flags as
//! tensors and returns tensors. Names follow the data flow of the trainer:
//!
//! ```text
//! RolloutStep -> RolloutBuilder -> Rollout -> gae -> Samples -> Gaussian::surrogate (cotangents)
//!   -> Products (q, s, kappa) -> Margin (m, w, p) -> project -> blend -> KlGuard (radius, accept | rollback)
//! ```
//!
//! # Conventions
//!
//! - `T` steps of a rollout, `B` environments, `N = T * B` samples (row `n = t * B + b`), `D` observation size,
//!   `A` action size, `P` parameters, `S` stacked objectives (reward first, cost second). Everything is float32;
//!   flags are 0 or 1.
//! - Scalars that steer a step (q, s, kappa, KL, masks) are `[1]` tensors and stay on the device. The episodic cost
//!   `J_C`, the margin and its weights are host floats, computed once per iteration.
//! - Operations on whole batches exist twice: a plain path of tensor operations, for every backend, and a fused path
//!   for the CPU backend, which reads and writes its memory directly. Unit tests hold the two equal.
//! - Random numbers are a hash of (seed, stream, step, element); there is no generator state to save.
#![warn(missing_docs)]

mod adam;
mod advantage;
mod average;
mod blend;
mod critic;
mod episode;
mod error;
mod flag;
mod gae;
mod guard_config;
mod kl;
mod lagrange;
mod margin;
mod minibatch;
mod normalizer;
mod policy;
mod projection;
mod rollback;
mod rollout;
mod surrogate;
#[cfg(feature = "gpu")]
mod unit_act;
#[cfg(feature = "gpu")]
mod unit_decide;
mod verdict;

#[cfg(test)]
use test_support::device as test_device;

pub use adam::{Adam, AdamConfig};
pub use advantage::{center, standardize};
pub use average::average_gradients;
pub use blend::{Blend, blend};
pub use critic::{explained_variance, mean_squared_error};
pub use episode::{CostEstimator, EpisodeStatistics, EpisodeTracker, FinishedEpisode};
pub use error::SafeRlError;
pub use flag::Flag;
pub use gae::{Gae, GaeConfig, GaeSignal, gae, gae_pair};
pub use guard_config::KlGuardConfig;
pub use kl::{gaussian_kl, mean_gaussian_kl};
pub use lagrange::{Lagrange, LagrangeConfig, lagrangian_advantage};
pub use margin::{Margin, MarginConfig, MarginWeights};
pub use minibatch::{Samples, gather_columns, gather_rows, minibatch_indices, permutation};
pub use normalizer::{Normalizer, NormalizerConfig};
pub use policy::{Gaussian, LOG_STD_FISHER, LOG_STD_RANGE, MAX_LOG_STD_STEP, clamp_log_std, log_std_quadratic};
pub use projection::{Products, Projection, ProjectionKind, project};
#[cfg(feature = "gpu")]
pub use rollback::Step;
pub use rollback::{GuardReport, KlGuard};
pub use rollout::{EpisodeTotals, Rollout, RolloutArrays, RolloutBuilder, RolloutStep, Values};
pub use surrogate::Surrogate;
#[cfg(feature = "gpu")]
pub use unit_act::{act_unit, observe_unit};
pub use verdict::{Verdict, all_finite, all_finite_in};
