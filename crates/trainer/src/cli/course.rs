//! Return and costs over training, as a run's `metrics.csv` tells them.

use anyhow::Result;

use crate::algorithm::numbered;
use crate::log::csv::Table;
use crate::log::{DEPLOYED_COST, DEPLOYED_RETURN};

/// Figures over training; NaN where no episode had ended.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// Mean return of the last 100 episodes.
    pub returns: Vec<f64>,
    /// Their mean costs, constraint by constraint.
    pub costs: Vec<Vec<f64>>,
}

/// What the metrics say of both policies.
#[derive(Debug, Clone)]
pub struct Courses {
    /// The sampled actions that training learns from.
    pub sampled: Course,
    /// The deployed policy, where it was measured and one of its episodes has ended.
    pub deployed: Option<Course>,
}

impl Courses {
    /// Of a run under `constraints` constraints.
    ///
    /// # Errors
    ///
    /// When a column is missing.
    pub fn of(table: &Table, constraints: usize) -> Result<Self> {
        let returns = table.column("return_mean")?;
        let sampled = Course { returns, costs: costs_of(table, "cost_mean", "Metrics/EpCost", constraints)? };
        let deployed = table.column(DEPLOYED_RETURN).ok().map(|returns| -> Result<Course> {
            Ok(Course { returns, costs: costs_of(table, DEPLOYED_COST, DEPLOYED_COST, constraints)? })
        });
        let deployed = deployed.transpose()?.filter(|course| course.returns.iter().any(|ret| ret.is_finite()));
        Ok(Self { sampled, deployed })
    }

    /// That of the policy that the run is judged by.
    pub fn judged(self) -> Course {
        self.deployed.unwrap_or(self.sampled)
    }
}

/// A column per constraint: `first`, then `further` with a number.
///
/// # Errors
///
/// When one is missing.
pub fn costs_of(
    table: &Table,
    first: &'static str,
    further: &'static str,
    constraints: usize,
) -> Result<Vec<Vec<f64>>> {
    let name = |k| if k == 0 { first.to_owned() } else { numbered(further, k).into_owned() };
    (0..constraints).map(|k| table.column(&name(k))).collect()
}
