//! `metrics.csv`: one row per iteration, never twice, whatever was interrupted or has been at the file.

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::append_file::AppendFile;
use crate::atomic_file::{move_aside, write_atomically};
use crate::bounded_read::read_bounded;
use crate::log::Record;

/// The columns by which a file is known to be ours.
const FIRST_COLUMNS: [&str; 2] = ["iteration", "steps"];
/// Bytes of a metrics file: some ten million rows.
const LIMIT: u64 = 4 << 30;
/// Rows that are named one by one before they are only counted.
const NAMED_ROWS: usize = 3;

/// Appends rows to `metrics.csv`. A metric that appears later becomes a new last column, empty in the rows before.
#[derive(Debug)]
pub struct CsvLog {
    file: AppendFile,
    columns: Vec<String>,
}

impl CsvLog {
    /// Opens the file at `path`, keeping only complete rows up to `last_iteration`: what a killed process wrote after
    /// its last checkpoint is trained again and must not stand there twice. A file that another program has rewritten is
    /// moved aside, and its readable rows stay. Returned are warnings: what went, what is missing.
    ///
    /// # Errors
    /// When the file cannot be read, moved or written.
    pub fn open(path: &Path, last_iteration: u64) -> Result<(Self, Vec<String>)> {
        let bytes = match read_bounded(path, LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let (parsed, mut warnings) = (Parsed::new(&bytes), Vec::new());
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
        if kept < last_iteration {
            let missing = last_iteration - kept;
            warnings.push(format!("{name} lacks {missing} of the {last_iteration} iterations before the checkpoint"));
        }
        Ok((Self { file: AppendFile::open(path)?, columns }, warnings))
    }

    /// Appends one row; NaN (no episode finished yet) and a metric that is missing this time become empty fields.
    ///
    /// # Errors
    /// When the file was removed or replaced, or the disk refuses.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let row = row(record);
        let is_new = |name: &&str| !self.columns.iter().any(|column| column == name);
        let new: Vec<String> = row.iter().map(|(name, _)| name.as_ref()).filter(is_new).map(str::to_owned).collect();
        if !new.is_empty() {
            self.add_columns(new)?;
        }
        let value = |column: &String| row.iter().find(|(name, _)| name == column).map_or(f64::NAN, |(_, value)| *value);
        let fields: Vec<String> = self.columns.iter().map(|column| field(value(column))).collect();
        self.file.append((fields.join(",") + "\n").as_bytes())
    }

    /// Flushes the rows to the disk: a checkpoint must not outlive them.
    ///
    /// # Errors
    /// When the file was removed or replaced, or the disk refuses.
    pub fn sync(&self) -> Result<()> {
        self.file.sync()
    }

    fn add_columns(&mut self, new: Vec<String>) -> Result<()> {
        let path = self.file.path().to_owned();
        self.file.append(b"")?; // still ours
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let padding = ",".repeat(new.len());
        self.columns.extend(new);
        let mut widened = self.columns.join(",") + "\n";
        for line in text.lines().skip(1) {
            widened.push_str(line);
            widened.push_str(&padding);
            widened.push('\n');
        }
        write_atomically(&path, widened.as_bytes())?;
        self.file = AppendFile::open(&path)?; // the old handle is of the file that was replaced
        Ok(())
    }
}

/// Names and values of an iteration's row; NaN before the first finished episode. Names ending in `_s` are times and differ
/// from run to run.
pub fn row<'a>(record: &Record<'a>) -> Vec<(Cow<'a, str>, f64)> {
    record.numbers().into_iter().filter_map(|number| Some((number.column?, number.value))).collect()
}

fn field(value: f64) -> String {
    if value.is_nan() { String::new() } else { value.to_string() }
}

/// A row that can be read: whole iterations in ascending order, as many numbers as there are columns.
#[derive(Debug)]
struct Row {
    iteration: u64,
    fields: Vec<String>,
    values: Vec<f64>,
}

/// A metrics file as far as it can be read.
#[derive(Debug, Default)]
struct Parsed {
    columns: Vec<String>,
    rows: Vec<Row>,
    /// What is there that this program does not write.
    faults: Vec<String>,
}

