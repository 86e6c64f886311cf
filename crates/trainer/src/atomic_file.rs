//! Writing files so that they are either the old one or the new one, never half of it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::Builder;

/// Symlinks followed from a name to its file: as many as Linux follows.
const MAX_LINKS: usize = 40;
/// Names tried for a file that is moved aside.
const MAX_ASIDE: usize = 1000;
/// What the names of temporary files end with.
const TEMPORARY: &str = ".tmp";

/// Replaces `path` by `bytes`: a temporary file in the same directory is written, flushed to the disk and renamed.
/// A crash or a full disk at any moment leaves the former file, whose permissions the new one takes over. A symlink stays
/// one: what it points to is replaced.
///
/// # Errors
///
/// When writing fails or something that is no file stands in the place; the temporary file is removed and the message
/// names `path`.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes `bytes` to a place that a user named: a file is replaced as by [`write_atomically`], a pipe or a character
/// device such as `/dev/stdout` is written to and stays what it is.
///
/// # Errors
///
/// As [`write_atomically`]; a block device, a socket or a directory is refused.
pub fn write_output(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = match fs::metadata(path) {
        Ok(place) if is_stream(&place) => OpenOptions::new().write(true).open(path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.flush()
        }),
        _ => replace(path, bytes),
    };
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Removes the temporary files that killed processes left in `dir`. Only for whoever may alone write there.
pub fn remove_leftovers(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if is_leftover(&entry.file_name().to_string_lossy()) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::remove_file(entry.path()); // it costs space, not correctness
        }
    }
}

/// Whether a file of this name is a temporary one.
pub fn is_leftover(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(TEMPORARY)
}

/// Moves the file at `path` to a name beside it that is free, and returns that.
///
/// # Errors
///
/// When the disk refuses.
pub fn move_aside(path: &Path) -> Result<PathBuf> {
    for number in 1..=MAX_ASIDE {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".aside{number}"));
        let aside = PathBuf::from(name);
        if fs::symlink_metadata(&aside).is_err() {
            fs::rename(path, &aside).with_context(|| format!("cannot move {} aside", path.display()))?;
            return Ok(aside);
        }
    }
    bail!("cannot move {} aside: {MAX_ASIDE} files were moved aside before", path.display())
}

/// Makes the entries of `dir` durable; only Unix lets a directory be opened for that.
///
/// # Errors
///
/// When the disk refuses.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = behind_links(path)?;
    let former = match fs::metadata(&target) {
        Ok(former) if !former.is_file() => {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {}, no file", kind_of(&former))));
        }
        former => former.ok(),
    };
    let parent = target.parent().unwrap_or(Path::new(""));
    let directory = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let mut builder = Builder::new();
    builder.prefix(".trainer-").suffix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What the umask takes from this is what any new file gets; a temporary file alone would be its owner's only.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut temporary = builder.tempfile_in(directory)?;
    temporary.write_all(bytes)?;
    if let Some(former) = former {
        // A file system without permissions is no reason not to write.
        let _ = temporary.as_file().set_permissions(former.permissions());
    }
    temporary.as_file().sync_all()?;
    temporary.persist(&target).map_err(|error| error.error)?;
    sync_dir(directory)
}

/// The name at the end of a chain of symlinks, whether there is a file of that name or not.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(place) if place.is_symlink() => {
                let next = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(next);
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "its symlinks lead to no end"))
}

/// Whether it takes bytes one after another and keeps its place in the file system.
fn is_stream(place: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        place.file_type().is_fifo() || place.file_type().is_char_device()
    }
    #[cfg(not(unix))]
    {
        let _ = place;
        false
    }
}

/// What stands in the place of a file, in words.
pub fn kind_of(place: &Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = place.file_type();
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    if place.is_dir() { "a directory" } else { "something else" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.json");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_names_the_file_and_keeps_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("taken");
        fs::create_dir(&target).unwrap(); // a file cannot be renamed onto a directory
        let error = write_atomically(&target, b"x").unwrap_err();
        assert!(error.to_string().contains("taken"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_is_gone_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gone/file");
        assert!(write_atomically(&path, b"x").is_err() && !path.parent().unwrap().exists());
    }

    #[cfg(unix)]
    #[test]
    fn symlinks_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        symlink("real", &link).unwrap(); // into nothing at first
        write_output(&link, b"one").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        write_output(&link, b"two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"two");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        symlink("round", dir.path().join("round")).unwrap();
        assert!(write_atomically(&dir.path().join("round"), b"x").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to_by_its_user_and_refused_in_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = format!("{:#}", write_atomically(&pipe, b"x").unwrap_err());
        assert!(error.contains("named pipe"), "{error}");
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write_output(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(!fs::metadata(&pipe).unwrap().is_file());
        write_output(Path::new("/dev/null"), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn leftovers_are_told_from_files() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".trainer-Ab12.tmp", ".step-1.ckpt.77.tmp", "kept.tmp", ".kept"] {
            fs::write(dir.path().join(name), b"x").unwrap();
        }
        remove_leftovers(dir.path());
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".kept", "kept.tmp"]);
    }
}
