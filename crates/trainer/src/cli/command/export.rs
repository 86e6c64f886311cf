//! `export`: writes a policy for use elsewhere.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::checkpoint::{Checkpoint, Selector};
use crate::cli::command::eval::EVALUATION;
use crate::cli::console::{diagnose, print};
use crate::config::{Actions, Constraint};
use crate::device::{DeviceChoice, select_device};
use crate::error::UsageError;
use crate::outcome::Measured;
use crate::policy::onnx;
use crate::policy::source::PolicySource;
use crate::run_dir::RunDir;

/// File format of an exported policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Arrays and metadata: what can be evaluated, recorded and started from again
    Safetensors,
    /// A graph from observations to actions, for ONNX Runtime and its like
    Onnx,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Run directory, checkpoint, or exported policy (.safetensors)
    #[arg(value_name = "RUN|FILE")]
    pub run: PathBuf,
    /// File format
    #[arg(long, value_enum, default_value_t = ExportFormat::Safetensors)]
    pub format: ExportFormat,
    /// File to write [default: RUN/policy.safetensors or RUN/policy.onnx; policy.* in the working directory for a file]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What an ONNX model gives: mean, or sampled, new noise whenever it runs [default: the actions that the run deploys]
    #[arg(long, value_name = "ACTIONS", value_parser = parse_actions)]
    pub actions: Option<Actions>,
    /// Which checkpoint of a run: latest, best or its number of steps [default: latest]
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<Selector>,
}

/// `mean` or `sampled`.
fn parse_actions(text: &str) -> Result<Actions, String> {
    let known = [Actions::Mean, Actions::Sampled];
    known.into_iter().find(|actions| actions.name() == text).ok_or_else(|| "expected mean or sampled".to_owned())
}

/// Writes the selected checkpoint's policy and prints the file's path; warns where no evaluation says that it is within its
/// limits.
///
/// # Errors
///
/// When the run or checkpoint cannot be read, the policy is not finite or the file cannot be written.
pub fn run(args: &ExportArgs) -> Result<ExitCode> {
    if args.format == ExportFormat::Safetensors && args.actions.is_some() {
        let message =
            "--actions shapes an ONNX model; a safetensors file has mean and deviation, and its reader chooses";
        bail!(UsageError::new(message));
    }
    let source = PolicySource::open(&args.run, args.checkpoint)?;
    source.warning.iter().for_each(|warning| diagnose(&format!("warning: {warning}")));
    let policy = source.policy(&select_device(DeviceChoice::Cpu)?.device)?;
    let actions = args.actions.unwrap_or(policy.deployed_actions);
    let name = match args.format {
        ExportFormat::Safetensors => "policy.safetensors",
        ExportFormat::Onnx => "policy.onnx",
    };
    let folder = source.run.as_ref().map_or(Path::new(""), RunDir::path);
    let out = args.out.clone().unwrap_or_else(|| folder.join(name));
    match args.format {
        ExportFormat::Safetensors => policy.write_safetensors(&out)?,
        ExportFormat::Onnx => onnx::write(&policy, actions, &out)?,
    }
    let vouched = source.run.as_ref().zip(source.checkpoint());
    if let Some(doubt) = vouched.and_then(|(run, checkpoint)| doubt(run, checkpoint, actions)) {
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

impl Evaluated {
    /// The fresh episodes by which the policy was chosen when its run ended, where they were.
    fn of_choice(checkpoint: &Checkpoint) -> Option<Self> {
        let (config, choice) = (&checkpoint.config, checkpoint.session.choice.as_ref()?);
        let limits = config.cost_limit.of(&config.env.spec().ok()?.env.constraints).ok()?;
        let cost = |(Constraint { name, limit }, cost): (Constraint, &Measured)| EvaluatedCost {
            name,
            limit,
            cost_mean: cost.mean,
        };
        Some(Self {
            checkpoint: checkpoint.steps,
            deterministic: config.deployed.actions == Actions::Mean,
            constraints: limits.into_iter().zip(&choice.chosen().costs).map(cost).collect(),
        })
    }
}

/// Why the policy of a checkpoint is not known to be within its limits with its deployed actions; `None` if it is.
fn doubt(dir: &RunDir, checkpoint: &Checkpoint, actions: Actions) -> Option<String> {
    let steps = checkpoint.steps;
    let is_of_policy = |e: &Evaluated| e.checkpoint == steps && e.deterministic == (actions == Actions::Mean);
    let evaluation = dir.read_json_if_present::<Evaluated>(EVALUATION).ok().flatten().filter(is_of_policy);
    let Some(evaluation) = evaluation.or_else(|| Evaluated::of_choice(checkpoint).filter(is_of_policy)) else {
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
