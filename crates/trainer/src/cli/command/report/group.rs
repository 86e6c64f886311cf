//! Runs that differ by their seeds alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::run::Run;
use crate::cli::console::diagnose;
use crate::config::{Constraint, leaves};

/// Settings that do not make another experiment: repetitions differ by the seed, and what is written down changes nothing.
const NOT_COMPARED: [&str; 3] = ["seed", "checkpoint", "log"];
/// Settings that every table names by itself.
const IN_ITS_COLUMN: [&str; 3] = ["env", "algo", "cost_limit"];
/// Runs of different length are never pooled.
const LENGTH: &str = "steps trained";

/// The repetitions of an experiment.
#[derive(Debug)]
pub struct Group {
    /// The environment's id.
    pub env: String,
    /// The algorithm.
    pub algo: String,
    /// What is limited.
    pub constraints: Vec<Constraint>,
    /// What tells it from other groups of this algorithm.
    pub settings: Vec<(String, Value)>,
    /// One a seed.
    pub runs: Vec<Run>,
}

impl Group {
    /// Name of its algorithm with what tells it from others.
    pub fn label(&self) -> String {
        let settings: Vec<String> = self.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if settings.is_empty() { self.algo.clone() } else { format!("{}, {}", self.algo, settings.join(", ")) }
    }

    /// A figure of every run that has it.
    pub fn finals(&self, of: impl Fn(&Run) -> f64) -> Vec<f64> {
        self.runs.iter().map(of).filter(|value| value.is_finite()).collect()
    }

    /// How the final figures were measured: every way there is, in words.
    pub fn ways(&self) -> BTreeSet<String> {
        self.runs.iter().map(|run| run.way.text()).collect()
    }
}

/// Runs by all settings but the seed, and by their length: of a seed that is there twice the first one counts.
pub fn grouped(runs: Vec<(PathBuf, Run)>) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String, String), Group> = BTreeMap::new();
    for (path, run) in runs {
        let (env, algo) = (run.config.env.id().to_owned(), run.config.algo.clone());
        let mut settings = leaves(&run.config, &NOT_COMPARED);
        settings.insert(LENGTH.to_owned(), json!(run.steps.last().copied().unwrap_or(0.0)));
        let key = (env.clone(), algo.clone(), json!(settings).to_string());
        let (settings, constraints) = (settings.into_iter().collect(), run.constraints.clone());
        let group = groups.entry(key).or_insert(Group { env, algo, constraints, settings, runs: Vec::new() });
        if group.runs.iter().any(|other| other.config.seed == run.config.seed) {
            let seed = run.config.seed;
            diagnose(&format!("warning: {} repeats a run of seed {seed}: it is not counted again", path.display()));
            continue;
        }
        group.runs.push(run);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    name_what_differs(&mut groups);
    groups
}

/// Leaves every group only the settings that tell: those that differ between the groups of its algorithm, so that it is
/// called the same in every environment. The limit tells only where it differs within an environment.
fn name_what_differs(groups: &mut [Group]) {
    let mut values: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for group in groups.iter() {
        for (key, value) in group.settings.iter().filter(|(key, _)| !is_in_its_column(key)) {
            values.entry((group.algo.clone(), key.clone())).or_default().insert(value.to_string());
        }
        let limits = (group.algo.clone() + "/" + &group.env, "cost_limit".to_owned());
        let limit = group.settings.iter().find(|(key, _)| key == "cost_limit");
        values.entry(limits).or_default().extend(limit.map(|(_, value)| value.to_string()));
    }
    // A key that some group lacks differs as well.
    let count: BTreeMap<&String, usize> = groups.iter().fold(BTreeMap::new(), |mut count, group| {
        *count.entry(&group.algo).or_default() += 1;
        count
    });
    let mut present: BTreeMap<(String, String), usize> = BTreeMap::new();
    for group in groups.iter() {
        for (key, _) in &group.settings {
            *present.entry((group.algo.clone(), key.clone())).or_default() += 1;
        }
    }
    let lacking: BTreeSet<(String, String)> =
        present.into_iter().filter(|((algo, _), there)| *there < count[algo]).map(|(key, _)| key).collect();
    let limits_differ = |algo: &str| {
        let prefix = format!("{algo}/");
        values.iter().any(|((place, _), limits)| place.starts_with(&prefix) && limits.len() > 1)
    };
    let tells = |algo: &String, key: &String| {
        let pair = (algo.clone(), key.clone());
        match key.as_str() {
            "cost_limit" => limits_differ(algo),
            _ if is_in_its_column(key) => false,
            _ => lacking.contains(&pair) || values.get(&pair).is_some_and(|values| values.len() > 1),
        }
    };
    let telling: Vec<Vec<(String, Value)>> = groups
        .iter()
        .map(|group| group.settings.iter().filter(|(key, _)| tells(&group.algo, key)).cloned().collect())
        .collect();
    for (group, settings) in groups.iter_mut().zip(telling) {
        group.settings = settings;
    }
}

