//! The verbs of the command line, one file each.

use anyhow::Result;

use crate::checkpoint::{Checkpoint, Selector};
use crate::cli::console::diagnose;
use crate::run_dir::RunDir;

pub mod bench;
pub mod completions;
pub mod config;
pub mod eval;
pub mod export;
pub mod list;
pub mod parity;
pub mod record;
pub mod report;
pub mod sweep;
pub mod train;
pub mod watch;

/// The checkpoint that a verb was asked for; warns of a configuration that had to be taken from elsewhere.
fn selected(dir: &RunDir, selector: Selector) -> Result<Checkpoint> {
    let (checkpoint, warning) = dir.checkpoint(selector)?;
    warning.iter().for_each(|warning| diagnose(&format!("warning: {warning}")));
    Ok(checkpoint)
}
