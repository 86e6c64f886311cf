//! The runs of a sweep: the cross product, with a name, a configuration and a directory each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::file::{SweepFile, Variant};
use crate::algorithm;
use crate::config::TrainConfig;
use crate::config::load::{env_named, resolve_layers};
use crate::error::UsageError;
use crate::policy::source::pin_init;

/// Runs of one sweep.
const MAX_RUNS: usize = 100_000;

/// A run that is to be.
#[derive(Debug, Clone)]
pub struct PlannedRun {
    /// `PointGoal1/kfcpo-variant`: what differs from it by the seed alone has the same.
    pub kind: String,
    /// What it is.
    pub config: TrainConfig,
    /// Its directory.
    pub dir: PathBuf,
}

impl PlannedRun {
    /// Its name in the sweep: its directory below the sweep's.
    pub fn name(&self) -> String {
        format!("{}/seed{}", self.kind, self.config.seed)
    }
}

/// All runs of a sweep, below `out`: the first seed of everything before the second, so that a sweep that is stopped early
/// holds whole comparisons.
///
/// # Errors
/// [`UsageError`] for a name or a setting that does not exist, and where two runs would have the same directory.
pub fn runs(file: &SweepFile, source: &Path, out: &Path) -> Result<Vec<PlannedRun>> {
    let wrong = |problem: String| UsageError::new(format!("{}: {problem}", source.display()));
    let mut kinds = Vec::new();
    let mut names = BTreeSet::new();
    for env in &file.envs {
        let env_name = file_name(&env_named(env)?.short_id());
        for (algo, variant) in pairs(file) {
            if variant.envs.as_ref().is_some_and(|envs| !envs.contains(env)) {
                continue;
            }
            let algo = algorithm::find(algo)?.name;
            let kind = format!("{env_name}/{}", label(algo, variant, source)?);
            if !names.insert(kind.clone()) {
                return Err(wrong(format!("two variants are called {kind}: give them a `name` each")).into());
            }
            kinds.push((kind, config(file, source, env, algo, variant)?));
        }
    }
    for (key, known) in [("envs", &file.envs), ("algos", &file.algos)] {
        let of = |variant: &Variant| if key == "envs" { variant.envs.clone() } else { variant.algos.clone() };
        let named: Vec<String> = file.variants.iter().filter_map(of).flatten().collect();
        if let Some(name) = named.iter().find(|name| !known.contains(name)) {
            return Err(wrong(format!("a variant is of `{name}`, which is not among the sweep's `{key}`")).into());
        }
    }
    let seeds: BTreeSet<u64> = file.seeds.iter().copied().collect();
    if seeds.len() < file.seeds.len() {
        return Err(wrong("`seeds`: one is there twice".to_owned()).into());
    }
    if kinds.is_empty() || kinds.len().saturating_mul(seeds.len()) > MAX_RUNS {
        let count = kinds.len() * seeds.len();
        return Err(wrong(format!("it describes {count} runs: must be 1 to {MAX_RUNS}")).into());
    }
    let run = |seed: &u64, (kind, config): &(String, TrainConfig)| PlannedRun {
        kind: kind.clone(),
        dir: out.join(kind).join(format!("seed{seed}")),
        config: TrainConfig { seed: *seed, ..config.clone() },
    };
    Ok(file.seeds.iter().flat_map(|seed| kinds.iter().map(move |kind| run(seed, kind))).collect())
}

/// Every algorithm with every variant that is of it.
fn pairs(file: &SweepFile) -> impl Iterator<Item = (&String, &Variant)> {
    let of = |algo: &&String, variant: &&Variant| variant.algos.as_ref().is_none_or(|algos| algos.contains(algo));
    let all = file.algos.iter().flat_map(|algo| file.variants.iter().map(move |variant| (algo, variant)));
    all.filter(move |(algo, variant)| of(algo, variant))
}

/// `kfcpo`, or `kfcpo-variant`.
fn label(algo: &str, variant: &Variant, source: &Path) -> Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
    match variant.name.as_str() {
        "" => Ok(algo.to_owned()),
        name if name.chars().all(allowed) && name.len() <= 100 => Ok(format!("{algo}-{name}")),
        name => Err(UsageError::new(format!(
            "{}: variant `{name}`: a name is at most 100 letters, digits and -_.= (it becomes a directory)",
            source.display()
        ))
        .into()),
    }
}

fn config(file: &SweepFile, source: &Path, env: &str, algo: &str, variant: &Variant) -> Result<TrainConfig> {
    let source = source.display();
    let object = |settings: &Map<String, Value>| Value::Object(settings.clone());
    let layers = [
        // First: settings below `env` change the environment.
        (format!("{source}: envs, algos"), json!({"env": env, "algo": algo})),
        (format!("{source}: settings"), object(&file.settings)),
        (format!("{source}: variant `{}`", variant.name), object(&variant.settings)),
    ];
    let mut config = resolve_layers(file.preset.as_deref(), &layers)?;
    pin_init(&mut config).with_context(|| format!("{source}: variant `{}`", variant.name))?;
    Ok(config)
}

