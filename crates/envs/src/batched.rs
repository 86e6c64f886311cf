//! Many environments of one's own, stepped as one over threads: episodes counted, reset and restored.

use burn::tensor::{Device, Tensor, TensorData};
use compute::cpu::View;
use compute::noise::{NoiseKey, Stream};
use compute::{HostTensor, State, read};
use rayon::prelude::*;

use crate::env::{Env, Outcome};
use crate::error::EnvError;
use crate::spec::EnvSpec;
use crate::vec_env::{MAX_ENVS, StepBatch, VecEnv};

/// Environments that one task steps at least.
const MIN_TASK: usize = 8;
/// Numbers of an account besides its costs: episode, steps, partial, return.
const ACCOUNT: usize = 4;
/// Parts of 16 bits in a float64; float32 holds each exactly.
const PARTS: usize = 4;

/// A [`VecEnv`] of independent environments `E` with `C` constraints, stepped by rayon's threads.
///
/// Episodes begin again within the step that ends them; seeds follow from the batch's seed, the environment's index and
/// its episode, and no number depends on how many threads there are. On a GPU, actions are read back at every step.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use envs::{Batched, Env, EnvSpec, Outcome, VecEnv};
///
/// /// Rewards what it is told to do.
/// struct Echo;
///
/// impl Env for Echo {
///     fn spec(&self) -> EnvSpec {
///         let (id, constraints) = ("Echo-v0".to_owned(), vec!["cost".to_owned()]);
///         EnvSpec { id, obs_dim: 1, action_dim: 1, max_episode_steps: 5, constraints }
///     }
///     fn reset(&mut self, _seed: u64, obs: &mut [f32]) {
///         obs[0] = 0.0;
///     }
///     fn step(&mut self, action: &[f32], obs: &mut [f32]) -> Outcome {
///         obs[0] = action[0];
///         Outcome { reward: action[0], costs: [0.0], terminated: false, truncated: false }
///     }
///     fn state(&self) -> Vec<f64> {
///         Vec::new()
///     }
///     fn load_state(&mut self, _state: &[f64]) {}
/// }
///
/// # fn main() -> Result<(), envs::EnvError> {
/// let device = Device::flex();
/// let mut env = Batched::new(3, 0, &device, |_| Echo)?;
/// env.reset(false);
/// let batch = env.step(Tensor::from_floats([[0.5], [-0.5], [2.0]], &device));
/// assert_eq!(batch.reward.into_data().try_to_vec::<f32>().unwrap(), [0.5, -0.5, 1.0]);
/// # Ok(())
/// # }
/// ```
pub struct Batched<E, const C: usize = 1> {
    spec: EnvSpec,
    slots: Vec<Slot<E, C>>,
    seed: u64,
    device: Device,
}

/// An environment and the account of its episode.
struct Slot<E, const C: usize> {
    env: E,
    /// Episodes begun, counting the current one.
    episode: u64,
    steps: usize,
    /// Whether the episode was begun in its middle.
    partial: bool,
    episode_return: f64,
    costs: [f64; C],
}

/// What a step of one environment gave, the episode's account included.
struct Row<const C: usize> {
    outcome: Outcome<C>,
    episode_return: f64,
    episode_costs: [f64; C],
    steps: usize,
    partial: bool,
}

