//! `parity`: replays recorded trajectories of the original step by step and prints the errors.
//!
//! The comparison is [`envs::replay`]; this file reads NumPy archives and prints.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use envs::{Recording, replay};
use npyz::npz::NpzArchive;
use npyz::{NpyFile, Order, TypeChar};
use serde_json::{Map, Value, json};

use crate::cli::common_args::CommonArgs;
use crate::cli::console::print;
use crate::error::UsageError;

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
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|error| UsageError::new(format!("cannot read {shown}: {error}")))?;
    let archive = NpzArchive::new(BufReader::new(file));
    let archive = archive.with_context(|| format!("{shown} is not a NumPy .npz archive"))?;
    Archive { archive }.recording(path).with_context(|| format!("cannot use {shown}"))
}

struct Archive {
    archive: NpzArchive<BufReader<File>>,
}

impl Archive {
    fn recording(&mut self, path: &Path) -> Result<Recording> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let action = self.numbers("action")?;
        let agent_yaw = self.numbers("agent_yaw")?;
        let env = self.env(&name)?;
        let steps = action.len() / envs::find(&env)?.action_dim;
        ensure!(steps > 0, "it has no array `action`");
        Ok(Recording {
            file: name,
            env,
            rows_per_step: agent_yaw.len().saturating_sub(1) / steps,
            action,
            obs: self.floats("obs")?,
            reward: self.numbers("reward")?,
            cost: self.numbers("cost")?,
            agent_pos: self.numbers("agent_pos")?,
            agent_yaw,
            agent_linvel: self.numbers("agent_linvel")?,
            agent_angvel: self.numbers("agent_angvel")?,
            goal_pos: self.numbers("goal_pos")?,
            free_names: self.strings("free_names")?,
            obj_pos: self.numbers("obj_pos")?,
            obj_quat: self.floats("obj_quat")?,
            obj_linvel: self.floats("obj_linvel")?,
            obj_angvel: self.floats("obj_angvel")?,
            static_names: self.strings("static_names")?,
            static_pos: self.numbers("static_pos")?,
            qpos: self.numbers("qpos")?,
            qvel: self.numbers("qvel")?,
            button_timer: self.numbers("button_timer")?,
            goal_button: self.numbers("goal_button")?,
            time: self.numbers("time")?,
            layout_names: self.strings("layout_names")?,
            layout_xy: self.numbers("layout_xy")?,
            agent_contact_bodies: self.strings("agent_contact_bodies")?,
        })
    }

    /// The environment id: the first entry of `meta`, or else the one the file's name contains.
    fn env(&mut self, file_name: &str) -> Result<String> {
        if let Some(id) = self.strings("meta")?.into_iter().next() {
            return Ok(id);
        }
        let known = envs::registry().iter().find(|spec| file_name.contains(&spec.id));
        let id = known.map(|spec| spec.id.clone());
        id.with_context(|| "neither its array `meta` nor its name tells a known environment".to_owned())
    }

    /// An array of any numeric type in row-major order; empty where there is none.
    fn numbers(&mut self, name: &str) -> Result<Vec<f64>> {
        let Some(array) = self.archive.by_name(name).with_context(|| format!("array `{name}`"))? else {
            return Ok(Vec::new());
        };
        read_numbers(array).with_context(|| format!("array `{name}`"))
    }

    fn floats(&mut self, name: &str) -> Result<Vec<f32>> {
        Ok(self.numbers(name)?.into_iter().map(|value| value as f32).collect())
    }

    /// An array of byte or Unicode strings; empty where there is none.
    fn strings(&mut self, name: &str) -> Result<Vec<String>> {
        let Some(array) = self.archive.by_name(name).with_context(|| format!("array `{name}`"))? else {
            return Ok(Vec::new());
        };
        read_strings(array).with_context(|| format!("array `{name}`"))
    }
}

