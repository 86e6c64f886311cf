//! The directory of several runs: which seeds it is to hold is written before the first of them begins.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::atomic_file::write_atomically;
use crate::bounded_read::{JSON_LIMIT, read_bounded, text};
use crate::config::TrainConfig;
use crate::config::load::checked;
use crate::error::UsageError;
use crate::run_dir::{claim, is_claimable, is_run};

/// What a group is to hold.
const FILE: &str = "group.json";
/// What the names of its runs begin with.
const SEED: &str = "seed";

/// `group.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    seeds: Vec<u64>,
    /// Of every run but for the seed.
    config: TrainConfig,
}

/// A directory of runs.
#[derive(Debug)]
pub struct Group {
    dir: PathBuf,
}

impl Group {
    /// Claims `dir` for runs of these seeds. A process that dies at any moment after this leaves what can be resumed whole.
    ///
    /// # Errors
    ///
    /// When it holds anything already or cannot be written.
    pub fn create(dir: &Path, config: &TrainConfig, seeds: &[u64]) -> Result<Self> {
        let dir = claim(dir)?;
        let contents = Contents { seeds: seeds.to_vec(), config: config.clone() };
        let json = serde_json::to_string_pretty(&contents)? + "\n";
        write_atomically(&dir.join(FILE), json.as_bytes())?;
        Ok(Self { dir })
    }

    /// The directory of a seed's run.
    pub fn run(&self, seed: u64) -> PathBuf {
        self.dir.join(format!("{SEED}{seed}"))
    }
}

/// A run that a path stands for.
#[derive(Debug)]
pub enum Member {
    /// One that has a directory.
    Begun(PathBuf),
    /// One that was to be in a group and whose process died before; it is to have this configuration.
    Missing(PathBuf, Box<TrainConfig>),
}

/// `path` itself, or where it is no run the runs right below it, as `--seeds` leaves them: an error for each that is there
/// and cannot be told.
///
/// # Errors
///
/// When it is neither.
pub fn members(path: &Path) -> Result<Vec<Result<Member>>> {
    if is_run(path) || !path.is_dir() {
        return Ok(vec![Ok(Member::Begun(path.to_owned()))]);
    }
    let contents = read(path)?;
    let planned = |dir: &Path| {
        let contents = contents.as_ref()?;
        let seed = *contents.seeds.iter().find(|seed| path.join(format!("{SEED}{seed}")) == dir)?;
        Some(Box::new(TrainConfig { seed, ..contents.config.clone() }))
    };
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut dirs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    let group = Group { dir: path.to_owned() };
    dirs.extend(contents.iter().flat_map(|contents| &contents.seeds).map(|seed| group.run(*seed)));
    dirs.sort();
    dirs.dedup();
    let member = |dir: PathBuf| match planned(&dir) {
        _ if is_run(&dir) => Some(Ok(Member::Begun(dir))),
        Some(config) if is_claimable(&dir) => Some(Ok(Member::Missing(dir, config))),
        planned if planned.is_some() || is_seed(&dir) => {
            Some(Err(anyhow!("{} cannot be continued: it has neither a config.json nor a checkpoint", dir.display())))
        }
        _ => None,
    };
    let members: Vec<Result<Member>> = dirs.into_iter().filter_map(member).collect();
    if members.is_empty() {
        let message = format!("{} is no run directory: it has no config.json", path.display());
        return Err(UsageError::new(message).into());
    }
    Ok(members)
}

fn read(path: &Path) -> Result<Option<Contents>> {
    let name = path.join(FILE);
    if !name.exists() {
        return Ok(None);
    }
    let place = || name.display().to_string();
    let json = read_bounded(&name, JSON_LIMIT).and_then(text).with_context(place)?;
    let Contents { seeds, config } = serde_json::from_str(&json).with_context(place)?;
    Ok(Some(Contents { seeds, config: checked(config).with_context(place)? }))
}

/// Whether it is named as the runs of a group are.
fn is_seed(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix(SEED).is_some_and(|number| number.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::RunDir;

    #[test]
    fn a_group_that_died_while_it_began_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let config = TrainConfig::default();
        let group = Group::create(&dir.path().join("all"), &config, &[5, 6, 7]).unwrap();
        assert!(Group::create(&dir.path().join("all"), &config, &[5]).is_err());
        drop(RunDir::create(Some(&group.run(5)), &TrainConfig { seed: 5, ..config }).unwrap());
        fs::create_dir(group.run(6)).unwrap();
        fs::write(group.run(6).join("run.lock"), "").unwrap();
        fs::create_dir(group.dir.join("notes")).unwrap();
        let found = members(&group.dir).unwrap();
        assert_eq!(found.len(), 3);
        assert!(matches!(&found[0], Ok(Member::Begun(path)) if *path == group.run(5)));
        assert!(matches!(&found[1], Ok(Member::Missing(path, config)) if *path == group.run(6) && config.seed == 6));
        assert!(matches!(&found[2], Ok(Member::Missing(_, config)) if config.seed == 7));
        // What holds something and is no run is named, planned or not.
        fs::write(group.run(6).join("metrics.csv"), "x").unwrap();
        fs::create_dir(group.run(99)).unwrap();
        let found = members(&group.dir).unwrap();
        let errors: Vec<String> = found.iter().filter_map(|m| m.as_ref().err()).map(ToString::to_string).collect();
        assert!(errors.len() == 2 && errors[0].contains("seed6") && errors[1].contains("seed99"), "{errors:?}");
    }
}
