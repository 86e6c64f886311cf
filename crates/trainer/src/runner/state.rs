//! What a run needs to continue, and what its shards must have in common.

use anyhow::{Context as _, Result};
use burn::tensor::Tensor;
use compute::{State, read};
use crc32c::crc32c_append;

use super::Runner;
use crate::policy::saved::DEPLOYED_POLICY;

impl Runner {
    /// Everything a bit-for-bit continuation needs, apart from the configuration.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn save(&self) -> Result<State> {
        let mut state = self.common_state()?;
        self.put_own(&mut state)?;
        Ok(state)
    }

    /// The part of [`Self::save`] that is the same in every shard of a run.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn common_state(&self) -> Result<State> {
        let mut state = State::new();
        self.policy.save(&mut state)?;
        if let Some(deployed) = self.algorithm.deployed() {
            state.put_tensor(DEPLOYED_POLICY, &deployed)?;
        }
        self.critics.save(&mut state)?;
        state.put_part("algorithm", self.algorithm.state()?)?;
        state.put_part("normalizer", self.normalizer.state()?)?;
        state.put_part("sampled", self.sampled.state()?)?;
        state.put("runner.iteration", self.iteration)?;
        state.put("runner.vector_steps", self.vector_steps)?;
        state.put("runner.totals", self.totals)?;
        Ok(state)
    }

    /// The part of [`Self::save`] that is this shard's own: its environments.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn own_state(&self) -> Result<State> {
        let mut state = State::new();
        self.put_own(&mut state)?;
        Ok(state)
    }

    fn put_own(&self, state: &mut State) -> Result<()> {
        if let Some(deployed) = &self.deployed {
            state.put_part("deployed", deployed.state()?)?;
        }
        state.put_part("env", self.env.state()?)?;
        Ok(state.put_tensor("runner.obs", &self.obs)?)
    }

    /// A checksum of the networks and the normaliser: shards of a run that have learned the same have the same.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn checksum(&self) -> Result<u32> {
        let (mean, std) = (self.normalizer.mean(), self.normalizer.std());
        let all = [self.policy.params().clone(), self.critics.params().clone(), mean, std];
        let values = read("what shards have in common", Tensor::cat(all.into(), 0))?;
        Ok(values.iter().fold(0, |sum, value| crc32c_append(sum, &value.to_le_bytes())))
    }

    /// Continues from [`Self::save`] under the same configuration.
    ///
    /// # Errors
    /// When an entry is missing or belongs to another configuration (it is named).
    pub fn load(&mut self, state: &State) -> Result<()> {
        self.load_common(state)?;
        self.load_own(state)
    }

    /// Takes what [`Self::common_state`] gave.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_common(&mut self, state: &State) -> Result<()> {
        self.policy.load(state)?;
        self.critics.load(state)?;
        self.algorithm.load_state(&state.part("algorithm").unwrap_or_default()).context("state `algorithm`")?;
        self.normalizer.load_state(&state.part("normalizer")?).context("state `normalizer`")?;
        let sampled = state.part("sampled").context(
            "it was written before the deployed policy was measured: continue it with the program that wrote it, or start a \
             new run of the same settings with --config RUN/config.json",
        )?;
        self.sampled.load_state(&sampled).context("state `sampled`")?;
        self.iteration = state.get("runner.iteration")?;
        self.vector_steps = state.get("runner.vector_steps")?;
        self.totals = state.get("runner.totals")?;
        Ok(())
    }

    /// Takes what [`Self::own_state`] gave.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_own(&mut self, state: &State) -> Result<()> {
        if let Some(deployed) = &mut self.deployed {
            deployed.load_state(&state.part("deployed")?).context("state `deployed`")?;
        }
        self.env.load_state(&state.part("env")?).context("state `env`")?;
        self.obs = state.tensor("runner.obs", self.obs.dims(), &self.obs.device())?;
        Ok(())
    }
}