impl Parsed {
    /// Reads what is there: fields may be quoted, lines may end as on Windows, a byte-order mark may stand before all.
    /// What follows the last line end was never finished and is left out.
    fn new(bytes: &[u8]) -> Self {
        let complete = &bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)];
        let mut parsed = Self::default();
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
        let mut bad_rows = 0;
        for (index, line) in unmarked.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let fields: Option<Vec<String>> = line.split(|byte| *byte == b',').map(text_of).collect();
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
    fn is_ours(&self) -> bool {
        self.columns.is_empty() || self.columns.iter().take(2).eq(FIRST_COLUMNS.iter())
    }

    fn row(&self, fields: Vec<String>) -> Result<Row> {
        if fields.len() != self.columns.len() {
            bail!("{} fields for {} columns", fields.len(), self.columns.len());
        }
        let value = |text: &String| if text.is_empty() { Ok(f64::NAN) } else { text.parse::<f64>() };
        let values: Vec<f64> =
            fields.iter().map(value).collect::<Result<_, _>>().context("not all fields are numbers")?;
        let iteration = fields[0].parse::<u64>().ok().filter(|number| *number > 0).context("no iteration's number")?;
        if self.rows.last().is_some_and(|last| last.iteration >= iteration) {
            bail!("iteration {iteration} is not after the one before");
        }
        Ok(Row { iteration, fields, values })
    }
}

/// Iterations of the rows that can be read, for the tests that damage files.
#[cfg(test)]
pub fn parsed_rows(bytes: &[u8]) -> Vec<u64> {
    Parsed::new(bytes).rows.iter().map(|row| row.iteration).collect()
}

/// A field without its quotes; names and numbers hold none, nor commas.
fn text_of(field: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(field).ok()?.trim();
    let unquoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Some(unquoted.unwrap_or(text).to_owned())
}

/// A metrics file read back: column names and rows of numbers (NaN where a field is empty).
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Names, in order.
    pub columns: Vec<String>,
    /// Rows; each as long as `columns`.
    pub rows: Vec<Vec<f64>>,
}

impl Table {
    /// Reads `path`; an incomplete last row is ignored. Rows that cannot be read are left out and returned as warnings, as
    /// are iterations that are not there.
    ///
    /// # Errors
    /// When the file cannot be read or is no metrics file.
    pub fn read(path: &Path) -> Result<(Self, Vec<String>)> {
        let bytes = read_bounded(path, LIMIT).with_context(|| format!("cannot read {}", path.display()))?;
        let parsed = Parsed::new(&bytes);
        let name = path.display();
        if parsed.columns.is_empty() && parsed.faults.is_empty() {
            bail!("{name} is empty");
        }
        if !parsed.is_ours() {
            bail!("{name} is no metrics file: {}", parsed.faults.join("; "));
        }
        let mut warnings: Vec<String> = parsed.faults.iter().map(|fault| format!("{name}: {fault}")).collect();
        let last = parsed.rows.last().map_or(0, |row| row.iteration);
        let missing = last - parsed.rows.len() as u64;
        if missing > 0 {
            warnings.push(format!("{name} lacks {missing} of {last} iterations"));
        }
        let rows = parsed.rows.into_iter().map(|row| row.values).collect();
        Ok((Self { columns: parsed.columns, rows }, warnings))
    }

