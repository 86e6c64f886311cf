//! Threads of a computation, outside the interpreter's lock.
//!
//! Rayon's process-wide pool is never used: a fork, which Python's multiprocessing may do, copies it without its threads, and
//! whoever asks it then waits for ever. Pools are made per process and shared by all who ask for as many threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::{Arc, Mutex, Weak};
use std::thread::available_parallelism;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error;

/// Most threads that may be asked for.
const MAX_THREADS: i64 = 4096;

/// A pool that may be in use.
struct Shared {
    process: u32,
    threads: usize,
    pool: Weak<ThreadPool>,
}

static POOLS: Mutex<Vec<Shared>> = Mutex::new(Vec::new());

/// A number of threads of this process.
pub struct Threads {
    pool: Arc<ThreadPool>,
    process: u32,
}

impl Threads {
    /// `count` threads, all cores where none is given.
    ///
    /// # Errors
    /// `ValueError` for a count out of range, `RuntimeError` where threads cannot be started.
    pub fn new(count: Option<i64>) -> PyResult<Self> {
        let threads = match count {
            None => available_parallelism().map_or(1, usize::from),
            Some(count @ 1..=MAX_THREADS) => count as usize,
            Some(count) => {
                return Err(PyValueError::new_err(format!("threads must be 1 to {MAX_THREADS}, got {count}")));
            }
        };
        let process = process::id();
        let mut pools = POOLS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        pools.retain(|shared| shared.pool.strong_count() > 0);
        let known = pools.iter().find(|shared| shared.process == process && shared.threads == threads);
        if let Some(pool) = known.and_then(|shared| shared.pool.upgrade()) {
            return Ok(Self { pool, process });
        }
        let started = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("kfcpo-{i}")).build();
        let pool = Arc::new(started.map_err(|error| {
            PyRuntimeError::new_err(format!("cannot start {threads} threads, ask for fewer: {error}"))
        })?);
        pools.push(Shared { process, threads, pool: Arc::downgrade(&pool) });
        Ok(Self { pool, process })
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Computes on them while other Python threads run.
    ///
    /// # Errors
    /// `RuntimeError` in a process forked from the one the threads belong to, and for a panic.
    pub fn run<T: Send>(&self, py: Python<'_>, compute: impl FnOnce() -> T + Send) -> PyResult<T> {
        if self.process != process::id() {
            return Err(PyRuntimeError::new_err(
                "this object was made in another process, whose threads a fork does not copy: make it, or unpickle it, here",
            ));
        }
        let done = py.detach(|| catch_unwind(AssertUnwindSafe(|| self.pool.install(compute))));
        done.map_err(error::of_panic)
    }
}
