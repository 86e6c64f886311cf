//! What a policy comes to against its limits: the verdict on a run, and which of its checkpoints is the best.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Constraint;
use crate::figures::Figures;

/// Episodes from which their means can make a checkpoint the best.
pub const FULL_WINDOW: usize = 100;

/// What figures rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Finished episodes.
    Episodes,
    /// Mean steps, times the length of an episode: no episode, or too few, had ended.
    Steps,
}

/// Mean and standard deviation over episodes; the latter is NaN for step estimates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub std: f64,
}

/// Return and costs of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What they rest on.
    pub basis: Basis,
    /// The return of an episode.
    pub ret: Measured,
    /// Its costs, one per constraint.
    pub costs: Vec<Measured>,
}

impl Outcome {
    /// The means over finished episodes where there are at least `least` of them, else the moving averages of the step
    /// estimates.
    pub fn of(figures: &Figures, least: usize) -> Self {
        let estimate = |mean: &f64| Measured { mean: *mean, std: f64::NAN };
        match figures.recent.as_ref().filter(|recent| recent.episodes >= least.max(1)) {
            Some(recent) => Self {
                basis: Basis::Episodes,
                ret: Measured { mean: recent.return_mean, std: recent.return_std },
                costs: recent
                    .cost_mean
                    .iter()
                    .zip(&recent.cost_std)
                    .map(|(&mean, &std)| Measured { mean, std })
                    .collect(),
            },
            None => Self {
                basis: Basis::Steps,
                ret: estimate(&figures.average_return),
                costs: figures.average_costs.iter().map(estimate).collect(),
            },
        }
    }

    /// Whether every cost is within its limit.
    pub fn is_within(&self, constraints: &[Constraint]) -> bool {
        all_within(self.costs.iter().map(|cost| cost.mean), constraints)
    }

    /// The place of a policy with this outcome among others; `None` where a figure is no number.
    pub fn rank(&self, constraints: &[Constraint]) -> Option<Rank> {
        let excess = largest_excess(self.costs.iter().map(|cost| cost.mean), constraints);
        let rank = Rank { episodes: self.basis == Basis::Episodes, excess, ret: self.ret.mean };
        rank.is_finite().then_some(rank)
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.std.is_nan() {
            write!(f, "~{:.2}", self.mean)
        } else {
            write!(f, "{:.2} +- {:.2}", self.mean, self.std)
        }
    }
}

/// Whether every cost is within its limit.
pub fn all_within(costs: impl Iterator<Item = f64>, constraints: &[Constraint]) -> bool {
    costs.zip(constraints).all(|(cost, constraint)| cost <= constraint.limit)
}

/// By how much costs exceed their limits, as a fraction of the limit (of 1 where the limit is 0): the worst of them, and 0
/// where none does.
pub(crate) fn largest_excess(costs: impl Iterator<Item = f64>, constraints: &[Constraint]) -> f64 {
    let excess = |(cost, constraint): (f64, &Constraint)| {
        let unit = if constraint.limit > 0.0 { constraint.limit } else { 1.0 };
        (cost - constraint.limit) / unit
    };
    // A cost that is no number must not pass for none, as it would in `f64::max`.
    let worse = |worst: f64, excess: f64| if excess > worst || excess.is_nan() { excess } else { worst };
    costs.zip(constraints).map(excess).fold(0.0, worse)
}

/// A policy's place: one judged by whole episodes goes before one judged by steps, one within all limits before one that
/// exceeds some, among the former the higher return, among the latter the smaller excess.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rank {
    /// Whether it rests on whole episodes.
    pub episodes: bool,
    /// Largest excess of a cost over its limit, as a fraction of the limit; 0 where all are within.
    pub excess: f64,
    /// Mean return.
    pub ret: f64,
}

impl Rank {
    /// Whether it can be compared.
    pub fn is_finite(&self) -> bool {
        self.excess.is_finite() && self.ret.is_finite()
    }

    /// Whether all costs were within their limits.
    pub fn is_within(&self) -> bool {
        self.excess <= 0.0
    }

    /// Whether a policy of this rank is to be preferred.
    pub fn is_above(&self, other: &Self) -> bool {
        let by_quality = match (self.is_within(), other.is_within()) {
            (true, true) => self.ret.total_cmp(&other.ret),
            (false, false) => other.excess.total_cmp(&self.excess),
            (within, _) => within.cmp(&!within),
        };
        self.episodes.cmp(&other.episodes).then(by_quality) == Ordering::Greater
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safe_rl::EpisodeStatistics;

    fn constraints() -> Vec<Constraint> {
        [("hazards", 25.0), ("speed", 0.0)].map(|(name, limit)| Constraint { name: name.into(), limit }).to_vec()
    }

    fn figures(episodes: usize) -> Figures {
        let recent = EpisodeStatistics {
            episodes,
            return_mean: 4.0,
            return_std: 1.0,
            cost_mean: vec![20.0, 0.0],
            cost_std: vec![2.0, 0.0],
            length_mean: 1000.0,
        };
        Figures {
            episodes: episodes as u64,
            recent: (episodes > 0).then_some(recent),
            step_return: 9.0,
            step_costs: vec![90.0, 9.0],
            average_return: 3.0,
            average_costs: vec![50.0, 0.5],
            recent_costs: vec![50.0, 0.5],
            length_share: 1.0,
        }
    }

    #[test]
    fn an_outcome_rests_on_episodes_where_there_are_enough() {
        let whole = Outcome::of(&figures(100), FULL_WINDOW);
        assert_eq!((whole.basis, whole.ret.mean, whole.costs[0].std), (Basis::Episodes, 4.0, 2.0));
        assert!(whole.is_within(&constraints()));
        assert_eq!(whole.ret.to_string(), "4.00 +- 1.00");
        for (episodes, least, basis) in
            [(99, FULL_WINDOW, Basis::Steps), (1, 1, Basis::Episodes), (0, 1, Basis::Steps), (0, 0, Basis::Steps)]
        {
            assert_eq!(Outcome::of(&figures(episodes), least).basis, basis, "{episodes} of {least}");
        }
        let estimate = Outcome::of(&figures(0), 1);
        assert_eq!((estimate.ret.mean, estimate.costs[1].mean), (3.0, 0.5));
        assert_eq!(estimate.ret.to_string(), "~3.00");
        assert!(!estimate.is_within(&constraints()));
    }

    #[test]
    fn the_worst_constraint_decides_how_far_beyond_a_policy_is() {
        let rank = Outcome::of(&figures(0), 1).rank(&constraints()).unwrap();
        assert_eq!((rank.excess, rank.episodes), (1.0, false)); // 50 of 25; 0.5 of 0 counts 0.5
        let mut broken = figures(0);
        broken.average_costs[1] = f64::NAN;
        assert_eq!(Outcome::of(&broken, 1).rank(&constraints()), None);
        assert_eq!(Outcome::of(&figures(100), 1).rank(&constraints()).unwrap().excess, 0.0);
    }

    #[test]
    fn ranks_in_ascending_order() {
        let rank = |episodes, excess, ret| Rank { episodes, excess, ret };
        let ascending = [
            rank(false, 3.0, 9.0),
            rank(false, 0.0, 50.0),
            rank(true, 2.0, 30.0),
            rank(true, 0.1, 20.0),
            rank(true, 0.0, 1.0),
            rank(true, 0.0, 2.0),
        ];
        for (i, lower) in ascending.iter().enumerate() {
            for (j, higher) in ascending.iter().enumerate() {
                assert_eq!(higher.is_above(lower), j > i, "{higher:?} above {lower:?}");
            }
        }
    }
}
