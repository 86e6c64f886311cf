//! The directory of a run: what lies where, who may write it.
//!
//! `config.json`, `meta.json`, `metrics.csv`, TensorBoard events, `checkpoints/`, `summary.json`, `run.lock`.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic_file::write_atomically;
use crate::checkpoint::CheckpointStore;
use crate::error::UsageError;

/// Where runs go when `--out` is not given.
const DEFAULT_PARENT: &str = "runs";
/// Runs of one name started within the same second.
const MAX_COLLISIONS: usize = 1000;

/// A run's directory. Its lock is released when it is dropped or the process dies.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    lock: Option<File>,
}

impl RunDir {
    /// Creates and locks the directory of a new run: `out`, or `runs/ENV-ALGO-seedN-TIME`.
    ///
    /// # Errors
    ///
    /// When `out` holds anything already (a run is never overwritten) or cannot be created.
    pub fn create(out: Option<&Path>, env: &str, algo: &str, seed: u64) -> Result<Self> {
        let path = match out {
            Some(out) => claim(out)?,
            None => claim_default(env, algo, seed)?,
        };
        Self::lock(path)
    }

    /// Opens and locks the directory of a run that is to be continued.
    ///
    /// # Errors
    ///
    /// When it is no run or another process is training in it.
    pub fn open_for_training(path: &Path) -> Result<Self> {
        Self::open(path)?;
        Self::lock(path.to_owned())
    }

    /// Opens the directory of a run for reading.
    ///
    /// # Errors
    ///
    /// When it is no run.
    pub fn open(path: &Path) -> Result<Self> {
        let config = path.join("config.json");
        if !config.is_file() {
            bail!(UsageError::new(format!("{} is no run directory: it has no config.json", path.display())));
        }
        Ok(Self { path: path.to_owned(), lock: None })
    }

    fn lock(path: PathBuf) -> Result<Self> {
        let name = path.join("run.lock");
        let lock = File::create(&name).with_context(|| format!("cannot write {}", name.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => {
                bail!("another process is training in {}", path.display())
            }
            // Some network file systems know no locks; that is no reason not to train.
            Err(TryLockError::Error(_)) => Ok(Self { path, lock: None }),
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

    /// `metrics.csv`.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// The run's checkpoints.
    pub fn checkpoints(&self) -> CheckpointStore {
        CheckpointStore::new(self.path.join("checkpoints"))
    }

    /// Writes `name` as indented JSON, atomically.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
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
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
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

/// Creates the directory `out` for new runs, or takes it if it is empty.
///
/// # Errors
///
/// When it holds anything already or cannot be created.
pub fn claim(out: &Path) -> Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut entries = fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))?;
    if entries.next().is_some() {
        bail!(UsageError::new(format!(
            "{0} is not empty; choose another --out, or continue the run in it with --resume {0}",
            out.display()
        )));
    }
    Ok(out.to_owned())
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
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}-{h:02}{m:02}{s:02}")
}

/// Year, month and day of the Gregorian calendar, `days` after 1 January 1970.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut rest = days;
    let mut year = 1970;
    while rest >= 365 + u64::from(leap(year)) {
        rest -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
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
        let run = RunDir::create(Some(&out), "E", "a", 0).unwrap();
        assert!(run.is_locked());
        let error = RunDir::create(Some(&out), "E", "a", 0).unwrap_err();
        assert!(error.downcast_ref::<UsageError>().is_some());
        assert!(error.to_string().contains("--resume"), "{error}");
    }

    #[test]
    fn a_run_is_trained_by_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let run = RunDir::create(Some(&out), "E", "a", 0).unwrap();
        assert!(RunDir::open(&out).is_err(), "no config.json yet");
        run.write_json("config.json", &serde_json::json!({})).unwrap();
        let error = RunDir::open_for_training(&out).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        drop(run);
        assert!(RunDir::open_for_training(&out).is_ok());
    }
}
