//! `metrics.csv`: one row per iteration, never twice, whatever was interrupted or has been at the file.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::append_file::AppendFile;
use crate::atomic_file::write_atomically;
use crate::log::Record;

mod parsed;
mod table;

#[cfg(test)]
pub use parsed::parsed_rows;
pub use parsed::{Layout, Reopened, field, reopened};
pub use table::Table;

/// A row per iteration.
const LAYOUT: Layout = Layout { first_columns: &["iteration", "steps"], repeats: false };

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
        let Reopened { columns, kept, mut warnings } = reopened(path, &LAYOUT, last_iteration)?;
        if kept < last_iteration {
            let (name, missing) = (path.display(), last_iteration - kept);
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