/// Kind and size in bytes of an array's items.
fn item_type<R: Read>(array: &NpyFile<R>) -> Result<(TypeChar, u64)> {
    let npyz::DType::Plain(text) = array.dtype() else { anyhow::bail!("records are not understood") };
    ensure!(array.order() == Order::C || array.shape().len() < 2, "column-major order is not understood");
    Ok((text.type_char(), text.size_field()))
}

fn read_numbers<R: Read>(array: NpyFile<R>) -> Result<Vec<f64>> {
    let item = item_type(&array)?;
    Ok(match item {
        (TypeChar::Float, 8) => array.into_vec::<f64>()?,
        (TypeChar::Float, 4) => array.into_vec::<f32>()?.into_iter().map(f64::from).collect(),
        (TypeChar::Int, 8) => array.into_vec::<i64>()?.into_iter().map(|value| value as f64).collect(),
        (TypeChar::Int, 4) => array.into_vec::<i32>()?.into_iter().map(f64::from).collect(),
        (TypeChar::Bool, _) => array.into_vec::<bool>()?.into_iter().map(|value| f64::from(u8::from(value))).collect(),
        (kind, size) => anyhow::bail!("numbers of type {kind:?} with {size} bytes are not understood"),
    })
}

fn read_strings<R: Read>(array: NpyFile<R>) -> Result<Vec<String>> {
    let item = item_type(&array)?;
    Ok(match item {
        (TypeChar::ByteStr, _) => {
            let texts = array.into_vec::<Vec<u8>>()?.into_iter();
            texts.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
        }
        (TypeChar::UnicodeStr, _) => array.into_vec::<String>()?,
        (kind, _) => anyhow::bail!("{kind:?} is no type of strings"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyz::WriterBuilder;
    use npyz::npz::NpzWriter;

    /// Three steps of an agent at rest that does nothing.
    fn write_rest(path: &Path, with_meta: bool) {
        let mut file = NpzWriter::create(path).unwrap();
        let mut put = |name: &str, shape: &[u64], values: Vec<f64>| {
            let options = Default::default();
            let mut writer = file.array(name, options).unwrap().default_dtype().shape(shape).begin_nd().unwrap();
            writer.extend(values).unwrap();
            writer.finish().unwrap();
        };
        put("action", &[3, 2], vec![0.0; 6]);
        for name in ["agent_pos", "agent_linvel", "agent_angvel"] {
            put(name, &[4, 3], vec![0.0; 12]);
        }
        put("agent_yaw", &[4], vec![0.0; 4]);
        if with_meta {
            let dtype = npyz::DType::Plain("|S19".parse().unwrap());
            let builder = file.array("meta", Default::default()).unwrap();
            let mut writer = builder.dtype(dtype).shape(&[1]).begin_nd().unwrap();
            writer.push(b"SafetyPointGoal0-v0".as_slice()).unwrap();
            writer.finish().unwrap();
        }
    }

    #[test]
    fn archives_are_read_with_what_they_have() {
        let dir = tempfile::tempdir().unwrap();
        for (name, with_meta) in [("any.npz", true), ("sub_SafetyPointGoal0-v0_s1.npz", false)] {
            let path = dir.path().join(name);
            write_rest(&path, with_meta);
            let recording = read_recording(&path).unwrap();
            assert_eq!((recording.env.as_str(), recording.rows_per_step), ("SafetyPointGoal0-v0", 1));
            assert_eq!((recording.action.len(), recording.agent_pos.len()), (6, 12));
            assert!(recording.obs.is_empty() && recording.free_names.is_empty());
            let report = replay(&recording).unwrap();
            assert_eq!(report.steps, 3);
        }
        let nameless = dir.path().join("nameless.npz");
        write_rest(&nameless, false);
        assert!(format!("{:#}", read_recording(&nameless).unwrap_err()).contains("meta"));
    }

    #[test]
    fn other_files_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npz");
        std::fs::write(&path, "no archive").unwrap();
        assert!(format!("{:#}", read_recording(&path).unwrap_err()).contains("x.npz"));
        let missing = read_recording(&dir.path().join("missing.npz")).unwrap_err();
        assert!(missing.downcast_ref::<UsageError>().is_some());
    }
}