impl<E: Env<C>, const C: usize> Batched<E, C> {
    /// `num_envs` environments that `make` makes from their index, each in its first episode.
    ///
    /// # Errors
    /// [`EnvError::NumEnvs`], or [`EnvError::Spec`] when the specification cannot be true.
    pub fn new(num_envs: usize, seed: u64, device: &Device, make: impl FnMut(usize) -> E) -> Result<Self, EnvError> {
        if num_envs == 0 || num_envs > MAX_ENVS {
            return Err(EnvError::NumEnvs(num_envs));
        }
        let envs = (0..num_envs).map(make);
        let slot = |env| Slot { env, episode: 0, steps: 0, partial: false, episode_return: 0.0, costs: [0.0; C] };
        let slots: Vec<Slot<E, C>> = envs.map(slot).collect();
        let spec = slots[0].env.spec();
        let sizes = [("obs_dim", spec.obs_dim), ("action_dim", spec.action_dim)];
        let problem = match sizes.into_iter().chain([("max_episode_steps", spec.max_episode_steps)]).find(|s| s.1 == 0)
        {
            Some((name, _)) => Some(format!("{name} is 0")),
            None if spec.constraints.len() != C => {
                Some(format!("it names {} constraints and has {C} costs", spec.constraints.len()))
            }
            None => None,
        };
        if let Some(problem) = problem {
            return Err(EnvError::Spec { id: spec.id, problem });
        }
        let mut batched = Self { spec, slots, seed, device: device.clone().without_autodiff() };
        batched.reset(false);
        Ok(batched)
    }

    /// Numbers of one environment in a saved state.
    fn saved_numbers(&self) -> usize {
        ACCOUNT + C + self.slots[0].env.state().len()
    }

    fn upload<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }
}

impl<E: Env<C>, const C: usize> Slot<E, C> {
    /// Begins the next episode of environment `index`.
    fn begin(&mut self, seed: u64, index: usize, limit: usize, staggered: bool, obs: &mut [f32]) {
        self.episode += 1;
        let bits = NoiseKey { seed, stream: Stream::Environment, step: self.episode }.bits();
        let word = |lane: u32| u64::from(bits(index as u32, lane));
        self.env.reset(word(0) << 32 | word(1), obs);
        self.steps = if staggered { ((word(2) * limit as u64) >> 32) as usize } else { 0 };
        (self.partial, self.episode_return, self.costs) = (staggered, 0.0, [0.0; C]);
    }

    /// A step; `last` is the observation it led to, `obs` the one to act on next.
    fn step(
        &mut self,
        seed: u64,
        index: usize,
        limit: usize,
        action: &[f32],
        obs: &mut [f32],
        last: &mut [f32],
    ) -> Row<C> {
        let mut outcome = self.env.step(action, last);
        self.steps += 1;
        self.episode_return += f64::from(outcome.reward);
        for (sum, cost) in self.costs.iter_mut().zip(outcome.costs) {
            *sum += f64::from(cost);
        }
        outcome.truncated |= self.steps >= limit;
        let (episode_return, episode_costs) = (self.episode_return, self.costs);
        let row = Row { outcome, episode_return, episode_costs, steps: self.steps, partial: self.partial };
        if outcome.terminated || outcome.truncated {
            self.begin(seed, index, limit, false, obs);
        } else {
            obs.copy_from_slice(last);
        }
        row
    }

    fn numbers(&self) -> Vec<f64> {
        let account = [self.episode as f64, self.steps as f64, f64::from(u8::from(self.partial)), self.episode_return];
        account.into_iter().chain(self.costs).chain(self.env.state()).collect()
    }

    fn set_numbers(&mut self, numbers: &[f64]) {
        (self.episode, self.steps) = (numbers[0] as u64, numbers[1] as usize);
        (self.partial, self.episode_return) = (numbers[2] != 0.0, numbers[3]);
        self.costs.copy_from_slice(&numbers[ACCOUNT..ACCOUNT + C]);
        self.env.load_state(&numbers[ACCOUNT + C..]);
    }
}

impl<E: Env<C>, const C: usize> VecEnv for Batched<E, C> {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn num_envs(&self) -> usize {
        self.slots.len()
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn reset(&mut self, staggered: bool) -> Tensor<2> {
        let (n, obs_dim, seed, limit) = (self.slots.len(), self.spec.obs_dim, self.seed, self.spec.max_episode_steps);
        let mut obs = vec![0.0; n * obs_dim];
        let slots = self.slots.par_iter_mut().zip(obs.par_chunks_mut(obs_dim)).enumerate().with_min_len(MIN_TASK);
        slots.for_each(|(index, (slot, obs))| slot.begin(seed, index, limit, staggered, obs));
        self.upload(obs, [n, obs_dim])
    }

