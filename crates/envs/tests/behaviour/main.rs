//! Whole episodes of scripted policies have the statistics they have in the original
//! (`tests/fixtures/behaviour_stats.json`; the policies are described in the README beside it).
//!
//! Single trajectories are chaotic, so only distributions can agree: means within a few combined standard errors.
//! Which of two kinds of obstacle is touched cannot be seen from outside; `cost` and `contact_share` tell of both.

mod episodes;
mod policies;

use envs::{AgentKind, NavigationSpec, find};
use serde_json::Value;

use crate::episodes::{Episodes, play};

/// Accepted deviation of a mean in combined standard errors, for some 3500 comparisons.
const SIGMAS: f64 = 4.5;
/// What is demanded to agree within its 95 % interval.
const HEADLINES: [&str; 4] = ["return", "cost", "goals", "contact_share"];
/// Half-width of a 95 % interval in standard errors.
const NINETY_FIVE: f64 = 1.96;
/// Half a millionth: the fixture has six decimals.
const ROUNDING: f64 = 1e-6;

/// Own episodes of the test: a step of the Car costs ten times the Point's.
fn episodes_of(spec: &NavigationSpec) -> usize {
    match spec.agent {
        AgentKind::Point => 128,
        AgentKind::Car | AgentKind::Racecar => 96,
    }
}

/// A mean over episodes.
#[derive(Clone, Copy)]
struct Mean {
    mean: f64,
    /// Standard deviation between episodes.
    std: f64,
    episodes: f64,
}

impl Mean {
    fn of(series: &[f64]) -> Self {
        let episodes = series.len() as f64;
        let mean = series.iter().sum::<f64>() / episodes;
        let variance = series.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (episodes - 1.0);
        Self { mean, std: variance.sqrt(), episodes }
    }

    fn stderr(self) -> f64 {
        self.std / self.episodes.sqrt()
    }
}

/// One number of both sides.
struct Pair {
    name: String,
    ours: Mean,
    theirs: Mean,
}

impl Pair {
    /// Standard error of the difference. Rare things may have no spread on one side: the larger of the two holds.
    fn stderr(&self) -> f64 {
        self.ours.std.max(self.theirs.std) * (1.0 / self.ours.episodes + 1.0 / self.theirs.episodes).sqrt()
    }

    fn within(&self, sigmas: f64) -> bool {
        (self.ours.mean - self.theirs.mean).abs() <= sigmas * self.stderr() + ROUNDING
    }
}

/// The policies' fixture entries, environment by environment.
fn fixture() -> Vec<(NavigationSpec, String, Value)> {
    let text = include_str!("../../../../tests/fixtures/behaviour_stats.json");
    let fixture: Value = serde_json::from_str(text).expect("the fixture is JSON");
    let envs = fixture["envs"].as_object().expect("environments");
    let runs = envs.iter().flat_map(|(id, policies)| {
        let spec = find(id).expect("a registered id");
        let policies = policies.as_object().expect("policies").clone();
        policies.into_iter().map(move |(policy, expected)| (spec.clone(), policy, expected))
    });
    runs.collect()
}

/// Everything our side can see, next to the fixture's.
fn pair_up(expected: &Value, ours: &Episodes) -> Vec<Pair> {
    let episodes = expected["episodes"].as_f64().expect("a number");
    let number = |value: &Value| value.as_f64().expect("a number");
    let mut pairs = Vec::new();
    for (name, series) in &ours.scalars {
        let Some(stats) = expected["scalars"].get(name) else {
            // The fixture leaves out what an environment does not have.
            assert!(series.iter().all(|x| *x == 0.0), "{name} is not in the fixture");
            continue;
        };
        let theirs = Mean { mean: number(&stats["mean"]), std: number(&stats["std"]), episodes };
        pairs.push(Pair { name: name.clone(), ours: Mean::of(series), theirs });
    }
    for (k, series) in ours.obs.iter().enumerate() {
        let std = number(&expected["obs_mean_stderr"][k]) * episodes.sqrt();
        let theirs = Mean { mean: number(&expected["obs_mean"][k]), std, episodes };
        pairs.push(Pair { name: format!("obs[{k}]"), ours: Mean::of(series), theirs });
    }
    pairs
}

#[test]
fn scripted_policies_fare_as_in_the_original() {
    let (mut failures, mut compared) = (Vec::new(), 0);
    let (mut headlines, mut apart) = (0, 0);
    for (spec, policy, expected) in fixture() {
        let pairs = pair_up(&expected, &play(&spec, &policy, episodes_of(&spec)));
        for pair in &pairs {
            compared += 1;
            if HEADLINES.contains(&pair.name.as_str()) && pair.stderr() > 0.0 {
                headlines += 1;
                apart += usize::from(!pair.within(NINETY_FIVE));
            }
            if !pair.within(SIGMAS) {
                let (ours, theirs) = (pair.ours.mean, pair.theirs.mean);
                let name = &pair.name;
                failures.push(format!(
                    "{} {policy} {name}: {ours} against {theirs}, +- {}",
                    spec.env.id,
                    pair.stderr()
                ));
            }
        }
    }
    assert!(compared > 2000, "{compared} numbers compared");
    assert!(failures.is_empty(), "{} of {compared} differ:\n{}", failures.len(), failures.join("\n"));
    // One in twenty is expected outside, were they independent: return and goals are not.
    assert!(10 * apart <= headlines, "{apart} of {headlines} outside their 95 % intervals");
}

#[test]
#[ignore = "minutes; prints assets/results/scripted-policies.md"]
fn table_of_scripted_policies() {
    let episodes = 200;
    println!("| environment, policy | {} |", HEADLINES.map(|name| name.replace('_', " ")).join(" | "));
    println!("|---|{}", "---|".repeat(HEADLINES.len()));
    let (mut pairs_seen, mut apart) = (0, 0);
    for (spec, policy, expected) in fixture() {
        let pairs = pair_up(&expected, &play(&spec, &policy, episodes));
        let cells = HEADLINES.map(|name| {
            let pair = pairs.iter().find(|pair| pair.name == name).expect("every run has the headlines");
            let digits = if name == "contact_share" { 4 } else { 2 };
            let side = |mean: Mean| format!("{:.digits$} ± {:.digits$}", mean.mean, NINETY_FIVE * mean.stderr());
            let outside = !pair.within(NINETY_FIVE);
            pairs_seen += usize::from(pair.stderr() > 0.0);
            apart += usize::from(outside);
            format!("{} / {}{}", side(pair.ours), side(pair.theirs), if outside { " (!)" } else { "" })
        });
        println!("| {}, {policy} ({} / {}) | {} |", spec.short_id(), episodes, expected["episodes"], cells.join(" | "));
    }
    println!("\n{apart} of {pairs_seen} differences lie outside their 95 % interval (!).");
}
