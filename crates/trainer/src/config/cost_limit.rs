//! Limits on the costs: one number, or one per constraint of the environment.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// A constraint of the environment with its limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Constraint {
    /// The environment's name for the cost.
    pub name: String,
    /// Limit on the undiscounted episodic cost.
    pub limit: f64,
}

/// Limits on the undiscounted episodic costs, in the order of the environment's constraints.
///
/// In a configuration it is a number where there is one constraint, and a list where there are several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct CostLimit(Vec<f64>);

impl CostLimit {
    /// A limit per constraint.
    pub fn new(limits: impl Into<Vec<f64>>) -> Self {
        Self(limits.into())
    }

    /// The limits.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The first constraint's limit; infinite where there is none.
    pub fn first(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::INFINITY)
    }

    /// The limits beside the names of an environment's constraints.
    ///
    /// # Errors
    /// When their numbers differ. An environment without constraints takes any single limit and ignores it.
    pub fn of(&self, names: &[String]) -> Result<Vec<Constraint>> {
        if names.is_empty() && self.0.len() <= 1 {
            return Ok(Vec::new());
        }
        if names.len() != self.0.len() {
            bail!(
                "cost_limit = {self}: the environment has {} constraint{} ({}), which needs as many limits",
                names.len(),
                if names.len() == 1 { "" } else { "s" },
                names.join(", ")
            );
        }
        Ok(names.iter().zip(&self.0).map(|(name, limit)| Constraint { name: name.clone(), limit: *limit }).collect())
    }
}

impl From<f64> for CostLimit {
    fn from(limit: f64) -> Self {
        Self(vec![limit])
    }
}

impl std::fmt::Display for CostLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<String> = self.0.iter().map(f64::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

/// How limits are written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    One(f64),
    Several(Vec<f64>),
}

impl From<Written> for CostLimit {
    fn from(written: Written) -> Self {
        match written {
            Written::One(limit) => Self(vec![limit]),
            Written::Several(limits) => Self(limits),
        }
    }
}

impl From<CostLimit> for Written {
    fn from(CostLimit(limits): CostLimit) -> Self {
        match limits.as_slice() {
            [limit] => Self::One(*limit),
            _ => Self::Several(limits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_limit_is_a_number_and_several_are_a_list() {
        let read = |text: &str| serde_json::from_str::<CostLimit>(text).unwrap();
        assert_eq!(read("25"), CostLimit::from(25.0));
        assert_eq!(read("[25, 10]"), CostLimit::new([25.0, 10.0]));
        for text in ["25.0", "[25.0,10.5]"] {
            assert_eq!(serde_json::to_string(&read(text)).unwrap(), text);
        }
        assert_eq!(read("[25]").to_string(), "25");
    }

    #[test]
    fn limits_must_match_the_environments_constraints() {
        let names = ["hazards".to_owned(), "speed".to_owned()];
        let constraints = CostLimit::new([25.0, 1.5]).of(&names).unwrap();
        assert_eq!(constraints[1], Constraint { name: "speed".into(), limit: 1.5 });
        let error = CostLimit::from(25.0).of(&names).unwrap_err().to_string();
        assert!(error.contains("hazards, speed"), "{error}");
        assert!(CostLimit::from(25.0).of(&[]).unwrap().is_empty());
    }
}