/// An environment of one's own is a section: all of it stands in its column.
fn is_in_its_column(key: &str) -> bool {
    IN_ITS_COLUMN
        .iter()
        .any(|column| key == *column || key.strip_prefix(column).is_some_and(|rest| rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::run;
    use super::*;
    use crate::algorithm::kfcpo::KfcpoConfig;

    fn named(runs: Vec<(&str, Run)>) -> Vec<(String, String, Vec<u64>)> {
        let runs = runs.into_iter().map(|(name, run)| (PathBuf::from(name), run)).collect();
        let seeds = |group: &Group| group.runs.iter().map(|run| run.config.seed).collect::<Vec<_>>();
        let mut found: Vec<(String, String, Vec<u64>)> =
            grouped(runs).iter().map(|group| (group.env.clone(), group.label(), seeds(group))).collect();
        found.sort();
        found
    }

    fn goal(label: &str, seeds: &[u64]) -> (String, String, Vec<u64>) {
        ("SafetyPointGoal1-v0".to_owned(), label.to_owned(), seeds.to_vec())
    }

    #[test]
    fn groups_are_told_apart_by_all_settings_but_the_seed_and_by_length() {
        let mut damped = run(1, 1.0, 100.0);
        damped.config.section_mut::<KfcpoConfig>().damping = 0.5;
        let mut other_checkpoints = run(2, 1.0, 100.0);
        other_checkpoints.config.checkpoint.keep = 9;
        let found = named(vec![
            ("a", run(1, 1.0, 100.0)),
            ("b", other_checkpoints),
            ("copy of a", run(1, 1.0, 100.0)),
            ("short", run(3, 1.0, 50.0)),
            ("damped", damped),
        ]);
        let label = |damping: f64, steps: f64| format!("kfcpo, kfcpo.damping={damping:?}, steps trained={steps:?}");
        let mut expected =
            [goal(&label(0.1, 100.0), &[1, 2]), goal(&label(0.1, 50.0), &[3]), goal(&label(0.5, 100.0), &[1])];
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_algorithm_is_called_the_same_in_every_environment() {
        let elsewhere = |seed: u64, damping: f64, limit: f64| {
            let mut run = run(seed, 1.0, 100.0);
            run.config.env = "SafetyCarGoal1-v0".into();
            run.config.cost_limit = limit.into();
            run.config.section_mut::<KfcpoConfig>().damping = damping;
            run
        };
        let car = |label: &str, seeds: &[u64]| ("SafetyCarGoal1-v0".to_owned(), label.to_owned(), seeds.to_vec());
        // Another limit in another environment tells nothing; another damping does, in both.
        assert_eq!(
            named(vec![("a", run(1, 1.0, 100.0)), ("b", elsewhere(1, 0.1, 10.0))]),
            [car("kfcpo", &[1]), goal("kfcpo", &[1])]
        );
        assert_eq!(
            named(vec![("a", run(1, 1.0, 100.0)), ("b", elsewhere(1, 0.5, 25.0))]),
            [car("kfcpo, kfcpo.damping=0.5", &[1]), goal("kfcpo, kfcpo.damping=0.1", &[1])]
        );
        let limits = named(vec![("a", elsewhere(1, 0.1, 25.0)), ("b", elsewhere(1, 0.1, 10.0))]);
        assert_eq!(limits, [car("kfcpo, cost_limit=10.0", &[1]), car("kfcpo, cost_limit=25.0", &[1])]);
    }
}
