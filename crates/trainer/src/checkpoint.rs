//! Checkpoints: one file each, replaced atomically, checked when read.
//!
//! A checkpoint is a safetensors file: the arrays of the [`State`], and as metadata the format's name and
//! version, the configuration, the scalars and a CRC-32C over the whole file. A truncated, altered or foreign file
//! is therefore refused with its name, never half loaded.
//!
//! In a run's `checkpoints/` (the [`CheckpointStore`]) lie `step-N.ckpt` and two one-line text files, `latest` and `best`, which name one of them.
//! What is best follows from the checkpoints themselves: a process that dies before it has named it loses nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use compute::State;
use crc32c::{crc32c, crc32c_append};
use serde::{Deserialize, Serialize};

use crate::bounded_read::read_bounded;
use crate::config::TrainConfig;
use crate::config::load::checked;
use crate::container;
use crate::outcome::Rank;
use crate::schedule::Schedule;
use crate::training::choice::Choice;

mod store;

pub use store::{CheckpointStore, Selector, named_by};

/// Value of the metadata entry `format`.
pub const FORMAT: &str = "kfcpo-checkpoint";
const FORMAT_VERSION: &str = "3";
/// Versions whose policies can be used. Version 2 knows neither a deployed policy nor ranks: a run cannot continue from it.
const READABLE_VERSIONS: [&str; 2] = ["2", FORMAT_VERSION];
const NO_CHECKSUM: &str = "00000000";
/// Bytes of a checkpoint: twice what the largest networks that can be configured need.
pub const LIMIT: u64 = 32 << 30;
/// Steps from which a double no longer holds every whole number.
const MAX_STEPS: u64 = 1 << 53;

/// What the loop around the runner must remember: the runner's own state is the [`State`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Seconds of training so far, over all sessions of the run.
    pub wall_s: f64,
    /// The place of this very policy among the run's, as far as it is known: what `best` is chosen by.
    #[serde(default)]
    pub rank: Option<Rank>,
    /// Where the run's schedules stand, in the length that the configuration beside it says.
    #[serde(default)]
    pub schedule: Schedule,
    /// How the policy to deploy was chosen, where the run was at its end.
    #[serde(default)]
    pub choice: Option<Choice>,
}

/// A complete training state.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The run's configuration.
    pub config: TrainConfig,
    /// Environment steps taken when it was written.
    pub steps: u64,
    /// State of the loop.
    pub session: Session,
    /// State of the runner.
    pub state: State,
}

impl Checkpoint {
    /// The file's bytes.
    ///
    /// # Errors
    ///
    /// When something cannot be expressed in JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let metadata = BTreeMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("format_version".to_owned(), FORMAT_VERSION.to_owned()),
            ("program_version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("config".to_owned(), serde_json::to_string(&self.config)?),
            ("steps".to_owned(), self.steps.to_string()),
            ("session".to_owned(), serde_json::to_string(&self.session)?),
            ("scalars".to_owned(), serde_json::to_string(&self.state.scalars)?),
            ("checksum".to_owned(), NO_CHECKSUM.to_owned()),
        ]);
        let mut bytes = container::to_bytes(&self.state.tensors, &metadata);
        let at = checksum_position(&bytes)?;
        let checksum = format!("{:08x}", crc32c(&bytes));
        bytes[at..at + NO_CHECKSUM.len()].copy_from_slice(checksum.as_bytes());
        Ok(bytes)
    }

    /// Reads what [`Checkpoint::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// When the bytes are foreign, incomplete, altered or of another format version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (tensors, metadata) = container::from_bytes(bytes).context("truncated, damaged or no checkpoint at all")?;
        let text = |key: &str| {
            let text = metadata.get(key).map(String::as_str);
            text.with_context(|| format!("the metadata lacks `{key}`"))
        };
        if text("format").ok() != Some(FORMAT) {
            bail!("not a checkpoint of this program (a safetensors file of another origin)");
        }
        let version = text("format_version")?;
        ensure!(
            READABLE_VERSIONS.contains(&version),
            "has format version {version}, this program reads {}: continue or `export` it with the \
             program that wrote it (`git_commit` in the run's meta.json), or start a new run of the same settings with \
             `--config RUN/config.json`",
            READABLE_VERSIONS.join(" and ")
        );
        ensure!(
            text("checksum")? == format!("{:08x}", checksum_of(bytes)?),
            "damaged: its checksum does not match its content"
        );
        let scalars = serde_json::from_str(text("scalars")?).context("scalars")?;
        let config: TrainConfig = serde_json::from_str(text("config")?)
            .context("its configuration does not fit this version of the program")?;
        let checkpoint = Self {
            config: checked(config).context("its configuration does not hold")?,
            steps: text("steps")?.parse().context("steps")?,
            session: serde_json::from_str(text("session")?).context("session")?,
            state: State { tensors, scalars },
        };
        checkpoint.validate()?;
        Ok(checkpoint)
    }

    /// A right checksum says that the file is as it was written, not that a run wrote it.
    fn validate(&self) -> Result<()> {
        let Session { wall_s, rank, schedule, choice } = &self.session;
        ensure!(self.steps < MAX_STEPS, "{} steps are more than a run can have", self.steps);
        ensure!(wall_s.is_finite() && *wall_s >= 0.0, "its time is {wall_s} s");
        ensure!(rank.as_ref().is_none_or(Rank::is_finite), "its rank is no number");
        ensure!(choice.as_ref().is_none_or(Choice::is_valid), "it chose among policies that cannot have been");
        ensure!(schedule.is_valid(), "its schedule is at no fraction of a run");
        Ok(())
    }

    /// The first array that holds a number which is not finite: a run whose state has one is lost.
    pub fn not_finite(&self) -> Option<&str> {
        let broken = |values: &[f32]| values.iter().any(|value| !value.is_finite());
        (self.state.tensors.iter()).find(|(_, tensor)| broken(&tensor.values)).map(|(name, _)| name.as_str())
    }

    /// Reads a checkpoint file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or [`Checkpoint::from_bytes`] refuses it; the message names the file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_bounded(path, LIMIT).with_context(|| format!("cannot read {}", path.display()))?;
        Self::from_bytes(&bytes).with_context(|| format!("checkpoint {}", path.display()))
    }
}

