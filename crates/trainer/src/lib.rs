//! Training of safe policies: the algorithms composed from `kfac` and `safe-rl`, the loop, and the command line.
//!
//! [`runner::Runner`] is the loop; [`algorithm`] holds KFCPO and its rivals; [`config::TrainConfig`] is every setting.
//! The binary is [`cli`] over [`command`]; other programs can train through [`runner::Runner`] alone.

pub mod actor;
pub mod algorithm;
pub mod atomic_file;
pub mod checkpoint;
pub mod cli;
pub mod command;
pub mod config;
pub mod container;
pub mod crc32c;
pub mod critics;
pub mod device;
pub mod error;
pub mod evaluate;
#[cfg(feature = "gpu")]
pub mod fused_rollout;
pub mod interrupt;
pub mod launches;
mod library_state;
pub mod log;
pub mod plot;
pub mod policy_snapshot;
pub mod run_dir;
pub mod runner;
pub mod state_dict;
pub mod statistics;
