//! `config`: prints the configuration that the same options would train with.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::cli::common_args::ConfigSourceArgs;
use crate::cli::console::print;
use crate::config::load::resolve;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Options that shape the configuration.
    #[command(flatten)]
    pub config: ConfigSourceArgs,
    /// On one line instead of indented
    #[arg(long)]
    pub json: bool,
}

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
