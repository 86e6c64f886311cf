//! `export`: writes a policy for use elsewhere.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::checkpoint::Selector;
use crate::cli::command::selected;
use crate::cli::console::print;
use crate::device::{DeviceChoice, select_device};
use crate::error::UsageError;
use crate::policy::saved::saved_policy;
use crate::run_dir::RunDir;

/// File format of an exported policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Arrays and metadata, described in the README
    Safetensors,
    /// Asked for by those who know that it is to come
    #[value(hide = true)]
    Onnx,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Run directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// File format
    #[arg(long, value_enum, default_value_t = ExportFormat::Safetensors)]
    pub format: ExportFormat,
    /// File to write [default: RUN/policy.safetensors]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Which checkpoint: latest, best or its number of steps
    #[arg(long, value_name = "WHICH", default_value = "latest")]
    pub checkpoint: Selector,
}

/// Writes the selected checkpoint's policy and prints the file's path.
///
/// # Errors
///
/// When the run or checkpoint cannot be read, the policy is not finite or the file cannot be written.
pub fn run(args: &ExportArgs) -> Result<ExitCode> {
    if args.format == ExportFormat::Onnx {
        bail!(UsageError::new("ONNX is not available yet; --format safetensors carries the same numbers"));
    }
    let dir = RunDir::open(&args.run)?;
    let checkpoint = selected(&dir, args.checkpoint)?;
    let policy = saved_policy(&checkpoint, &select_device(DeviceChoice::Cpu)?.device)?;
    let out = args.out.clone().unwrap_or_else(|| dir.path().join("policy.safetensors"));
    policy.write_safetensors(&out)?;
    print(&out.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}
