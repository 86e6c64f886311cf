//! What process 0 says to the others.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use compute::State;

use crate::comm::Processes;
use crate::config::TrainConfig;
use crate::container;
use crate::schedule::Schedule;

/// What all processes do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Build what the following [`Start`] says.
    Begin,
    /// One iteration.
    Iterate,
    /// Bring what is the shards' own to process 0.
    Save,
    /// Say where you compute.
    Tell,
    /// End with this exit code.
    End(u8),
}

impl Command {
    /// Says it to the others.
    ///
    /// # Errors
    /// When a process or the network fails.
    pub fn send(self, processes: &dyn Processes) -> Result<()> {
        let bytes = match self {
            Self::Begin => vec![0],
            Self::Iterate => vec![1],
            Self::Save => vec![2],
            Self::Tell => vec![3],
            Self::End(code) => vec![4, code],
        };
        processes.broadcast(bytes).map(drop)
    }

    /// What process 0 says.
    ///
    /// # Errors
    /// When a process or the network fails, or it speaks another language.
    pub fn receive(processes: &dyn Processes) -> Result<Self> {
        match processes.broadcast(Vec::new())?.as_slice() {
            [0] => Ok(Self::Begin),
            [1] => Ok(Self::Iterate),
            [2] => Ok(Self::Save),
            [3] => Ok(Self::Tell),
            [4, code] => Ok(Self::End(*code)),
            _ => bail!("process 0 says what this one does not know: are they of the same build?"),
        }
    }
}

/// A run as it begins or goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Its configuration, resolved.
    pub config: TrainConfig,
    /// Where its schedules stand.
    pub schedule: Schedule,
    /// Whether the state holds what is the shards' own.
    pub continues: bool,
    /// What the shards begin with.
    pub state: State,
}

impl Start {
    /// As bytes.
    ///
    /// # Errors
    /// When something cannot be expressed in JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let metadata = BTreeMap::from([
            ("config".to_owned(), serde_json::to_string(&self.config)?),
            ("schedule".to_owned(), serde_json::to_string(&self.schedule)?),
            ("continues".to_owned(), serde_json::to_string(&self.continues)?),
            (SCALARS.to_owned(), serde_json::to_string(&self.state.scalars)?),
        ]);
        Ok(container::to_bytes(&self.state.tensors, &metadata))
    }

    /// What [`Self::to_bytes`] made.
    ///
    /// # Errors
    /// When it is something else.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self> {
        let (tensors, metadata) = container::from_bytes(bytes)?;
        let text = |key: &str| metadata.get(key).with_context(|| format!("process 0 has not said its `{key}`"));
        Ok(Self {
            config: serde_json::from_str(text("config")?)?,
            schedule: serde_json::from_str(text("schedule")?)?,
            continues: serde_json::from_str(text("continues")?)?,
            state: State { tensors, scalars: serde_json::from_str(text(SCALARS)?)? },
        })
    }
}

/// Where the scalars of a state stand.
const SCALARS: &str = "scalars";

/// A state as bytes.
///
/// # Errors
/// When something cannot be expressed in JSON.
pub fn state_to_bytes(state: &State) -> Result<Vec<u8>> {
    let metadata = BTreeMap::from([(SCALARS.to_owned(), serde_json::to_string(&state.scalars)?)]);
    Ok(container::to_bytes(&state.tensors, &metadata))
}

/// What [`state_to_bytes`] made.
///
/// # Errors
/// When it is something else.
pub fn state_of_bytes(bytes: &[u8]) -> Result<State> {
    let (tensors, metadata) = container::from_bytes(bytes)?;
    let scalars = metadata.get(SCALARS).context("a shard's state has no scalars")?;
    Ok(State { tensors, scalars: serde_json::from_str(scalars)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use compute::HostTensor;

    #[test]
    fn a_start_arrives_as_it_was_sent() {
        let mut state = State::new();
        state.put_host("policy.params", HostTensor::new([2], vec![0.1, f32::MIN_POSITIVE]).unwrap()).unwrap();
        state.put_f64("cost.0", f64::NAN).unwrap();
        state.put("steps", u64::MAX).unwrap();
        assert_eq!(state_of_bytes(&state_to_bytes(&state).unwrap()).unwrap(), state);
        let config = TrainConfig { gamma: 0.1 + 0.2, shards: 4, ..TrainConfig::default() };
        let start = Start { config, schedule: Schedule::default(), continues: true, state };
        assert_eq!(Start::of_bytes(&start.to_bytes().unwrap()).unwrap(), start);
        assert!(Start::of_bytes(b"something else").is_err());
    }
}
