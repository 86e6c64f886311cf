//! A log read back as numbers.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::LAYOUT;
use super::parsed::{LIMIT, Parsed};
use crate::bounded_read::read_bounded;
use crate::log::episodes;

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
        let parsed = Parsed::new(&bytes, &LAYOUT);
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

    /// Reads the log of episodes at `path`, as [`Self::read`] does metrics; an iteration may have any number of rows.
    ///
    /// # Errors
    /// When the file cannot be read or is no log of episodes.
    pub fn read_episodes(path: &Path) -> Result<(Self, Vec<String>)> {
        let bytes = read_bounded(path, LIMIT).with_context(|| format!("cannot read {}", path.display()))?;
        let parsed = Parsed::new(&bytes, &episodes::LAYOUT);
        let name = path.display();
        if !parsed.is_ours() || parsed.columns.is_empty() {
            bail!("{name} is no log of episodes");
        }
        let warnings = parsed.faults.iter().map(|fault| format!("{name}: {fault}")).collect();
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
