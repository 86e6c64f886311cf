//! What the sources of a configuration come to together.

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
    fs::write(&file, "base = \"PointPush1\"\nname = \"Narrow\"\nhalf_extent = 1.4\n[hazards]\ncount = 3\n").unwrap();
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
