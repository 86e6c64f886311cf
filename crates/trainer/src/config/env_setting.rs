//! Which environment a run trains in: one of the suite by its id, or an agent in a level of one's own.

use std::fmt;

use envs::{EnvError, EnvSpec, NavigationSpec};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::env_edit::{edited, is_edit, is_same_task, renamed};

/// The environment of a run; as data an id, `{"agent": .., "level": {..}}`, what differs from an environment of the
/// suite: `{"base": "PointGoal1", "hazards": {"count": 4}}`, or `{"written": {..}}`, what is known of one that somebody has
/// written.
///
/// ```
/// use trainer::config::EnvSetting;
///
/// let named = EnvSetting::from("PointGoal1");
/// assert_eq!(named.spec().unwrap().env.id, "SafetyPointGoal1-v0");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EnvSetting {
    /// An environment of the suite: Safety-Gymnasium's id or the short one.
    Named(String),
    /// An agent in a level of one's own.
    Own(Box<NavigationSpec>),
    /// One that somebody has written: names and sizes are all that is known of it.
    Written {
        /// Names and sizes.
        written: EnvSpec,
    },
}

impl EnvSetting {
    /// The environment's name.
    pub fn id(&self) -> &str {
        match self {
            Self::Named(id) => id,
            Self::Own(spec) => &spec.env.id,
            Self::Written { written } => &written.id,
        }
    }

    /// The environment itself.
    ///
    /// # Errors
    /// [`EnvError::UnknownEnv`], which lists the valid ids, and [`EnvError::Foreign`] for one that somebody has written.
    pub fn spec(&self) -> Result<NavigationSpec, EnvError> {
        match self {
            Self::Named(id) => envs::find(id),
            Self::Own(spec) => Ok(NavigationSpec::clone(spec)),
            Self::Written { written } => Err(EnvError::Foreign(written.id.clone())),
        }
    }

    /// Its names and sizes, whoever made it.
    ///
    /// # Errors
    /// [`EnvError::UnknownEnv`].
    pub fn env_spec(&self) -> Result<EnvSpec, EnvError> {
        match self {
            Self::Written { written } => Ok(written.clone()),
            _ => Ok(self.spec()?.env),
        }
    }
}

impl From<&str> for EnvSetting {
    fn from(id: &str) -> Self {
        Self::Named(id.to_owned())
    }
}

impl From<String> for EnvSetting {
    fn from(id: String) -> Self {
        Self::Named(id)
    }
}

impl From<&EnvSpec> for EnvSetting {
    /// One that somebody has written, for [`Runner::with_env`](crate::runner::Runner::with_env).
    fn from(spec: &EnvSpec) -> Self {
        Self::Written { written: spec.clone() }
    }
}

impl From<NavigationSpec> for EnvSetting {
    /// By its id where the suite has it. What bears a name of the suite and is not it gets another name.
    fn from(spec: NavigationSpec) -> Self {
        match envs::find(&spec.env.id) {
            Ok(known) if known == spec => Self::Named(spec.env.id),
            Ok(known) if !is_same_task(&known, &spec) => Self::Own(Box::new(renamed(&spec))),
            _ => Self::Own(Box::new(spec)),
        }
    }
}

impl fmt::Display for EnvSetting {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.id())
    }
}

// Not derived: an untagged enum's error says only that nothing matched.
impl<'de> Deserialize<'de> for EnvSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(id) => Ok(Self::Named(id)),
            Value::Object(mut edits) if edits.contains_key("base") => {
                let base = edits.shift_remove("base").unwrap_or_default();
                let base = Self::deserialize(base).map_err(D::Error::custom)?.spec().map_err(D::Error::custom)?;
                edited(&base, &edits).map(Self::from).map_err(D::Error::custom)
            }
            Value::Object(mut fields) if fields.contains_key("written") && fields.len() == 1 => {
                let written = fields.shift_remove("written").unwrap_or_default();
                Ok(Self::Written { written: EnvSpec::deserialize(written).map_err(D::Error::custom)? })
            }
            value if is_edit(&value) => {
                Err(D::Error::custom("needs `agent` and `level`, or `base`, the id of an environment that it changes"))
            }
            value => NavigationSpec::deserialize(value).map(Self::from).map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;
    use crate::config::load::{Sources, resolve};

    /// The suite's level with two hazards less, under another name.
    fn own() -> NavigationSpec {
        let mut spec = envs::find("PointGoal1").unwrap();
        let mut level = envs::Level::clone(&spec.level);
        level.name = "Sparse".to_owned();
        level.groups[1].count = 6;
        spec = NavigationSpec::new(spec.agent, level).unwrap();
        spec
    }

    #[test]
    fn a_level_of_ones_own_is_saved_whole_and_a_known_one_by_its_id() {
        for (spec, is_text) in [(own(), false), (envs::find("CarPush1").unwrap(), true)] {
            let config = TrainConfig { env: spec.clone().into(), ..TrainConfig::default() };
            let value = serde_json::to_value(&config).unwrap();
            assert_eq!(value["env"].is_string(), is_text);
            let read: TrainConfig = serde_json::from_value(value).unwrap();
            assert_eq!(read, config);
            assert_eq!(read.env.spec().unwrap(), spec);
        }
    }

    #[test]
    fn a_file_of_an_agent_and_a_level_is_an_environment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse.json");
        std::fs::write(&path, serde_json::to_string(&own()).unwrap()).unwrap();
        let flags = |text: &str| vec![("--env", "env", Value::from(text))];
        let named = path.to_str().unwrap();
        let config = resolve(&Sources { flags: flags(named), ..Sources::default() }).unwrap();
        assert_eq!((config.env.id(), config.env.spec().unwrap()), ("SafetyPointSparse-v0", own()));

        std::fs::write(&path, serde_json::to_string(&own()).unwrap().replace("hazard", "lava")).unwrap();
        let message = format!("{:#}", resolve(&Sources { flags: flags(named), ..Sources::default() }).unwrap_err());
        assert!(message.contains("lava") && message.contains("hazard"), "{message}");
        let message = format!("{:#}", resolve(&Sources { flags: flags("no.json"), ..Sources::default() }).unwrap_err());
        assert!(message.contains("no.json"), "{message}");
    }
}
