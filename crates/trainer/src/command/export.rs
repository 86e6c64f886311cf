//! `export`: writes a policy for use elsewhere.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cli::{ExportArgs, ExportFormat, print};
use crate::command::saved_policy::saved_policy;
use crate::device::{DeviceChoice, select_device};
use crate::error::UsageError;
use crate::run_dir::RunDir;

/// Writes the selected checkpoint's policy and prints the file's path.
///
/// # Errors
///
/// When the run or checkpoint cannot be read, the file cannot be written, or the format is not there yet.
pub fn run(args: &ExportArgs) -> Result<ExitCode> {
    if args.format == ExportFormat::Onnx {
        bail!(UsageError::new("ONNX is not available yet; --format safetensors carries the same numbers"));
    }
    let dir = RunDir::open(&args.run)?;
    let checkpoint = dir.checkpoints().load(args.checkpoint)?;
    let policy = saved_policy(&checkpoint, &select_device(DeviceChoice::Cpu)?.device)?;
    let out = args.out.clone().unwrap_or_else(|| dir.path().join("policy.safetensors"));
    policy.write_safetensors(&out)?;
    print(&out.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}