    fn step(&mut self, action: Tensor<2>) -> StepBatch {
        let (n, obs_dim, action_dim) = (self.slots.len(), self.spec.obs_dim, self.spec.action_dim);
        assert_eq!(action.dims(), [n, action_dim], "action must have shape [num_envs, action_dim]");
        let mut actions = match View::of(&action) {
            Some(view) => view.values().to_vec(),
            None => read("the actions", action).unwrap_or_else(|error| panic!("{error}")),
        };
        actions.iter_mut().for_each(|number| *number = number.clamp(-1.0, 1.0));
        let (seed, limit) = (self.seed, self.spec.max_episode_steps);
        let (mut obs, mut last) = (vec![0.0; n * obs_dim], vec![0.0; n * obs_dim]);
        let slots = self.slots.par_iter_mut().zip(actions.par_chunks(action_dim));
        let slots = slots.zip(obs.par_chunks_mut(obs_dim)).zip(last.par_chunks_mut(obs_dim));
        let rows: Vec<Row<C>> = (slots.enumerate().with_min_len(MIN_TASK))
            .map(|(index, (((slot, action), obs), last))| slot.step(seed, index, limit, action, obs, last))
            .collect();
        let row = |get: &dyn Fn(&Row<C>) -> f32| self.upload(rows.iter().map(get).collect(), [n]);
        let table = |get: &dyn Fn(&Row<C>, usize) -> f32| {
            self.upload((0..C).flat_map(|c| rows.iter().map(move |row| get(row, c))).collect(), [C, n])
        };
        let flag = |is: bool| f32::from(u8::from(is));
        StepBatch {
            reward: row(&|row| row.outcome.reward),
            costs: table(&|row, c| row.outcome.costs[c]),
            terminated: row(&|row| flag(row.outcome.terminated)),
            truncated: row(&|row| flag(row.outcome.truncated)),
            episode_return: row(&|row| row.episode_return as f32),
            episode_costs: table(&|row, c| row.episode_costs[c] as f32),
            episode_length: row(&|row| row.steps as f32),
            episode_partial: row(&|row| flag(row.partial)),
            obs: self.upload(obs, [n, obs_dim]),
            final_obs: self.upload(last, [n, obs_dim]),
            kinds: None,
        }
    }

    fn state(&self) -> Result<State, EnvError> {
        let numbers: Vec<f64> = self.slots.iter().flat_map(Slot::numbers).collect();
        let shape = [self.slots.len(), PARTS * self.saved_numbers()];
        let mut state = State::new();
        state.put_host("envs", HostTensor::new(shape, numbers.into_iter().flat_map(parts_of).collect())?)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<(), EnvError> {
        let (saved, numbers) = (state.host("envs")?, self.saved_numbers());
        let expected = vec![self.slots.len(), PARTS * numbers];
        if saved.shape != expected {
            return Err(EnvError::StateShape { got: saved.shape.clone(), expected });
        }
        let restored: Vec<f64> = saved.values.chunks_exact(PARTS).map(whole_of).collect();
        for (slot, numbers) in self.slots.iter_mut().zip(restored.chunks_exact(numbers)) {
            slot.set_numbers(numbers);
        }
        Ok(())
    }
}

/// The bits of a float64 as four numbers that float32 holds exactly.
fn parts_of(number: f64) -> [f32; PARTS] {
    core::array::from_fn(|i| ((number.to_bits() >> (16 * i)) & 0xffff) as f32)
}

/// The float64 of which [`parts_of`] made `parts`.
fn whole_of(parts: &[f32]) -> f64 {
    f64::from_bits(parts.iter().rev().fold(0, |bits, part| bits << 16 | *part as u64))
}

#[cfg(test)]
mod tests;
