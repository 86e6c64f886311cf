//! NumPy arrays that a step writes into, and those that Python hands in.

mod spare;

use numpy::{
    Element, Ix1, Ix2, PyArray1, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray1, PyReadwriteArray1,
    PyReadwriteArray2, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use spare::Spare;

/// What a step puts out; B environments, D = observation size, C = constraints. Made once and overwritten by every step, unless
/// they are [renewed](Self::renew).
pub struct Arrays {
    /// `[B, D]` float32
    pub obs: Py<PyArray2<f32>>,
    /// `[B, D]` float32
    pub final_obs: Py<PyArray2<f32>>,
    /// `[B]` float32
    pub reward: Py<PyArray1<f32>>,
    /// `[C, B]` float32
    pub costs: Py<PyArray2<f32>>,
    /// `[B]` bool
    pub terminated: Py<PyArray1<bool>>,
    /// `[B]` bool
    pub truncated: Py<PyArray1<bool>>,
    /// `[B]` float32
    pub episode_return: Py<PyArray1<f32>>,
    /// `[C, B]` float32
    pub episode_costs: Py<PyArray2<f32>>,
    /// `[B]` int32
    pub episode_length: Py<PyArray1<i32>>,
    /// `[B]` int32: the bits of the kinds of cost that the step brought.
    pub cost_kinds: Py<PyArray1<i32>>,
    spare: Spares,
}

/// Arrays to take the place of those that Python still holds.
#[derive(Default)]
struct Spares {
    obs: Spare<Ix2, f32>,
    final_obs: Spare<Ix2, f32>,
    reward: Spare<Ix1, f32>,
    costs: Spare<Ix2, f32>,
    terminated: Spare<Ix1, bool>,
    truncated: Spare<Ix1, bool>,
}

impl Arrays {
    /// Zeros for B environments with D numbers in an observation and C constraints.
    pub fn new(py: Python<'_>, num_envs: usize, obs_dim: usize, constraints: usize) -> Self {
        fn row<T: Element>(py: Python<'_>, len: usize) -> Py<PyArray1<T>> {
            PyArray1::zeros(py, len, false).unbind()
        }
        let table = |rows: usize, columns: usize| PyArray2::zeros(py, [rows, columns], false).unbind();
        Self {
            obs: table(num_envs, obs_dim),
            final_obs: table(num_envs, obs_dim),
            reward: row(py, num_envs),
            costs: table(constraints, num_envs),
            terminated: row(py, num_envs),
            truncated: row(py, num_envs),
            episode_return: row(py, num_envs),
            episode_costs: table(constraints, num_envs),
            episode_length: row(py, num_envs),
            cost_kinds: row(py, num_envs),
            spare: Spares::default(),
        }
    }

    /// Puts others in the place of those arrays of a step that Python still holds, so that what is written next does not change
    /// what was handed out: no step needs a copy then. `keep`: with the same values, for whoever writes some of them only.
    ///
    /// The accounts of episodes and the kinds of cost are not among them.
    pub fn renew(&mut self, py: Python<'_>, keep: bool) -> PyResult<()> {
        let spare = &mut self.spare;
        spare.obs.renew(py, &mut self.obs, keep)?;
        spare.final_obs.renew(py, &mut self.final_obs, keep)?;
        spare.reward.renew(py, &mut self.reward, keep)?;
        spare.costs.renew(py, &mut self.costs, keep)?;
        spare.terminated.renew(py, &mut self.terminated, keep)?;
        spare.truncated.renew(py, &mut self.truncated, keep)
    }

    /// All of them, to be written.
    ///
    /// # Errors
    /// Where somebody has made one of them read-only.
    pub fn writer<'py>(&self, py: Python<'py>) -> PyResult<Writer<'py>> {
        fn row<'py, T: Element>(array: &Py<PyArray1<T>>, py: Python<'py>) -> PyResult<PyReadwriteArray1<'py, T>> {
            Ok(array.bind(py).try_readwrite()?)
        }
        fn table<'py>(array: &Py<PyArray2<f32>>, py: Python<'py>) -> PyResult<PyReadwriteArray2<'py, f32>> {
            Ok(array.bind(py).try_readwrite()?)
        }
        Ok(Writer {
            obs: table(&self.obs, py)?,
            final_obs: table(&self.final_obs, py)?,
            reward: row(&self.reward, py)?,
            costs: table(&self.costs, py)?,
            terminated: row(&self.terminated, py)?,
            truncated: row(&self.truncated, py)?,
            episode_return: row(&self.episode_return, py)?,
            episode_costs: table(&self.episode_costs, py)?,
            episode_length: row(&self.episode_length, py)?,
            cost_kinds: row(&self.cost_kinds, py)?,
        })
    }
}

