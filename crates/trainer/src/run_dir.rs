//! The directory of a run: what lies where, who may write it.
//!
//! `config.json`, `meta.json`, `metrics.csv`, `episodes.csv`, TensorBoard events, `checkpoints/`, `summary.json`, `run.lock`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::atomic_file::{is_leftover, kind_of, remove_leftovers, write_atomically};
use crate::bounded_read::{JSON_LIMIT, read_bounded, text};
use crate::checkpoint::{Checkpoint, CheckpointStore, Selector};
use crate::config::TrainConfig;
use crate::config::load::checked;
use crate::error::UsageError;

/// What the run is: written when its directory is claimed, before anything that can fail.
const CONFIG: &str = "config.json";
/// Held by the process that trains.
const LOCK: &str = "run.lock";
/// Where runs go when `--out` is not given.
const DEFAULT_PARENT: &str = "runs";
/// Runs of one name started within the same second.
const MAX_COLLISIONS: usize = 1000;

/// A run's directory. Its lock is released when it is dropped or the process dies.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    identity: Option<(u64, u64)>,
    lock: Option<File>,
}

impl RunDir {
    /// Creates and locks the directory of a new run, `out` or `runs/ENV-ALGO-seedN-TIME`, and writes its configuration.
    ///
    /// # Errors
    ///
    /// When `out` holds anything already (a run is never overwritten) or cannot be created.
    pub fn create(out: Option<&Path>, config: &TrainConfig) -> Result<Self> {
        let path = match out {
            Some(out) => claim(out)?,
            None => claim_default(config.env.id(), &config.algo, config.seed)?,
        };
        let dir = Self::lock(path)?;
        claim(&dir.path)?; // another process may have been here between the two
        dir.write_json(CONFIG, config)?;
        Ok(dir)
    }

    /// Opens and locks the directory of a run that is to be continued.
    ///
    /// # Errors
    ///
    /// When it is no run or another process is training in it.
    pub fn open_for_training(path: &Path) -> Result<Self> {
        Self::open(path)?;
        let dir = Self::lock(path.to_owned())?;
        remove_leftovers(path);
        dir.checkpoints().remove_leftovers();
        Ok(dir)
    }

    /// Opens the directory of a run for reading.
    ///
    /// # Errors
    ///
    /// When it is no run.
    pub fn open(path: &Path) -> Result<Self> {
        if !is_run(path) {
            bail!(UsageError::new(format!("{} is no run directory: it has no config.json", path.display())));
        }
        Ok(Self { identity: identity(path), path: path.to_owned(), lock: None })
    }

    fn lock(path: PathBuf) -> Result<Self> {
        let name = path.join(LOCK);
        let unwritable = || format!("cannot write {}", name.display());
        if let Ok(place) = fs::metadata(&name) {
            ensure!(place.is_file(), "{}: it is {}, no file", unwritable(), kind_of(&place));
        }
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&name).with_context(unwritable)?;
        let identity = identity(&path);
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, identity, lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => {
                bail!("another process is training in {}", path.display())
            }
            // Some network file systems know no locks; that is no reason not to train.
            Err(TryLockError::Error(_)) => Ok(Self { path, identity, lock: None }),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this process holds the run's lock.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Whether it is still there: a run that was moved away must not begin anew in its former place.
    ///
    /// # Errors
    ///
    /// When the directory was removed, moved, unmounted or replaced since it was opened.
    pub fn check(&self) -> Result<()> {
        let place = fs::metadata(&self.path);
        let same = place.is_ok_and(|place| place.is_dir()) && identity(&self.path) == self.identity;
        ensure!(same, "the run directory {} was removed, moved or unmounted while it was used", self.path.display());
        Ok(())
    }

    /// `metrics.csv`.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// The file of training's episodes.
    pub fn episodes(&self) -> PathBuf {
        self.path.join("episodes.csv")
    }

    /// The run's checkpoints, whatever run they are of.
    pub fn checkpoints(&self) -> CheckpointStore {
        CheckpointStore::new(self.path.join("checkpoints"))
    }

    /// What the run is, checked as if it came from the command line. A `config.json` that is missing or damaged is replaced
    /// by what the newest readable checkpoint holds; that is the warning returned.
    ///
    /// # Errors
    ///
    /// When neither can be read or holds.
    pub fn config(&self) -> Result<(TrainConfig, Option<String>)> {
        let name = self.path.join(CONFIG);
        let error = match self.read_json(CONFIG) {
            Ok(config) => return Ok((checked(config).with_context(|| name.display().to_string())?, None)),
            Err(error) => error,
        };
        match self.checkpoints().load_newest_readable() {
            Ok((checkpoint, _)) => {
                let warning = format!("{error:#}: the configuration is that of the newest checkpoint");
                Ok((checkpoint.config, Some(warning)))
            }
            Err(_) => Err(error),
        }
    }

    /// The selected checkpoint of this run, and a warning about its configuration.
    ///
    /// # Errors
    ///
    /// When there is none, it cannot be read or is of another run.
    pub fn checkpoint(&self, selector: Selector) -> Result<(Checkpoint, Option<String>)> {
        let (config, warning) = self.config()?;
        Ok((self.checkpoints().of_run(config).load(selector)?, warning))
    }

    /// Writes `name` as indented JSON, atomically.
    ///
    /// # Errors
    ///
    /// When the directory is gone or the disk refuses.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        self.check()?;
        let mut text = serde_json::to_string_pretty(value).with_context(|| name.to_owned())?;
        text.push('\n');
        write_atomically(&self.path.join(name), text.as_bytes())
    }

    /// Reads the JSON file `name`.
    ///
    /// # Errors
    ///
    /// When it is missing, no JSON, or does not fit `T`; the message names the file.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.path.join(name);
        let content = read_bounded(&path, JSON_LIMIT).and_then(text);
        let content = content.with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&content).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Reads the JSON file `name` if it is there.
    ///
    /// # Errors
    ///
    /// When it is there, but damaged.
    pub fn read_json_if_present<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        if self.path.join(name).exists() { self.read_json(name).map(Some) } else { Ok(None) }
    }
}