    /// The values of a column.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn column(&self, name: &str) -> Result<Vec<f64>> {
        let index = self.columns.iter().position(|column| column == name);
        let index = index.with_context(|| format!("no column `{name}`"))?;
        Ok(self.rows.iter().map(|row| row[index]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::fixture::report;

    fn append(log: &mut CsvLog, iteration: u64, metrics: Vec<(&'static str, f64)>) {
        let report = report(iteration, metrics);
        log.append(&Record { report: &report, samples: 100, wall_s: iteration as f64 }).unwrap();
    }

    #[test]
    fn rows_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let (mut log, _) = CsvLog::open(&path, 0).unwrap();
        append(&mut log, 2, vec![("Train/KL", 0.1)]);
        append(&mut log, 3, vec![("Train/KL", 0.2)]);
        let table = Table::read(&path).unwrap().0;
        assert_eq!(table.column("steps").unwrap(), [200.0, 300.0]);
        assert_eq!(table.column("steps_per_s").unwrap(), [100.0, 100.0]);
        let returns = table.column("return_mean").unwrap();
        assert!(returns[0].is_nan() && returns[1] == 4.567);
        assert_eq!(table.column("Train/KL").unwrap(), [0.1, 0.2]);
        assert!(table.column("nope").is_err());
    }

    #[test]
    fn a_metric_may_appear_later_and_be_missing_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let (mut log, _) = CsvLog::open(&path, 0).unwrap();
        append(&mut log, 1, vec![]);
        append(&mut log, 2, vec![("a", 1.0)]);
        append(&mut log, 3, vec![("b", 2.0), ("a", 3.0)]);
        let (mut log, warnings) = CsvLog::open(&path, 3).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        append(&mut log, 4, vec![("b", 4.0)]);
        let table = Table::read(&path).unwrap().0;
        assert_eq!(table.column("iteration").unwrap(), [1.0, 2.0, 3.0, 4.0]);
        let bits = |name: &str| table.column(name).unwrap().iter().map(|v| format!("{v}")).collect::<Vec<_>>();
        assert_eq!(bits("a"), ["NaN", "1", "3", "NaN"]);
        assert_eq!(bits("b"), ["NaN", "NaN", "2", "4"]);
    }

    #[test]
    fn rows_after_the_checkpoint_are_cut_when_resuming() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let (mut log, _) = CsvLog::open(&path, 0).unwrap();
        for iteration in 1..=5 {
            append(&mut log, iteration, vec![]);
        }
        log.file.append(b"6,600,half a r").unwrap();
        let (mut log, warnings) = CsvLog::open(&path, 3).unwrap();
        assert!(warnings[0].contains("2 rows after the checkpoint"), "{warnings:?}");
        append(&mut log, 4, vec![]);
        let iterations = Table::read(&path).unwrap().0.column("iteration").unwrap();
        assert_eq!(iterations, [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn an_incomplete_row_is_no_row() {
        let iterations = |text: &str| parsed_rows(text.as_bytes());
        assert_eq!(iterations("iteration,steps\n1,2\n2,"), [1]);
        assert_eq!(iterations("iteration,steps"), [0; 0]);
        assert_eq!(iterations(""), [0; 0]);
    }

    #[test]
    fn a_file_that_a_spreadsheet_has_rewritten_is_moved_aside_and_its_rows_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let rewritten = "\u{feff}\"iteration\",steps,a b\r\n1,100,0.5\r\n2,200,\r\n3,300,1\r\n";
        fs::write(&path, rewritten).unwrap();
        let (mut log, warnings) = CsvLog::open(&path, 2).unwrap();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("byte-order") && warnings[0].contains("2 rows kept"), "{warnings:?}");
        assert!(warnings[1].contains("1 rows after"), "{warnings:?}");
        assert_eq!(fs::read_to_string(dir.path().join("metrics.csv.aside1")).unwrap(), rewritten);
        assert_eq!(fs::read_to_string(&path).unwrap(), "iteration,steps,a b\n1,100,0.5\n2,200,\n");
        append(&mut log, 3, vec![]);
        let table = Table::read(&path).unwrap().0;
        assert_eq!(table.column("iteration").unwrap(), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_file_of_other_origin_is_moved_aside_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        for (number, text) in ["time;value\n1;2\n", "\u{0}\u{1}\n", "1,100\n2,200\n"].into_iter().enumerate() {
            fs::write(&path, text).unwrap();
            let (_, warnings) = CsvLog::open(&path, 2).unwrap();
            assert!(warnings[0].contains("0 rows kept") && warnings[1].contains("lacks 2 of the 2"), "{warnings:?}");
            let aside = dir.path().join(format!("metrics.csv.aside{}", number + 1));
            assert_eq!(fs::read_to_string(aside).unwrap(), text);
            assert_eq!(fs::read_to_string(&path).unwrap(), "");
            assert!(Table::read(&path).is_err());
        }
    }

    #[test]
    fn rows_that_were_never_synced_are_missed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        fs::write(&path, "iteration,steps\n1,100\n2,200\n").unwrap();
        let (_, warnings) = CsvLog::open(&path, 5).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("lacks 3 of the 5"), "{warnings:?}");
    }

    #[test]
    fn one_bad_byte_costs_one_row() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        fs::write(&path, b"iteration,steps\n1,100\n2,2\xff0\n3,300\n3,300\n4,400,1\n5,x\n").unwrap();
        let (table, warnings) = Table::read(&path).unwrap();
        assert_eq!(table.column("steps").unwrap(), [100.0, 300.0]);
        assert!(warnings[0].contains("line 3") && warnings[1].contains("line 5"), "{warnings:?}");
        assert!(warnings[3].contains("1 more"), "{warnings:?}");
        assert!(warnings[4].contains("lacks 1 of 3"), "{warnings:?}");
    }
}
