//! Reading a log of rows that this program has appended to: what of it is ours, complete and in order.
//!
//! Line by line, the parser of the crate `csv` begun anew for each: to one that reads on, a byte that damage has turned into a
//! quote at the start of a field swallows every row after it; here it costs its own row.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail};
use csv_core::{ReadRecordResult, Reader};

use crate::atomic_file::{move_aside, write_atomically};
use crate::bounded_read::read_bounded;

/// Bytes of a log: some ten million rows.
pub const LIMIT: u64 = 4 << 30;
/// Rows that are named one by one before they are only counted.
const NAMED_ROWS: usize = 3;

/// What tells a kind of log.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The columns by which a file is known to be ours; the first is the iteration.
    pub first_columns: &'static [&'static str],
    /// Whether an iteration may have several rows.
    pub repeats: bool,
}

/// A log that is about to be appended to again.
#[derive(Debug)]
pub struct Reopened {
    /// Its columns, none if it is new.
    pub columns: Vec<String>,
    /// Rows that stayed.
    pub kept: u64,
    /// What went.
    pub warnings: Vec<String>,
}

/// Leaves in the file at `path` only complete rows up to `last_iteration`; one that another program has rewritten is moved
/// aside, and its readable rows stay.
///
/// # Errors
/// When the file cannot be read, moved or written.
pub fn reopened(path: &Path, layout: &Layout, last_iteration: u64) -> Result<Reopened> {
    let bytes = match read_bounded(path, LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let (parsed, mut warnings) = (Parsed::new(&bytes, layout), Vec::new());
    let name = path.display();
    let kept: Vec<&Row> = parsed.rows.iter().filter(|row| row.iteration <= last_iteration).collect();
    let kept_text = || {
        let rows = kept.iter().map(|row| row.fields.join(",") + "\n");
        std::iter::once(parsed.columns.join(",") + "\n").chain(rows).collect::<String>()
    };
    if parsed.is_ours() && parsed.faults.is_empty() {
        let whole = if parsed.columns.is_empty() { String::new() } else { kept_text() };
        if whole.as_bytes() != bytes {
            write_atomically(path, whole.as_bytes())?;
        }
    } else {
        let aside = move_aside(path)?;
        let readable = if parsed.is_ours() { kept.len() } else { 0 };
        warnings.push(format!(
            "{name} is not as this program wrote it ({}): moved to {}, {readable} rows kept",
            parsed.faults.join("; "),
            aside.display()
        ));
        if parsed.is_ours() {
            write_atomically(path, kept_text().as_bytes())?;
        }
    }
    let columns = if parsed.is_ours() { parsed.columns.clone() } else { Vec::new() };
    let kept = if parsed.is_ours() { kept.len() as u64 } else { 0 };
    let after = parsed.rows.iter().filter(|row| row.iteration > last_iteration).count();
    if after > 0 {
        warnings.push(format!("{name}: {after} rows after the checkpoint are cut, they are trained again"));
    }
    Ok(Reopened { columns, kept, warnings })
}

/// A number as it stands in a row; NaN is nothing.
pub fn field(value: f64) -> String {
    if value.is_nan() { String::new() } else { value.to_string() }
}

/// A row that can be read: iterations in ascending order, as many numbers as there are columns.
#[derive(Debug)]
pub struct Row {
    /// Its iteration, the first column.
    pub iteration: u64,
    fields: Vec<String>,
    /// Its numbers, NaN where a field is empty.
    pub values: Vec<f64>,
}

/// A log as far as it can be read.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Names, in order.
    pub columns: Vec<String>,
    /// What can be read.
    pub rows: Vec<Row>,
    /// What is there that this program does not write.
    pub faults: Vec<String>,
    first_columns: &'static [&'static str],
    repeats: bool,
}

