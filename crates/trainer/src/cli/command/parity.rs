//! `parity`: replays recorded trajectories of the original step by step and prints the errors.
//!
//! The comparison is [`envs::replay`]; this file reads recordings from NumPy archives and prints.

mod npy;
mod npz;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use envs::{Recording, replay};
use serde_json::{Map, Value, json};

use crate::cli::common_args::CommonArgs;
use crate::cli::console::print;
use crate::error::UsageError;
use npy::Npy;
use npz::{MOST_BYTES, Npz};

/// Arguments of `parity`.
#[derive(Debug, Args)]
pub struct ParityArgs {
    /// Recorded trajectories
    #[arg(value_name = "FILE.npz", required = true)]
    pub files: Vec<PathBuf>,
    /// Print one JSON object a file
    #[arg(long)]
    pub json: bool,
    /// Device and threads.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Figures of the plain table; `--json` has them all.
const SHOWN: [(&str, &str); 6] = [
    ("pos [m]", "pos_err"),
    ("yaw [rad]", "yaw_err"),
    ("vel [m/s]", "vel_err"),
    ("omega [rad/s]", "omega_err"),
    ("lidar", "lidar_err"),
    ("reward", "reward_err"),
];

/// Replays every file in turn.
///
/// # Errors
/// When a file cannot be read, lacks arrays, or is of an environment that is not there.
pub fn run(args: &ParityArgs) -> Result<ExitCode> {
    args.common.apply_threads()?;
    for path in &args.files {
        let recording = read_recording(path)?;
        let report = replay(&recording)?;
        let mut row = Map::new();
        row.insert("file".into(), json!(report.file));
        row.insert("env".into(), json!(report.env));
        row.extend(report.figures().into_iter().map(|(name, value)| (name, number(value))));
        print(&if args.json { Value::Object(row).to_string() } else { table(&row) })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts as integers, "not scored" as null.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

fn table(row: &Map<String, Value>) -> String {
    let text = |name: &str| match &row[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let error = |name: String| match row.get(&name).and_then(Value::as_f64) {
        Some(value) => format!("{value:9.2e}"),
        None => format!("{:>9}", "-"),
    };
    let mut lines = vec![format!(
        "{} ({}): {} steps, {} scored, {} with contact, {} costs differ",
        text("file"),
        text("env"),
        text("steps"),
        text("scored"),
        text("contact_steps"),
        text("cost_mismatches")
    )];
    lines.push(format!("  {:14} {:>19}   {:>19}", "", "free p99       max", "contact p99       max"));
    for (label, name) in SHOWN {
        lines.push(format!(
            "  {label:14} {} {}   {} {}",
            error(format!("{name}_p99_free")),
            error(format!("{name}_max_free")),
            error(format!("{name}_p99_contact")),
            error(format!("{name}_max_contact")),
        ));
    }
    lines.join("\n")
}

/// Reads a trajectory; arrays that are not there stay empty, `replay` says which ones it needs.
fn read_recording(path: &Path) -> Result<Recording> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| UsageError::new(format!("cannot read {shown}: {error}")))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {shown}"))?;
    let archive = Npz::new(&bytes).with_context(|| format!("{shown} is no undamaged NumPy .npz archive"))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    recording(&archive, &name).with_context(|| format!("cannot use {shown}"))
}

fn recording(archive: &Npz, file_name: &str) -> Result<Recording> {
    let numbers = |name: &str| {
        let read = archive.get(name).map(|bytes| Npy::new(bytes)?.numbers());
        read.unwrap_or_else(|| Ok(Vec::new())).with_context(|| format!("array `{name}`"))
    };
    let floats =
        |name: &str| Ok::<_, anyhow::Error>(numbers(name)?.into_iter().map(|value| value as f32).collect::<Vec<f32>>());
    let strings = |name: &str| {
        let read = archive.get(name).map(|bytes| Npy::new(bytes)?.strings());
        read.unwrap_or_else(|| Ok(Vec::new())).with_context(|| format!("array `{name}`"))
    };
    let action = numbers("action")?;
    let agent_yaw = numbers("agent_yaw")?;
    let env = env_id(strings("meta")?, file_name)?;
    let steps = action.len() / envs::find(&env)?.env.action_dim;
    ensure!(steps > 0, "it has no array `action`");
    Ok(Recording {
        file: file_name.to_owned(),
        env,
        rows_per_step: agent_yaw.len().saturating_sub(1) / steps,
        action,
        obs: floats("obs")?,
        reward: numbers("reward")?,
        cost: numbers("cost")?,
        agent_pos: numbers("agent_pos")?,
        agent_yaw,
        agent_linvel: numbers("agent_linvel")?,
        agent_angvel: numbers("agent_angvel")?,
        goal_pos: numbers("goal_pos")?,
        free_names: strings("free_names")?,
        obj_pos: numbers("obj_pos")?,
        obj_quat: floats("obj_quat")?,
        obj_linvel: floats("obj_linvel")?,
        obj_angvel: floats("obj_angvel")?,
        static_names: strings("static_names")?,
        static_pos: numbers("static_pos")?,
        qpos: numbers("qpos")?,
        qvel: numbers("qvel")?,
        button_timer: numbers("button_timer")?,
        goal_button: numbers("goal_button")?,
        time: numbers("time")?,
        layout_names: strings("layout_names")?,
        layout_xy: numbers("layout_xy")?,
        agent_contact_bodies: strings("agent_contact_bodies")?,
    })
}

/// The environment id: the first entry of `meta`, or else the one the file's name contains.
fn env_id(meta: Vec<String>, file_name: &str) -> Result<String> {
    if let Some(id) = meta.into_iter().next() {
        return Ok(id);
    }
    let known = envs::registry().iter().find(|spec| file_name.contains(&spec.env.id));
    let id = known.map(|spec| spec.env.id.clone());
    id.with_context(|| "neither its array `meta` nor its name tells a known environment".to_owned())
}

#[cfg(test)]
mod tests;
