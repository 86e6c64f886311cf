//! Many environments of one kind, stepped into NumPy arrays: the class that all Python faces of the simulator share.

mod stepping;

use compute::{HostTensor, State};
use envs::{Navigation, NavigationSpec, StepRows, VecEnv, registry};
use numpy::{PyArray1, PyArray2, PyArray3, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyIndexError, PyKeyError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use trainer::cli::live::{Account, Picture, picture};
use trainer::config::EnvSetting;
use trainer::config::load::env_named;
use trainer::device::{DeviceChoice, SelectedDevice, select_device};
use trainer::memory;

use crate::arrays::{Arrays, copy_floats, flags};
use crate::autoreset::{Autoreset, Mode};
use crate::error;
use crate::threads::Threads;
use crate::values::Values;
use stepping::{set_only_kind, step_all};

/// Prefix of the environments' own entries in a state.
const ENV: &str = "env.";

/// The suite's limit on an episode's cost, which pictures show.
const COST_LIMIT: f64 = 25.0;
/// Widths of a picture \[pixels\].
const WIDTHS: std::ops::RangeInclusive<i64> = 120..=2000;

/// B environments of one kind with D numbers in an observation, A in an action and C constraints.
///
/// `reset` and `step` write into the arrays `obs`, `final_obs`, `reward`, `costs`, `terminated`, `truncated`,
/// `episode_return`, `episode_costs` and `episode_length`, which are made once. With `fresh` those of the first six that anything
/// still refers to are set aside until nothing does, and others are written.
#[pyclass(module = "kfcpo._kfcpo")]
pub struct Simulator {
    spec: NavigationSpec,
    num_envs: usize,
    seed: u64,
    device: SelectedDevice,
    arrays: Arrays,
    fresh: bool,
    live: Option<Live>,
    action: Vec<f32>,
}

/// What a closed simulator no longer has.
struct Live {
    env: Navigation,
    /// The numbers of a step, on the CPU.
    rows: StepRows,
    /// Whether only one kind of cost can occur.
    single_kind: bool,
    threads: Threads,
    autoreset: Autoreset,
}

#[pymethods]
impl Simulator {
    /// `env` is an id, the name of a level's file or a level as JSON.
    ///
    /// Raises `ValueError` for an unknown id, a level that cannot be simulated and numbers out of range, `RuntimeError` for
    /// a device that is not there, `MemoryError` where so many environments do not fit.
    #[new]
    #[pyo3(signature = (env, num_envs, seed=0, threads=None, device="cpu", autoreset="same_step", fresh=false))]
    #[allow(clippy::too_many_arguments)] // Python's keywords
    fn new(
        py: Python<'_>,
        env: &str,
        num_envs: i64,
        seed: u64,
        threads: Option<i64>,
        device: &str,
        autoreset: &str,
        fresh: bool,
    ) -> PyResult<Self> {
        let spec = level(env)?;
        let mode = Mode::named(autoreset)?;
        let count = usize::try_from(num_envs).ok().filter(|count| *count > 0);
        let num_envs =
            count.ok_or_else(|| PyValueError::new_err(format!("num_envs must be at least 1, got {num_envs}")))?;
        let what = format!("{num_envs} environments of {}", spec.env.id);
        memory::ensure_fits(&what, memory::of_envs(num_envs as f64, &spec.env)).map_err(|e| error::of(e.into()))?;
        let threads = Threads::new(threads)?;
        let choice: DeviceChoice =
            device.parse().map_err(|error| PyValueError::new_err(format!("device `{device}`: {error}")))?;
        let device = threads.run(py, || select_device(choice))?.map_err(error::of)?;
        let env = threads.run(py, || Navigation::new(spec.clone(), num_envs, seed, &device.device))?;
        let env = env.map_err(error::of_env)?;
        let arrays = Arrays::new(py, num_envs, spec.env.obs_dim, spec.env.constraints.len());
        let autoreset = Autoreset::new(mode, num_envs, spec.env.obs_dim);
        let live =
            Some(Live { rows: StepRows::of(&env), single_kind: spec.cost_kinds().is_empty(), env, threads, autoreset });
        let mut simulator = Self { spec, num_envs, seed, device, arrays, fresh, live, action: Vec::new() };
        simulator.reset(py, None, None)?;
        Ok(simulator)
    }

    /// Begins an episode in every environment, or in those where `mask` `[B]` is true, and writes `obs`. With a `seed` the
    /// environments become those that were made with it.
    ///
    /// Raises `TypeError` or `ValueError` for an unfit mask, `RuntimeError` after `close`.
    #[pyo3(signature = (seed=None, mask=None))]
    fn reset(&mut self, py: Python<'_>, seed: Option<u64>, mask: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let mask = mask.map(|mask| flags("reset_mask", mask, self.num_envs)).transpose()?;
        let live = self.live.as_mut().ok_or_else(closed)?;
        if self.fresh {
            self.arrays.renew(py, true)?;
        }
        let mut writer = self.arrays.writer(py)?;
        let mut out = writer.slices()?;
        let (spec, num_envs, device) = (&self.spec, self.num_envs, &self.device.device);
        let Live { env, threads, autoreset, .. } = live;
        match (seed, mask) {
            (Some(_), Some(_)) => {
                return Err(PyValueError::new_err(
                    "a seed makes all environments anew: it does not go with a reset_mask",
                ));
            }
            (None, Some(mask)) => {
                threads.run(py, || autoreset.reset_some(env, &mask, &mut out))?;
            }
            (seed, None) => {
                if let Some(seed) = seed {
                    let fresh = threads.run(py, || Navigation::new(spec.clone(), num_envs, seed, device))?;
                    *env = fresh.map_err(error::of_env)?;
                    self.seed = seed;
                }
                threads.run(py, || out.obs.copy_from_slice(&Values::of(&env.reset(false))))?;
                autoreset.reset_all(&mut out);
            }
        }
        Ok(())
    }

    /// Steps every environment under `action` `[B, A]`, float32 or float64, clipped to [-1, 1], and writes all arrays; whether
    /// an episode ended.
    ///
    /// Raises `TypeError` or `ValueError` for an unfit action, NaN included, and `RuntimeError` after `close` or, in mode
    /// `disabled`, where an environment must be reset first.
    fn step(&mut self, py: Python<'_>, action: &Bound<'_, PyAny>) -> PyResult<bool> {
        let live = self.live.as_mut().ok_or_else(closed)?;
        let shape = [self.num_envs, self.spec.env.action_dim];
        copy_floats("action", action, shape, &mut self.action)?;
        let held = live.autoreset.held()?;
        if self.fresh {
            self.arrays.renew(py, false)?;
        }
        let mut writer = self.arrays.writer(py)?;
        let mut out = writer.slices()?;
        let (action, Live { env, rows, single_kind, threads, autoreset }) = (&self.action, live);
        threads.run(py, || {
            step_all(env, rows, action, shape, held.as_deref(), &mut out);
            if *single_kind {
                set_only_kind(&mut out);
            }
            autoreset.finish_step(held.as_deref(), &mut out);
            out.terminated.contains(&true) || out.truncated.contains(&true)
        })
    }

    /// Everything the environments are, as arrays by name: `set_state` of a simulator made in the same way continues from it
    /// bit for bit.
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let live = self.live.as_ref().ok_or_else(closed)?;
        let saved = live.threads.run(py, || live.env.state())?.map_err(error::of_env)?;
        let state = PyDict::new(py);
        for (name, HostTensor { shape, values }) in saved.tensors {
            state.set_item(format!("{ENV}{name}"), PyArray1::from_vec(py, values).reshape(shape)?)?;
        }
        state.set_item("obs", self.arrays.obs.bind(py).call_method0("copy")?)?;
        state.set_item("ended", PyArray1::from_slice(py, &live.autoreset.ended))?;
        state.set_item("next_obs", PyArray1::from_slice(py, &live.autoreset.next_obs))?;
        state.set_item("seed", self.seed)?;
        Ok(state)
    }

    /// Continues from what `state` returned.
    ///
    /// Raises `ValueError` for the state of other environments, `KeyError` for an entry that is missing.
    fn set_state(&mut self, py: Python<'_>, state: &Bound<'_, PyDict>) -> PyResult<()> {
        let live = self.live.as_mut().ok_or_else(closed)?;
        let shape = [self.num_envs, self.spec.env.obs_dim];
        let mut obs = Vec::new();
        copy_floats("obs", &entry(state, "obs")?, shape, &mut obs)?;
        let ended = flags("ended", &entry(state, "ended")?, self.num_envs)?;
        let next_obs: Vec<f32> = entry(state, "next_obs")?.extract()?;
        if next_obs.len() != live.autoreset.next_obs.len() {
            return Err(PyValueError::new_err("the state is of another autoreset mode"));
        }
        let seed: u64 = entry(state, "seed")?.extract()?;
        let mut saved = State::new();
        for (name, value) in state.iter() {
            let name: String = name.extract()?;
            let Some(name) = name.strip_prefix(ENV) else { continue };
            let Ok(array) = value.cast::<PyArrayDyn<f32>>() else {
                return Err(PyTypeError::new_err(format!("{ENV}{name} must be a NumPy array of float32")));
            };
            let values = array.try_readonly()?.as_array().iter().copied().collect();
            let tensor = HostTensor::new(array.shape(), values).map_err(|e| PyValueError::new_err(e.to_string()))?;
            saved.put_host(name, tensor).map_err(|e| PyValueError::new_err(e.to_string()))?;
        }
        let (spec, num_envs, device) = (&self.spec, self.num_envs, &self.device.device);
        let restored = live.threads.run(py, || {
            let mut env = Navigation::new(spec.clone(), num_envs, seed, device)?;
            env.load_state(&saved)?;
            Ok(env)
        })?;
        live.env = restored.map_err(error::of_env)?;
        if self.fresh {
            self.arrays.renew(py, true)?;
        }
        self.arrays.writer(py)?.slices()?.obs.copy_from_slice(&obs);
        (live.autoreset.ended, live.autoreset.next_obs, self.seed) = (ended, next_obs, seed);
        Ok(())
    }

    /// Environment `index` from above, with its return and its cost against a limit of 25: `[height, width, 3]` uint8.
    ///
    /// Raises `IndexError` where there is no such environment, `ValueError` for a width out of range.
    #[pyo3(signature = (index=0, width=480))]
    fn render<'py>(&self, py: Python<'py>, index: usize, width: i64) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let live = self.live.as_ref().ok_or_else(closed)?;
        if index >= self.num_envs {
            return Err(PyIndexError::new_err(format!("environment {index} of {}", self.num_envs)));
        }
        if !WIDTHS.contains(&width) {
            let message = format!("width must be {} to {}, got {width}", WIDTHS.start(), WIDTHS.end());
            return Err(PyValueError::new_err(message));
        }
        let (n, obs_dim) = (self.num_envs, self.spec.env.obs_dim);
        let obs = self.arrays.obs.bind(py).try_readonly()?.as_slice()?[index * obs_dim..][..obs_dim].to_vec();
        let costs = self.arrays.episode_costs.bind(py).try_readonly()?;
        let mut account = Account {
            episode_return: self.arrays.episode_return.bind(py).try_readonly()?.as_slice()?[index],
            cost: costs.as_slice()?.iter().skip(index).step_by(n).sum(),
            cost_limit: COST_LIMIT,
        };
        let flags = [&self.arrays.terminated, &self.arrays.truncated];
        let mut ended = false;
        for flags in flags {
            ended |= flags.bind(py).try_readonly()?.as_slice()?[index];
        }
        if ended && live.autoreset.mode() == Mode::SameStep {
            // What stands there is the next episode.
            (account.episode_return, account.cost) = (0.0, 0.0);
        }
        let drawn = live.threads.run(py, || picture(&live.env, index, &obs, account, width as u32))?;
        let Picture { width, height, rgb } = drawn.map_err(error::of)?;
        PyArray1::from_vec(py, rgb).reshape([height, width, 3])
    }

    /// Whether arrays that anything still refers to are never written.
    #[getter]
    fn fresh(&self) -> bool {
        self.fresh
    }

    /// Frees the environments; nothing but the names and sizes can be asked for afterwards.
    fn close(&mut self) {
        self.live = None;
    }

    /// Whether it is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.live.is_none()
    }

    /// `[B, D]` float32: observations to act on next.
    #[getter]
    fn obs(&self, py: Python<'_>) -> Py<PyArray2<f32>> {
        self.arrays.obs.clone_ref(py)
    }

    /// `[B, D]` float32: what the step led to, to be read after steps that end an episode; differs from `obs` where a new
    /// episode is shown already.
    #[getter]
    fn final_obs(&self, py: Python<'_>) -> Py<PyArray2<f32>> {
        self.arrays.final_obs.clone_ref(py)
    }

    /// `[B]` float32: rewards.
    #[getter]
    fn reward(&self, py: Python<'_>) -> Py<PyArray1<f32>> {
        self.arrays.reward.clone_ref(py)
    }

    /// `[C, B]` float32: costs.
    #[getter]
    fn costs(&self, py: Python<'_>) -> Py<PyArray2<f32>> {
        self.arrays.costs.clone_ref(py)
    }

    /// `[B]` bool: the episode ended by itself.
    #[getter]
    fn terminated(&self, py: Python<'_>) -> Py<PyArray1<bool>> {
        self.arrays.terminated.clone_ref(py)
    }

    /// `[B]` bool: the episode reached its step limit.
    #[getter]
    fn truncated(&self, py: Python<'_>) -> Py<PyArray1<bool>> {
        self.arrays.truncated.clone_ref(py)
    }

    /// `[B]` float32: sum of rewards of the episode, this step included.
    #[getter]
    fn episode_return(&self, py: Python<'_>) -> Py<PyArray1<f32>> {
        self.arrays.episode_return.clone_ref(py)
    }

    /// `[C, B]` float32: sums of costs of the episode, this step included.
    #[getter]
    fn episode_costs(&self, py: Python<'_>) -> Py<PyArray2<f32>> {
        self.arrays.episode_costs.clone_ref(py)
    }

    /// `[B]` int32: steps of the episode, this one included.
    #[getter]
    fn episode_length(&self, py: Python<'_>) -> Py<PyArray1<i32>> {
        self.arrays.episode_length.clone_ref(py)
    }

    /// `[B]` int32: the kinds of cost that the step brought, the sum of their bits in `cost_kind_bits`.
    #[getter]
    fn cost_kinds(&self, py: Python<'_>) -> Py<PyArray1<i32>> {
        self.arrays.cost_kinds.clone_ref(py)
    }

    /// The kinds of cost that can occur, by name, and the bit that stands for each.
    #[getter]
    fn cost_kind_bits(&self) -> Vec<(&'static str, i32)> {
        kind_bits(&self.spec)
    }

    /// Safety-Gymnasium's id.
    #[getter]
    fn id(&self) -> &str {
        &self.spec.env.id
    }

    /// The agent and its level as JSON: `Simulator(level, ...)` makes the same environments.
    #[getter]
    fn level(&self) -> PyResult<String> {
        serde_json::to_string(&EnvSetting::from(self.spec.clone()))
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    /// B, the number of environments.
    #[getter]
    fn num_envs(&self) -> usize {
        self.num_envs
    }

    /// D, the length of an observation.
    #[getter]
    fn obs_dim(&self) -> usize {
        self.spec.env.obs_dim
    }

    /// A, the length of an action.
    #[getter]
    fn action_dim(&self) -> usize {
        self.spec.env.action_dim
    }

    /// Steps after which an episode is truncated.
    #[getter]
    fn max_episode_steps(&self) -> usize {
        self.spec.env.max_episode_steps
    }

    /// Names of the costs, in the order of the rows of `costs`.
    #[getter]
    fn constraints(&self) -> Vec<String> {
        self.spec.env.constraints.clone()
    }

    /// Names and lengths of the parts of an observation, in order.
    #[getter]
    fn obs_parts(&self) -> Vec<(String, usize)> {
        self.spec.obs_parts().into_iter().map(|(name, len)| (name.to_string(), len)).collect()
    }

    /// The seed the environments follow from.
    #[getter]
    fn seed(&self) -> u64 {
        self.seed
    }

    /// How many threads step.
    #[getter]
    fn threads(&self) -> PyResult<usize> {
        Ok(self.live.as_ref().ok_or_else(closed)?.threads.count())
    }

    /// The device: `cpu`, `cuda:0`, ...
    #[getter]
    fn device(&self) -> String {
        self.device.name()
    }

    /// What becomes of an environment whose episode has ended: `same_step`, `next_step` or `disabled`.
    #[getter]
    fn autoreset(&self) -> PyResult<&'static str> {
        Ok(self.live.as_ref().ok_or_else(closed)?.autoreset.mode().name())
    }
}

