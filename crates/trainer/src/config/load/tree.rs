//! The configuration as a JSON tree over which sources are laid, leaf by leaf.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{CONSTRAINTS, PRESETS, nearest};
use crate::config::env_edit::{edited, is_edit};
use crate::config::{EnvSetting, Limited, TrainConfig, limits};
use crate::error::UsageError;

/// The configuration as JSON while sources are laid over it.
pub struct Tree {
    /// All keys of the configuration, each with a value.
    pub value: Value,
    /// The limits by kinds of cost, where the last word on limits was such.
    limited: Option<(String, Vec<Limited>)>,
}

impl Tree {
    pub fn new(base: &TrainConfig) -> Result<Self> {
        Ok(Self { value: serde_json::to_value(base).context("configuration")?, limited: None })
    }

    pub fn lay_preset(&mut self, name: &str) -> Result<()> {
        let known = PRESETS.iter().find(|(preset, _)| *preset == name);
        let (_, text) = known.ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|(preset, _)| *preset).collect();
            UsageError::new(format!("unknown preset `{name}`; there are: {}", names.join(", ")))
        })?;
        let source = format!("preset {name}");
        self.lay_section(&source, &serde_json::from_str(text).context(source.clone())?)
    }

    pub fn lay_section(&mut self, source: &str, value: &Value) -> Result<()> {
        if !value.is_object() {
            bail!(UsageError::new(format!("{source}: expected an object of settings")));
        }
        self.lay(source, &mut Vec::new(), value)
    }

    fn lay_constraints(&mut self, source: &str, patch: &Value) -> Result<()> {
        let limited = Vec::<Limited>::deserialize(patch)
            .map_err(|error| UsageError::new(format!("{source}: `{CONSTRAINTS}`: {error}")))?;
        self.limited = (!limited.is_empty()).then(|| (source.to_owned(), limited));
        Ok(())
    }

    /// Limits what the constraints say in the environment that was chosen.
    pub fn limit(&mut self) -> Result<()> {
        let Some((source, limited)) = self.limited.take() else { return Ok(()) };
        let wrong = |error: String| UsageError::new(format!("{source}: `{CONSTRAINTS}`: {error}"));
        let present = EnvSetting::deserialize(&self.value["env"]).map_err(|error| wrong(error.to_string()))?;
        let spec = present.spec().map_err(|error| wrong(error.to_string()))?;
        let (edit, limits) = limits::split(&limited, &spec).map_err(wrong)?;
        self.lay_env(&source, &edit)?;
        self.value["cost_limit"] = serde_json::to_value(limits).context("limits")?;
        Ok(())
    }

    /// Lays an environment, or changes of the present one, over the node `env`.
    fn lay_env(&mut self, source: &str, patch: &Value) -> Result<()> {
        let wrong = |error: String| UsageError::new(format!("{source}: `env`: {error}"));
        let setting = match patch.as_object() {
            Some(edits) if is_edit(patch) && !["base", "written"].iter().any(|key| edits.contains_key(*key)) => {
                let present = EnvSetting::deserialize(&self.value["env"]).map_err(|error| wrong(error.to_string()))?;
                let present = present.spec().map_err(|error| wrong(error.to_string()))?;
                edited(&present, edits).map(EnvSetting::from).map_err(wrong)?
            }
            _ => EnvSetting::deserialize(patch).map_err(|error| wrong(error.to_string()))?,
        };
        self.value["env"] = serde_json::to_value(&setting).context("environment")?;
        Ok(())
    }

    /// Lays `patch` over the node at `path`.
    pub fn lay(&mut self, source: &str, path: &mut Vec<String>, patch: &Value) -> Result<()> {
        match path.as_slice() {
            // An environment is one value, though it may be written as an object.
            [key] if key == "env" => return self.lay_env(source, patch),
            [key] if key == CONSTRAINTS => return self.lay_constraints(source, patch),
            [key] if key == "cost_limit" => self.limited = None,
            // One value as well: another source does not stand in for parts of the former.
            [key] if key == "init_from" => self.value[key] = Value::Null,
            _ => {}
        }
        let is_root = path.is_empty();
        let node = path.iter().fold(&mut self.value, |node, key| &mut node[key]);
        match (node, patch) {
            (Value::Object(section), Value::Object(entries)) => {
                let is_known = |key: &str| section.contains_key(key) || is_root && key == CONSTRAINTS;
                if let Some(key) = entries.keys().find(|key| !is_known(key)) {
                    bail!(unknown_key(source, path, key, section));
                }
                for (key, entry) in entries {
                    path.push(key.clone());
                    self.lay(source, path, entry)?;
                    path.pop();
                }
                Ok(())
            }
            (Value::Object(section), _) => bail!(UsageError::new(format!(
                "{source}: `{}` is a section with the keys {}; it has no value of its own",
                path.join("."),
                keys(section)
            ))),
            (leaf, _) => {
                *leaf = fitted(leaf, patch);
                TrainConfig::deserialize(&self.value)
                    .map_err(|error| UsageError::new(format!("{source}: `{}`: {error}", path.join("."))))?;
                Ok(())
            }
        }
    }
}

/// `1e6` and `5.0` for an integer key, a lone number for a list.
pub fn fitted(former: &Value, new: &Value) -> Value {
    let whole = |number: f64| number.fract() == 0.0 && (0.0..9e15).contains(&number);
    match (former, new) {
        (Value::Number(old), Value::Number(number)) if !old.is_f64() && number.is_f64() => {
            match number.as_f64().filter(|number| whole(*number)) {
                Some(number) => json!(number as u64),
                None => new.clone(),
            }
        }
        (Value::Array(old), Value::Array(items)) if !old.is_empty() => {
            items.iter().map(|item| fitted(&old[0], item)).collect()
        }
        (Value::Array(_), Value::Number(_)) => fitted(former, &json!([new])),
        _ => new.clone(),
    }
}

fn unknown_key(source: &str, path: &[String], key: &str, section: &Map<String, Value>) -> UsageError {
    let full = |key: &str| [path, &[key.to_owned()]].concat().join(".");
    let hint = match nearest(key, section.keys().map(String::as_str)) {
        Some(near) => format!(" Did you mean `{}`?", full(near)),
        None => String::new(),
    };
    let place = if path.is_empty() { String::new() } else { format!(" in `{}`", path.join(".")) };
    UsageError::new(format!("{source}: unknown key `{}`.{hint}\nvalid keys{place}: {}", full(key), keys(section)))
}

fn keys(section: &Map<String, Value>) -> String {
    section.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}
