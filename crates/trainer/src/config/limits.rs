//! Limits on sums of kinds of cost: `constraints` in a configuration, `--limit hazards=10` on the command line.

use envs::{CostKind, NavigationSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::CostLimit;

/// The name of the constraint that holds every kind of cost.
const COST: &str = "cost";

/// A sum of kinds of cost with its limit.
///
/// As data `{"name": "soft", "kinds": ["vases", "gremlins"], "limit": 5}`; without `kinds` the name says them, `hazards+vases`, or
/// all of them, `cost`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limited {
    /// Its name.
    pub name: String,
    /// Kinds that count.
    #[serde(default)]
    pub kinds: Option<Vec<String>>,
    /// Limit on its undiscounted sum over an episode.
    pub limit: f64,
}

impl Limited {
    /// `NAME=LIMIT`, the name one of a kind of cost, several joined by `+`, or `cost`.
    ///
    /// # Errors
    /// Where it is not written so.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "expected KINDS=LIMIT, for example hazards=10, hazards+vases=12.5 or cost=25".to_owned();
        let (name, limit) = text.rsplit_once('=').ok_or_else(wrong)?;
        let limit: f64 = limit.parse().map_err(|_| wrong())?;
        if name.is_empty() || !limit.is_finite() {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), kinds: None, limit })
    }

    /// The kinds that count in an environment.
    fn kinds_in(&self, spec: &NavigationSpec) -> Result<Vec<CostKind>, String> {
        let names: Vec<&str> = match &self.kinds {
            Some(kinds) => kinds.iter().map(String::as_str).collect(),
            None if self.name == COST => return Ok(spec.level.cost_kinds().into_iter().collect()),
            None => self.name.split('+').collect(),
        };
        let kinds: Result<Vec<_>, String> = names.into_iter().map(CostKind::named).collect();
        Ok(kinds.map_err(|error| format!("constraint `{}`: {error}", self.name))?.concat())
    }
}

/// What limits say of an environment: the level's constraints as a change of it, and the limits on them.
///
/// # Errors
/// An unknown kind of cost.
pub fn split(limited: &[Limited], spec: &NavigationSpec) -> Result<(Value, CostLimit), String> {
    let limits = CostLimit::new(limited.iter().map(|limited| limited.limit).collect::<Vec<_>>());
    let all = |limited: &Limited| limited.name == COST && limited.kinds.is_none();
    if matches!(limited, [only] if all(only)) {
        return Ok((json!({"constraints": []}), limits));
    }
    let sum = |limited: &Limited| Ok(json!({"name": limited.name, "kinds": limited.kinds_in(spec)?}));
    let sums: Result<Vec<Value>, String> = limited.iter().map(sum).collect();
    Ok((json!({"constraints": sums?}), limits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_by_the_kinds_that_they_hold() {
        let limited = Limited::parse("hazards+vases=12.5").unwrap();
        assert_eq!(limited, Limited { name: "hazards+vases".into(), kinds: None, limit: 12.5 });
        let spec = envs::find("PointGoal2").unwrap();
        let (edit, limits) = split(&[limited, Limited::parse("cost=25").unwrap()], &spec).unwrap();
        let all = json!(["hazards", "vases_contact", "vases_velocity"]);
        let sums = [json!({"name": "hazards+vases", "kinds": all}), json!({"name": "cost", "kinds": all})];
        assert_eq!(
            (edit["constraints"].as_array().unwrap().as_slice(), limits),
            (&sums[..], CostLimit::new([12.5, 25.0]))
        );
        let (edit, _) = split(&[Limited::parse("cost=25").unwrap()], &spec).unwrap();
        assert_eq!(edit, json!({"constraints": []}), "one of all kinds is what every level has");
        for wrong in ["hazards", "=3", "hazards=", "hazards=x", "hazards=inf"] {
            assert!(Limited::parse(wrong).is_err(), "{wrong}");
        }
        let error = split(&[Limited::parse("lava=1").unwrap()], &spec).unwrap_err();
        assert!(error.contains("`lava`") && error.contains("gremlins"), "{error}");
    }
}
