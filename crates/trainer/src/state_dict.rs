//! Everything a run needs to continue, as named host arrays and JSON scalars.
//!
//! A [`StateDict`] knows neither files nor devices: the runner fills one, [`crate::checkpoint`] stores it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

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
    ///
    /// When the number of values and the shape disagree.
    pub fn new(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Result<Self> {
        let shape = shape.into();
        let expected: usize = shape.iter().product();
        ensure!(expected == values.len(), "{} values do not fill the shape {shape:?}", values.len());
        Ok(Self { shape, values })
    }

    /// Reads a tensor back to the host.
    ///
    /// # Errors
    ///
    /// When the device fails to deliver the data.
    pub fn from_device<const D: usize>(tensor: &Tensor<D>) -> Result<Self> {
        let shape = tensor.dims().to_vec();
        let values = tensor
            .to_data()
            .try_to_vec::<f32>()
            .map_err(|error| anyhow!("reading a tensor {shape:?} back failed: {error:?}"))?;
        Self::new(shape, values)
    }

    /// Uploads the array; `D` must be its rank.
    ///
    /// # Errors
    ///
    /// When the rank differs.
    pub fn to_device<const D: usize>(&self, device: &Device) -> Result<Tensor<D>> {
        ensure!(self.shape.len() == D, "has shape {:?}, but {D} dimensions were expected", self.shape);
        let data = TensorData::new(self.values.clone(), self.shape.clone());
        Ok(Tensor::from_data(data, device))
    }
}

/// Named arrays and scalars of a run. Names are dotted paths (`policy.theta`, `critic.reward.adam.m`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateDict {
    /// Arrays by name.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Counters, flags and host-side numbers by name.
    pub scalars: Map<String, Value>,
}

impl StateDict {
    /// An empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores a device tensor under `key`.
    ///
    /// # Errors
    ///
    /// When it cannot be read back or the name is taken.
    pub fn put_tensor<const D: usize>(&mut self, key: &str, tensor: &Tensor<D>) -> Result<()> {
        let host = HostTensor::from_device(tensor).with_context(|| format!("state `{key}`"))?;
        self.put_host(key, host)
    }

    /// Stores a host array under `key`.
    ///
    /// # Errors
    ///
    /// When the name is taken.
    pub fn put_host(&mut self, key: &str, tensor: HostTensor) -> Result<()> {
        if self.tensors.insert(key.to_owned(), tensor).is_some() {
            bail!("state `{key}` was stored twice");
        }
        Ok(())
    }

    /// Stores any serialisable value under `key`.
    ///
    /// Floats that may be NaN or infinite go through [`StateDict::put_f64`]: JSON has no such numbers.
    ///
    /// # Errors
    ///
    /// When it cannot be expressed in JSON or the name is taken.
    pub fn put<T: Serialize>(&mut self, key: &str, value: T) -> Result<()> {
        let value = serde_json::to_value(value).with_context(|| format!("state `{key}`"))?;
        if self.scalars.insert(key.to_owned(), value).is_some() {
            bail!("state `{key}` was stored twice");
        }
        Ok(())
    }

    /// Stores a float exactly, NaN and infinities included.
    ///
    /// # Errors
    ///
    /// When the name is taken.
    pub fn put_f64(&mut self, key: &str, value: f64) -> Result<()> {
        if value.is_finite() {
            self.put(key, value)
        } else {
            self.put(key, value.to_string()) // "NaN", "inf", "-inf"
        }
    }

