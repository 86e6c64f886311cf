//! Everything a run needs to continue, as named host arrays and JSON scalars.
//!
//! A [`State`] knows neither files nor devices: every part of a run fills one and continues from one, and whoever stores it
//! decides how.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::ComputeError;
use crate::read::read;

/// A float32 array on the host, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Sizes, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// `shape.iter().product()` values.
    pub values: Vec<f32>,
}

impl HostTensor {
    /// Wraps `values`, whose number must be the product of `shape`.
    ///
    /// # Errors
    /// [`ComputeError::Unfilled`] when the number of values and the shape disagree.
    pub fn new(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Result<Self, ComputeError> {
        let shape = shape.into();
        match shape.iter().try_fold(1usize, |size, &n| size.checked_mul(n)) {
            Some(size) if size == values.len() => Ok(Self { shape, values }),
            _ => Err(ComputeError::Unfilled { shape, values: values.len() }),
        }
    }

    /// The array of these little-endian float32 values, as files hold them.
    ///
    /// # Errors
    /// [`ComputeError::Unfilled`] when their number and the shape disagree.
    pub fn from_le_bytes(shape: impl Into<Vec<usize>>, bytes: &[u8]) -> Result<Self, ComputeError> {
        Self::new(shape, floats(bytes))
    }

    /// Appends the values, little-endian, as files hold them.
    pub fn append_le_bytes(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.values.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// Uploads the array to `device`, `shape` being its sizes.
    ///
    /// # Panics
    /// If the array has another shape.
    fn upload<const D: usize>(&self, shape: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.values.clone(), shape), device)
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// Named arrays and scalars of a run. Names are dotted paths (`policy.params`, `critics.adam.first`).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use compute::State;
///
/// # fn main() -> Result<(), compute::ComputeError> {
/// let device = Device::flex();
/// let mut adam = State::new();
/// adam.put_tensor("first", &Tensor::<1>::from_floats([0.5, -0.25], &device))?;
/// adam.put("steps", 12u64)?;
/// let mut run = State::new();
/// run.put_part("adam", adam)?;
/// assert_eq!(run.get::<u64>("adam.steps")?, 12);
/// let first: Tensor<1> = run.part("adam")?.tensor("first", [2], &device)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Arrays by name.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Counters, flags and host-side numbers by name.
    pub scalars: Map<String, Value>,
}

impl State {
    /// A state without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores a tensor, read back from its device.
    ///
    /// # Errors
    /// When it cannot be read back or the name is taken.
    pub fn put_tensor<const D: usize>(&mut self, name: &str, tensor: &Tensor<D>) -> Result<(), ComputeError> {
        let values = read(name, tensor.clone())?;
        self.put_host(name, HostTensor::new(tensor.dims(), values)?)
    }

    /// Stores a host array.
    ///
    /// # Errors
    /// [`ComputeError::Twice`] when the name is taken.
    pub fn put_host(&mut self, name: &str, tensor: HostTensor) -> Result<(), ComputeError> {
        match self.tensors.insert(name.to_owned(), tensor) {
            None => Ok(()),
            Some(_) => Err(ComputeError::Twice { name: name.to_owned() }),
        }
    }

    /// Stores any value that JSON can express.
    ///
    /// Floats that may be NaN or infinite go through [`put_f64`](Self::put_f64): JSON has no such numbers.
    ///
    /// # Errors
    /// When JSON cannot express it or the name is taken.
    pub fn put<T: Serialize>(&mut self, name: &str, value: T) -> Result<(), ComputeError> {
        let refused = |error: serde_json::Error| invalid(name, error);
        let value = serde_json::to_value(value).map_err(refused)?;
        match self.scalars.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(ComputeError::Twice { name: name.to_owned() }),
        }
    }

    /// Stores a float exactly, NaN and infinities included.
    ///
    /// # Errors
    /// [`ComputeError::Twice`] when the name is taken.
    pub fn put_f64(&mut self, name: &str, value: f64) -> Result<(), ComputeError> {
        if value.is_finite() {
            self.put(name, value)
        } else {
            self.put(name, value.to_string()) // "NaN", "inf", "-inf"
        }
    }

    /// Adds every entry of `part`, its names prefixed by `prefix` and a dot.
    ///
    /// # Errors
    /// [`ComputeError::Twice`] when a name is taken.
    pub fn put_part(&mut self, prefix: &str, part: State) -> Result<(), ComputeError> {
        for (name, tensor) in part.tensors {
            self.put_host(&format!("{prefix}.{name}"), tensor)?;
        }
        for (name, value) in part.scalars {
            self.put(&format!("{prefix}.{name}"), value)?;
        }
        Ok(())
    }

    /// The host array called `name`.
    ///
    /// # Errors
    /// [`ComputeError::Missing`] when there is none.
    pub fn host(&self, name: &str) -> Result<&HostTensor, ComputeError> {
        self.tensors.get(name).ok_or_else(|| missing(name))
    }

    /// The array called `name`, uploaded. A state of another network or number of environments is refused here instead of
    /// failing inside an operation.
    ///
    /// # Errors
    /// [`ComputeError::Missing`] when there is none, [`ComputeError::Shape`] when its sizes are not `shape`.
    pub fn tensor<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Tensor<D>, ComputeError> {
        let host = self.host(name)?;
        if host.shape != shape {
            let (expected, got) = (shape.to_vec(), host.shape.clone());
            return Err(ComputeError::Shape { name: name.to_owned(), expected, got });
        }
        Ok(host.upload(shape, device))
    }

