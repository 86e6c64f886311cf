//! Reading files that anybody may have put there: regular ones only, and no more of them than makes sense.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::atomic_file::kind_of;

/// Bytes of a JSON file of a run or of the user's settings: a hundred times what any has.
pub const JSON_LIMIT: u64 = 1 << 20;

/// Reads a file of at most `limit` bytes. A pipe, which could block for ever, a device or a directory is refused.
///
/// # Errors
///
/// When it is no regular file, too large, or cannot be read; the message does not name it.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let place = fs::metadata(path)?;
    if !place.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {}, no file", kind_of(&place))));
    }
    take(File::open(path)?, limit)
}

/// Reads a text that the user names, of at most `limit` bytes: from a pipe as well, so that `<(...)` works, but without
/// the byte-order mark that some editors put before it.
///
/// # Errors
///
/// When it is too large, is not UTF-8 or cannot be read; the message does not name it.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    text(take(File::open(path)?, limit)?)
}

/// `bytes` as UTF-8 without a byte-order mark.
///
/// # Errors
///
/// When they are not UTF-8.
pub fn text(bytes: Vec<u8>) -> io::Result<String> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        io::Error::new(ErrorKind::InvalidData, format!("byte {place} is not UTF-8"))
    })?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

fn take(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_or_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
        assert!(read_bounded(&path, 4).unwrap_err().to_string().contains("larger than 4"));
        assert!(read_bounded(dir.path(), 5).unwrap_err().to_string().contains("directory"));
        assert!(read_bounded(&dir.path().join("none"), 5).is_err());
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"\xef\xbb\xbf{}").unwrap();
        assert_eq!(read_text(&path, JSON_LIMIT).unwrap(), "{}");
        fs::write(&path, b"{\xff}").unwrap();
        assert!(read_text(&path, JSON_LIMIT).unwrap_err().to_string().contains("byte 1"));
    }
}
