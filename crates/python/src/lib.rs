//! The extension module `kfcpo._kfcpo`: what the Python package `kfcpo` stands on.
//!
//! [`simulator`] steps the environments into NumPy arrays, [`policy`] acts, [`train`] trains, also in environments that are
//! written in Python ([`python_env`]). All of them compute on threads of their own without the interpreter's lock
//! ([`threads`]), and whatever goes wrong is an exception ([`error`]): no panic reaches Python.

mod arrays;
mod autoreset;
mod error;
mod policy;
mod program;
mod python_env;
mod simulator;
mod threads;
mod train;
mod values;

use pyo3::prelude::*;

/// Rollouts allocate and free tensors of megabytes at every step; the system's allocator returns such blocks to the kernel
/// each time. Only this module's memory comes from here, Python's own does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The compiled part of `kfcpo`.
#[pymodule]
mod _kfcpo {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::simulator::Simulator;

    #[pymodule_export]
    use crate::policy::Policy;

    #[pymodule_export]
    use crate::simulator::{env_ids, level_json};

    #[pymodule_export]
    use crate::train::{algorithm_names, train_run};

    #[pymodule_export]
    use crate::program::run_program;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::error::keep_panics_quiet();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
