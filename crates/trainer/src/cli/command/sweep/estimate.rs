//! What a sweep will take: from its own runs where they have got somewhere, else from a short measurement.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use rayon::ThreadPool;

use super::plan::PlannedRun;
use super::stand::Stand;
use crate::config::TrainConfig;
use crate::device::SelectedDevice;
use crate::log::csv::Table;
use crate::runner::Runner;

/// Seconds of training per environment step, by the kind of run.
pub struct Speeds(BTreeMap<String, f64>);

impl Speeds {
    /// Of every kind that has steps left: as its runs say, the most advanced one of each, or as two iterations of one
    /// take in `pool`.
    ///
    /// # Errors
    /// When a run of this kind cannot be begun.
    pub fn of(runs: &[PlannedRun], stands: &[Stand], pool: &ThreadPool, device: &SelectedDevice) -> Result<Self> {
        let mut known: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for run in runs {
            let Some((steps, seconds)) = so_far(run) else { continue };
            let best = known.entry(run.kind.clone()).or_insert((0.0, 0.0));
            if steps > best.0 {
                *best = (steps, seconds);
            }
        }
        let mut speeds: BTreeMap<String, f64> =
            known.into_iter().map(|(kind, (steps, seconds))| (kind, seconds / steps)).collect();
        for (run, stand) in runs.iter().zip(stands) {
            if stand.steps_left(run.config.total_steps) > 0 && !speeds.contains_key(&run.kind) {
                let measured = pool.install(|| measured(&run.config, device)).with_context(|| run.name())?;
                speeds.insert(run.kind.clone(), measured);
            }
        }
        Ok(Self(speeds))
    }

    /// Seconds that are left of a run.
    pub fn seconds_left(&self, run: &PlannedRun, stand: Stand) -> f64 {
        stand.steps_left(run.config.total_steps) as f64 * self.0.get(&run.kind).copied().unwrap_or(0.0)
    }
}

/// Seconds until all is done by `jobs` at once: an even share, or the longest run.
pub fn together(seconds: &[f64], jobs: usize) -> f64 {
    let longest = seconds.iter().copied().fold(0.0, f64::max);
    longest.max(seconds.iter().sum::<f64>() / jobs as f64)
}

/// Steps a run has behind it and what they took.
fn so_far(run: &PlannedRun) -> Option<(f64, f64)> {
    let metrics = run.dir.join("metrics.csv");
    if fs::metadata(&metrics).ok()?.len() == 0 {
        return None;
    }
    let (table, _) = Table::read(&metrics).ok()?;
    let last = |name| table.column(name).ok()?.last().copied();
    let (steps, seconds) = (last("steps")?, last("wall_s")?);
    (steps > 0.0 && seconds > 0.0).then_some((steps, seconds))
}

/// Seconds per step of the second iteration: the first one does not learn.
fn measured(config: &TrainConfig, device: &SelectedDevice) -> Result<f64> {
    let mut runner = Runner::new(config.clone(), device.device.clone())?;
    runner.iterate()?;
    let report = runner.iterate()?;
    Ok((report.rollout_s + report.update_s) / config.batch_size() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_share_the_work_but_no_run() {
        assert_eq!(together(&[10.0, 10.0, 10.0, 10.0], 2), 20.0);
        assert_eq!(together(&[30.0, 5.0, 5.0], 4), 30.0);
        assert_eq!(together(&[], 2), 0.0);
    }

    #[test]
    fn a_run_that_got_somewhere_tells_how_fast_its_kind_is() {
        let folder = tempfile::tempdir().unwrap();
        let run = |seed: u64| {
            let config = TrainConfig { seed, total_steps: 1000, ..TrainConfig::default() };
            let dir = folder.path().join(seed.to_string());
            PlannedRun { kind: "PointGoal1/kfcpo".to_owned(), config, dir }
        };
        let runs = [run(0), run(1), run(2)];
        for (run, rows) in runs.iter().zip(["1,100,9.0\n", "1,100,1.0\n2,200,4.0\n"]) {
            fs::create_dir(&run.dir).unwrap();
            fs::write(run.dir.join("metrics.csv"), format!("iteration,steps,wall_s\n{rows}")).unwrap();
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let device = crate::device::select_device(crate::device::DeviceChoice::Cpu).unwrap();
        let stands = [Stand::Unfinished(100), Stand::Unfinished(200), Stand::Unfinished(0)];
        let speeds = Speeds::of(&runs, &stands, &pool, &device).unwrap();
        let left: Vec<f64> = runs.iter().zip(stands).map(|(run, stand)| speeds.seconds_left(run, stand)).collect();
        assert_eq!(left, [18.0, 16.0, 20.0]);
    }
}
