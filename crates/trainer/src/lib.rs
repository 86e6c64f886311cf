//! Training of safe policies: the algorithms composed from `kfac` and `safe-rl`, the loop, and the program.
//!
//! [`runner::Runner`] is the loop and [`training::Training`] a loop with its run directory; [`algorithm`] holds KFCPO and
//! its rivals; [`config::TrainConfig`] is every setting. The program `trainer` lives in `cli`, behind the feature of that
//! name: without it the crate parses no arguments and prints nothing.

mod append_file;
mod atomic_file;
mod bounded_read;
mod container;
#[cfg(test)]
mod fuzz;

pub mod algorithm;
pub mod check;
pub mod checkpoint;
#[cfg(feature = "cli")]
pub mod cli;
pub mod comm;
pub mod config;
pub mod critics;
pub mod deployed;
pub mod device;
pub mod error;
pub mod evaluate;
pub mod figures;
pub mod log;
pub mod memory;
pub mod outcome;
pub mod policy;
pub mod protocol;
pub mod run_dir;
pub mod runner;
pub mod schedule;
pub mod shards;
pub mod statistics;
pub mod training;

// The README's Rust is compiled and run with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
