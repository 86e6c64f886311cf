//! Plain, serialisable state: what a checkpoint stores of the objects of this crate.

use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::{Device, Tensor, TensorData};

use crate::SafeRlError;

/// Named float32 tensors and exact float64 scalars.
///
/// Counters are stored as scalars, which is exact below 2^53.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// (name, shape, row-major values).
    pub tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
    /// (name, value).
    pub scalars: Vec<(String, f64)>,
}

impl State {
    /// Adds a tensor, reading it back from the device.
    ///
    /// # Errors
    /// [`SafeRlError::ReadBack`] if the device fails.
    pub fn push_tensor<const D: usize>(&mut self, name: &'static str, tensor: &Tensor<D>) -> Result<(), SafeRlError> {
        let shape = tensor.dims().to_vec();
        let values = read(name, tensor.clone())?;
        self.tensors.push((name.to_string(), shape, values));
        Ok(())
    }

    /// Adds a scalar.
    pub fn push_scalar(&mut self, name: &str, value: f64) {
        self.scalars.push((name.to_string(), value));
    }

    /// The scalar called `name`.
    ///
    /// # Errors
    /// [`SafeRlError::MissingState`] if there is none.
    pub fn scalar(&self, name: &str) -> Result<f64, SafeRlError> {
        let found = self.scalars.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| *value).ok_or_else(|| SafeRlError::MissingState { name: name.to_string() })
    }

    /// Shape and values of the tensor called `name`.
    ///
    /// # Errors
    /// [`SafeRlError::MissingState`] if there is none.
    pub fn values(&self, name: &str) -> Result<(&[usize], &[f32]), SafeRlError> {
        let found = self.tensors.iter().find(|(key, _, _)| key == name);
        let (_, shape, values) = found.ok_or_else(|| SafeRlError::MissingState { name: name.to_string() })?;
        Ok((shape, values))
    }

    /// The tensor called `name`, which must have the shape `shape`.
    ///
    /// # Errors
    /// [`SafeRlError::MissingState`] or [`SafeRlError::ShapeMismatch`].
    pub fn tensor<const D: usize>(
        &self,
        name: &'static str,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Tensor<D>, SafeRlError> {
        let (got, values) = self.values(name)?;
        if got != shape || values.len() != shape.iter().product::<usize>() {
            return Err(SafeRlError::ShapeMismatch { what: name, expected: shape.to_vec(), got: got.to_vec() });
        }
        Ok(Tensor::from_data(TensorData::new(values.to_vec(), shape), device))
    }
}

/// Read-backs so far.
static READ_BACKS: AtomicU64 = AtomicU64::new(0);

/// How often this process has read a tensor back with [`read`]: each time the host waits for the device.
pub fn read_backs() -> u64 {
    READ_BACKS.load(Ordering::Relaxed)
}

/// Reads a tensor's values back to the host; `what` names it where that fails. Counted by [`read_backs`].
///
/// # Errors
/// [`SafeRlError::ReadBack`] if the device fails.
pub fn read<const D: usize>(what: &'static str, tensor: Tensor<D>) -> Result<Vec<f32>, SafeRlError> {
    READ_BACKS.fetch_add(1, Ordering::Relaxed);
    tensor.try_into_vec_as::<f32>().map_err(|error| SafeRlError::ReadBack { what, reason: format!("{error:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;

    #[test]
    fn a_state_returns_what_it_was_given_and_names_what_it_lacks() {
        let device = test_device();
        let mut state = State::default();
        state.push_tensor("a", &Tensor::<2>::from_floats([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &device)).unwrap();
        state.push_scalar("b", 0.1);
        let back: Tensor<2> = state.tensor("a", [2, 3], &device).unwrap();
        assert_eq!(read("a", back).unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(state.scalar("b").unwrap(), 0.1);
        assert!(matches!(state.tensor::<2>("a", [3, 2], &device), Err(SafeRlError::ShapeMismatch { .. })));
        assert_eq!(state.scalar("c"), Err(SafeRlError::MissingState { name: "c".into() }));
    }
}
