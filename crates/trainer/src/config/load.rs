//! Resolves a configuration: defaults < preset < `--config` file < `--set key.path=value` < flag.
//!
//! Every source is a JSON tree laid over the one before, leaf by leaf, so that an error can name the source, the
//! key and what would have been valid. The keys that exist are those of [`TrainConfig::default`]. Keys below `env` change
//! the environment that all sources together have chosen.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use envs::NavigationSpec;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use strsim::levenshtein;

use crate::algorithm;
use crate::bounded_read::{JSON_LIMIT, read_text};
use crate::config::env_edit::{edited, is_edit};
use crate::config::{EnvSetting, Limited, TrainConfig, limits};
use crate::error::UsageError;

/// Tuned configurations compiled into the program: (name, JSON).
pub const PRESETS: &[(&str, &str)] = &[
    ("quick", include_str!("../../../../assets/presets/quick.json")),
    ("gpu", include_str!("../../../../assets/presets/gpu.json")),
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

/// The configuration as JSON while sources are laid over it.
struct Tree {
    value: Value,
    /// The limits by kinds of cost, where the last word on limits was such.
    limited: Option<(String, Vec<Limited>)>,
}

impl Tree {
    fn new(base: &TrainConfig) -> Result<Self> {
        Ok(Self { value: serde_json::to_value(base).context("configuration")?, limited: None })
    }

    fn lay_preset(&mut self, name: &str) -> Result<()> {
        let known = PRESETS.iter().find(|(preset, _)| *preset == name);
        let (_, text) = known.ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|(preset, _)| *preset).collect();
            UsageError::new(format!("unknown preset `{name}`; there are: {}", names.join(", ")))
        })?;
        let source = format!("preset {name}");
        self.lay_section(&source, &serde_json::from_str(text).context(source.clone())?)
    }

    fn lay_section(&mut self, source: &str, value: &Value) -> Result<()> {
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
    fn limit(&mut self) -> Result<()> {
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
    fn lay(&mut self, source: &str, path: &mut Vec<String>, patch: &Value) -> Result<()> {
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
pub(super) fn fitted(former: &Value, new: &Value) -> Value {
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

/// The candidate closest to `word`, if it is close enough to be a slip of the finger.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + word.chars().count() / 3;
    let measured = candidates.map(|candidate| (levenshtein(word, candidate), candidate));
    measured.filter(|(distance, _)| *distance <= limit).min().map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::algorithm::kfcpo::KfcpoConfig;

    fn with_sets(sets: &[&str]) -> Result<TrainConfig> {
        let sets = sets.iter().map(|set| (*set).to_owned()).collect();
        resolve(&Sources { sets, ..Sources::default() })
    }

    fn message(result: Result<TrainConfig>) -> String {
        let error = result.unwrap_err();
        assert!(error.downcast_ref::<UsageError>().is_some(), "{error:#}");
        error.to_string()
    }

    #[test]
    fn later_sources_win() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.json");
        fs::write(&file, r#"{"gamma": 0.5, "seed": 3, "kfcpo": {"damping": 0.2}}"#).unwrap();
        let config = resolve(&Sources {
            preset: Some("quick".into()),
            file: Some(file),
            sets: vec!["seed=4".into(), "num_envs=8".into()],
            flags: vec![("--seed", "seed", json!(5))],
        })
        .unwrap();
        assert_eq!((config.gamma, config.seed, config.num_envs), (0.5, 5, 8));
        assert_eq!(config.section::<KfcpoConfig>().damping, 0.2);
        assert_eq!(config.total_steps, 1_000_000);
        assert_eq!(config.section::<KfcpoConfig>().epochs, KfcpoConfig::default().epochs);
    }

    #[test]
    fn a_resolved_configuration_resolves_to_itself() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        let config = with_sets(&["seed=9", "policy.hidden=32,16", "policy.activation=relu"]).unwrap();
        fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
        let again = resolve(&Sources { file: Some(file), ..Sources::default() }).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn values_may_be_typed_plainly() {
        let sets = ["total_steps=1e6", "policy.hidden=128", "env=PointGoal1", "seed=1_000", "cost_limit=10"];
        let config = with_sets(&sets).unwrap();
        assert_eq!((config.total_steps, config.seed), (1_000_000, 1000));
        assert_eq!(config.policy.hidden, [128]);
        assert_eq!(config.env.id(), "SafetyPointGoal1-v0");
        assert_eq!(config.cost_limit, 10.0.into());
    }

    #[test]
    fn unknown_keys_are_refused_with_a_suggestion() {
        let text = message(with_sets(&["kfcpo.dampng=0.1"]));
        assert!(text.contains("`kfcpo.dampng`") && text.contains("Did you mean `kfcpo.damping`"), "{text}");
        assert!(text.contains("target_kl"), "{text}");
        let text = message(with_sets(&["zzz=1"]));
        assert!(!text.contains("Did you mean") && text.contains("cost_limit"), "{text}");
        assert!(message(with_sets(&["kfcpo=1"])).contains("section"));
        assert!(message(with_sets(&["gamma.x=1"])).contains("gamma"));
        assert!(message(with_sets(&["gamma"])).contains("key.path=value"));
    }

    #[test]
    fn unsuitable_values_name_the_key() {
        for (set, part) in [
            ("gamma=high", "`gamma`"),
            ("seed=-1", "`seed`"),
            ("num_envs=2.5", "`num_envs`"),
            ("policy.activation=sigmoid", "tanh"),
            ("gamma=1.5", "gamma = 1.5"),
            ("env=PointGaol1", "SafetyPointGoal1-v0"),
            ("algo=nope", "kfcpo"),
        ] {
            let text = message(with_sets(&[set]));
            assert!(text.contains(part), "{set}: {text}");
        }
    }

    #[test]
    fn a_level_is_changed_by_its_keys_wherever_the_environment_comes_from() {
        let change = |sets: &[&str], env: &str| {
            let sets = sets.iter().map(|set| (*set).to_owned()).collect();
            let flags = vec![("--env", "env", json!(env))];
            resolve(&Sources { sets, flags, ..Sources::default() }).map(|config| config.env.spec().unwrap())
        };
        let spec = change(&["env.hazards.count=25", "env.half_extent=4", "env.agent_extent=4"], "CarGoal2").unwrap();
        assert!(spec.env.id.starts_with("SafetyCarGoal2-"), "{}", spec.env.id);
        assert_eq!((spec.level.groups[1].count, spec.level.half_extent), (25, 4.0));

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("level.toml");
        fs::write(&file, "base = \"PushPoint\"").unwrap();
        let text = message(change(&[], file.to_str().unwrap()).map(|_| TrainConfig::default()));
        assert!(text.contains("PushPoint") && text.contains("SafetyPointPush1-v0"), "{text}");
        fs::write(&file, "base = \"PointPush1\"\nname = \"Narrow\"\nhalf_extent = 1.4\n[hazards]\ncount = 3\n")
            .unwrap();
        let spec = change(&["env.hazards.size=0.25"], file.to_str().unwrap()).unwrap();
        assert_eq!((spec.level.half_extent, spec.level.groups[1].count), (1.4, 3));
        assert_eq!(spec.level.groups[1].size, 0.25);
        assert!(spec.env.id.starts_with("SafetyPointNarrow-"));

        let text = message(with_sets(&["env.hazrds.count=4"]));
        assert!(text.contains("--set env") && text.contains("Did you mean `hazards`"), "{text}");
        let saved = with_sets(&["env.hazards.count=4"]).unwrap();
        let same = Sources { sets: vec!["env.hazards.count=4".into()], ..Sources::default() };
        assert_eq!(resolve_resumed(&saved, &same).unwrap(), saved);
        let other = Sources { sets: vec!["env.hazards.count=5".into()], ..Sources::default() };
        assert!(message(resolve_resumed(&saved, &other)).contains("`env`"));
    }

    #[test]
    fn limits_by_kind_become_constraints_of_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        fs::write(&file, "env = \"PointGoal2\"\n[[constraints]]\nname = \"hazards\"\nlimit = 10\n[[constraints]]\nname = \"soft\"\nkinds = [\"vases\"]\nlimit = 5.5\n").unwrap();
        let from = |flags| resolve(&Sources { file: Some(file.clone()), flags, ..Sources::default() });
        let config = from(vec![]).unwrap();
        let spec = config.env.spec().unwrap();
        assert_eq!((spec.env.id.as_str(), config.cost_limit.values()), ("SafetyPointGoal2-v0", &[10.0, 5.5][..]));
        assert_eq!(spec.env.constraints, ["hazards", "soft"]);
        // The saved configuration says the same in other words.
        fs::write(dir.path().join("saved.json"), serde_json::to_string(&config).unwrap()).unwrap();
        let saved = Sources { file: Some(dir.path().join("saved.json")), ..Sources::default() };
        assert_eq!(resolve(&saved).unwrap(), config);
        // Another environment keeps the limits, a plain limit replaces them, others come in their place.
        let other = from(vec![("--env", "env", json!("CarGoal2"))]).unwrap();
        assert_eq!(other.env.spec().unwrap().env.constraints, ["hazards", "soft"]);
        let plain = from(vec![("--cost-limit", "cost_limit", json!(25.0))]).unwrap();
        assert_eq!(plain.env, EnvSetting::from("SafetyPointGoal2-v0"));
        let limits = json!([{"name": "vases", "limit": 3}]);
        let config = from(vec![("--limit", CONSTRAINTS, limits)]).unwrap();
        assert_eq!((config.env.spec().unwrap().env.constraints, config.cost_limit), (vec!["vases".into()], 3.0.into()));
        let text = message(from(vec![("--limit", CONSTRAINTS, json!([{"name": "pillars", "limit": 3}]))]));
        assert!(text.contains("--limit") && text.contains("what does: hazards, vases_contact"), "{text}");
    }

    #[test]
    fn settings_are_read_from_toml() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        fs::write(&file, "gamma = 0.5 # short-sighted\n[kfcpo]\ndamping = 0.2\n[env]\nwalls = 2\n").unwrap();
        let config = resolve(&Sources { file: Some(file.clone()), ..Sources::default() }).unwrap();
        assert_eq!((config.gamma, config.section::<KfcpoConfig>().damping), (0.5, 0.2));
        assert_eq!(config.env.spec().unwrap().level.walls, 2);
        fs::write(&file, "gamma = ").unwrap();
        assert!(message(resolve(&Sources { file: Some(file), ..Sources::default() })).contains("not valid TOML"));
    }

    #[test]
    fn a_resumed_run_may_only_be_extended() {
        let saved = TrainConfig::default();
        let sources = |key, value| Sources { flags: vec![("--flag", key, value)], ..Sources::default() };
        let longer = resolve_resumed(&saved, &sources("total_steps", json!(20_000_000))).unwrap();
        assert_eq!(longer.total_steps, 20_000_000);
        assert!(resolve_resumed(&saved, &sources("seed", json!(saved.seed))).is_ok());
        let text = message(resolve_resumed(&saved, &sources("seed", json!(77))));
        assert!(text.contains("`seed`"), "{text}");
    }

    #[test]
    fn a_typo_finds_the_nearest_name() {
        assert_eq!(nearest("gama", ["gamma", "seed"].into_iter()), Some("gamma"));
        assert_eq!(
            nearest("damping_rate", ["damping_ratio", "damping", "learning_rate"].into_iter()),
            Some("damping_ratio")
        );
        assert_eq!(nearest("q", ["gamma", "seed"].into_iter()), None);
    }
}
