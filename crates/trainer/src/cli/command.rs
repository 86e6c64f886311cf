//! The verbs of the command line, one file each.

pub mod bench;
pub mod check;
pub mod completions;
pub mod config;
pub mod episodes;
pub mod eval;
pub mod export;
pub mod list;
pub mod parity;
pub mod record;
pub mod report;
pub mod sweep;
pub mod train;
pub mod watch;
