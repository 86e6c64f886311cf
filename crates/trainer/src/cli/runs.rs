//! Runs, found by the directories that hold them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::error::UsageError;
use crate::run_dir::is_run;

/// Levels of directories searched for runs.
const MAX_DEPTH: usize = 4;

/// Every run at or below `dirs`, once, by whatever names it was given; `fault` is told of directories that cannot be read.
///
/// # Errors
///
/// [`UsageError`] when one of `dirs` cannot be read or holds no run.
pub fn runs_below(dirs: &[PathBuf], fault: &mut impl FnMut(String)) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for dir in dirs {
        let before = paths.len();
        fs::read_dir(dir).map_err(|error| UsageError::new(format!("cannot read {}: {error}", dir.display())))?;
        find_runs(dir, MAX_DEPTH, &mut paths, fault);
        if paths.len() == before {
            bail!(UsageError::new(format!("no run in {}", dir.display())));
        }
    }
    paths.sort();
    let mut known = BTreeSet::new();
    paths.retain(|path| known.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    Ok(paths)
}

/// Adds every run directory at or below `dir`.
fn find_runs(dir: &Path, depth: usize, found: &mut Vec<PathBuf>, fault: &mut impl FnMut(String)) {
    if is_run(dir) {
        found.push(dir.to_owned());
        return;
    }
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries.flatten().filter(|entry| depth > 0 && entry.path().is_dir()) {
                find_runs(&entry.path(), depth - 1, found, fault);
            }
        }
        Err(error) => fault(format!("cannot read {}: {error}", dir.display())),
    }
}