/// Where the eight checksum digits stand. `"checksum":"` with plain quotes occurs only once: inside the other
/// metadata strings every quote is escaped, and array names come after the metadata.
fn checksum_position(bytes: &[u8]) -> Result<usize> {
    const KEY: &[u8] = b"\"checksum\":\"";
    let header = container::header_of(bytes)?;
    let found = header.windows(KEY.len()).position(|window| window == KEY);
    let at = found.context("the metadata lacks `checksum`")? + 8 + KEY.len();
    ensure!(at + NO_CHECKSUM.len() <= bytes.len(), "truncated");
    Ok(at)
}

/// CRC-32C of the file with zeros in place of its checksum.
fn checksum_of(bytes: &[u8]) -> Result<u32> {
    let at = checksum_position(bytes)?;
    let before = crc32c(&bytes[..at]);
    let zeros = crc32c_append(before, NO_CHECKSUM.as_bytes());
    Ok(crc32c_append(zeros, &bytes[at + NO_CHECKSUM.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use compute::HostTensor;

    /// The rank of a feasible policy with this return.
    pub fn feasible(ret: f64) -> Option<Rank> {
        Some(Rank { episodes: true, excess: 0.0, ret })
    }

    pub fn sample(steps: u64) -> Checkpoint {
        let mut state = State::new();
        let theta = HostTensor::new([3], vec![1.0, f32::MIN_POSITIVE, -0.0]).unwrap();
        state.put_host("policy.theta", theta).unwrap();
        state.put_f64("mean", 0.1 + 0.2).unwrap();
        state.put("note", "a \"checksum\":\"12345678\" in quotes").unwrap();
        let session = Session { wall_s: 1.5, rank: feasible(-3.25), schedule: Schedule::default(), choice: None };
        Checkpoint { config: TrainConfig::default(), steps, session, state }
    }

    #[test]
    fn comes_back_exactly() {
        let original = sample(7);
        let bytes = original.to_bytes().unwrap();
        assert_eq!(bytes, sample(7).to_bytes().unwrap());
        let back = Checkpoint::from_bytes(&bytes).unwrap();
        assert_eq!(back.to_bytes().unwrap(), bytes);
        assert_eq!(back.state.get_f64("mean").unwrap(), 0.1 + 0.2);
        assert_eq!((back.steps, back.session), (7, original.session));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = sample(7).to_bytes().unwrap();
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << (position % 8);
            assert!(Checkpoint::from_bytes(&damaged).is_err(), "byte {position}");
            assert!(Checkpoint::from_bytes(&bytes[..position]).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn a_checkpoint_of_an_older_format_is_refused_with_advice() {
        let metadata = [("format", FORMAT), ("format_version", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let bytes = container::to_bytes(&BTreeMap::new(), &BTreeMap::from(metadata));
        let error = Checkpoint::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains("format version 1") && error.contains("start a new run"), "{error}");
    }

    #[test]
    fn a_safetensors_file_of_other_origin_is_called_so() {
        let bytes = container::to_bytes(&BTreeMap::new(), &BTreeMap::new());
        let error = Checkpoint::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains("not a checkpoint"), "{error}");
    }

    #[test]
    fn a_forged_checkpoint_is_checked_like_a_command_line() {
        let forged = |change: fn(&mut Checkpoint)| {
            let mut checkpoint = sample(7);
            change(&mut checkpoint);
            format!("{:#}", Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap()).unwrap_err())
        };
        assert!(forged(|c| c.config.env = "../../x".into()).contains("../../x"));
        assert!(forged(|c| c.config.algo = "<script>".into()).contains("algorithm"));
        assert!(forged(|c| c.config.policy.hidden = vec![1 << 40]).contains("policy.hidden"));
        assert!(forged(|c| c.steps = u64::MAX).contains("steps"));
        assert!(forged(|c| c.session.wall_s = -1.0).contains("time"));
        assert!(forged(|c| c.session.rank = feasible(f64::MAX * 10.0)).contains("session"));
    }
}
