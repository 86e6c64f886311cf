//! Published figures of others, and the returns of a policy that acts at random.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// OmniSafe's tables, compiled in.
const PUBLISHED: &str = include_str!("../../../../../../assets/results/published.json");
/// Mean returns of the untrained policy of each environment, compiled in.
const RANDOM: &str = include_str!("../../../../../../assets/results/random-policy.json");

/// What others have published.
#[derive(Debug, Clone, Deserialize)]
pub struct Published {
    /// Where the figures are from.
    pub source: String,
    /// What one must know about them.
    pub note: String,
    /// An algorithm on a task each.
    pub rows: Vec<PublishedRow>,
    #[serde(skip)]
    random: BTreeMap<String, f64>,
}

/// A published mean with its standard deviation.
#[derive(Debug, Clone, Deserialize)]
pub struct PublishedRow {
    /// The environment's id.
    pub env: String,
    /// What its authors call it.
    pub name: String,
    /// What it is called here, if it is here.
    pub algo: Option<String>,
    /// Environment steps of training.
    pub steps: u64,
    /// Mean and standard deviation of the return.
    #[serde(rename = "return")]
    pub ret: (f64, f64),
    /// Mean and standard deviation of the cost.
    pub cost: (f64, f64),
}

#[derive(Deserialize)]
struct Random {
    returns: BTreeMap<String, f64>,
}

impl Published {
    /// The tables that are compiled in.
    ///
    /// # Errors
    /// When they are not what they should be, which a test rules out.
    pub fn read() -> Result<Self> {
        let random: Random = serde_json::from_str(RANDOM).context("random-policy.json")?;
        let published: Self = serde_json::from_str(PUBLISHED).context("published.json")?;
        Ok(Self { random: random.returns, ..published })
    }

    /// Return of the random policy.
    pub fn random(&self, env: &str) -> Option<f64> {
        self.random.get(env).copied()
    }

    /// What was published of an algorithm, called as it is here.
    pub fn of(&self, env: &str, algo: &str) -> Option<&PublishedRow> {
        self.rows.iter().find(|row| row.env == env && row.algo.as_deref() == Some(algo))
    }

    /// Its mean return.
    pub fn return_of(&self, env: &str, algo: &str) -> Option<f64> {
        self.of(env, algo).map(|row| row.ret.0)
    }

    /// The highest return on a task among those whose mean cost is within the limit, by figures that mean the same.
    pub fn best_feasible(&self, env: &str, limit: f64) -> Option<&PublishedRow> {
        let comparable = |row: &&PublishedRow| row.env == env && row.cost.0 <= limit && !row.is_terminated_early();
        self.rows.iter().filter(comparable).max_by(|a, b| a.ret.0.total_cmp(&b.ret.0))
    }

    /// Nothing published, and these returns of the random policy.
    #[cfg(test)]
    pub fn fixed(random: &[(&str, f64)]) -> Self {
        let random = random.iter().map(|(env, ret)| ((*env).to_owned(), *ret)).collect();
        Self { source: String::new(), note: String::new(), rows: Vec::new(), random }
    }
}

impl PublishedRow {
    /// Whether its episodes end at the limit, which cannot then be exceeded.
    pub fn is_terminated_early(&self) -> bool {
        self.name.ends_with("EarlyTerminated")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm;

    #[test]
    fn the_tables_name_what_there_is() {
        let published = Published::read().unwrap();
        for row in &published.rows {
            assert!(envs::find(&row.env).is_ok(), "{row:?}");
            assert!(row.algo.as_ref().is_none_or(|algo| algorithm::find(algo).is_ok()), "{row:?}");
        }
        assert_eq!(published.of("SafetyPointGoal1-v0", "ppo-lag").unwrap().ret, (12.96, 6.95));
        assert_eq!(published.best_feasible("SafetyPointGoal1-v0", 25.0).unwrap().name, "SACLag");
        assert_eq!(published.best_feasible("SafetyCarGoal1-v0", 25.0).unwrap().name, "TD3PID");
        assert_eq!(published.best_feasible("SafetyPointGoal2-v0", 25.0).unwrap().name, "TRPOPID");
        assert!(published.best_feasible("SafetyPointCircle1-v0", 25.0).is_none());
        for spec in envs::registry() {
            assert!(published.random(&spec.env.id).is_some_and(f64::is_finite), "{}", spec.env.id);
        }
    }
}