    /// The host array stored under `key`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn host(&self, key: &str) -> Result<&HostTensor> {
        self.tensors.get(key).ok_or_else(|| anyhow!("the state has no array `{key}`"))
    }

    /// The array stored under `key`, uploaded.
    ///
    /// # Errors
    ///
    /// When there is none or its rank is not `D`.
    pub fn tensor<const D: usize>(&self, key: &str, device: &Device) -> Result<Tensor<D>> {
        self.host(key)?.to_device(device).with_context(|| format!("state `{key}`"))
    }

    /// Like [`StateDict::tensor`], and the sizes must be `shape`: a state of another network or
    /// number of environments is refused here instead of failing inside an operation.
    ///
    /// # Errors
    ///
    /// When there is none or its shape differs.
    pub fn tensor_shaped<const D: usize>(&self, key: &str, shape: [usize; D], device: &Device) -> Result<Tensor<D>> {
        let host = self.host(key)?;
        ensure!(
            host.shape == shape,
            "state `{key}` has shape {:?}, but this configuration needs {shape:?}",
            host.shape
        );
        self.tensor(key, device)
    }

    /// The value stored under `key`.
    ///
    /// # Errors
    ///
    /// When there is none or it is of another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let value = self.scalars.get(key).ok_or_else(|| anyhow!("the state has no value `{key}`"))?;
        T::deserialize(value).with_context(|| format!("state `{key}`"))
    }

    /// The float stored by [`StateDict::put_f64`].
    ///
    /// # Errors
    ///
    /// When there is none or it is no number.
    pub fn get_f64(&self, key: &str) -> Result<f64> {
        match self.scalars.get(key) {
            Some(Value::String(text)) => text.parse().with_context(|| format!("state `{key}` is no number: {text:?}")),
            _ => self.get(key),
        }
    }

    /// Adds every entry of `part`, its names prefixed by `prefix` and a dot.
    ///
    /// # Errors
    ///
    /// When a name is taken.
    pub fn put_all(&mut self, prefix: &str, part: StateDict) -> Result<()> {
        for (key, tensor) in part.tensors {
            self.put_host(&format!("{prefix}.{key}"), tensor)?;
        }
        for (key, value) in part.scalars {
            self.put(&format!("{prefix}.{key}"), value)?;
        }
        Ok(())
    }

    /// The entries whose name begins with `prefix` and a dot, without it.
    pub fn part(&self, prefix: &str) -> StateDict {
        let strip = |key: &str| key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).map(str::to_owned);
        StateDict {
            tensors: (self.tensors.iter()).filter_map(|(key, tensor)| Some((strip(key)?, tensor.clone()))).collect(),
            scalars: (self.scalars.iter()).filter_map(|(key, value)| Some((strip(key)?, value.clone()))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_come_back_exactly() {
        let mut state = StateDict::new();
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
        let mut state = StateDict::new();
        state.put("a", 1u64).unwrap();
        assert!(state.put("a", 2u64).unwrap_err().to_string().contains("`a`"));
        assert!(state.get::<u64>("b").unwrap_err().to_string().contains("`b`"));
        assert!(format!("{:#}", state.get::<String>("a").unwrap_err()).contains("`a`"));
        assert!(state.host("t").unwrap_err().to_string().contains("`t`"));
        assert!(HostTensor::new([2, 2], vec![0.0; 3]).is_err());
    }

    #[test]
    fn parts_are_put_and_taken_by_prefix() {
        let mut inner = StateDict::new();
        inner.put("steps", 3u64).unwrap();
        let array = HostTensor::new([2], vec![1.0, 2.0]).unwrap();
        inner.put_host("theta", array).unwrap();
        let mut outer = StateDict::new();
        outer.put_all("policy", inner.clone()).unwrap();
        outer.put("policy_like", 1u64).unwrap();
        assert_eq!(outer.part("policy"), inner);
    }

    #[cfg(feature = "flex")]
    #[test]
    fn tensors_make_the_round_trip() {
        let device = Device::flex();
        let tensor = Tensor::<2>::from_floats([[1.0, -2.5], [0.0, 3.0]], &device);
        let mut state = StateDict::new();
        state.put_tensor("t", &tensor).unwrap();
        let back: Tensor<2> = state.tensor_shaped("t", [2, 2], &device).unwrap();
        assert_eq!(HostTensor::from_device(&back).unwrap(), state.tensors["t"]);
        assert!(state.tensor::<1>("t", &device).is_err());
        assert!(state.tensor_shaped("t", [4, 1], &device).is_err());
    }
}
