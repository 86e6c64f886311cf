//! Resolves a configuration: defaults < preset < `--config` file < `--set key.path=value` < flag.
//!
//! Every source is a JSON tree laid over the one before, leaf by leaf, so that an error can name the source, the
//! key and what would have been valid. The keys that exist are those of [`TrainConfig::default`]. Keys below `env` change
//! the environment that all sources together have chosen.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use envs::NavigationSpec;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use strsim::levenshtein;

use crate::algorithm;
use crate::bounded_read::{JSON_LIMIT, read_text};
use crate::config::{EnvSetting, TrainConfig};
use crate::error::UsageError;

#[cfg(test)]
mod tests;
mod tree;

use tree::Tree;
pub(super) use tree::fitted;

/// Tuned configurations compiled into the program: (name, JSON).
pub const PRESETS: &[(&str, &str)] = &[
    ("quick", include_str!("../../../../assets/presets/quick.json")),
    ("gpu", include_str!("../../../../assets/presets/gpu.json")),
    ("gpu-wide", include_str!("../../../../assets/presets/gpu-wide.json")),
];

/// A key beside those of the configuration: limits on sums of kinds of cost, which become part of `env` and `cost_limit`.
pub const CONSTRAINTS: &str = "constraints";

/// Keys that may change when a run is resumed; any other would make it a different run.
const CHANGEABLE_ON_RESUME: &[&str] = &["total_steps", "schedule", "checkpoint", "log"];

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Name of a preset.
    pub preset: Option<String>,
    /// A configuration file, complete or partial.
    pub file: Option<PathBuf>,
    /// `key.path=value` settings, in order.
    pub sets: Vec<String>,
    /// Values of dedicated flags: (flag, key, value).
    pub flags: Vec<(&'static str, &'static str, Value)>,
}

/// The configuration of a new run.
///
/// # Errors
///
/// [`UsageError`] for an unknown key, environment or algorithm, an unsuitable value or an unreadable file.
pub fn resolve(sources: &Sources) -> Result<TrainConfig> {
    let mut tree = Tree::new(&TrainConfig::default())?;
    if let Some(name) = &sources.preset {
        tree.lay_preset(name)?;
    }
    if let Some(path) = &sources.file {
        tree.lay_section(&path.display().to_string(), &parsed(path)?)?;
    }
    lay_command_line(&mut tree, sources)?;
    finish(tree)
}

/// The configuration of a new run whose settings stand in layers, each over the one before: (where it stands, an object of
/// settings; a key may be the path of a setting).
///
/// # Errors
///
/// As [`resolve`].
pub fn resolve_layers(preset: Option<&str>, layers: &[(String, Value)]) -> Result<TrainConfig> {
    let mut tree = Tree::new(&TrainConfig::default())?;
    if let Some(name) = preset {
        tree.lay_preset(name)?;
    }
    for (source, layer) in layers {
        let settings = layer.as_object();
        let settings = settings.ok_or_else(|| UsageError::new(format!("{source}: expected an object of settings")))?;
        // Together: one change of an environment may only be possible with another.
        let mut all = Value::Object(Map::new());
        for (key, value) in settings {
            let value = if key == "env" { env_value(value)? } else { value.clone() };
            merge(&mut all, &nested(key, value));
        }
        tree.lay_section(source, &all)?;
    }
    finish(tree)
}

/// The configuration of a run that continues: `saved`, changed by the command line where that leaves it the same run.
///
/// # Errors
///
/// As [`resolve`], and for a change of anything but the length of the run and its checkpoints.
pub fn resolve_resumed(saved: &TrainConfig, sources: &Sources) -> Result<TrainConfig> {
    if sources.file.is_some() || sources.preset.is_some() {
        bail!(UsageError::new("--resume takes the configuration from the run; --config and --preset do not apply",));
    }
    let mut tree = Tree::new(saved)?;
    lay_command_line(&mut tree, sources)?;
    let resumed = finish(tree)?;
    if let Some(key) = first_difference(saved, &resumed) {
        bail!(UsageError::new(format!(
            "--resume cannot change `{key}`: it would be another run (changeable: {})",
            CHANGEABLE_ON_RESUME.join(", ")
        )));
    }
    Ok(resumed)
}

/// The first key by which two configurations are of different runs: any but those that a resumed run may change.
pub fn first_difference(one: &TrainConfig, other: &TrainConfig) -> Option<String> {
    let tree = |config| serde_json::to_value(config).unwrap_or_default();
    let (one, other) = (tree(one), tree(other));
    let mut keys = one.as_object().into_iter().flatten();
    let differing =
        keys.find(|(key, value)| other.get(key) != Some(value) && !CHANGEABLE_ON_RESUME.contains(&key.as_str()));
    differing.map(|(key, _)| key.clone())
}

fn read(path: &Path) -> Result<String> {
    read_text(path, JSON_LIMIT)
        .map_err(|error| UsageError::new(format!("cannot read {}: {error}", path.display())).into())
}

/// What a settings file holds: TOML where its name says so, else JSON.
///
/// # Errors
///
/// [`UsageError`] when it cannot be read or is not what its name says.
pub fn parsed(path: &Path) -> Result<Value> {
    parsed_text(path, &read(path)?)
}

