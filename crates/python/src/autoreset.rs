//! What happens to an environment whose episode has ended: Gymnasium's three modes.
//!
//! The environments themselves begin the next episode within the step that ends one. `NextStep` and `Disabled` show the last
//! observation first and keep the new episode's beginning until it is asked for: in the next step, or by a reset.

use burn::tensor::{Bool, Device, Tensor, TensorData};
use envs::{Navigation, VecEnv};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::arrays::Slices;
use crate::values::Values;

/// Environments of a block of the state, see [`Navigation::fields`].
const LANES: usize = 32;

/// When an environment whose episode has ended shows its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the step that ends the episode.
    SameStep,
    /// In the step after, whose action is ignored.
    NextStep,
    /// Once it is reset.
    Disabled,
}

impl Mode {
    const ALL: [(&'static str, Self); 3] =
        [("same_step", Self::SameStep), ("next_step", Self::NextStep), ("disabled", Self::Disabled)];

    /// The mode called `name`.
    ///
    /// # Errors
    /// `ValueError`, which lists the names.
    pub fn named(name: &str) -> PyResult<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, mode)| *mode).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            PyValueError::new_err(format!("unknown autoreset mode `{name}`; there are {names}"))
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| *name)
    }
}

/// Which environments wait for their next episode, and how that begins.
pub struct Autoreset {
    mode: Mode,
    obs_dim: usize,
    /// `[B]` Ended, the next episode not shown yet; never set in `SameStep`.
    pub ended: Vec<bool>,
    /// `[B, D]` First observations of those that wait.
    pub next_obs: Vec<f32>,
}

impl Autoreset {
    /// Nobody waits.
    pub fn new(mode: Mode, num_envs: usize, obs_dim: usize) -> Self {
        let kept = if mode == Mode::SameStep { 0 } else { num_envs * obs_dim };
        Self { mode, obs_dim, ended: vec![false; num_envs], next_obs: vec![0.0; kept] }
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Those that a step must leave where they are, if there are any.
    ///
    /// # Errors
    /// `RuntimeError` where some were to be reset first.
    pub fn held(&self) -> PyResult<Option<Vec<bool>>> {
        if !self.ended.contains(&true) {
            return Ok(None);
        }
        if self.mode == Mode::Disabled {
            let ended: Vec<usize> = (0..self.ended.len()).filter(|i| self.ended[*i]).take(10).collect();
            return Err(PyRuntimeError::new_err(format!(
                "the episodes of environments {ended:?} have ended: reset them before the next step"
            )));
        }
        Ok(Some(self.ended.clone()))
    }

    /// Makes what a step put out that of the mode. `held` environments were not stepped: they begin their next episode.
    pub fn finish_step(&mut self, held: Option<&[bool]>, out: &mut Slices) {
        if self.mode == Mode::SameStep {
            return;
        }
        for i in 0..self.ended.len() {
            let row = i * self.obs_dim..(i + 1) * self.obs_dim;
            let is_held = held.is_some_and(|held| held[i]);
            if is_held {
                out.obs[row.clone()].copy_from_slice(&self.next_obs[row.clone()]);
                out.final_obs[row.clone()].copy_from_slice(&self.next_obs[row]);
                out.clear_step(i);
                out.clear_account(i);
                self.ended[i] = false;
            } else if out.terminated[i] || out.truncated[i] {
                self.next_obs[row.clone()].copy_from_slice(&out.obs[row.clone()]);
                out.obs[row.clone()].copy_from_slice(&out.final_obs[row]);
                self.ended[i] = true;
            }
        }
    }

    /// Begins an episode in the environments of `mask` and writes their rows of `obs` and of the accounts. Those that wait
    /// show the episode that has begun already.
    pub fn reset_some(&mut self, env: &mut Navigation, mask: &[bool], out: &mut Slices) {
        let in_progress: Vec<bool> = mask.iter().zip(&self.ended).map(|(asked, ended)| *asked && !ended).collect();
        let begun = in_progress.contains(&true).then(|| {
            let before = env.fields();
            let begun = env.reset(false);
            let others: Vec<bool> = in_progress.iter().map(|begun| !begun).collect();
            keep(env, before, &others);
            Values::of(&begun)
        });
        for i in (0..mask.len()).filter(|i| mask[*i]) {
            let row = i * self.obs_dim..(i + 1) * self.obs_dim;
            let first = if self.ended[i] { Some(&*self.next_obs) } else { begun.as_deref() };
            if let Some(first) = first {
                out.obs[row.clone()].copy_from_slice(&first[row]);
            }
            out.clear_step(i);
            out.clear_account(i);
            self.ended[i] = false;
        }
    }

    /// All episodes have begun anew.
    pub fn reset_all(&mut self, out: &mut Slices) {
        self.ended.fill(false);
        for i in 0..self.ended.len() {
            out.clear_step(i);
            out.clear_account(i);
        }
    }
}

/// Puts the environments of `mask` back to what `before`, their fields, held.
pub fn keep(env: &mut Navigation, before: Tensor<3>, mask: &[bool]) {
    let after = env.fields();
    let device = after.device();
    let mask = lanes(mask, after.dims(), &device);
    env.set_fields(after.mask_where(mask, before)).expect("fields of these environments");
}

/// A flag per environment as one per number of the state.
fn lanes(mask: &[bool], [blocks, fields, lanes]: [usize; 3], device: &Device) -> Tensor<3, Bool> {
    let mut flags = mask.to_vec();
    flags.resize(blocks * LANES, false);
    let flags = Tensor::<1, Bool>::from_data(TensorData::new(flags, [blocks * LANES]), device);
    flags.reshape([blocks, 1, lanes]).expand([blocks, fields, lanes])
}