/// The ids of all environments of the suite.
#[pyfunction]
pub fn env_ids() -> Vec<String> {
    registry().iter().map(|spec| spec.env.id.clone()).collect()
}

/// The environment that `env` names, its level with all that is in it, as JSON: to be changed and handed back.
///
/// Raises `ValueError` for an unknown id and a level that cannot be simulated.
#[pyfunction]
pub fn level_json(env: &str) -> PyResult<String> {
    serde_json::to_string(&level(env)?).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

fn closed() -> PyErr {
    PyRuntimeError::new_err("the environments are closed")
}

/// The environment that `text` names or describes.
fn level(text: &str) -> PyResult<NavigationSpec> {
    if text.trim_start().starts_with(['{', '"']) {
        let setting: EnvSetting = serde_json::from_str(text).map_err(|e| PyValueError::new_err(e.to_string()))?;
        return setting.spec().map_err(error::of_env);
    }
    env_named(text).map_err(error::of)
}

fn entry<'py>(state: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    state.get_item(name)?.ok_or_else(|| PyKeyError::new_err(format!("the state has no entry `{name}`")))
}

/// The kinds of cost that can occur, with the bit that stands for each; the only one of a level has bit 1.
fn kind_bits(spec: &NavigationSpec) -> Vec<(&'static str, i32)> {
    let told_apart = spec.cost_kinds();
    match told_apart.is_empty() {
        true => spec.level.cost_kinds().into_iter().map(|kind| (kind.name(), 1)).collect(),
        false => told_apart.into_iter().map(|kind| (kind.name(), kind.bit() as i32)).collect(),
    }
}
