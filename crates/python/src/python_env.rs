//! Environments written in Python as a [`VecEnv`]: what `kfcpo.train` trains in when it is handed an object.
//!
//! The Python side (`kfcpo/python_env.py`) makes every kind of vector environment that is accepted look the same; here its
//! arrays become tensors and its episodes get their accounts. A Python exception travels up as a panic's payload, and
//! leaves Rust as that exception ([`crate::error::of_panic`]).

use burn::tensor::{Device, Tensor, TensorData};
use compute::{State, read};
use envs::{EnvError, EnvSpec, StepBatch, VecEnv};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

/// Environments whose steps are Python's.
pub struct PythonEnv {
    adapter: Py<PyAny>,
    spec: EnvSpec,
    num_envs: usize,
    device: Device,
    /// `[B]` Return of the episodes in progress.
    returns: Vec<f64>,
    /// `[C, B]` Their costs.
    costs: Vec<f64>,
    /// `[B]` Their steps.
    lengths: Vec<u64>,
}

/// What a step of the adapter gives: next observations, what the step led to, reward, costs, terminated, truncated.
type Stepped<'py> = (
    PyReadonlyArray2<'py, f32>,
    PyReadonlyArray2<'py, f32>,
    PyReadonlyArray1<'py, f32>,
    PyReadonlyArray2<'py, f32>,
    PyReadonlyArray1<'py, f32>,
    PyReadonlyArray1<'py, f32>,
);

/// The same on the host.
struct Step {
    obs: Vec<f32>,
    final_obs: Vec<f32>,
    reward: Vec<f32>,
    costs: Vec<f32>,
    terminated: Vec<f32>,
    truncated: Vec<f32>,
}

impl PythonEnv {
    /// The environments behind an adapter of `kfcpo.python_env`.
    ///
    /// # Errors
    /// Where the adapter lacks an attribute.
    pub fn new(adapter: &Bound<'_, PyAny>, device: Device) -> PyResult<Self> {
        let spec = EnvSpec {
            id: adapter.getattr("id")?.extract()?,
            obs_dim: adapter.getattr("obs_dim")?.extract()?,
            action_dim: adapter.getattr("action_dim")?.extract()?,
            max_episode_steps: adapter.getattr("max_episode_steps")?.extract()?,
            constraints: adapter.getattr("constraints")?.extract()?,
        };
        let num_envs: usize = adapter.getattr("num_envs")?.extract()?;
        let costs = vec![0.0; num_envs * spec.constraints.len()];
        let adapter = adapter.clone().unbind();
        let (returns, lengths) = (vec![0.0; num_envs], vec![0; num_envs]);
        Ok(Self { adapter, spec, num_envs, device, returns, costs, lengths })
    }

    /// Calls Python; an exception goes up as a panic that prints nothing.
    fn call<T>(&self, call: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> T {
        let result = Python::attach(|py| call(self.adapter.bind(py)));
        result.unwrap_or_else(|raised| std::panic::resume_unwind(Box::new(raised)))
    }

    fn vector(&self, values: Vec<f32>) -> Tensor<1> {
        let len = values.len();
        Tensor::from_data(TensorData::new(values, [len]), &self.device)
    }

    fn table(&self, values: Vec<f32>, shape: [usize; 2]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }
}

impl VecEnv for PythonEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn num_envs(&self) -> usize {
        self.num_envs
    }

    fn device(&self) -> &Device {
        &self.device
    }

    /// Never staggered: Python's environments begin at their beginning.
    fn reset(&mut self, _staggered: bool) -> Tensor<2> {
        let obs = self.call(|adapter| {
            let obs: PyReadonlyArray2<f32> = adapter.call_method0("reset")?.extract()?;
            Ok(obs.as_slice()?.to_vec())
        });
        self.returns.fill(0.0);
        self.costs.fill(0.0);
        self.lengths.fill(0);
        self.table(obs, [self.num_envs, self.spec.obs_dim])
    }

    fn step(&mut self, action: Tensor<2>) -> StepBatch {
        let shape = [self.num_envs, self.spec.action_dim];
        let action = match read("the actions", action) {
            Ok(action) => action,
            Err(error) => panic!("the actions cannot be read: {error}"),
        };
        let step = self.call(|adapter| {
            let action = PyArray1::from_vec(adapter.py(), action).reshape(shape)?;
            let (obs, final_obs, reward, costs, terminated, truncated): Stepped =
                adapter.call_method1("step", (action,))?.extract()?;
            Ok(Step {
                obs: obs.as_slice()?.to_vec(),
                final_obs: final_obs.as_slice()?.to_vec(),
                reward: reward.as_slice()?.to_vec(),
                costs: costs.as_slice()?.to_vec(),
                terminated: terminated.as_slice()?.to_vec(),
                truncated: truncated.as_slice()?.to_vec(),
            })
        });
        let (n, c) = (self.num_envs, self.spec.constraints.len());
        for (sum, cost) in self.costs.iter_mut().zip(&step.costs) {
            *sum += f64::from(*cost);
        }
        for i in 0..n {
            self.returns[i] += f64::from(step.reward[i]);
            self.lengths[i] += 1;
        }
        let episode_return = self.vector(self.returns.iter().map(|sum| *sum as f32).collect());
        let episode_costs = self.table(self.costs.iter().map(|sum| *sum as f32).collect(), [c, n]);
        let episode_length = self.vector(self.lengths.iter().map(|steps| *steps as f32).collect());
        for i in (0..n).filter(|i| step.terminated[*i] + step.truncated[*i] > 0.0) {
            (self.returns[i], self.lengths[i]) = (0.0, 0);
            self.costs.iter_mut().skip(i).step_by(n).for_each(|sum| *sum = 0.0);
        }
        StepBatch {
            obs: self.table(step.obs, [n, self.spec.obs_dim]),
            final_obs: self.table(step.final_obs, [n, self.spec.obs_dim]),
            reward: self.vector(step.reward),
            costs: self.table(step.costs, [c, n]),
            terminated: self.vector(step.terminated),
            truncated: self.vector(step.truncated),
            episode_return,
            episode_costs,
            episode_length,
            episode_partial: Tensor::zeros([n], &self.device),
            kinds: None,
        }
    }

    /// What is in Python's objects is not known: checkpoints hold the policy and all else, but not the environments.
    fn state(&self) -> Result<State, EnvError> {
        let mut state = State::new();
        state.put("written_in", "Python")?;
        Ok(state)
    }

    fn load_state(&mut self, _state: &State) -> Result<(), EnvError> {
        let problem = "it is written in Python, and its state is in no checkpoint: such a run cannot be continued";
        Err(EnvError::Spec { id: self.spec.id.clone(), problem: problem.to_owned() })
    }
}
