//! `metrics.csv`: one row an iteration, never twice, whatever was interrupted.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::atomic_file::write_atomically;
use crate::log::Record;

/// Appends rows to `metrics.csv`. A metric that appears later becomes a new last column, empty in the rows before.
#[derive(Debug)]
pub struct CsvLog {
    path: PathBuf,
    file: File,
    columns: Vec<String>,
}

impl CsvLog {
    /// Opens the file at `path`, keeping only complete rows up to `last_iteration`: what a killed process wrote after
    /// its last checkpoint is trained again and must not stand there twice.
    ///
    /// # Errors
    /// When the file cannot be read, cut or opened.
    pub fn open(path: &Path, last_iteration: u64) -> Result<Self> {
        let mut columns = Vec::new();
        if path.exists() {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let kept = rows_up_to(&text, last_iteration);
            if kept.len() < text.len() {
                write_atomically(path, kept.as_bytes())?;
            }
            columns = kept.lines().next().map_or(Vec::new(), |line| line.split(',').map(str::to_owned).collect());
        }
        Ok(Self { path: path.to_owned(), file: open_for_appending(path)?, columns })
    }

    /// Appends one row; NaN (no episode finished yet) and a metric that is missing this time become empty fields.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let row = row(record);
        let is_new = |name: &&str| !self.columns.iter().any(|column| column == name);
        let new: Vec<String> = row.iter().map(|(name, _)| *name).filter(is_new).map(str::to_owned).collect();
        if !new.is_empty() {
            self.add_columns(new)?;
        }
        let value = |column: &String| row.iter().find(|(name, _)| name == column).map_or(f64::NAN, |(_, value)| *value);
        let fields: Vec<String> = self.columns.iter().map(|column| field(value(column))).collect();
        // One write call a row: a process that dies leaves whole rows.
        let written = self.file.write_all((fields.join(",") + "\n").as_bytes());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn add_columns(&mut self, new: Vec<String>) -> Result<()> {
        let text = fs::read_to_string(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        let padding = ",".repeat(new.len());
        self.columns.extend(new);
        let mut widened = self.columns.join(",") + "\n";
        for line in text.lines().skip(1) {
            widened.push_str(line);
            widened.push_str(&padding);
            widened.push('\n');
        }
        write_atomically(&self.path, widened.as_bytes())?;
        self.file = open_for_appending(&self.path)?; // the old handle is of the file that was replaced
        Ok(())
    }
}

fn open_for_appending(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

/// Names and values of a row; names ending in `_s` are times and differ from run to run.
fn row<'a>(record: &Record<'a>) -> Vec<(&'a str, f64)> {
    let report = record.report;
    let mut row = vec![
        ("iteration", report.iteration as f64),
        ("steps", report.steps as f64),
        ("wall_s", record.wall_s),
        ("rollout_s", report.rollout_s),
        ("update_s", report.update_s),
        ("steps_per_s", record.steps_per_s()),
        ("episodes", report.episodes as f64),
        ("return_mean", record.return_mean()),
        ("return_std", record.return_std()),
        ("cost_mean", record.cost_mean()),
        ("cost_std", record.cost_std()),
        ("length_mean", record.length_mean()),
        ("step_return", report.step_return),
        ("step_cost", report.step_cost),
    ];
    row.extend(report.update.metrics.iter().map(|(name, value)| (name.as_ref(), *value)));
    row
}

fn field(value: f64) -> String {
    if value.is_nan() { String::new() } else { value.to_string() }
}

/// The header and the complete rows whose first field does not exceed `last_iteration`.
fn rows_up_to(text: &str, last_iteration: u64) -> &str {
    let mut end = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let iteration = line.split(',').next().and_then(|field| field.parse::<u64>().ok());
        let wanted = index == 0 || iteration.is_some_and(|number| number <= last_iteration);
        if !line.ends_with('\n') || !wanted {
            break;
        }
        end += line.len();
    }
    &text[..end]
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
    /// Reads `path`; an incomplete last row is ignored.
    ///
    /// # Errors
    /// When it cannot be read or a row is no row of numbers (named by its line).
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let complete = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let mut lines = complete.lines();
        let header = lines.next().with_context(|| format!("{} is empty", path.display()))?;
        let columns: Vec<String> = header.split(',').map(str::to_owned).collect();
        let mut rows = Vec::new();
        for (index, line) in lines.enumerate() {
            let place = || format!("{}, line {}", path.display(), index + 2);
            let fields = line.split(',').map(|text| match text {
                "" => Ok(f64::NAN),
                _ => text.parse(),
            });
            let row: Vec<f64> = fields.collect::<Result<_, _>>().with_context(place)?;
            ensure!(row.len() == columns.len(), "{}: {} fields", place(), row.len());
            rows.push(row);
        }
        Ok(Self { columns, rows })
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
        let mut log = CsvLog::open(&path, 0).unwrap();
        append(&mut log, 2, vec![("Train/KL", 0.1)]);
        append(&mut log, 3, vec![("Train/KL", 0.2)]);
        let table = Table::read(&path).unwrap();
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
        let mut log = CsvLog::open(&path, 0).unwrap();
        append(&mut log, 1, vec![]);
        append(&mut log, 2, vec![("a", 1.0)]);
        append(&mut log, 3, vec![("b", 2.0), ("a", 3.0)]);
        let mut log = CsvLog::open(&path, 3).unwrap();
        append(&mut log, 4, vec![("b", 4.0)]);
        let table = Table::read(&path).unwrap();
        assert_eq!(table.column("iteration").unwrap(), [1.0, 2.0, 3.0, 4.0]);
        let bits = |name: &str| table.column(name).unwrap().iter().map(|v| format!("{v}")).collect::<Vec<_>>();
        assert_eq!(bits("a"), ["NaN", "1", "3", "NaN"]);
        assert_eq!(bits("b"), ["NaN", "NaN", "2", "4"]);
    }

    #[test]
    fn rows_after_the_checkpoint_are_cut_when_resuming() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let mut log = CsvLog::open(&path, 0).unwrap();
        for iteration in 1..=5 {
            append(&mut log, iteration, vec![]);
        }
        log.file.write_all(b"6,600,half a r").unwrap();
        let mut log = CsvLog::open(&path, 3).unwrap();
        append(&mut log, 4, vec![]);
        let iterations = Table::read(&path).unwrap().column("iteration").unwrap();
        assert_eq!(iterations, [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn an_incomplete_row_is_no_row() {
        assert_eq!(rows_up_to("a,b\n1,2\n2,", 9), "a,b\n1,2\n");
        assert_eq!(rows_up_to("a,b", 9), "");
        assert_eq!(rows_up_to("", 9), "");
    }
}
