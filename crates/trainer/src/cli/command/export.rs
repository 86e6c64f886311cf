//! `export`: writes a policy for use elsewhere.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::checkpoint::Selector;
use crate::cli::command::eval::EVALUATION;
use crate::cli::command::selected;
use crate::cli::console::{diagnose, print};
use crate::config::Actions;
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

/// Writes the selected checkpoint's policy and prints the file's path; warns where no evaluation says that it is within its
/// limits.
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
    if let Some(doubt) = doubt(&dir, checkpoint.steps, policy.deployed_actions) {
        diagnose(&format!("warning: {doubt}"));
    }
    print(&out.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// What `trainer eval` has kept in a run.
#[derive(Debug, Deserialize)]
struct Evaluated {
    checkpoint: u64,
    deterministic: bool,
    constraints: Vec<EvaluatedCost>,
}

#[derive(Debug, Deserialize)]
struct EvaluatedCost {
    name: String,
    limit: f64,
    cost_mean: f64,
}

/// Why the policy at `steps` is not known to be within its limits with its deployed actions; `None` if it is.
fn doubt(dir: &RunDir, steps: u64, actions: Actions) -> Option<String> {
    let evaluation = dir.read_json_if_present::<Evaluated>(EVALUATION).ok().flatten();
    let is_of_policy = |e: &Evaluated| e.checkpoint == steps && e.deterministic == (actions == Actions::Mean);
    let Some(evaluation) = evaluation.filter(is_of_policy) else {
        return Some(format!(
            "no evaluation of the checkpoint at {steps} steps with {actions} actions is on record: `trainer eval {} \
             --checkpoint {steps}` tells whether it is within its limits",
            dir.path().display()
        ));
    };
    let above = evaluation.constraints.iter().filter(|cost| cost.cost_mean > cost.limit);
    let above: Vec<String> =
        above.map(|EvaluatedCost { name, limit, cost_mean }| format!("{name} {cost_mean:.2} of {limit}")).collect();
    (!above.is_empty()).then(|| format!("the evaluation of this policy exceeds its limit: {}", above.join(", ")))
}
