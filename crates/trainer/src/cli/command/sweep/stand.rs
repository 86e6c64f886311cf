//! How far each run of a sweep is: read from its directory, so that a sweep that was stopped or killed goes on.

use anyhow::Result;
use serde_json::Value;

use super::file::Episodes;
use super::plan::PlannedRun;
use crate::cli::command::eval::EVALUATION;
use crate::config::leaves;
use crate::error::UsageError;
use crate::run_dir::{RunDir, is_run};

/// Settings by which a run may differ from what the sweep's file says now: what is written down changes nothing.
const MAY_DIFFER: [&str; 2] = ["checkpoint", "log"];
/// Runs that are named when they differ from the sweep's file.
const NAMED: usize = 10;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// It has so many steps behind it, none if it has not begun.
    Unfinished(u64),
    /// It is trained, but not evaluated as the sweep asks.
    Unevaluated,
    /// Nothing is left to do.
    Finished,
}

impl Stand {
    /// Environment steps that are left of `total`.
    pub fn steps_left(self, total: u64) -> u64 {
        match self {
            Self::Unfinished(done) => total.saturating_sub(done),
            Self::Unevaluated | Self::Finished => 0,
        }
    }
}

/// How far each of `runs` is. What of a run cannot be read is left to the attempt to continue it.
///
/// # Errors
/// [`UsageError`] that names the runs that were begun under another configuration than they would have now.
pub fn stands(runs: &[PlannedRun], eval: Option<Episodes>) -> Result<Vec<Stand>> {
    let differences: Vec<String> = runs.iter().filter_map(difference).collect();
    if !differences.is_empty() {
        let more = differences.len().saturating_sub(NAMED);
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        let named = &differences[..differences.len().min(NAMED)];
        return Err(UsageError::new(format!(
            "the sweep's file no longer describes what these runs are; give it another --out, or move them away:\n  {}{more}",
            named.join("\n  ")
        ))
        .into());
    }
    Ok(runs.iter().map(|run| stand(run, eval)).collect())
}

fn stand(run: &PlannedRun, eval: Option<Episodes>) -> Stand {
    let Ok(dir) = RunDir::open(&run.dir) else { return Stand::Unfinished(0) };
    let steps = dir.checkpoints().steps().last().copied().unwrap_or(0);
    let summarised = || dir.read_json::<Value>("summary.json").is_ok_and(|summary| summary["steps"] == steps);
    if steps < run.config.total_steps || !summarised() {
        return Stand::Unfinished(steps);
    }
    match eval {
        Some(eval) if !is_evaluated(&dir, steps, eval) => Stand::Unevaluated,
        _ => Stand::Finished,
    }
}

/// Whether the run's evaluation is of these steps, episodes and seed.
fn is_evaluated(dir: &RunDir, steps: u64, eval: Episodes) -> bool {
    let is =
        |kept: Value| kept["checkpoint"] == steps && kept["episodes"] == eval.episodes && kept["seed"] == eval.seed;
    dir.read_json(EVALUATION).is_ok_and(is)
}

/// The first setting by which what lies in the run's directory is not what is planned, in words.
fn difference(run: &PlannedRun) -> Option<String> {
    if !is_run(&run.dir) {
        return None;
    }
    let (there, _) = RunDir::open(&run.dir).and_then(|dir| dir.config()).ok()?;
    let (there, planned) = (leaves(&there, &MAY_DIFFER), leaves(&run.config, &MAY_DIFFER));
    let keys = there.keys().chain(planned.keys());
    let text = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), Value::to_string);
    let told = |key: &String| {
        let (there, planned) = (text(there.get(key)), text(planned.get(key)));
        format!("{}: `{key}` is {there} there and would be {planned}", run.name())
    };
    keys.into_iter().find(|key| there.get(*key) != planned.get(*key)).map(told)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::config::TrainConfig;

    fn planned(out: &std::path::Path) -> PlannedRun {
        let config = TrainConfig { total_steps: 1000, ..TrainConfig::default() };
        PlannedRun { kind: "PointGoal1/kfcpo".to_owned(), config, dir: out.join("run") }
    }

    #[test]
    fn a_run_is_finished_when_all_that_was_asked_for_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let run = planned(folder.path());
        let eval = Some(Episodes { episodes: 5, seed: 7 });
        let stand = |eval| stands(std::slice::from_ref(&run), eval).unwrap()[0];
        assert_eq!(stand(eval), Stand::Unfinished(0));
        let dir = RunDir::create(Some(&run.dir), &run.config).unwrap();
        assert_eq!(stand(eval), Stand::Unfinished(0));
        let checkpoint = |steps| Checkpoint {
            config: run.config.clone(),
            steps,
            session: Default::default(),
            state: Default::default(),
        };
        dir.checkpoints().save(&checkpoint(600), false, 2).unwrap();
        assert_eq!((stand(eval), stand(eval).steps_left(1000)), (Stand::Unfinished(600), 400));
        // The process died between the last checkpoint and the summary, or the summary is of an earlier end.
        dir.checkpoints().save(&checkpoint(1000), false, 2).unwrap();
        assert_eq!(stand(None), Stand::Unfinished(1000));
        fs::write(run.dir.join("summary.json"), json!({"steps": 600}).to_string()).unwrap();
        assert_eq!(stand(None), Stand::Unfinished(1000));
        fs::write(run.dir.join("summary.json"), json!({"steps": 1000}).to_string()).unwrap();
        assert_eq!((stand(None), stand(eval)), (Stand::Finished, Stand::Unevaluated));
        for (kept, expected) in [
            (json!({"checkpoint": 600, "episodes": 5, "seed": 7}), Stand::Unevaluated),
            (json!({"checkpoint": 1000, "episodes": 6, "seed": 7}), Stand::Unevaluated),
            (json!({"checkpoint": 1000, "episodes": 5, "seed": 7}), Stand::Finished),
        ] {
            fs::write(run.dir.join(EVALUATION), kept.to_string()).unwrap();
            assert_eq!(stand(eval), expected);
        }
    }

    #[test]
    fn a_run_that_would_be_another_now_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = planned(folder.path());
        drop(RunDir::create(Some(&run.dir), &run.config).unwrap());
        run.config.checkpoint.keep += 1;
        assert!(stands(std::slice::from_ref(&run), None).is_ok());
        run.config.total_steps = 2000;
        let error = stands(std::slice::from_ref(&run), None).unwrap_err();
        assert!(error.is::<UsageError>());
        let text = error.to_string();
        assert!(text.contains("PointGoal1/kfcpo/seed0: `total_steps` is 1000 there and would be 2000"), "{text}");
    }
}
