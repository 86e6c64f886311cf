//! `config`: prints the configuration that the same options would train with.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{ConfigArgs, print};
use crate::config::load::resolve;

/// Prints the resolved configuration; its output is a valid `--config` file.
///
/// # Errors
///
/// When it does not resolve.
pub fn run(args: &ConfigArgs) -> Result<ExitCode> {
    let config = resolve(&args.config.sources())?;
    let text = if args.json { serde_json::to_string(&config)? } else { serde_json::to_string_pretty(&config)? };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
