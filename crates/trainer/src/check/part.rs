//! The parts of the check, by name.

use std::sync::LazyLock;

use anyhow::Result;

use super::findings::Findings;
use super::subject::Subject;
use super::{actor, environments, learning, networks, rollouts, steering, training, updates};
use crate::error::UsageError;

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Full,
    /// One environment of each kind, and no course of learning.
    Quick,
}

/// A part of the check.
pub struct Part {
    /// Its name: `kernel/adam`, `env/PointGoal1`.
    pub name: String,
    /// What it compares.
    pub about: &'static str,
    /// Whether [`Extent::Quick`] has it.
    quick: bool,
    run: Run,
}

enum Run {
    Plain(fn(&Subject, &mut Findings) -> Result<()>),
    /// In an environment.
    In(fn(&Subject, &mut Findings, &str) -> Result<()>, String),
}

impl Part {
    pub(super) fn plain(name: &str, about: &'static str, run: fn(&Subject, &mut Findings) -> Result<()>) -> Self {
        Self { name: name.to_owned(), about, quick: true, run: Run::Plain(run) }
    }

    pub(super) fn run(&self, subject: &Subject, findings: &mut Findings) -> Result<()> {
        match &self.run {
            Run::Plain(run) => run(subject, findings),
            Run::In(run, env) => run(subject, findings, env),
        }
    }

    /// The part's group: `kernel`, `env`.
    fn group(&self) -> &str {
        self.name.split('/').next().unwrap_or(&self.name)
    }
}

/// Every part, what others stand on first.
pub static PARTS: LazyLock<Vec<Part>> = LazyLock::new(|| {
    let plain = |&(name, about, run): &Row| Part::plain(name, about, run);
    let every_env = |group: &str, about: &'static str, run: fn(&Subject, &mut Findings, &str) -> Result<()>| {
        let part = |spec: &envs::NavigationSpec| {
            let env = spec.short_id().to_owned();
            Part { name: format!("{group}/{env}"), about, quick: env.ends_with('1'), run: Run::In(run, env) }
        };
        envs::registry().iter().map(part).collect::<Vec<_>>()
    };
    let mut parts: Vec<Part> = KERNELS.iter().map(plain).collect();
    parts.extend(every_env("env", "stepping, each step from the reference's state", environments::steps));
    parts.extend(every_env("rollout", "a whole rollout, policy included", rollouts::rollout));
    parts.extend(TRAINING.iter().map(plain));
    parts.push(Part {
        quick: false,
        ..Part::plain("train/learning", "short runs against stored curves", learning::learning)
    });
    parts
});

type Row = (&'static str, &'static str, fn(&Subject, &mut Findings) -> Result<()>);

const KERNELS: &[Row] = &[
    ("kernel/advantages", "generalised advantage estimates", actor::advantages),
    ("kernel/regression", "a critic's gradient and loss", networks::regression),
    ("kernel/passes", "forward, tangents, gradients and Kronecker factors", networks::passes),
    ("kernel/averages", "moving averages of the factors and of gradients", networks::averages),
    ("kernel/inverses", "inverses of the factors, natural gradients", networks::inverses),
    ("kernel/adam", "Adam's steps", networks::adam),
    ("kernel/gather", "a minibatch's samples", actor::gather),
    ("kernel/surrogates", "surrogate objectives and their derivatives", actor::surrogates),
    ("kernel/divergences", "KL divergences", actor::divergences),
    ("kernel/step", "the length of a step", actor::step),
    ("kernel/blend", "projection and blend of two gradients", steering::blends),
    ("kernel/guard", "the KL guard's decisions", steering::guard),
    ("kernel/finite", "finding what is not finite", steering::finite),
    ("env/many", "7,001 environments at once", environments::many),
];

const TRAINING: &[Row] = &[
    ("rollout/odd-widths", "a rollout with widths 13, 40, 7 and ReLU", rollouts::odd_widths),
    ("rollout/means", "a rollout of the mean actions", rollouts::means),
    ("rollout/launches", "one launch against several", rollouts::launches),
    ("update/small", "an update of actor and critics, networks 16-24", updates::small),
    ("update/exact-64", "KFCPO, exact Fisher matrix, networks 64-64", updates::exact_64),
    ("update/sampled-64", "KFCPO, sampled Fisher matrix, networks 64-64", updates::sampled_64),
    ("update/exact-256", "KFCPO, exact Fisher matrix, networks 256-256", updates::exact_256),
    ("update/sampled-256", "KFCPO, sampled Fisher matrix, networks 256-256", updates::sampled_256),
    ("update/ppo", "PPO, networks 64-64", updates::ppo),
    ("update/ppo-lag", "PPOLag, networks 64-64", updates::ppo_lag),
    ("train/iteration", "an iteration of training from the reference's state", training::iteration),
    ("train/repeat", "two runs of the same seed, bit for bit", training::repeat),
    ("train/graph", "recorded launches of the critics against the launches one by one", training::graph),
    ("train/memory", "memory over 1,000 steps of training", training::memory),
];

/// The parts that `only` names, by their names or their groups; all of `extent` where it names none.
///
/// # Errors
/// A name that is neither a part's nor a group's; the error lists what there is.
pub fn select(only: &[String], extent: Extent) -> Result<Vec<&'static Part>> {
    let named = |part: &Part, name: &str| part.name.eq_ignore_ascii_case(name) || part.group() == name;
    if let Some(unknown) = only.iter().find(|name| !PARTS.iter().any(|part| named(part, name))) {
        let mut groups: Vec<&str> = PARTS.iter().map(Part::group).collect();
        groups.sort_unstable();
        groups.dedup();
        let parts: Vec<&str> = PARTS.iter().map(|part| part.name.as_str()).collect();
        let error = format!(
            "there is no part `{unknown}`; there are the groups {} and the parts {}",
            groups.join(", "),
            parts.join(", ")
        );
        return Err(UsageError::new(error).into());
    }
    let chosen = |part: &&Part| {
        let within = extent == Extent::Full || part.quick;
        match only {
            [] => within,
            names => names.iter().any(|name| part.name.eq_ignore_ascii_case(name) || (part.group() == name && within)),
        }
    };
    Ok(PARTS.iter().filter(chosen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_chosen_by_name_or_group() {
        let names = |only: &[&str], extent| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
            select(&only, extent).expect("known parts").into_iter().map(|part| part.name.as_str()).collect()
        };
        let (all, quick) = (names(&[], Extent::Full), names(&[], Extent::Quick));
        assert_eq!(all.iter().filter(|name| name.starts_with("rollout/Car")).count(), 13);
        assert_eq!(quick.iter().filter(|name| name.starts_with("rollout/Car")).count(), 4);
        assert_eq!(names(&["env/pointgoal0", "kernel/adam"], Extent::Quick), ["kernel/adam", "env/PointGoal0"]);
        assert_eq!(names(&["update"], Extent::Full).len(), 7);
        let mut distinct = all.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
        let error = select(&["kernels".to_owned()], Extent::Full).err().expect("an unknown part").to_string();
        assert!(error.contains("`kernels`") && error.contains("kernel/adam") && error.contains("rollout"), "{error}");
    }
}
