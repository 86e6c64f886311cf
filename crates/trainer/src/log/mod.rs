//! Where the numbers of a run go: a CSV file, TensorBoard events, a progress line.

pub mod csv;
pub mod progress;
pub mod tensorboard;
