//! A log that a run appends to, and that must still be there at the next row.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A file open for appending. Rows written to a file that somebody has removed or replaced would be lost without a word.
#[derive(Debug)]
pub struct AppendFile {
    path: PathBuf,
    file: File,
}

impl AppendFile {
    /// Opens the file at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(path: &Path) -> Result<Self> {
        Self::with(path, OpenOptions::new().create(true).append(true))
    }

    /// Makes the file at `path`, where there must be none.
    ///
    /// # Errors
    /// When there is one or the disk refuses.
    pub fn create(path: &Path) -> Result<Self> {
        Self::with(path, OpenOptions::new().create_new(true).append(true))
    }

    fn with(path: &Path, options: &OpenOptions) -> Result<Self> {
        let file = options.open(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Appends `bytes` by one call, so that a process that dies leaves whole rows.
    ///
    /// # Errors
    /// When the file is no longer the one that was opened, or the disk refuses.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.check()?;
        self.file.write_all(bytes).with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Flushes what was appended to the disk.
    ///
    /// # Errors
    /// When the file is no longer the one that was opened, or the disk refuses.
    pub fn sync(&self) -> Result<()> {
        self.check()?;
        self.file.sync_data().with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn check(&self) -> Result<()> {
        match is_at(&self.file, &self.path) {
            Ok(true) => Ok(()),
            Ok(false) => bail!("{} was replaced by another file while it was written", self.path.display()),
            Err(error) => Err(error).with_context(|| {
                format!("{} was removed, moved or unmounted while it was written", self.path.display())
            }),
        }
    }
}

/// Whether the open `file` is the one that `path` names. Where a system does not tell files apart it is taken to be.
///
/// # Errors
/// When nothing has that name.
pub fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let there = fs::metadata(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let here = file.metadata()?;
        Ok((here.dev(), here.ino()) == (there.dev(), there.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = (file, there);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_gone_or_another_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = AppendFile::create(&path).unwrap();
        assert!(AppendFile::create(&path).is_err());
        log.append(b"1\n").unwrap();
        log.sync().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"1\n");
        if cfg!(unix) {
            fs::rename(&path, dir.path().join("away")).unwrap();
            assert!(log.append(b"2\n").unwrap_err().to_string().contains("removed"));
            fs::write(&path, b"1\n").unwrap();
            assert!(log.append(b"2\n").unwrap_err().to_string().contains("replaced"));
            assert_eq!(fs::read(&path).unwrap(), b"1\n");
        }
    }
}
