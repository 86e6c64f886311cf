//! `episodes.csv`: one row per whole episode of training.

use std::path::Path;

use anyhow::Result;

use crate::append_file::AppendFile;
use crate::log::Record;
use crate::log::csv::{Layout, Reopened, reopened};

/// Several episodes may end in an iteration.
pub const LAYOUT: Layout = Layout { first_columns: &["iteration", "steps", "return"], repeats: true };

/// Appends to `episodes.csv` the episodes that an iteration ended, in their order: the iteration, the environment steps done
/// at its end, return, cost (`cost2` and so on for further constraints) and length.
#[derive(Debug)]
pub struct EpisodeLog {
    file: AppendFile,
    is_new: bool,
}

impl EpisodeLog {
    /// Opens the file at `path` as [`crate::log::csv::CsvLog::open`] does; up to `last_iteration` there were
    /// `finished` episodes.
    ///
    /// # Errors
    /// When the file cannot be read, moved or written.
    pub fn open(path: &Path, last_iteration: u64, finished: u64) -> Result<(Self, Vec<String>)> {
        let Reopened { columns, kept, mut warnings } = reopened(path, &LAYOUT, last_iteration)?;
        if kept < finished {
            let (name, missing) = (path.display(), finished - kept);
            warnings.push(format!("{name} lacks {missing} of the {finished} episodes before the checkpoint"));
        }
        Ok((Self { file: AppendFile::open(path)?, is_new: columns.is_empty() }, warnings))
    }

    /// Appends the episodes of an iteration.
    ///
    /// # Errors
    /// When the file was removed or replaced, or the disk refuses.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let report = record.report;
        let Some(first) = report.finished.first() else { return Ok(()) };
        let mut text = String::new();
        if std::mem::take(&mut self.is_new) {
            text.push_str("iteration,steps,return");
            (1..=first.costs.len()).for_each(|k| text.push_str(&cost_column(k)));
            text.push_str(",length\n");
        }
        for episode in &report.finished {
            text.push_str(&format!("{},{},{}", report.iteration, report.steps, episode.episode_return));
            episode.costs.iter().for_each(|cost| text.push_str(&format!(",{cost}")));
            text.push_str(&format!(",{}\n", episode.length));
        }
        self.file.append(text.as_bytes())
    }

    /// Flushes the rows to the disk: a checkpoint must not outlive them.
    ///
    /// # Errors
    /// When the file was removed or replaced, or the disk refuses.
    pub fn sync(&self) -> Result<()> {
        self.file.sync()
    }
}

fn cost_column(k: usize) -> String {
    if k == 1 { ",cost".to_owned() } else { format!(",cost{k}") }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use safe_rl::FinishedEpisode;

    use super::*;
    use crate::log::csv::Table;
    use crate::log::fixture::report;

    fn append(log: &mut EpisodeLog, iteration: u64, returns: &[f32]) {
        let mut report = report(iteration, vec![]);
        let episode = |episode_return: &f32| FinishedEpisode {
            episode_return: *episode_return,
            costs: vec![25.0, 0.5],
            length: 1000.0,
            partial: false,
        };
        report.finished = returns.iter().map(episode).collect();
        log.append(&Record { report: &report, samples: 100, wall_s: 1.0 }).unwrap();
    }

    #[test]
    fn episodes_after_the_checkpoint_are_cut_and_those_that_are_missing_are_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("episodes.csv");
        let (mut log, warnings) = EpisodeLog::open(&path, 0, 0).unwrap();
        assert!(warnings.is_empty() && fs::read_to_string(&path).unwrap().is_empty());
        append(&mut log, 1, &[]);
        append(&mut log, 2, &[1.5, -0.25]);
        append(&mut log, 3, &[3.0]);
        append(&mut log, 4, &[4.0, 5.0]);
        log.sync().unwrap();
        let (mut log, warnings) = EpisodeLog::open(&path, 3, 3).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("2 rows after"), "{warnings:?}");
        append(&mut log, 4, &[6.0]);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "iteration,steps,return,cost,cost2,length\n2,200,1.5,25,0.5,1000\n2,200,-0.25,25,0.5,1000\n\
             3,300,3,25,0.5,1000\n4,400,6,25,0.5,1000\n"
        );
        let (table, warnings) = Table::read_episodes(&path).unwrap();
        assert_eq!((table.column("return").unwrap(), warnings.len()), (vec![1.5, -0.25, 3.0, 6.0], 0));
        let (_, warnings) = EpisodeLog::open(&path, 4, 9).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("lacks 5 of the 9"), "{warnings:?}");
    }

    #[test]
    fn a_log_of_other_origin_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("episodes.csv");
        let metrics = "iteration,steps,wall_s\n1,100,0.5\n";
        fs::write(&path, metrics).unwrap();
        let (_, warnings) = EpisodeLog::open(&path, 1, 1).unwrap();
        assert!(warnings[0].contains("0 rows kept") && warnings[1].contains("lacks 1"), "{warnings:?}");
        assert_eq!(fs::read_to_string(folder.path().join("episodes.csv.aside1")).unwrap(), metrics);
        assert!(Table::read_episodes(&path).is_err());
    }
}
