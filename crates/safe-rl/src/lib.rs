//! Building blocks of constrained policy optimisation, as burn tensors.
//!
//! The crate knows no network and no environment: it takes means, log standard deviations, gradients and flags as
//! tensors and returns tensors. Names follow the data flow of the trainer:
//!
//! ```text
//! RolloutStep -> RolloutBuilder -> Rollout -> gae -> Samples -> Gaussian::surrogate (cotangents)
//!   -> Products (Gram matrix) -> Margin (m, w, p) -> blend -> trust_region_step -> KlGuard (accept | reject)
//! ```
//!
//! # Conventions
//!
//! - `T` steps of a rollout, `B` environments, `N = T * B` samples (row `n = t * B + b`), `D` observation size,
//!   `A` action size, `P` network parameters, `C` constraints, `S = 1 + C` objectives: the reward first, then the costs
//!   in the order of their constraints. Everything is float32; flags are the numbers 0 and 1.
//! - Scalars that steer a step (inner products, KL, flags) are `[1]` tensors and stay on the device. Episodic costs `J_C`,
//!   margins and their weights are host floats, computed once per iteration.
//! - Every operation is one folder: the reference in tensor operations, for every backend, a CPU leaf on the memory itself,
//!   and a GPU leaf of kernels ([`compute::first_of!`]). Unit tests hold them equal.
//! - Random numbers are a hash of (seed, stream, step, element); there is no generator state to save.
//! - Configurations carry serde behind the feature `serde`, under the names that stand in configuration files.
#![warn(missing_docs)]

mod adam;
mod advantage;
mod blend;
mod conjugate_gradient;
mod cost_average;
mod decision;
mod elementwise;
mod episode;
mod error;
mod explained_variance;
mod gae;
mod kl;
mod kl_guard;
mod margin;
mod minibatch;
mod multiplier;
mod normalizer;
mod policy;
mod price_bound;
mod products;
mod projection;
mod rollout;
mod surrogate;
mod trust_region_step;

#[cfg(test)]
use test_support::device as test_device;

pub use adam::{Adam, AdamConfig};
pub use advantage::{center, center_by, standardize, standardize_by, standardize_with_scale};
pub use blend::{Blend, blend};
pub use conjugate_gradient::conjugate_gradient;
pub use cost_average::CostAverage;
pub use decision::{Decision, Flag, all_finite, all_finite_in};
pub use elementwise::running_average;
pub use episode::{EpisodeStatistics, EpisodeTracker, FinishedEpisode, RECENT_EPISODES};
pub use error::SafeRlError;
pub use explained_variance::explained_variance;
pub use gae::{Gae, GaeConfig, gae};
pub use kl::{gaussian_kl, mean_gaussian_kl};
pub use kl_guard::{GuardReport, KlGuard, KlGuardConfig};
pub use margin::{Margin, MarginConfig, MarginWeights};
pub use minibatch::{
    Samples, gather_columns, gather_rows, minibatch_indices, minibatches, minibatches_of_a_part, permutation,
    permutation_index,
};
pub use multiplier::{
    AdamMultiplier, AdamMultiplierConfig, FixedMultiplier, Multiplier, PidMultiplier, PidMultiplierConfig,
    lagrangian_advantage,
};
#[cfg(feature = "gpu")]
pub use normalizer::gpu::observe_unit;
pub use normalizer::{Normalizer, NormalizerConfig};
#[cfg(feature = "gpu")]
pub use policy::gpu::act_unit;
pub use policy::{Gaussian, LOG_STD_FISHER, LOG_STD_RANGE, MAX_LOG_STD_STEP, clamp_log_std};
pub use price_bound::{Cost, PriceBound, PriceBoundConfig, Prices};
pub use products::Products;
pub use projection::{Projection, ProjectionKind, project};
pub use rollout::{EpisodeTotals, Rollout, RolloutArrays, RolloutBuilder, RolloutStep, StepScalars, Values};
pub use surrogate::Surrogate;
pub use trust_region_step::{TrustRegionStep, trust_region_step, trust_region_step_by};