/// Whether `path` is the directory of a run: one with a configuration, in a file of its own or in a checkpoint.
pub fn is_run(path: &Path) -> bool {
    path.join(CONFIG).is_file() || !CheckpointStore::new(path.join("checkpoints")).steps().is_empty()
}

/// What tells a directory from another one that has taken its name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).ok().map(|place| (place.dev(), place.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Creates the directory `out` for new runs, or takes it if it is empty: what a start that failed leaves does not count.
///
/// # Errors
///
/// When it holds anything already or cannot be created.
pub fn claim(out: &Path) -> Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))?;
    if !is_claimable(out) {
        bail!(UsageError::new(format!(
            "{0} is not empty; choose another --out, or continue the run in it with --resume {0}",
            out.display()
        )));
    }
    Ok(out.to_owned())
}

/// Whether `out` is not there, or holds nothing but what a start that failed leaves.
pub fn is_claimable(out: &Path) -> bool {
    let counts = |name: &str| name != LOCK && !is_leftover(name);
    let mut entries = fs::read_dir(out).into_iter().flatten().flatten();
    !entries.any(|entry| counts(&entry.file_name().to_string_lossy()))
}

fn claim_default(env: &str, algo: &str, seed: u64) -> Result<PathBuf> {
    let name = format!("{env}-{algo}-seed{seed}-{}", timestamp(SystemTime::now()));
    let parent = Path::new(DEFAULT_PARENT);
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    for attempt in 0..MAX_COLLISIONS {
        let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
        let path = parent.join(format!("{name}{suffix}"));
        // `create_dir` fails on an existing directory: two processes never get the same one.
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot create {}", path.display()));
            }
        }
    }
    bail!("{} and {MAX_COLLISIONS} numbered variants of it exist", parent.join(name).display())
}

/// `time` in UTC as `YYYYMMDD-HHMMSS`.
pub fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, clock) = (at.date(), at.time());
    format!(
        "{:04}{:02}{:02}-{:02}{:02}{:02}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> String {
        timestamp(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn timestamps_follow_the_calendar() {
        assert_eq!(at(0), "19700101-000000");
        assert_eq!(at(951_782_400), "20000229-000000"); // 2000 was a leap year
        assert_eq!(at(951_868_800), "20000301-000000");
        assert_eq!(at(1_735_689_599), "20241231-235959");
        assert_eq!(at(4_107_542_400), "21000301-000000"); // 2100 will be none
    }

    #[test]
    fn a_filled_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let run = RunDir::create(Some(&out), &TrainConfig::default()).unwrap();
        assert!(run.is_locked());
        let error = RunDir::create(Some(&out), &TrainConfig::default()).unwrap_err();
        assert!(error.downcast_ref::<UsageError>().is_some());
        assert!(error.to_string().contains("--resume"), "{error}");
    }

    #[test]
    fn a_run_is_trained_by_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let run = RunDir::create(Some(&out), &TrainConfig::default()).unwrap();
        assert_eq!(run.config().unwrap(), (TrainConfig::default(), None));
        let error = RunDir::open_for_training(&out).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        drop(run);
        assert!(RunDir::open_for_training(&out).is_ok());
    }

    #[test]
    fn what_a_failed_start_leaves_is_no_run() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("run.lock"), "").unwrap();
        fs::write(out.join(".trainer-x.tmp"), "half").unwrap();
        assert!(RunDir::open(&out).is_err());
        assert!(RunDir::create(Some(&out), &TrainConfig::default()).unwrap().is_locked());
        fs::remove_file(out.join("config.json")).unwrap();
        fs::remove_file(out.join("run.lock")).unwrap();
        fs::create_dir(out.join("run.lock")).unwrap();
        let error = RunDir::create(Some(&out), &TrainConfig::default()).unwrap_err().to_string();
        assert!(error.contains("directory"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_was_moved_or_replaced_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let run = RunDir::create(Some(&out), &TrainConfig::default()).unwrap();
        run.write_json("a.json", &1).unwrap();
        fs::rename(&out, dir.path().join("away")).unwrap();
        assert!(run.write_json("a.json", &1).unwrap_err().to_string().contains("moved"));
        fs::create_dir(&out).unwrap();
        assert!(run.check().is_err());
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    }

    #[test]
    fn a_configuration_that_is_gone_is_taken_from_the_newest_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let config = TrainConfig { seed: 7, ..TrainConfig::default() };
        let run = RunDir::create(Some(&out), &config).unwrap();
        let checkpoint =
            Checkpoint { config: config.clone(), steps: 5, session: Default::default(), state: Default::default() };
        run.checkpoints().save(&checkpoint, false, 1).unwrap();
        for damage in [|path: &Path| fs::remove_file(path).unwrap(), |path: &Path| fs::write(path, "{").unwrap()] {
            damage(&out.join("config.json"));
            let run = RunDir::open(&out).unwrap();
            let (found, warning) = run.config().unwrap();
            assert_eq!(found, config);
            assert!(warning.unwrap().contains("config.json"));
            assert_eq!(run.checkpoint(Selector::Latest).unwrap().0.steps, 5);
        }
        fs::write(out.join("config.json"), "{\"env\": \"../../x\"}").unwrap();
        let error = format!("{:#}", RunDir::open(&out).unwrap().config().unwrap_err());
        assert!(error.contains("config.json") && error.contains("../../x"), "{error}");
    }
}
