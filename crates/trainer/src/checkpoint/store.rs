//! The `checkpoints/` directory of a run: which checkpoints are there, which is the newest and which the best.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::Checkpoint;
use crate::atomic_file::{remove_leftovers, write_atomically};
use crate::bounded_read::{read_bounded, text};
use crate::config::TrainConfig;
use crate::config::load::first_difference;
use crate::outcome::Rank;

const LATEST: &str = "latest";
const BEST: &str = "best";
/// Bytes of a file that names a checkpoint.
const POINTER_LIMIT: u64 = 256;

/// Which checkpoint of a run is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// The newest.
    Latest,
    /// The one with the highest [`Rank`]: the highest return among those within the limits, if there are any.
    Best,
    /// The one written at this many environment steps.
    Step(u64),
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            LATEST => Ok(Self::Latest),
            BEST => Ok(Self::Best),
            _ => {
                (text.parse().map(Self::Step)).map_err(|_| "expected `latest`, `best` or a number of steps".to_owned())
            }
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str(LATEST),
            Self::Best => f.write_str(BEST),
            Self::Step(steps) => write!(f, "{steps}"),
        }
    }
}

/// The `checkpoints/` directory of a run.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    dir: PathBuf,
    run: Option<TrainConfig>,
}

impl CheckpointStore {
    /// The store in `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), run: None }
    }

    /// The same, where only checkpoints of the run with this configuration are read.
    pub fn of_run(self, config: TrainConfig) -> Self {
        Self { run: Some(config), ..self }
    }

    /// Steps of the checkpoints present, ascending. Empty where there is no directory.
    pub fn steps(&self) -> Vec<u64> {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        let steps: BTreeSet<u64> = names.filter_map(|name| steps_in_name(name.to_str()?)).collect();
        steps.into_iter().collect()
    }

    /// The file of the checkpoint at this many steps.
    pub fn path(&self, steps: u64) -> PathBuf {
        self.dir.join(format!("step-{steps:012}.ckpt"))
    }

    /// Steps named by `latest` or `best`.
    fn pointer(&self, name: &str) -> Option<u64> {
        let line = text(read_bounded(&self.dir.join(name), POINTER_LIMIT).ok()?).ok()?;
        steps_in_name(line.trim())
    }

    fn point(&self, name: &str, steps: u64) -> Result<()> {
        let path = self.path(steps);
        let line = format!("{}\n", path.file_name().unwrap_or_default().to_string_lossy());
        write_atomically(&self.dir.join(name), line.as_bytes())
    }

    /// Writes `checkpoint`, names it `latest` (and `best` if so), and removes all but the last `keep` and the best. The
    /// run's own directory must exist: a run that was moved away is not begun again in its former place.
    ///
    /// # Errors
    ///
    /// When the state is not finite or the disk refuses; the former checkpoints are then all still there.
    pub fn save(&self, checkpoint: &Checkpoint, is_best: bool, keep: usize) -> Result<PathBuf> {
        if let Some(name) = checkpoint.not_finite() {
            bail!("the state `{name}` is no longer finite: no checkpoint of it is written");
        }
        match fs::create_dir(&self.dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot create {}", self.dir.display()));
            }
            _ => {}
        }
        let path = self.path(checkpoint.steps);
        write_atomically(&path, &checkpoint.to_bytes()?)?;
        if is_best {
            self.point(BEST, checkpoint.steps)?;
        }
        self.point(LATEST, checkpoint.steps)?;
        self.retain(checkpoint.steps, keep);
        Ok(path)
    }

    /// Removes old checkpoints, and those beyond `newest`: after a fall-back to an older checkpoint they belong to a
    /// future that was abandoned. A file that cannot be removed is left: it costs space, not correctness.
    fn retain(&self, newest: u64, keep: usize) {
        let best = self.pointer(BEST);
        let past: Vec<u64> = self.steps().into_iter().filter(|s| *s <= newest).collect();
        let kept = &past[past.len().saturating_sub(keep)..];
        for steps in self.steps() {
            if !kept.contains(&steps) && best != Some(steps) {
                let _ = fs::remove_file(self.path(steps));
            }
        }
    }

    /// Removes temporary files left by a killed process. Only for the process that holds the run's lock.
    pub fn remove_leftovers(&self) {
        remove_leftovers(&self.dir);
    }

    /// Reads the selected checkpoint; no other is taken in its place.
    ///
    /// # Errors
    ///
    /// When it is not there (the message lists those that are), cannot be read or is of another run.
    pub fn load(&self, selector: Selector) -> Result<Checkpoint> {
        let present = self.steps();
        ensure!(!present.is_empty(), "no checkpoint in {}", self.dir.display());
        let steps = match selector {
            Selector::Latest => self.pointer(LATEST).or(present.last().copied()),
            Selector::Best => {
                Some(self.best().map(|(steps, _)| steps).or_else(|| self.pointer(BEST)).ok_or_else(|| {
                    anyhow!("nothing is known yet of the policies in {}: there is no `best`", self.dir.display())
                })?)
            }
            Selector::Step(steps) => Some(steps),
        };
        match steps.filter(|steps| present.contains(steps)) {
            Some(steps) => self.read(steps),
            None => {
                let names: Vec<String> = present.iter().map(u64::to_string).collect();
                bail!("no checkpoint `{selector}` in {}; there are: {}", self.dir.display(), names.join(", "))
            }
        }
    }

    /// Reads the newest readable checkpoint (a finished file counts even if the process died before `latest` named
    /// it), and returns a warning for each newer one that was not.
    ///
    /// # Errors
    ///
    /// When none can be read.
    pub fn load_newest_readable(&self) -> Result<(Checkpoint, Vec<String>)> {
        let candidates = self.steps();
        ensure!(!candidates.is_empty(), "no checkpoint in {}", self.dir.display());
        let mut warnings = Vec::new();
        for steps in candidates.into_iter().rev() {
            match self.read(steps) {
                Ok(checkpoint) => return Ok((checkpoint, warnings)),
                Err(error) => warnings.push(format!("{error:#}")),
            }
        }
        bail!("no readable checkpoint in {}:\n  {}", self.dir.display(), warnings.join("\n  "))
    }

    /// Lets `best` name the best checkpoint there is, and returns its rank. Only for the process that holds the run's
    /// lock.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn mend_best(&self) -> Result<Option<Rank>> {
        let Some((steps, rank)) = self.best() else { return Ok(None) };
        if self.pointer(BEST) != Some(steps) {
            self.point(BEST, steps)?;
        }
        Ok(Some(rank))
    }

    /// Lets `latest` name the checkpoint that a run goes on from: a process may have died between the two. Only for the
    /// process that holds the run's lock.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn mend_latest(&self, steps: u64) -> Result<()> {
        if self.pointer(LATEST) == Some(steps) { Ok(()) } else { self.point(LATEST, steps) }
    }

    /// Steps and rank of the best checkpoint that can be read; the earliest of equals.
    fn best(&self) -> Option<(u64, Rank)> {
        let known = self.steps().into_iter().filter_map(|steps| {
            let checkpoint = self.read(steps).ok()?;
            Some((steps, checkpoint.session.rank?))
        });
        known.reduce(|best, next| if next.1.is_above(&best.1) { next } else { best })
    }

    /// Reads the checkpoint of this many steps.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is of another run.
    pub fn read(&self, steps: u64) -> Result<Checkpoint> {
        let path = self.path(steps);
        let checkpoint = Checkpoint::read(&path)?;
        let name = path.display();
        ensure!(checkpoint.steps == steps, "checkpoint {name} is one of {} steps: renamed?", checkpoint.steps);
        if let Some(run) = &self.run
            && let Some(key) = first_difference(run, &checkpoint.config)
        {
            bail!("checkpoint {name} belongs to another run: its `{key}` is not that of config.json");
        }
        Ok(checkpoint)
    }
}

