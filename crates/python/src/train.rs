//! Training from Python: a run directory as the trainer writes it, a callback every iteration.

use std::path::{Path, PathBuf};

use anyhow::Result;
use envs::{EnvSpec, VecEnv};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};
use serde_json::Value;
use trainer::algorithm::ALGORITHMS;
use trainer::cli::Summary;
use trainer::config::load::{Sources, resolve};
use trainer::config::{EnvSetting, TrainConfig};
use trainer::device::{DeviceChoice, select_device};
use trainer::log::csv;
use trainer::memory;
use trainer::policy::source::pin_init;
use trainer::run_dir::RunDir;
use trainer::runner::Runner;
use trainer::training::{Resources, RunPlan, Training};

use crate::error;
use crate::policy::{POLICY_FILE, Policy};
use crate::python_env::PythonEnv;
use crate::threads::Threads;

/// The settings that have an argument of their own: its name and key.
const FLAGS: [&str; 6] = ["env", "algo", "seed", "total_steps", "num_envs", "cost_limit"];

/// Trains and returns the run's directory, its summary as JSON and its policy.
///
/// `flags` holds settings as JSON by the names of `train`'s arguments, `sets` any others as `key.path=value`. `adapter` is an
/// environment of Python. `callback` gets every iteration's numbers as a dict; where it returns False the run ends.
///
/// Raises `ValueError` for an unknown or unsuitable setting, `OSError` where the directory cannot be written, and what the
/// callback or the environment raises; Ctrl-C raises `KeyboardInterrupt` after the iteration. A checkpoint stands by then.
#[pyfunction]
#[pyo3(signature = (flags, sets, preset, config, out, callback, threads, device, adapter))]
pub fn train_run(
    py: Python<'_>,
    flags: &Bound<'_, PyDict>,
    sets: Vec<String>,
    preset: Option<String>,
    config: Option<PathBuf>,
    out: Option<PathBuf>,
    callback: Option<Bound<'_, PyAny>>,
    threads: Option<i64>,
    device: &str,
    adapter: Option<Bound<'_, PyAny>>,
) -> PyResult<(PathBuf, String, Policy)> {
    let threads = Threads::new(threads)?;
    let choice: DeviceChoice = device
        .parse()
        .map_err(|error| pyo3::exceptions::PyValueError::new_err(format!("device `{device}`: {error}")))?;
    let device = threads.run(py, || select_device(choice))?.map_err(error::of)?;
    let sources = Sources { preset, file: config, sets, flags: values(flags)? };
    let mut config = resolve(&sources).map_err(error::of)?;
    let env = adapter.map(|adapter| PythonEnv::new(&adapter, device.device.clone())).transpose()?;
    let is_python = env.is_some();
    if let Some(env) = &env {
        config.env = EnvSetting::from(env.spec());
        config.num_envs = env.num_envs();
    }
    let resources = Resources { threads: threads.count(), device };
    let begun = threads.run(py, || begin(config, env, out.as_deref(), &resources))?;
    let mut run = begun.map_err(error::of)?;
    // Where an iteration itself fails, the checkpoints are those before: what is in memory may be broken.
    let ended = iterate(py, &threads, &mut run, callback.as_ref())?;
    let closed = threads.run(py, || close(&mut run, &resources, is_python))?;
    ended?;
    let (summary, snapshot) = closed.map_err(error::of)?;
    let policy = Policy::of(snapshot, resources.device.clone(), threads)?;
    Ok((run.dir().path().to_owned(), summary, policy))
}

/// The names of all algorithms, as `train` takes them.
#[pyfunction]
pub fn algorithm_names() -> Vec<&'static str> {
    ALGORITHMS.iter().map(|info| info.name).collect()
}

/// The flags that were given, as the configuration's sources.
fn values(flags: &Bound<'_, PyDict>) -> PyResult<Vec<(&'static str, &'static str, Value)>> {
    let mut values = Vec::new();
    for name in FLAGS {
        if let Some(text) = flags.get_item(name)? {
            let text: String = text.extract()?;
            let value = serde_json::from_str(&text)
                .map_err(|error| pyo3::exceptions::PyValueError::new_err(format!("{name}: {error}")))?;
            values.push((name, name, value));
        }
    }
    Ok(values)
}

/// A new run, in environments of Python where there are any.
fn begin(config: TrainConfig, env: Option<PythonEnv>, out: Option<&Path>, resources: &Resources) -> Result<Training> {
    let plan = |config: TrainConfig| -> Result<RunPlan> {
        Ok(RunPlan { dir: RunDir::create(out, &config)?, config, checkpoint: None, resumed: false })
    };
    let mut config = config;
    pin_init(&mut config)?;
    let Some(env) = env else {
        ensure_fits(&config, &config.env.spec()?.env)?;
        return Training::begin(plan(config)?, resources);
    };
    ensure_fits(&config, env.spec())?;
    // Before the directory: settings that do not fit the environments leave none behind.
    let runner = Runner::with_env(config.clone(), Box::new(env), resources.device.device.clone())?;
    Training::begin_with(runner, plan(config)?, resources)
}

fn ensure_fits(config: &TrainConfig, spec: &EnvSpec) -> Result<()> {
    let what = format!("{} environments of {}, rollouts of {}", config.num_envs, config.env, config.rollout_steps);
    Ok(memory::ensure_fits(&what, memory::of_training(config, spec))?)
}

/// Iterates until the run is done, the callback says so, or Python raises between two iterations: that is the inner error.
///
/// # Errors
/// When an iteration fails.
fn iterate(
    py: Python<'_>,
    threads: &Threads,
    run: &mut Training,
    callback: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyResult<()>> {
    while !run.done() {
        threads.run(py, || run.advance())?.map_err(error::of)?;
        match report(py, run, callback) {
            Ok(true) => {}
            Ok(false) => break,
            Err(raised) => return Ok(Err(raised)),
        }
    }
    Ok(Ok(()))
}

/// Lets Python see signals and the iteration's numbers; returns whether the run goes on.
fn report(py: Python<'_>, run: &Training, callback: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    py.check_signals()?;
    let (Some(callback), Some(record)) = (callback, run.last()) else { return Ok(true) };
    let numbers = PyDict::new(py);
    for (name, value) in csv::row(&record) {
        numbers.set_item(&*name, value)?;
    }
    let answer = callback.call1((numbers,))?;
    Ok(answer.cast::<PyBool>().map_or(true, |answer| answer.is_true()))
}

/// Leaves a checkpoint and the summary behind, and for environments of Python the policy as a file: their checkpoints need
/// environments to be read.
fn close(
    run: &mut Training,
    resources: &Resources,
    is_python: bool,
) -> Result<(String, trainer::policy::exported::PolicySnapshot)> {
    run.close()?;
    let summary = Summary::new(run, resources);
    run.dir().write_json("summary.json", &summary)?;
    let snapshot = run.runner().snapshot()?;
    if is_python {
        snapshot.write_safetensors(&run.dir().path().join(POLICY_FILE))?;
    }
    Ok((serde_json::to_string(&summary)?, snapshot))
}
