//! Safety-Gymnasium's navigation tasks, thousands of environments per call, on the device.
//!
//! An environment is an agent in a level of a task ([`NavigationSpec`]; [`find`] knows those of the suite). [`Navigation`]
//! steps many of them at once. The step of one environment is a plain function over slices (`step.rs`), written once and
//! run by a rayon loop on the CPU and by kernels on a GPU.
//!
//! Whoever trains asks for a [`VecEnv`], which [`Navigation`] is; an environment of one's own is an [`Env`] on slices, and
//! [`Batched`] makes a [`VecEnv`] of it.
//!
//! Numbers are SI, angles radians, frames world unless a name says otherwise.

#![warn(missing_docs)]
// Scalar bodies are also compiled for GPUs: that subset of Rust has no clamp, no slice copies and no let chains.
// Nor deferred initialisation: a variable that both branches set begins with a value nobody reads.
#![allow(clippy::manual_clamp, clippy::manual_memcpy, clippy::collapsible_if, unused_assignments)]

// First: its macros are known to all modules behind it.
#[macro_use]
pub mod parts;

mod agent;
mod batch;
mod batched;
mod contact;
mod env;
mod error;
mod host_step;
mod kinds;
mod lanes;
mod layout;
mod level;
mod lidar;
mod math;
mod navigation;
mod object;
mod params;
mod purpose;
mod register;
mod registry;
mod replay;
mod rng;
pub mod rollout;
mod scene;
mod sensors;
mod spec;
mod state;
mod step;
mod task;
mod vec_env;

pub use agent::AgentKind;
pub use batched::Batched;
pub use env::{Env, Outcome};
pub use error::EnvError;
pub use host_step::StepRows;
pub use level::{CostKind, CostRule, CostSum, Layout, Level, PlacedLayout, Pose};
pub use navigation::Navigation;
pub use object::{ObjectGroup, ObjectKind};
pub use purpose::Purpose;
pub use registry::{find, registry};
pub use replay::{ErrorSpread, ParityReport, Recording, SplitErrors, replay};
pub use scene::{Scene, SceneObject};
pub use spec::{EnvSpec, NavigationSpec};
pub use task::TaskKind;
pub use vec_env::{StepBatch, VecEnv};