impl Parsed {
    /// Reads what is there: fields may be quoted, lines may end as on Windows, a byte-order mark may stand before all.
    /// What follows the last line end was never finished and is left out.
    pub fn new(bytes: &[u8], layout: &Layout) -> Self {
        let complete = &bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)];
        let Layout { first_columns, repeats } = *layout;
        let mut parsed = Self { first_columns, repeats, ..Self::default() };
        let unmarked = complete.strip_prefix(b"\xef\xbb\xbf").unwrap_or(complete);
        for (found, what) in [
            (unmarked.len() < complete.len(), "a byte-order mark"),
            (unmarked.contains(&b'\r'), "Windows line ends"),
            (unmarked.contains(&b'"'), "quoted fields"),
        ] {
            if found {
                parsed.faults.push(what.to_owned());
            }
        }
        let (mut bad_rows, mut lines) = (0, Fields::new());
        for (index, line) in unmarked.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let fields = lines.of(line);
            if index == 0 {
                parsed.columns = fields.unwrap_or_default();
                if !parsed.is_ours() {
                    parsed.faults.push("its first line is not the names of our columns".to_owned());
                    break;
                }
                continue;
            }
            let read = fields.context("not UTF-8").and_then(|fields| parsed.row(fields));
            match read {
                Ok(row) => parsed.rows.push(row),
                Err(error) => {
                    bad_rows += 1;
                    if bad_rows <= NAMED_ROWS {
                        parsed.faults.push(format!("line {}: {error}", index + 1));
                    }
                }
            }
        }
        if bad_rows > NAMED_ROWS {
            parsed.faults.push(format!("{} more such lines", bad_rows - NAMED_ROWS));
        }
        parsed
    }

    /// Whether it is a file of this program, or empty.
    pub fn is_ours(&self) -> bool {
        self.columns.is_empty() || self.columns.iter().take(self.first_columns.len()).eq(self.first_columns.iter())
    }

    fn row(&self, fields: Vec<String>) -> Result<Row> {
        if fields.len() != self.columns.len() {
            bail!("{} fields for {} columns", fields.len(), self.columns.len());
        }
        let value = |text: &String| if text.is_empty() { Ok(f64::NAN) } else { text.parse::<f64>() };
        let values: Vec<f64> =
            fields.iter().map(value).collect::<Result<_, _>>().context("not all fields are numbers")?;
        let iteration = fields[0].parse::<u64>().ok().filter(|number| *number > 0).context("no iteration's number")?;
        let former = self.rows.last().map_or(0, |last| last.iteration);
        if iteration < former || (iteration == former && !self.repeats) {
            bail!("iteration {iteration} is not after the one before");
        }
        Ok(Row { iteration, fields, values })
    }
}

/// Iterations of the rows that can be read, for the tests that damage files.
#[cfg(test)]
pub fn parsed_rows(bytes: &[u8]) -> Vec<u64> {
    Parsed::new(bytes, &super::LAYOUT).rows.iter().map(|row| row.iteration).collect()
}

/// Takes lines apart.
struct Fields {
    reader: Reader,
    /// Text of a line's fields, one behind the other.
    text: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Fields {
    fn new() -> Self {
        Self { reader: Reader::new(), text: Vec::new(), ends: Vec::new() }
    }

    /// The fields of one line without their quotes, or `None` where they are not UTF-8 or a quote has no end.
    fn of(&mut self, line: &[u8]) -> Option<Vec<String>> {
        self.reader.reset();
        self.text.resize(line.len(), 0);
        self.ends.resize(line.len() + 1, 0);
        let (result, _, _, count) = self.reader.read_record(line, &mut self.text, &mut self.ends);
        if count == 0 {
            return Some(vec![String::new()]); // a blank line
        }
        let (mut fields, mut begin) = (Vec::with_capacity(count), 0);
        for &end in &self.ends[..count] {
            fields.push(std::str::from_utf8(&self.text[begin..end]).ok()?.trim().to_owned());
            begin = end;
        }
        (result == ReadRecordResult::Record).then_some(fields)
    }
}
