//! Arrays that Python was handed, kept to be written again once nothing refers to them any more.
//!
//! A new array of some hundred kilobytes is memory that the system must first clear and map, which takes as long as a copy of it.

use numpy::ndarray::Dimension;
use numpy::{Element, PyArray, PyArrayMethods};
use pyo3::prelude::*;

/// Arrays that are kept of each kind: a rollout of Python that holds more of them gets new ones.
const KEPT: usize = 4;

/// Arrays of one shape that are not in use here, some of them still held by Python.
pub struct Spare<D, T>(Vec<Py<PyArray<T, D>>>);

impl<D, T> Default for Spare<D, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<D: Dimension, T: Element + Copy> Spare<D, T> {
    /// Where anything but `array` itself refers to its array (a variable, a view, a tensor), another takes its place, with the same
    /// values if they are to be kept.
    pub fn renew(&mut self, py: Python<'_>, array: &mut Py<PyArray<T, D>>, keep: bool) -> PyResult<()> {
        if only_ours(py, array) {
            return Ok(());
        }
        let free = self.0.iter().position(|spare| only_ours(py, spare));
        let other = match free {
            Some(index) => self.0.swap_remove(index),
            None => PyArray::zeros(py, array.bind(py).dims(), false).unbind(),
        };
        if keep {
            array.bind(py).copy_to(other.bind(py))?;
        }
        let held = std::mem::replace(array, other);
        if self.0.len() < KEPT {
            self.0.push(held);
        }
        Ok(())
    }
}

/// Whether nothing else refers to an array, and it may be written. A view refers to the array whose memory it shows.
fn only_ours<D: Dimension, T: Element>(py: Python<'_>, array: &Py<PyArray<T, D>>) -> bool {
    #[allow(deprecated)] // What takes its place is unsafe code, which this crate has none of.
    let references = array.get_refcnt(py);
    references == 1 && array.bind(py).try_readwrite().is_ok()
}