    /// The matrix called `name`, of any size, uploaded.
    ///
    /// # Errors
    /// [`ComputeError::Missing`] when there is none, [`ComputeError::Value`] when it is no matrix.
    pub fn matrix(&self, name: &str, device: &Device) -> Result<Tensor<2>, ComputeError> {
        let host = self.host(name)?;
        match host.shape[..] {
            [rows, columns] => Ok(host.upload([rows, columns], device)),
            _ => Err(invalid(name, format!("has shape {:?}, but a matrix was expected", host.shape))),
        }
    }

    /// The value called `name`.
    ///
    /// # Errors
    /// [`ComputeError::Missing`] when there is none, [`ComputeError::Value`] when it is of another type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, ComputeError> {
        let value = self.scalars.get(name).ok_or_else(|| missing(name))?;
        T::deserialize(value).map_err(|error| invalid(name, error))
    }

    /// The float that [`put_f64`](Self::put_f64) stored.
    ///
    /// # Errors
    /// [`ComputeError::Missing`] when there is none, [`ComputeError::Value`] when it is no number.
    pub fn get_f64(&self, name: &str) -> Result<f64, ComputeError> {
        match self.scalars.get(name) {
            Some(Value::String(text)) => text.parse().map_err(|_| invalid(name, format!("{text:?} is no number"))),
            _ => self.get(name),
        }
    }

    /// The entries whose name begins with `prefix` and a dot, without it.
    ///
    /// # Errors
    /// [`ComputeError::Missing`] when there is none.
    pub fn part(&self, prefix: &str) -> Result<State, ComputeError> {
        let strip = |name: &str| name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).map(str::to_owned);
        let part = State {
            tensors: (self.tensors.iter()).filter_map(|(name, tensor)| Some((strip(name)?, tensor.clone()))).collect(),
            scalars: (self.scalars.iter()).filter_map(|(name, value)| Some((strip(name)?, value.clone()))).collect(),
        };
        let empty = part.tensors.is_empty() && part.scalars.is_empty();
        if empty { Err(missing(&format!("{prefix}.*"))) } else { Ok(part) }
    }
}

fn missing(name: &str) -> ComputeError {
    ComputeError::Missing { name: name.to_owned() }
}

fn invalid(name: &str, reason: impl ToString) -> ComputeError {
    ComputeError::Value { name: name.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;

    #[test]
    fn floats_come_back_exactly() {
        let mut state = State::new();
        let numbers = [0.1, 1.0 / 3.0, f64::MIN_POSITIVE, f64::INFINITY, -0.0, 1e300];
        for (i, number) in numbers.iter().enumerate() {
            state.put_f64(&format!("n{i}"), *number).unwrap();
        }
        state.put_f64("nan", f64::NAN).unwrap();
        for (i, number) in numbers.iter().enumerate() {
            let back = state.get_f64(&format!("n{i}")).unwrap();
            assert_eq!(back.to_bits(), number.to_bits());
        }
        assert!(state.get_f64("nan").unwrap().is_nan());
    }

    #[test]
    fn errors_name_the_key() {
        let mut state = State::new();
        state.put("a", 1u64).unwrap();
        assert!(state.put("a", 2u64).unwrap_err().to_string().contains("`a`"));
        assert!(state.get::<u64>("b").unwrap_err().to_string().contains("`b`"));
        assert!(state.get::<String>("a").unwrap_err().to_string().contains("`a`"));
        assert!(state.host("t").unwrap_err().to_string().contains("`t`"));
        assert!(HostTensor::new([2, 2], vec![0.0; 3]).is_err());
    }

    #[test]
    fn parts_are_put_and_taken_by_prefix() {
        let mut inner = State::new();
        inner.put("steps", 3u64).unwrap();
        let array = HostTensor::new([2], vec![1.0, 2.0]).unwrap();
        inner.put_host("theta", array).unwrap();
        let mut outer = State::new();
        outer.put_part("policy", inner.clone()).unwrap();
        outer.put("policy_like", 1u64).unwrap();
        assert_eq!(outer.part("policy").unwrap(), inner);
        assert!(outer.part("critic").unwrap_err().to_string().contains("`critic.*`"));
    }

    #[test]
    fn tensors_make_the_round_trip() {
        let device = test_device();
        let tensor = Tensor::<2>::from_floats([[1.0, -2.5], [0.0, 3.0]], &device);
        let mut state = State::new();
        state.put_tensor("t", &tensor).unwrap();
        let back: Tensor<2> = state.tensor("t", [2, 2], &device).unwrap();
        assert_eq!(read("t", back).unwrap(), state.tensors["t"].values);
        assert_eq!(read("t", state.matrix("t", &device).unwrap()).unwrap(), state.tensors["t"].values);
        let refusals = [state.tensor::<2>("t", [4, 1], &device).err(), state.tensor::<1>("t", [4], &device).err()];
        for refused in refusals {
            assert!(matches!(refused, Some(ComputeError::Shape { .. })), "{refused:?}");
        }
        state.put_host("v", HostTensor::new([2], vec![1.0, 2.0]).unwrap()).unwrap();
        assert!(state.matrix("v", &device).unwrap_err().to_string().contains("`v`"));
    }
}
