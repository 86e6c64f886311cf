//! What learning cost: costs summed over training, episodes above the limit, the way to the first feasible policy.

use anyhow::Result;
use envs::EnvSpec;

use crate::cli::course::Course;
use crate::config::Constraint;
use crate::log::csv::Table;
use crate::run_dir::RunDir;

/// Environment steps at which the return is told, beside the last.
pub const MILESTONES: [f64; 2] = [1e6, 3e6];
/// Episodes that make a mean: the first few may be cheap by chance.
const FULL_WINDOW: f64 = 100.0;

/// What learning cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Learning {
    /// Each cost, summed over all steps of training.
    pub costs: Vec<f64>,
    /// Share of the whole episodes of training one of whose costs was above its limit; none where they were not logged.
    pub violating: Option<f64>,
    /// Environment steps and seconds until the last 100 episodes were first within all limits.
    pub first_feasible: Option<(f64, f64)>,
    /// Return of the judged policy at the [`MILESTONES`] that the run passed.
    pub returns: Vec<Option<f64>>,
}

impl Learning {
    /// Of a run with these metrics; also what could not be read.
    ///
    /// # Errors
    /// When a column is missing.
    pub fn of(
        dir: &RunDir,
        table: &Table,
        steps: &[f64],
        judged: &Course,
        step_costs: &[Vec<f64>],
        constraints: &[Constraint],
        env: &EnvSpec,
    ) -> Result<(Self, Vec<String>)> {
        let (seconds, episodes) = (table.column("wall_s")?, table.column("episodes")?);
        let horizon = env.max_episode_steps as f64;
        let costs = step_costs.iter().map(|costs| summed(steps, costs) / horizon).collect();
        let is_feasible = |row: usize| {
            let within = |(costs, constraint): (&Vec<f64>, &Constraint)| costs[row] <= constraint.limit;
            episodes[row] >= FULL_WINDOW && judged.costs.iter().zip(constraints).all(within)
        };
        let first = (0..steps.len()).find(|row| is_feasible(*row));
        let at = |milestone: &f64| {
            let row = steps.iter().position(|steps| steps >= milestone)?;
            Some(judged.returns[row]).filter(|ret| ret.is_finite())
        };
        let (violating, warnings) = violating(dir, constraints);
        let learning = Self {
            costs,
            violating,
            first_feasible: first.map(|row| (steps[row], seconds[row])),
            returns: MILESTONES.iter().map(at).collect(),
        };
        Ok((learning, warnings))
    }
}

/// The integral of `values` over the steps between the rows.
fn summed(steps: &[f64], values: &[f64]) -> f64 {
    let before = std::iter::once(&0.0).chain(steps);
    let parts = steps.iter().zip(before).zip(values).map(|((steps, before), value)| (steps - before) * value);
    parts.filter(|part| part.is_finite()).sum()
}

/// Share of the logged episodes that were above a limit.
fn violating(dir: &RunDir, constraints: &[Constraint]) -> (Option<f64>, Vec<String>) {
    let path = dir.episodes();
    if path.metadata().map_or(true, |file| file.len() == 0) {
        return (None, Vec::new());
    }
    let read = Table::read_episodes(&path).and_then(|(table, warnings)| {
        let name = |k: usize| if k == 0 { "cost".to_owned() } else { format!("cost{}", k + 1) };
        let columns: Vec<Vec<f64>> = (0..constraints.len()).map(|k| table.column(&name(k))).collect::<Result<_>>()?;
        let is_above =
            |row: &usize| columns.iter().zip(constraints).any(|(costs, limited)| costs[*row] > limited.limit);
        let (rows, above) = (table.rows.len(), (0..table.rows.len()).filter(is_above).count());
        Ok(((rows > 0).then(|| above as f64 / rows as f64), warnings))
    });
    read.unwrap_or_else(|error| (None, vec![format!("{error:#}: left out")]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;

    #[test]
    fn what_learning_cost_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::create(Some(&folder.path().join("run")), &TrainConfig::default()).unwrap();
        std::fs::write(
            dir.metrics(),
            "iteration,steps,wall_s,episodes\n1,400000,1,0\n2,800000,2,90\n3,1200000,3,150\n4,1600000,4,200\n",
        )
        .unwrap();
        std::fs::write(
            dir.episodes(),
            "iteration,steps,return,cost,length\n2,800000,1,30,10\n2,800000,1,20,10\n3,1200000,1,26,10\n4,1600000,1,25,10\n",
        )
        .unwrap();
        let (table, _) = Table::read(&dir.metrics()).unwrap();
        let steps = table.column("steps").unwrap();
        let judged = Course { returns: vec![f64::NAN, 1.0, 2.0, 3.0], costs: vec![vec![f64::NAN, 20.0, 24.0, 26.0]] };
        let limits = [Constraint { name: "cost".to_owned(), limit: 25.0 }];
        let env = TrainConfig::default().env.spec().unwrap().env;
        let step_costs = [vec![50.0, 40.0, 30.0, 20.0]];
        let (learning, warnings) = Learning::of(&dir, &table, &steps, &judged, &step_costs, &limits, &env).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        // 400 episodes of 1,000 steps an iteration.
        assert_eq!(learning.costs, [400.0 * (50.0 + 40.0 + 30.0 + 20.0)]);
        assert_eq!(learning.violating, Some(0.5));
        assert_eq!(learning.first_feasible, Some((1_200_000.0, 3.0)), "90 episodes are too few");
        assert_eq!(learning.returns, [Some(2.0), None]);
    }
}
