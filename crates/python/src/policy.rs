//! A trained policy that acts on NumPy arrays.

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use compute::noise::{NoiseKey, Stream};
use compute::read;
use numpy::{PyArray1, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use safe_rl::Normalizer;
use trainer::checkpoint::Selector;
use trainer::device::{DeviceChoice, SelectedDevice, select_device};
use trainer::policy::exported::PolicySnapshot;
use trainer::policy::saved::saved_policy;
use trainer::run_dir::RunDir;

use crate::arrays::copy_floats;
use crate::error;
use crate::threads::Threads;

/// What a run whose environments are written in Python leaves, beside its checkpoints.
pub const POLICY_FILE: &str = "policy.safetensors";

/// A Gaussian policy with its observation normaliser. D = observation size, A = action size.
#[pyclass(module = "kfcpo._kfcpo")]
pub struct Policy {
    snapshot: PolicySnapshot,
    network: trainer::policy::Policy,
    normalizer: Normalizer,
    device: SelectedDevice,
    threads: Threads,
    seed: u64,
    samples: u64,
}

impl Policy {
    /// A policy on threads of its own.
    ///
    /// # Errors
    /// `ValueError` where its parts do not fit together.
    pub fn of(snapshot: PolicySnapshot, device: SelectedDevice, threads: Threads) -> PyResult<Self> {
        let network = snapshot.policy(&device.device).map_err(error::of)?;
        let normalizer = snapshot.normalizer(&device.device).map_err(error::of)?;
        Ok(Self { snapshot, network, normalizer, device, threads, seed: 0, samples: 0 })
    }

    /// Actions `[N, A]` for observations `[N, D]`, row-major.
    fn actions(&self, obs: Vec<f32>, rows: usize, key: Option<NoiseKey>) -> anyhow::Result<Vec<f32>> {
        let obs = Tensor::from_data(TensorData::new(obs, [rows, self.snapshot.sizes[0]]), &self.device.device);
        let obs = self.normalizer.apply(obs);
        let action = match key {
            None => self.network.forward(obs),
            Some(key) => self.network.act(obs, key).action,
        };
        Ok(read("the actions", action.clamp(-1.0, 1.0))?)
    }
}

#[pymethods]
impl Policy {
    /// The policy in an exported file, or in a run's directory: of its `latest` or `best` checkpoint or the one at a number
    /// of steps.
    ///
    /// Raises `FileNotFoundError` or `OSError` where it cannot be read, `ValueError` where there is no such policy.
    #[staticmethod]
    #[pyo3(signature = (path, checkpoint="latest", *, threads=None, device="cpu"))]
    fn load(py: Python<'_>, path: PathBuf, checkpoint: &str, threads: Option<i64>, device: &str) -> PyResult<Self> {
        let threads = Threads::new(threads)?;
        let selector: Selector =
            checkpoint.parse().map_err(|error| PyValueError::new_err(format!("checkpoint `{checkpoint}`: {error}")))?;
        let choice: DeviceChoice =
            device.parse().map_err(|error| PyValueError::new_err(format!("device `{device}`: {error}")))?;
        let loaded = threads.run(py, || -> anyhow::Result<_> {
            let device = select_device(choice)?;
            let snapshot = snapshot_at(&path, selector, &device)?;
            Ok((snapshot, device))
        })?;
        let (snapshot, device) = loaded.map_err(error::of_input)?;
        Self::of(snapshot, device, threads)
    }

    /// Actions `[N, A]` in [-1, 1] for observations `[N, D]`, or `[A]` for one `[D]`; float32 or float64 in, float32 out.
    ///
    /// The mean, or where not `deterministic` a sample: samples follow from `seed` and how many were taken before. Raises
    /// `TypeError` or `ValueError` for unfit observations, NaN included.
    #[pyo3(signature = (obs, deterministic=true))]
    fn act<'py>(
        &mut self,
        py: Python<'py>,
        obs: &Bound<'py, PyAny>,
        deterministic: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Ok(array) = obs.cast::<PyUntypedArray>() else {
            let message = format!("obs must be a NumPy array of float32 or float64, not {}", obs.get_type().name()?);
            return Err(PyTypeError::new_err(message));
        };
        let obs_dim = self.snapshot.sizes[0];
        let (rows, is_single) =
            if array.ndim() == 1 { (1, true) } else { (array.shape().first().copied().unwrap_or(0), false) };
        let rows_of_obs = if is_single { obs.call_method1("reshape", ((1, -1),))? } else { obs.clone() };
        let mut values = Vec::new();
        copy_floats("obs", &rows_of_obs, [rows, obs_dim], &mut values)?;
        let key = (!deterministic).then(|| {
            self.samples += 1;
            NoiseKey { seed: self.seed, stream: Stream::Evaluation, step: self.samples - 1 }
        });
        let actions = self.threads.run(py, || self.actions(values, rows, key))?.map_err(error::of)?;
        let actions = PyArray1::from_vec(py, actions);
        if is_single {
            Ok(actions.into_any())
        } else {
            Ok(actions.reshape([rows, self.network.action_dim()])?.into_any())
        }
    }

    /// Lets the following samples be those of `seed`, from the first.
    fn reseed(&mut self, seed: u64) {
        (self.seed, self.samples) = (seed, 0);
    }

    /// Writes the policy as safetensors, as `python -m kfcpo export` does.
    ///
    /// Raises `OSError` where the file cannot be written.
    fn save(&self, path: PathBuf) -> PyResult<()> {
        self.snapshot.write_safetensors(&path).map_err(error::of)
    }

    /// The environment it was trained in.
    #[getter]
    fn env(&self) -> &str {
        &self.snapshot.env
    }

    /// D, the length of an observation.
    #[getter]
    fn obs_dim(&self) -> usize {
        self.snapshot.sizes[0]
    }

    /// A, the length of an action.
    #[getter]
    fn action_dim(&self) -> usize {
        self.network.action_dim()
    }

    /// Widths of the layers, from D to A.
    #[getter]
    fn sizes(&self) -> Vec<usize> {
        self.snapshot.sizes.clone()
    }

    /// `[A]` float32: log standard deviation of the actions.
    #[getter]
    fn log_std<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        PyArray1::from_slice(py, &self.snapshot.log_std)
    }

    fn __repr__(&self) -> String {
        format!("kfcpo.Policy({:?}, sizes={:?})", self.snapshot.env, self.snapshot.sizes)
    }
}

/// The policy in a file or a run's directory.
fn snapshot_at(path: &Path, selector: Selector, device: &SelectedDevice) -> anyhow::Result<PolicySnapshot> {
    if !path.is_dir() {
        return PolicySnapshot::read_safetensors(path);
    }
    let exported = path.join(POLICY_FILE);
    if exported.is_file() && selector == Selector::Latest {
        return PolicySnapshot::read_safetensors(&exported);
    }
    let (checkpoint, _warning) = RunDir::open(path)?.checkpoint(selector)?;
    saved_policy(&checkpoint, &device.device)
}
