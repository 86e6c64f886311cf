//! The work of a sweep: jobs that take one run after another, each trained, summarised and evaluated.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Error, Result, anyhow, bail};
use rayon::ThreadPool;
use serde_json::Value;

use super::file::Episodes;
use super::plan::PlannedRun;
use super::stand::Stand;
use crate::checkpoint::Selector;
use crate::cli::command::eval::{EVALUATION, Play, evaluated};
use crate::cli::command::train::continued;
use crate::cli::command::train::summary::Summary;
use crate::cli::interrupt;
use crate::cli::progress::sweep::SweepProgress;
use crate::config::load::Sources;
use crate::run_dir::{RunDir, is_run};
use crate::training::{Resources, RunPlan, Training};

/// What all jobs share.
pub struct Work<'a> {
    /// The runs that are not finished, and how far they are.
    pub runs: Vec<(&'a PlannedRun, Stand)>,
    /// Where each job computes.
    pub resources: Resources,
    /// How finished runs are evaluated, if they are.
    pub eval: Option<Episodes>,
    /// Whether results are printed as JSON.
    pub json: bool,
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    /// Runs that were finished.
    pub finished: usize,
    /// Runs that were begun and stopped when the process was asked to.
    pub stopped: usize,
    /// Runs that failed, by name.
    pub failures: Vec<(String, Error)>,
    /// Why results could not be printed, if they could not: they are in files.
    pub unprinted: Option<Error>,
}

/// What this session brought a finished run.
struct Finished {
    /// None if it was trained before.
    summary: Option<Summary>,
    /// None if none was asked for.
    evaluation: Option<Value>,
}

/// What the jobs change together.
struct Shared {
    next: usize,
    outcome: Outcome,
    progress: SweepProgress,
}

impl Work<'_> {
    /// Works on the runs in order, one per pool at a time, until all are finished or the process is asked to stop. A run that
    /// fails is collected and does not hold up the others.
    ///
    /// # Errors
    /// When the jobs cannot be started.
    pub fn on(&self, pools: &[ThreadPool], progress: SweepProgress) -> Result<Outcome> {
        let shared = Mutex::new(Shared { next: 0, outcome: Outcome::default(), progress });
        std::thread::scope(|scope| {
            for (job, pool) in pools.iter().enumerate() {
                let (shared, work) = (&shared, self);
                let started = std::thread::Builder::new().spawn_scoped(scope, move || {
                    while let Some((run, stand)) = work.next(shared) {
                        pool.install(|| work.on_one(job, run, stand, shared));
                    }
                });
                started.context("cannot start a thread for each run; fewer --jobs need fewer")?;
            }
            Ok::<(), Error>(())
        })?;
        let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        shared.progress.finish();
        Ok(shared.outcome)
    }

    fn next(&self, shared: &Mutex<Shared>) -> Option<(&PlannedRun, Stand)> {
        if interrupt::requested() {
            return None;
        }
        let mut shared = lock(shared);
        let next = self.runs.get(shared.next).copied();
        shared.next += 1;
        next
    }

    /// Takes up one run and says what came of it.
    fn on_one(&self, job: usize, run: &PlannedRun, stand: Stand, shared: &Mutex<Shared>) {
        lock(shared).progress.begin(
            job,
            &run.name(),
            run.config.total_steps,
            stand.steps_left(run.config.total_steps),
            run.config.cost_limit.first(),
        );
        // A panic is a bug; even so it costs one run, not the night.
        let attempt = catch_unwind(AssertUnwindSafe(|| self.train(job, run, stand, shared)));
        let ended = attempt.unwrap_or_else(|_| Err(anyhow!("internal error")));
        let shared = &mut *lock(shared);
        shared.progress.end(job);
        let (outcome, progress) = (&mut shared.outcome, &mut shared.progress);
        match ended {
            Ok(Some(finished)) => {
                outcome.finished += 1;
                let line = self.line(run, outcome.finished, &finished);
                if let Err(error) = line.and_then(|line| progress.print(&line)) {
                    outcome.unprinted.get_or_insert(error);
                }
            }
            Ok(None) => outcome.stopped += 1,
            Err(error) => {
                progress.note(&format!("error: {} failed: {error:#}", run.name()));
                outcome.failures.push((run.name(), error));
            }
        }
    }

    /// Brings one run to its end; none if the process was asked to stop before.
    fn train(
        &self,
        job: usize,
        planned: &PlannedRun,
        stand: Stand,
        shared: &Mutex<Shared>,
    ) -> Result<Option<Finished>> {
        let summary = match stand {
            Stand::Unevaluated | Stand::Finished => None,
            Stand::Unfinished(_) => {
                let warn = |warnings: &[String]| {
                    let mut shared = lock(shared);
                    warnings.iter().for_each(|warning| shared.progress.note(&format!("warning: {warning}")));
                };
                let plan = if is_run(&planned.dir) {
                    let (plan, warnings) = continued(&planned.dir, &Sources::default())?;
                    warn(&warnings);
                    plan
                } else {
                    let (dir, config) = (RunDir::create(Some(&planned.dir), &planned.config)?, planned.config.clone());
                    RunPlan { dir, config, checkpoint: None, resumed: false }
                };
                let mut run = Training::begin(plan, &self.resources)?;
                warn(run.warnings());
                while !run.done() && !interrupt::requested() {
                    run.advance()?;
                    if let Some(record) = run.last() {
                        lock(shared).progress.show(job, &record);
                    }
                }
                run.close()?;
                let summary = Summary::new(&run, &self.resources);
                run.dir().write_json("summary.json", &summary)?;
                if !run.done() {
                    return Ok(None);
                }
                if let Some(why) = run.futility() {
                    bail!(why);
                }
                Some(summary)
            }
        };
        let evaluation = self.eval.map(|eval| self.evaluate(planned, eval)).transpose()?;
        Ok(Some(Finished { summary, evaluation }))
    }

    fn evaluate(&self, run: &PlannedRun, eval: Episodes) -> Result<Value> {
        let dir = RunDir::open(&run.dir)?;
        let (checkpoint, _) = dir.checkpoint(Selector::Latest)?;
        let play = Play { episodes: eval.episodes, seed: eval.seed, actions: None };
        let kept = evaluated(&checkpoint, play, &self.resources.device.device)?.kept;
        dir.write_json(EVALUATION, &kept)?;
        Ok(kept)
    }

    /// The one line about a run that has ended.
    fn line(&self, run: &PlannedRun, number: usize, finished: &Finished) -> Result<String> {
        let Finished { summary, evaluation } = finished;
        if self.json {
            let mut object = serde_json::json!({"run": run.name()});
            object["summary"] = serde_json::to_value(summary)?;
            object["evaluation"] = evaluation.clone().unwrap_or_default();
            return Ok(object.to_string());
        }
        let mut line = format!("[{number}/{}] {}", self.runs.len(), run.name());
        if let Some(summary) = summary {
            line.push_str(&format!(": {}", summary.line()));
        }
        if let Some(evaluation) = evaluation {
            let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
            let ret = number(&evaluation["return_mean"]);
            line.push_str(&format!("; {} fresh episodes: return {ret:.2}", evaluation["episodes"]));
            for cost in evaluation["constraints"].as_array().into_iter().flatten() {
                let name = cost["name"].as_str().unwrap_or("cost");
                line.push_str(&format!(", {name} {:.2}", number(&cost["cost_mean"])));
            }
        }
        Ok(line)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