/// `text` with nothing in it that means something in a path.
fn file_name(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use super::*;
    use crate::algorithm::kfcpo::KfcpoConfig;
    use crate::config::load::parsed_text;
    use crate::fuzz::{damaged, disturb, fuzz};

    fn planned(value: Value) -> Result<Vec<PlannedRun>> {
        let file: SweepFile = serde_json::from_value(value).unwrap();
        runs(&file, Path::new("s.json"), Path::new("out"))
    }

    #[test]
    fn everything_is_crossed_seed_by_seed() {
        let all = planned(json!({
            "envs": ["PointGoal1", "SafetyCarPush1-v0"], "algos": ["kfcpo", "ppo"], "seeds": [4, 2],
            "settings": {"total_steps": 1e6, "kfcpo.damping": 0.2, "policy": {"hidden": 32}},
            "variants": [{}, {"name": "soft", "algos": ["kfcpo"], "settings": {"kfcpo": {"damping": 0.5}}}],
        }))
        .unwrap();
        let names: Vec<String> = all.iter().map(PlannedRun::name).collect();
        let kinds = ["kfcpo", "kfcpo-soft", "ppo"];
        let expected: Vec<String> = [4, 2]
            .iter()
            .flat_map(|seed| ["PointGoal1", "CarPush1"].map(|env| kinds.map(|kind| format!("{env}/{kind}/seed{seed}"))))
            .flatten()
            .collect();
        assert_eq!(names, expected);
        let damping = |run: &PlannedRun| run.config.section::<KfcpoConfig>().damping;
        assert_eq!((damping(&all[0]), damping(&all[1])), (0.2, 0.5));
        let last = all.last().unwrap();
        assert_eq!(
            (last.config.env.id(), last.config.algo.as_str(), last.config.seed),
            ("SafetyCarPush1-v0", "ppo", 2)
        );
        assert_eq!((last.config.total_steps, last.config.policy.hidden.as_slice()), (1_000_000, &[32][..]));
        assert_eq!(last.dir, Path::new("out/CarPush1/ppo/seed2"));
    }

    #[test]
    fn a_variant_may_change_the_environment() {
        let all = planned(json!({
            "envs": ["PointGoal1"], "algos": ["kfcpo"], "seeds": [0],
            "variants": [{"name": "crowded", "settings": {"env.hazards.count": 12, "env.half_extent": 2.5}}],
        }))
        .unwrap();
        assert_eq!(all[0].name(), "PointGoal1/kfcpo-crowded/seed0");
        let level = all[0].config.env.spec().unwrap().level;
        assert!(level.half_extent == 2.5 && level.groups.iter().any(|group| group.count == 12), "{level:?}");
    }

    #[test]
    fn what_cannot_be_told_apart_or_does_not_exist_is_refused() {
        let base = |key: &str, value: Value| {
            let mut file = json!({"envs": ["PointGoal1"], "algos": ["kfcpo"], "seeds": [0]});
            file[key] = value;
            file
        };
        for (file, part) in [
            (base("envs", json!(["PointGoal1", "SafetyPointGoal1-v0"])), "two variants"),
            (base("variants", json!([{}, {}])), "PointGoal1/kfcpo"),
            (base("variants", json!([{"name": "../x"}])), "directory"),
            (base("variants", json!([{"algos": ["cpo"]}])), "`cpo`"),
            (base("seeds", json!([1, 1])), "twice"),
            (base("envs", json!(["PointGaol1"])), "SafetyPointGoal1-v0"),
            (base("algos", json!(["kfpco"])), "kfcpo"),
            (base("settings", json!({"kfcpo.dampng": 1})), "Did you mean `kfcpo.damping`"),
            (base("variants", json!([{"name": "x", "settings": {"gamma": 2}}])), "gamma = 2"),
        ] {
            let error = planned(file.clone()).unwrap_err();
            assert!(error.is::<UsageError>() && error.to_string().contains(part), "{file}: {error}");
        }
    }

    #[test]
    fn fuzzed_sweep_files_are_runs_or_an_error() {
        let good = json!({
            "out": "runs/x", "preset": "quick", "envs": ["PointGoal1", "CarPush1"], "algos": ["kfcpo", "ppo-lag"],
            "seeds": "0-2", "settings": {"total_steps": 1e6, "kfcpo.target_kl": 0.01, "policy": {"hidden": [32]}},
            "eval": {"episodes": 10, "seed": 3},
            "variants": [{}, {
                "name": "soft", "algos": ["kfcpo"], "envs": ["PointGoal1"],
                "settings": {"kfcpo": {"damping": 0.5}, "env.hazards.count": 3},
            }],
        });
        let toml = toml::to_string(&good).unwrap();
        let plan = |path: &Path, value: Value| {
            if let Ok(file) = SweepFile::checked(path, value) {
                let planned = runs(&file, path, Path::new("out")).unwrap_or_default();
                assert!(planned.len() <= MAX_RUNS && planned.iter().all(|run| run.dir.starts_with("out")));
                let inside = |run: &PlannedRun| run.dir.components().all(|part| part != Component::ParentDir);
                assert!(planned.iter().all(inside));
            }
        };
        fuzz("sweep files", |random| {
            let mut tree = good.clone();
            for _ in 0..=random.below(3) {
                disturb(&mut tree, random);
            }
            let text = String::from_utf8_lossy(&damaged(tree.to_string().as_bytes(), random)).into_owned();
            plan(Path::new("s.json"), tree);
            if let Ok(value) = parsed_text(Path::new("s.json"), &text) {
                plan(Path::new("s.json"), value);
            }
            let text = String::from_utf8_lossy(&damaged(toml.as_bytes(), random)).into_owned();
            if let Ok(value) = parsed_text(Path::new("s.toml"), &text) {
                plan(Path::new("s.toml"), value);
            }
        });
    }
}