/// [`Arrays`] that nobody else of Rust holds.
pub struct Writer<'py> {
    obs: PyReadwriteArray2<'py, f32>,
    final_obs: PyReadwriteArray2<'py, f32>,
    reward: PyReadwriteArray1<'py, f32>,
    costs: PyReadwriteArray2<'py, f32>,
    terminated: PyReadwriteArray1<'py, bool>,
    truncated: PyReadwriteArray1<'py, bool>,
    episode_return: PyReadwriteArray1<'py, f32>,
    episode_costs: PyReadwriteArray2<'py, f32>,
    episode_length: PyReadwriteArray1<'py, i32>,
    cost_kinds: PyReadwriteArray1<'py, i32>,
}

impl Writer<'_> {
    /// Their memory.
    ///
    /// # Errors
    /// Never for arrays of [`Arrays::new`], which are contiguous.
    pub fn slices(&mut self) -> PyResult<Slices<'_>> {
        Ok(Slices {
            obs: self.obs.as_slice_mut()?,
            final_obs: self.final_obs.as_slice_mut()?,
            reward: self.reward.as_slice_mut()?,
            costs: self.costs.as_slice_mut()?,
            terminated: self.terminated.as_slice_mut()?,
            truncated: self.truncated.as_slice_mut()?,
            episode_return: self.episode_return.as_slice_mut()?,
            episode_costs: self.episode_costs.as_slice_mut()?,
            episode_length: self.episode_length.as_slice_mut()?,
            cost_kinds: self.cost_kinds.as_slice_mut()?,
        })
    }
}

/// The memory of [`Arrays`], row-major.
pub struct Slices<'a> {
    /// `[B, D]`
    pub obs: &'a mut [f32],
    /// `[B, D]`
    pub final_obs: &'a mut [f32],
    /// `[B]`
    pub reward: &'a mut [f32],
    /// `[C, B]`
    pub costs: &'a mut [f32],
    /// `[B]`
    pub terminated: &'a mut [bool],
    /// `[B]`
    pub truncated: &'a mut [bool],
    /// `[B]`
    pub episode_return: &'a mut [f32],
    /// `[C, B]`
    pub episode_costs: &'a mut [f32],
    /// `[B]`
    pub episode_length: &'a mut [i32],
    /// `[B]`
    pub cost_kinds: &'a mut [i32],
}

impl Slices<'_> {
    /// Environment `i` has not been stepped.
    pub fn clear_step(&mut self, i: usize) {
        (self.reward[i], self.terminated[i], self.truncated[i], self.cost_kinds[i]) = (0.0, false, false, 0);
        clear_column(self.costs, i, self.reward.len());
    }

    /// Environment `i` is at the beginning of an episode.
    pub fn clear_account(&mut self, i: usize) {
        (self.episode_return[i], self.episode_length[i]) = (0.0, 0);
        clear_column(self.episode_costs, i, self.reward.len());
    }
}

fn clear_column(rows: &mut [f32], i: usize, columns: usize) {
    rows.iter_mut().skip(i).step_by(columns).for_each(|value| *value = 0.0);
}

/// Copies `array`, which must have this shape, into `values`; float64 is rounded to float32.
///
/// # Errors
/// `TypeError` for what is no array of floats, `ValueError` for another shape and for NaN.
pub fn copy_floats(name: &str, array: &Bound<'_, PyAny>, shape: [usize; 2], values: &mut Vec<f32>) -> PyResult<()> {
    let kind = || format!("{name} must be a NumPy array of float32 or float64");
    let Ok(untyped) = array.cast::<PyUntypedArray>() else {
        return Err(PyTypeError::new_err(format!("{}, not {}", kind(), array.get_type().name()?)));
    };
    if untyped.shape() != shape {
        let got = untyped.shape();
        return Err(PyValueError::new_err(format!("{name} has shape {got:?}, expected {shape:?}")));
    }
    values.clear();
    if let Ok(array) = array.cast::<PyArray2<f32>>() {
        let array = array.try_readonly()?;
        match array.as_slice() {
            Ok(contiguous) => values.extend_from_slice(contiguous),
            Err(_) => values.extend(array.as_array().iter()),
        }
    } else if let Ok(array) = array.cast::<PyArray2<f64>>() {
        values.extend(array.try_readonly()?.as_array().iter().map(|value| *value as f32));
    } else {
        return Err(PyTypeError::new_err(format!("{}, not of {}", kind(), untyped.dtype().typeobj().name()?)));
    }
    match values.iter().position(|value| value.is_nan()) {
        None => Ok(()),
        Some(at) => Err(PyValueError::new_err(format!("{name}[{}, {}] is NaN", at / shape[1], at % shape[1]))),
    }
}

/// A flag per environment.
///
/// # Errors
/// `TypeError` for what is no array of flags, `ValueError` for another number of them.
pub fn flags(name: &str, array: &Bound<'_, PyAny>, num_envs: usize) -> PyResult<Vec<bool>> {
    let Ok(flags) = array.extract::<PyReadonlyArray1<bool>>() else {
        return Err(PyTypeError::new_err(format!("{name} must be a one-dimensional NumPy array of bool")));
    };
    let flags: Vec<bool> = flags.as_array().iter().copied().collect();
    if flags.len() == num_envs {
        Ok(flags)
    } else {
        Err(PyValueError::new_err(format!("{name} has {} flags for {num_envs} environments", flags.len())))
    }
}