/// The checkpoint that a file `latest` or `best` names; `None` where `path` is no such file.
pub fn named_by(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let line = [LATEST, BEST].contains(&name).then(|| text(read_bounded(path, POINTER_LIMIT).ok()?).ok())??;
    let steps = steps_in_name(line.trim())?;
    Some(CheckpointStore::new(path.parent()?).path(steps))
}

fn steps_in_name(name: &str) -> Option<u64> {
    name.strip_prefix("step-")?.strip_suffix(".ckpt")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{feasible, sample};
    use super::*;

    #[test]
    fn keeps_the_last_few_and_the_best() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        for steps in [10, 20, 30, 40, 50] {
            let mut checkpoint = sample(steps);
            checkpoint.session.rank = if steps <= 20 { feasible(steps as f64) } else { None };
            store.save(&checkpoint, steps == 20, 2).unwrap();
        }
        assert_eq!(store.steps(), [20, 40, 50]);
        assert_eq!(store.load(Selector::Latest).unwrap().steps, 50);
        assert_eq!(store.load(Selector::Best).unwrap().steps, 20);
        assert_eq!(store.load(Selector::Step(40)).unwrap().steps, 40);
        let error = store.load(Selector::Step(41)).unwrap_err().to_string();
        assert!(error.contains("20, 40, 50"), "{error}");
    }

    #[test]
    fn a_broken_latest_falls_back_and_its_future_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        for steps in [10, 20, 30] {
            store.save(&sample(steps), false, 5).unwrap();
        }
        let newest = store.path(30);
        let bytes = fs::read(&newest).unwrap();
        fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
        let (checkpoint, warnings) = store.load_newest_readable().unwrap();
        assert_eq!((checkpoint.steps, warnings.len()), (20, 1));
        assert!(warnings[0].contains("step-000000000030.ckpt"), "{}", warnings[0]);
        store.save(&sample(25), false, 5).unwrap();
        assert_eq!(store.steps(), [10, 20, 25]);
    }

    #[test]
    fn a_process_that_dies_before_it_names_the_best_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        assert_eq!(store.mend_best().unwrap(), None);
        for (steps, rank) in [(10, feasible(1.0)), (20, None), (30, feasible(3.0)), (40, feasible(2.0))] {
            let mut checkpoint = sample(steps);
            checkpoint.session.rank = rank;
            store.save(&checkpoint, steps == 10, 9).unwrap();
        }
        assert_eq!(store.pointer(BEST), Some(10));
        assert_eq!(store.load(Selector::Best).unwrap().steps, 30);
        assert_eq!(store.mend_best().unwrap(), feasible(3.0));
        assert_eq!(store.pointer(BEST), Some(30));
        fs::write(store.path(30), b"damaged").unwrap();
        assert_eq!(store.mend_best().unwrap(), feasible(2.0));
        assert_eq!(store.pointer(BEST), Some(40));
    }

    #[test]
    fn a_process_that_dies_before_it_names_the_latest_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        store.save(&sample(10), false, 9).unwrap();
        let pointer = fs::read(dir.path().join(LATEST)).unwrap();
        store.save(&sample(20), false, 9).unwrap();
        fs::write(dir.path().join(LATEST), pointer).unwrap();
        let (checkpoint, _) = store.load_newest_readable().unwrap();
        store.mend_latest(checkpoint.steps).unwrap();
        assert_eq!(store.load(Selector::Latest).unwrap().steps, 20);
    }

    #[test]
    fn a_checkpoint_of_another_run_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = TrainConfig::default();
        config.checkpoint.keep += 1; // what may change does not make another run
        config.total_steps += 1;
        let store = CheckpointStore::new(dir.path()).of_run(config.clone());
        store.save(&sample(10), false, 5).unwrap();
        assert_eq!(store.load(Selector::Latest).unwrap().steps, 10);
        let mut foreign = sample(20);
        foreign.config.seed += 1;
        store.save(&foreign, false, 5).unwrap();
        let error = store.load(Selector::Latest).unwrap_err().to_string();
        assert!(error.contains("another run") && error.contains("`seed`"), "{error}");
        fs::copy(store.path(10), store.path(30)).unwrap();
        let (checkpoint, warnings) = store.load_newest_readable().unwrap();
        assert_eq!((checkpoint.steps, warnings.len()), (10, 2));
        assert!(warnings[0].contains("10 steps"), "{warnings:?}");
    }

    #[test]
    fn what_is_no_file_in_a_checkpoints_place_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        store.save(&sample(10), false, 5).unwrap();
        fs::create_dir(store.path(20)).unwrap();
        if cfg!(unix) {
            assert!(std::process::Command::new("mkfifo").arg(store.path(30)).status().unwrap().success());
        }
        let (checkpoint, warnings) = store.load_newest_readable().unwrap();
        assert_eq!(checkpoint.steps, 10);
        assert!(warnings.iter().any(|warning| warning.contains("directory")), "{warnings:?}");
    }

    #[test]
    fn a_state_that_is_not_finite_is_not_saved() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut checkpoint = sample(10);
            checkpoint.state.tensors.get_mut("policy.theta").unwrap().values[1] = value;
            let error = store.save(&checkpoint, false, 5).unwrap_err().to_string();
            assert!(error.contains("`policy.theta`"), "{error}");
        }
        assert!(store.steps().is_empty());
    }
}
