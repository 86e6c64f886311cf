//! `metrics.csv`: one row an iteration, never twice, whatever was interrupted.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::atomic_file::write_atomically;
use crate::runner::IterationReport;

/// Columns before the algorithm's own metrics.
const COLUMNS: &[&str] = &[
    "iteration",
    "steps",
    "wall_s",
    "rollout_s",
    "update_s",
    "steps_per_s",
    "episodes",
    "return_mean",
    "return_std",
    "cost_mean",
    "cost_std",
    "length_mean",
    "step_cost",
];

/// Appends rows to `metrics.csv`. The header is written with the first row, which fixes the metrics' names and order.
#[derive(Debug)]
pub struct CsvLog {
    path: PathBuf,
    file: File,
    columns: Option<Vec<String>>,
}

impl CsvLog {
    /// Opens the file at `path`, keeping only complete rows up to `last_iteration`: what a killed process wrote after
    /// its last checkpoint is trained again and must not stand there twice.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, cut or opened.
    pub fn open(path: &Path, last_iteration: u64) -> Result<Self> {
        let shown = || path.display().to_string();
        let mut columns = None;
        if path.exists() {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", shown()))?;
            let kept = rows_up_to(&text, last_iteration);
            if kept.len() < text.len() {
                write_atomically(path, kept.as_bytes())?;
            }
            let header = kept.lines().next();
            columns = header.map(|line| line.split(',').map(str::to_owned).collect());
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot write {}", shown()))?;
        Ok(Self { path: path.to_owned(), file, columns })
    }

    /// Appends one row; NaN (no episode finished yet) becomes an empty field.
    ///
    /// # Errors
    ///
    /// When the disk refuses or the metrics are not those of the header.
    pub fn append(&mut self, report: &IterationReport, wall_s: f64) -> Result<()> {
        let numbers = [
            report.iteration as f64,
            report.total_steps as f64,
            wall_s,
            report.rollout_s,
            report.update_s,
            steps_per_s(report),
            report.episodes as f64,
            report.return_mean,
            report.return_std,
            report.cost_mean,
            report.cost_std,
            report.length_mean,
            report.step_cost,
        ];
        let names = COLUMNS.iter().chain(report.metrics.iter().map(|(name, _)| name));
        let names: Vec<String> = names.map(|name| (*name).to_owned()).collect();
        let values = numbers.into_iter().chain(report.metrics.iter().map(|(_, value)| *value));
        let mut text = String::new();
        match &self.columns {
            None => text.push_str(&format!("{}\n", names.join(","))),
            Some(columns) => ensure!(
                *columns == names,
                "{} has other columns than this run writes: {} instead of {}",
                self.path.display(),
                columns.join(","),
                names.join(",")
            ),
        }
        let fields: Vec<String> = values.map(field).collect();
        text.push_str(&fields.join(","));
        text.push('\n');
        // One write call a row: a process that dies leaves whole rows.
        let written = self.file.write_all(text.as_bytes());
        written.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.columns = Some(names);
        Ok(())
    }
}

/// Environment steps a second over one iteration.
pub fn steps_per_s(report: &IterationReport) -> f64 {
    report.steps as f64 / (report.rollout_s + report.update_s).max(1e-9)
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
    ///
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
    ///
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

    fn report(iteration: u64) -> IterationReport {
        IterationReport {
            iteration,
            steps: 100,
            total_steps: 100 * iteration,
            rollout_s: 0.5,
            update_s: 0.5,
            episodes: 0,
            return_mean: f64::NAN,
            return_std: f64::NAN,
            cost_mean: f64::NAN,
            cost_std: f64::NAN,
            length_mean: f64::NAN,
            step_cost: 12.5,
            metrics: vec![("kl", 0.1)],
        }
    }

    #[test]
    fn rows_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let mut log = CsvLog::open(&path, 0).unwrap();
        log.append(&report(1), 1.0).unwrap();
        log.append(&report(2), 2.0).unwrap();
        let table = Table::read(&path).unwrap();
        assert_eq!(table.column("steps").unwrap(), [100.0, 200.0]);
        assert_eq!(table.column("steps_per_s").unwrap(), [100.0, 100.0]);
        assert!(table.column("return_mean").unwrap()[0].is_nan());
        assert_eq!(table.column("kl").unwrap(), [0.1, 0.1]);
        assert!(table.column("nope").is_err());
        let mut other = report(3);
        other.metrics = vec![("beta", 1.0)];
        assert!(log.append(&other, 3.0).unwrap_err().to_string().contains("beta"));
    }

    #[test]
    fn rows_after_the_checkpoint_are_cut_when_resuming() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let mut log = CsvLog::open(&path, 0).unwrap();
        for iteration in 1..=5 {
            log.append(&report(iteration), 1.0).unwrap();
        }
        log.file.write_all(b"6,600,half a r").unwrap();
        let mut log = CsvLog::open(&path, 3).unwrap();
        log.append(&report(4), 1.0).unwrap();
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
