//! The one way back from a device, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::Tensor;

use crate::error::ComputeError;

/// Read-backs so far.
static READ_BACKS: AtomicU64 = AtomicU64::new(0);

/// How often this process has read a tensor back with [`read`]: each time the host waits for the device.
pub fn read_backs() -> u64 {
    READ_BACKS.load(Ordering::Relaxed)
}

/// Reads a tensor's values back to the host, row-major; `what` names it where that fails. Counted by [`read_backs`].
///
/// # Errors
/// [`ComputeError::ReadBack`] if the device fails.
pub fn read<const D: usize>(what: &str, tensor: Tensor<D>) -> Result<Vec<f32>, ComputeError> {
    READ_BACKS.fetch_add(1, Ordering::Relaxed);
    let failed = |error| ComputeError::ReadBack { what: what.to_owned(), reason: format!("{error:?}") };
    tensor.try_into_vec_as::<f32>().map_err(failed)
}