/// [`parsed`] of a file that holds `text`.
///
/// # Errors
///
/// [`UsageError`] when it is not what the file's name says.
pub fn parsed_text(path: &Path, text: &str) -> Result<Value> {
    let wrong = |kind: &str, error: String| UsageError::new(format!("{}: not valid {kind}: {error}", path.display()));
    let value = if has_ending(&path.to_string_lossy(), "toml") {
        toml::from_str(text).map_err(|error| wrong("TOML", error.to_string()))
    } else {
        serde_json::from_str(text).map_err(|error| wrong("JSON", error.to_string()))
    };
    Ok(value?)
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|own| own.eq_ignore_ascii_case(ending))
}

fn lay_command_line(tree: &mut Tree, sources: &Sources) -> Result<()> {
    let mut edits = Value::Object(Map::new());
    for set in &sources.sets {
        let (key, text) = set
            .split_once('=')
            .ok_or_else(|| UsageError::new(format!("--set {set}: expected key.path=value, for example gamma=0.99")))?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| unquoted(text));
        match key.strip_prefix("env.") {
            // Together, and behind the flags: one change may only be possible with another.
            Some(key) => merge(&mut edits, &nested(key, value)),
            None => tree.lay(&format!("--set {set}"), &mut Vec::new(), &nested(key, value))?,
        }
    }
    for (flag, key, value) in &sources.flags {
        let value = if *key == "env" { env_value(value)? } else { value.clone() };
        tree.lay(flag, &mut Vec::new(), &nested(key, value))?;
    }
    if edits.as_object().is_some_and(|edits| !edits.is_empty()) {
        tree.lay("--set env", &mut vec!["env".to_owned()], &edits)?;
    }
    Ok(())
}

/// Lays `patch` over `tree`, object by object.
fn merge(tree: &mut Value, patch: &Value) {
    match (tree, patch) {
        (Value::Object(old), Value::Object(new)) => {
            new.iter().for_each(|(key, value)| merge(old.entry(key).or_insert(Value::Null), value));
        }
        (leaf, _) => *leaf = patch.clone(),
    }
}

/// What a file that `--env` names holds; an id stays as it is.
fn env_value(value: &Value) -> Result<Value> {
    let is_file = |text: &&str| has_ending(text, "json") || has_ending(text, "toml");
    match value.as_str().filter(is_file) {
        Some(path) => parsed(Path::new(path)),
        None => Ok(value.clone()),
    }
}

/// The environment that `text` names: an id, or a file that holds an agent and a level.
///
/// # Errors
/// [`UsageError`] for an unknown id, and for a file that cannot be read or holds no level that can be simulated.
pub fn env_named(text: &str) -> Result<NavigationSpec> {
    env_changed(text, &[])
}

/// The environment that `text` names with the changes of `--set env.key=value` laid over it.
///
/// # Errors
/// [`UsageError`] as of [`env_named`], for settings of anything else, and for unknown keys.
pub fn env_changed(text: &str, sets: &[String]) -> Result<NavigationSpec> {
    if let Some(set) = sets.iter().find(|set| !set.starts_with("env.")) {
        bail!(UsageError::new(format!(
            "--set {set}: expected a key of the environment, for example env.hazards.count=4"
        )));
    }
    let flags = vec![("--env", "env", json!(text))];
    let mut tree = Tree::new(&TrainConfig::default())?;
    lay_command_line(&mut tree, &Sources { sets: sets.to_vec(), flags, ..Sources::default() })?;
    let setting = EnvSetting::deserialize(&tree.value["env"])?;
    Ok(setting.spec().map_err(|error| UsageError::new(error.to_string()))?)
}

/// A value typed without JSON's quotes and brackets: `tanh`, `1_000_000`, `64,64`.
fn unquoted(text: &str) -> Value {
    if text.contains(',') {
        let parts = text.split(',').map(str::trim);
        return parts.map(|part| serde_json::from_str(part).unwrap_or_else(|_| json!(part))).collect();
    }
    let digits = text.replace('_', "");
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit());
    let number = is_number.then(|| serde_json::from_str::<Value>(&digits).ok());
    number.flatten().unwrap_or_else(|| json!(text))
}

/// `a.b` and v as `{"a": {"b": v}}`.
fn nested(key: &str, value: Value) -> Value {
    key.rsplit('.').fold(value, |inner, part| Value::Object(Map::from_iter([(part.to_owned(), inner)])))
}

fn finish(mut tree: Tree) -> Result<TrainConfig> {
    tree.limit()?;
    checked(TrainConfig::deserialize(&tree.value)?)
}

/// A configuration from anywhere, a command line or a file, with every value checked and its names those of the registries.
///
/// # Errors
///
/// [`UsageError`] that names the key and what is allowed.
pub fn checked(mut config: TrainConfig) -> Result<TrainConfig> {
    config.validate().map_err(|error| UsageError::new(format!("{error:#}")))?;
    let env = config.env.env_spec().map_err(|error| UsageError::new(error.to_string()))?;
    let constraints = config.cost_limit.of(&env.constraints);
    constraints.map_err(|error| UsageError::new(error.to_string()))?;
    if let EnvSetting::Named(id) = &mut config.env {
        id.clone_from(&env.id);
    }
    config.algo = algorithm::find(&config.algo)?.name.to_owned();
    Ok(config)
}

/// The candidate closest to `word`, if it is close enough to be a slip of the finger.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + word.chars().count() / 3;
    let measured = candidates.map(|candidate| (levenshtein(word, candidate), candidate));
    measured.filter(|(distance, _)| *distance <= limit).min().map(|(_, candidate)| candidate)
}
