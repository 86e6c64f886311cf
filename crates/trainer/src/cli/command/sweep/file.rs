//! The file of a sweep: which environments, algorithms, seeds and settings are crossed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::config::load::parsed;
use crate::error::UsageError;

/// Seeds of one sweep.
const MAX_SEEDS: u64 = 100_000;

/// What a sweep file says, in JSON or TOML.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepFile {
    /// Directory of all runs.
    pub out: Option<PathBuf>,
    /// Built-in configuration that every run starts from.
    pub preset: Option<String>,
    /// Settings of every run.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// Environments: ids, or files of levels.
    pub envs: Vec<String>,
    /// Algorithms.
    pub algos: Vec<String>,
    /// Seeds.
    #[serde(deserialize_with = "seeds")]
    pub seeds: Vec<u64>,
    /// Sets of settings that are compared; by default one, which changes nothing.
    #[serde(default = "unchanged")]
    pub variants: Vec<Variant>,
    /// Whether and how finished runs are evaluated.
    pub eval: Option<Episodes>,
}

/// A named set of settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Variant {
    /// Behind the algorithm's name; none for the plain algorithm.
    pub name: String,
    /// What it changes.
    pub settings: Map<String, Value>,
    /// The algorithms it is of; all of the sweep's by default.
    pub algos: Option<Vec<String>>,
    /// The environments it is trained in; all of the sweep's by default.
    pub envs: Option<Vec<String>>,
}

/// Fresh episodes that finished runs are evaluated on.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Episodes {
    /// How many.
    pub episodes: u32,
    /// Their seed.
    pub seed: u64,
}

impl Default for Episodes {
    fn default() -> Self {
        Self { episodes: 100, seed: 1_000_000 }
    }
}

fn unchanged() -> Vec<Variant> {
    vec![Variant::default()]
}

impl SweepFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`UsageError`] when it cannot be read, is neither JSON nor TOML, or holds what no sweep file holds.
    pub fn read(path: &Path) -> Result<Self> {
        Self::checked(path, parsed(path)?)
    }

    /// What `value`, read from the file at `path`, says.
    ///
    /// # Errors
    /// [`UsageError`] when it holds what no sweep file holds.
    pub fn checked(path: &Path, value: Value) -> Result<Self> {
        let wrong = |problem: String| UsageError::new(format!("{}: {problem}", path.display()));
        let file: Self = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        for (key, length) in [("envs", file.envs.len()), ("algos", file.algos.len()), ("seeds", file.seeds.len())] {
            if length == 0 {
                return Err(wrong(format!("`{key}` is empty: there would be nothing to train")).into());
            }
        }
        let settings = || file.variants.iter().map(|variant| &variant.settings).chain([&file.settings]);
        for (key, where_it_belongs) in [("env", "envs"), ("algo", "algos"), ("seed", "seeds")] {
            if settings().any(|settings| settings.contains_key(key)) {
                return Err(
                    wrong(format!("`{key}` is no setting of a sweep: it belongs in `{where_it_belongs}`")).into()
                );
            }
        }
        if file.eval.is_some_and(|eval| !(1..=100_000).contains(&eval.episodes)) {
            return Err(wrong("`eval.episodes` must be 1 to 100000".to_owned()).into());
        }
        Ok(file)
    }
}

/// A list of seeds, or a range with both its ends: `"10-14"`.
fn seeds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    const WRONG: &str = "`seeds`: expected a list such as [0, 1, 2] or a range such as \"10-14\"";
    let range = |text: &str| {
        let (first, last) = text.split_once('-')?;
        let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first <= last && last - first < MAX_SEEDS).then(|| (first..=last).collect())
    };
    let seeds = match Value::deserialize(deserializer)? {
        Value::Array(items) => items.iter().map(Value::as_u64).collect(),
        Value::String(text) => range(&text),
        _ => None,
    };
    seeds.ok_or_else(|| D::Error::custom(WRONG))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SweepFile> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweep.toml");
        std::fs::write(&path, text).unwrap();
        SweepFile::read(&path)
    }

    const PLAIN: &str = "envs = ['PointGoal1']\nalgos = ['kfcpo']\n";

    #[test]
    fn seeds_are_a_list_or_a_range() {
        let seeds = |text: &str| read(&format!("{PLAIN}seeds = {text}")).map(|file| file.seeds);
        assert_eq!(seeds("[3, 1, 2]").unwrap(), [3, 1, 2]);
        assert_eq!(seeds("'10-14'").unwrap(), [10, 11, 12, 13, 14]);
        for wrong in ["'14-10'", "'1-'", "'0-99999999999'", "[-1]", "[1.5]", "3", "[]"] {
            let error = seeds(wrong).unwrap_err();
            assert!(error.is::<UsageError>() && error.to_string().contains("seeds"), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        let file = read(&format!("{PLAIN}seeds = [0]\n[eval]\n")).unwrap();
        assert_eq!((file.variants.len(), file.variants[0].name.as_str()), (1, ""));
        let eval = file.eval.unwrap();
        assert_eq!((eval.episodes, eval.seed), (100, 1_000_000));
    }

    #[test]
    fn what_no_sweep_file_holds_is_refused() {
        for (text, part) in [
            ("seeds = [0]\nsettigns = {}", "settigns"),
            ("seeds = [0]\nsettings = { algo = 'ppo' }", "`algos`"),
            ("seeds = [0]\n[[variants]]\nsettings = { seed = 1 }", "`seeds`"),
            ("seeds = [0]\neval = { episodes = 0 }", "eval.episodes"),
            ("", "seeds"),
            ("seeds = [0]\nenvs = []", "duplicate"),
        ] {
            let error = read(&format!("{PLAIN}{text}")).unwrap_err();
            assert!(error.is::<UsageError>() && error.to_string().contains(part), "{text}: {error}");
        }
    }
}
