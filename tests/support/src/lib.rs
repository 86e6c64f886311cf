//! What the tests of several crates share: the device under test, numbers for inputs and comparisons, and the program
//! `trainer` in a temporary directory.
//!
//! A crate and not files included by path: it is compiled once, nothing in it is unused, and it knows burn alone, so
//! that any crate of the workspace can have it as a development dependency.

pub mod device;
pub mod numbers;
#[cfg(feature = "program")]
pub mod program;
