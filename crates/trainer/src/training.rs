//! One run in progress: an iteration at a time, with its logs and its checkpoints.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::checkpoint::{Checkpoint, Session};
use crate::config::TrainConfig;
use crate::device::SelectedDevice;
use crate::log::Record;
use crate::log::csv::CsvLog;
use crate::log::tensorboard::TensorBoardLog;
use crate::run_dir::RunDir;
use crate::runner::{IterationReport, Runner};

mod meta;

use meta::record_start;

/// Finished episodes from which the running means can make a checkpoint the best.
const BEST_EPISODES: usize = 100;

/// What the runs of a process share.
#[derive(Debug, Clone)]
pub struct Resources {
    /// Where they compute.
    pub device: SelectedDevice,
    /// CPU threads of the process.
    pub threads: usize,
}

/// A run that has its directory and its configuration, not yet its environments and networks.
pub struct RunPlan {
    /// Its directory, locked.
    pub dir: RunDir,
    /// What it is, resolved.
    pub config: TrainConfig,
    /// Where it goes on.
    pub checkpoint: Option<Checkpoint>,
    /// Whether it was begun before.
    pub resumed: bool,
}

/// The sinks of an iteration's numbers.
struct Logs {
    csv: CsvLog,
    tensorboard: TensorBoardLog,
}

impl Logs {
    fn open(dir: &RunDir, runner: &Runner, resumed: bool) -> Result<Self> {
        Ok(Self {
            csv: CsvLog::open(&dir.metrics(), runner.iteration())?,
            tensorboard: TensorBoardLog::create(dir.path(), resumed.then(|| runner.steps()))?,
        })
    }

    fn append(&mut self, record: &Record) -> Result<()> {
        self.csv.append(record)?;
        self.tensorboard.append(record)
    }
}

/// A run in progress.
pub struct Training {
    dir: RunDir,
    config: TrainConfig,
    runner: Runner,
    session: Session,
    logs: Logs,
    started: Instant,
    former_wall_s: f64,
    saved_at: Option<u64>,
    report: Option<IterationReport>,
}

impl Training {
    /// Builds what the run needs and writes its first files.
    ///
    /// # Errors
    ///
    /// When the device or the disk refuses, or the checkpoint belongs to another configuration.
    pub fn begin(plan: RunPlan, resources: &Resources) -> Result<Self> {
        let RunPlan { dir, config, checkpoint, resumed } = plan;
        let mut runner = Runner::new(config.clone(), resources.device.device.clone())?;
        let mut session = Session::default();
        if let Some(checkpoint) = &checkpoint {
            let loaded = runner.load(&checkpoint.state);
            loaded.with_context(|| format!("cannot continue the run in {}", dir.path().display()))?;
            session = checkpoint.session.clone();
        }
        record_start(&dir, &config, resources, runner.steps(), resumed)?;
        Ok(Self {
            logs: Logs::open(&dir, &runner, resumed)?,
            started: Instant::now(),
            former_wall_s: session.wall_s,
            saved_at: checkpoint.is_some().then(|| runner.steps()),
            report: None,
            session,
            dir,
            config,
            runner,
        })
    }

    /// One iteration; it is logged, and saved where a checkpoint is due.
    ///
    /// # Errors
    ///
    /// When the device or the disk fails.
    pub fn advance(&mut self) -> Result<()> {
        let report = self.runner.iterate()?;
        self.session.wall_s = self.former_wall_s + self.started.elapsed().as_secs_f64();
        self.logs.append(&self.record(&report))?;
        self.report = Some(report);
        if self.is_checkpoint_due() {
            self.save()?;
        }
        Ok(())
    }

    /// Leaves a checkpoint of the last iteration, whether one is due or not.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn close(&mut self) -> Result<()> {
        if self.saved_at == Some(self.runner.steps()) { Ok(()) } else { self.save() }
    }

    /// The last iteration of this session as the logs saw it.
    pub fn last(&self) -> Option<Record<'_>> {
        self.report.as_ref().map(|report| self.record(report))
    }

    fn record<'a>(&self, report: &'a IterationReport) -> Record<'a> {
        Record { report, samples: self.config.batch_size() as u64, wall_s: self.session.wall_s }
    }

    /// Whether all its steps are done.
    pub fn done(&self) -> bool {
        self.runner.done()
    }

    /// Share of its steps done, from 0.
    pub fn progress(&self) -> f64 {
        self.runner.steps() as f64 / self.config.total_steps as f64
    }

    /// Its directory.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// What it is.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The loop's state.
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Seconds of training, over all sessions of the run.
    pub fn wall_s(&self) -> f64 {
        self.session.wall_s
    }

    fn is_checkpoint_due(&self) -> bool {
        let interval = self.config.checkpoint.interval_steps;
        self.runner.steps() / interval > self.saved_at.unwrap_or(0) / interval
    }

    fn save(&mut self) -> Result<()> {
        let best = self.better_return();
        self.session.best_return = best.or(self.session.best_return);
        let checkpoint = Checkpoint {
            config: self.config.clone(),
            steps: self.runner.steps(),
            session: self.session.clone(),
            state: self.runner.save()?,
        };
        let store = self.dir.checkpoints();
        store.save(&checkpoint, best.is_some(), self.config.checkpoint.keep)?;
        self.saved_at = Some(checkpoint.steps);
        Ok(())
    }

    /// The mean return, if it is feasible over a full window of episodes and higher than any such before.
    fn better_return(&self) -> Option<f64> {
        let recent = self.report.as_ref()?.recent.as_ref().filter(|recent| recent.episodes >= BEST_EPISODES)?;
        let feasible = recent.cost_mean.iter().zip(self.config.cost_limit.values()).all(|(cost, limit)| cost <= limit);
        let better = self.session.best_return.is_none_or(|best| recent.return_mean > best);
        (feasible && better).then_some(recent.return_mean)
    }
}
