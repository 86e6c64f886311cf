//! The state of `safe-rl`'s and `kfac`'s parts, as entries of a run's state dictionary.

use crate::state_dict::{HostTensor, StateDict};
use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor};
use safe_rl::State;

impl StateDict {
    /// Stores a part's state under names prefixed by `prefix` and a dot.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn put_state(&mut self, prefix: &str, state: State) -> Result<()> {
        for (name, shape, values) in state.tensors {
            self.put_host(&format!("{prefix}.{name}"), HostTensor::new(shape, values)?)?;
        }
        for (name, value) in state.scalars {
            self.put_f64(&format!("{prefix}.{name}"), value)?;
        }
        Ok(())
    }

    /// The state that [`StateDict::put_state`] stored under `prefix`.
    ///
    /// # Errors
    /// When there is none, or a scalar is no number.
    pub fn state(&self, prefix: &str) -> Result<State> {
        let part = self.part(prefix);
        ensure!(!part.tensors.is_empty() || !part.scalars.is_empty(), "the state has no part `{prefix}`");
        let tensors = part.tensors.iter().map(|(name, t)| (name.clone(), t.shape.clone(), t.values.clone())).collect();
        let names = part.scalars.keys();
        let scalars = names.map(|name| Ok((name.clone(), part.get_f64(name)?))).collect::<Result<_>>()?;
        Ok(State { tensors, scalars })
    }

    /// Stores named matrices under names prefixed by `prefix` and a dot.
    ///
    /// # Errors
    /// When a name is taken or the device cannot be read.
    pub fn put_matrices(&mut self, prefix: &str, matrices: &[(String, Tensor<2>)]) -> Result<()> {
        matrices.iter().try_for_each(|(name, matrix)| self.put_tensor(&format!("{prefix}.{name}"), matrix))
    }

    /// The matrices that [`StateDict::put_matrices`] stored under `prefix`.
    ///
    /// # Errors
    /// When one is no matrix.
    pub fn matrices(&self, prefix: &str, device: &Device) -> Result<Vec<(String, Tensor<2>)>> {
        let part = self.part(prefix);
        part.tensors.keys().map(|name| Ok((name.clone(), part.tensor(name, device)?))).collect()
    }
}
