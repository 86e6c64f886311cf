//! One run in progress: an iteration at a time, with its logs and its checkpoints.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Error, Result, bail};
use compute::State;

use crate::checkpoint::{Checkpoint, Session};
use crate::comm::{OneProcess, Processes};
use crate::config::TrainConfig;
use crate::device::SelectedDevice;
use crate::log::Record;
use crate::log::csv::CsvLog;
use crate::log::episodes::EpisodeLog;
use crate::log::tensorboard::TensorBoardLog;
use crate::outcome::{FULL_WINDOW, Outcome, Rank};
use crate::policy::saved::DEPLOYED_POLICY;
use crate::policy::source::Taken;
use crate::run_dir::RunDir;
use crate::runner::{IterationReport, Runner};
use crate::schedule::{Lengthening, Schedule};
use crate::shards::Shards;

pub mod choice;
#[cfg(test)]
mod lengthening_tests;
// Where a system does not tell files apart, a lost one is not noticed.
#[cfg(all(test, unix))]
mod lost_logs_tests;
mod meta;

use choice::{Choice, choose};
use meta::record_start;

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
    episodes: Option<EpisodeLog>,
    tensorboard: TensorBoardLog,
}

impl Logs {
    /// Also returns what went from the metrics, and what is missing there.
    fn open(dir: &RunDir, runner: &Runner, resumed: bool) -> Result<(Self, Vec<String>)> {
        let (csv, mut warnings) = CsvLog::open(&dir.metrics(), runner.iteration())?;
        let mut episodes = None;
        if runner.config().log.episodes {
            let (log, further) = EpisodeLog::open(&dir.episodes(), runner.iteration(), runner.sampled().episodes)?;
            episodes = Some(log);
            warnings.extend(further);
        }
        let tensorboard = TensorBoardLog::create(dir.path(), resumed.then(|| runner.steps()))?;
        Ok((Self { csv, episodes, tensorboard }, warnings))
    }

    fn append(&mut self, record: &Record) -> Result<()> {
        self.csv.append(record)?;
        self.episodes.as_mut().map_or(Ok(()), |log| log.append(record))?;
        self.tensorboard.append(record)
    }

    /// A power cut must not leave a checkpoint without the rows before it.
    fn sync(&self) -> Result<()> {
        self.csv.sync()?;
        self.episodes.as_ref().map_or(Ok(()), EpisodeLog::sync)?;
        self.tensorboard.sync()
    }
}

/// Puts a run's schedules where the checkpoint has them, also where it now has another length; the warning is that they are
/// over.
fn lengthen(shards: &mut Shards, checkpoint: &Checkpoint, config: &TrainConfig) -> Option<String> {
    let (steps, former, schedule) = (checkpoint.steps, checkpoint.config.total_steps, checkpoint.session.schedule);
    if former == config.total_steps {
        shards.set_schedule(schedule);
        return None;
    }
    let schedule: Schedule = schedule.relengthened(config.schedule, steps, former);
    shards.set_schedule(schedule);
    let is_over = config.schedule == Lengthening::Continue && schedule.fraction(steps, config.total_steps) >= 1.0;
    (is_over && !shards.first().done()).then(|| {
        "the run had reached its end: settings that fall over a run (`kfcpo.final_kl_share`, `anneal`) stay at their last \
         values, an annealed rate at 0; with --set schedule=restart they begin again"
            .to_owned()
    })
}

/// A run in progress.
pub struct Training {
    dir: RunDir,
    config: TrainConfig,
    shards: Shards,
    /// Seconds of training so far, over all sessions of the run.
    wall_s: f64,
    /// The rank of the best checkpoint so far.
    best: Option<Rank>,
    /// How the policy that it leaves was chosen, once it is done.
    choice: Option<Choice>,
    /// Whether its environments are those of its configuration, of which there can be more.
    configured: bool,
    logs: Logs,
    warnings: Vec<String>,
    /// What it took from another run, where it began with that.
    taken: Option<Taken>,
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
        Self::begin_among(Arc::new(OneProcess), plan, resources)
    }

    /// [`Self::begin`] as the first of these processes, the others of which [`follow`](crate::shards::follow) it.
    ///
    /// # Errors
    ///
    /// As there, and when a process or the network fails.
    pub fn begin_among(processes: Arc<dyn Processes>, plan: RunPlan, resources: &Resources) -> Result<Self> {
        let shards = Shards::new(&plan.config, &resources.device.device, processes)?;
        Self::begin_shards(shards, plan, resources, true)
    }

    /// [`Self::begin`] with a loop that is there already: one in environments of one's own, say. It must be of the plan's
    /// configuration. It leaves its last policy: there are no fresh environments to choose by.
    ///
    /// # Errors
    ///
    /// When the disk refuses, or the checkpoint belongs to another configuration.
    pub fn begin_with(runner: Runner, plan: RunPlan, resources: &Resources) -> Result<Self> {
        Self::begin_shards(Shards::of_runner(runner), plan, resources, false)
    }

    fn begin_shards(mut shards: Shards, plan: RunPlan, resources: &Resources, configured: bool) -> Result<Self> {
        let RunPlan { dir, config, checkpoint, resumed } = plan;
        let (mut wall_s, mut best, mut taken, mut lengthened) = (0.0, None, None, None);
        if let Some(checkpoint) = &checkpoint {
            let loaded = shards.load(&checkpoint.state);
            loaded.with_context(|| format!("cannot continue the run in {}", dir.path().display()))?;
            wall_s = checkpoint.session.wall_s;
            let checkpoints = dir.checkpoints().of_run(config.clone());
            checkpoints.mend_latest(checkpoint.steps)?;
            best = checkpoints.mend_best()?;
            lengthened = lengthen(&mut shards, checkpoint, &config);
        } else if let Some(init) = &config.init_from {
            taken = Some(shards.start_from(&init.open()?)?);
        }
        shards.lead(&config, checkpoint.as_ref().map(|checkpoint| &checkpoint.state))?;
        let runner = shards.first();
        let (logs, mut warnings) = Logs::open(&dir, runner, resumed)?;
        warnings.extend(lengthened);
        warnings.extend(record_start(&dir, &config, resources, runner.steps(), resumed)?);
        Ok(Self {
            logs,
            warnings,
            started: Instant::now(),
            former_wall_s: wall_s,
            taken,
            saved_at: checkpoint.is_some().then(|| runner.steps()),
            report: None,
            choice: checkpoint.filter(|_| shards.first().done()).and_then(|checkpoint| checkpoint.session.choice),
            configured,
            wall_s,
            best,
            dir,
            config,
            shards,
        })
    }

    /// What its directory had to be mended for, if anything.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What it took from elsewhere, where it begins with that in this session.
    pub fn taken(&self) -> Option<&Taken> {
        self.taken.as_ref()
    }

    /// One iteration; it is logged, and saved where a checkpoint is due. Where the logs cannot be written a last checkpoint
    /// is tried.
    ///
    /// # Errors
    ///
    /// When the device or the disk fails, or the policy is no longer finite: the checkpoints are then those before.
    pub fn advance(&mut self) -> Result<()> {
        let report = self.shards.iterate()?;
        self.wall_s = self.former_wall_s + self.started.elapsed().as_secs_f64();
        let logged = self.logs.append(&self.record(&report));
        let broken = report.first_not_finite().map(str::to_owned);
        let iteration = report.iteration;
        self.report = Some(report);
        if let Some(what) = broken {
            bail!(
                "{what} is no longer finite after iteration {iteration}: the settings make learning diverge, smaller steps \
                 may help; {}",
                self.last_checkpoint()
            );
        }
        if let Err(error) = logged {
            return Err(self.save_without_logs(error));
        }
        if self.is_checkpoint_due() {
            self.save()?;
        }
        Ok(())
    }

    /// Which checkpoint stands.
    fn last_checkpoint(&self) -> String {
        match self.dir.checkpoints().steps().last() {
            Some(steps) => format!("the last good checkpoint is that at {steps} steps"),
            None => "there is no checkpoint yet".to_owned(),
        }
    }

    /// Leaves a checkpoint of the last iteration, whether one is due or not.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn close(&mut self) -> Result<()> {
        if self.saved_at == Some(self.runner().steps()) { Ok(()) } else { self.save() }
    }

    /// The last iteration of this session as the logs saw it.
    pub fn last(&self) -> Option<Record<'_>> {
        self.report.as_ref().map(|report| self.record(report))
    }

    fn record<'a>(&self, report: &'a IterationReport) -> Record<'a> {
        Record { report, samples: self.config.batch_size() as u64, wall_s: self.wall_s }
    }

    /// Whether all its steps are done.
    pub fn done(&self) -> bool {
        self.runner().done()
    }

    /// Share of its steps done, from 0.
    pub fn progress(&self) -> f64 {
        self.runner().steps() as f64 / self.config.total_steps as f64
    }

    /// How the policy that it leaves was chosen, where it is done and had a choice.
    pub fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
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
        self.shards.first()
    }

    /// The shards of it that this process has.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// The same, to be told when to stop: [`Shards::ask`].
    pub fn shards_mut(&mut self) -> &mut Shards {
        &mut self.shards
    }

    /// Seconds of training, over all sessions of the run.
    pub fn wall_s(&self) -> f64 {
        self.wall_s
    }

    fn is_checkpoint_due(&self) -> bool {
        let interval = self.config.checkpoint.interval_steps;
        self.runner().steps() / interval > self.saved_at.unwrap_or(0) / interval
    }

    fn save(&mut self) -> Result<()> {
        self.dir.check()?;
        if let Err(error) = self.logs.sync() {
            return Err(self.save_without_logs(error));
        }
        // A directory that went away in the meantime is the reason, not the file that could not be written.
        self.write_checkpoint().map_err(|error| match self.dir.check() {
            Ok(()) => error,
            Err(gone) => error.context(gone),
        })
    }

    /// Tries a last checkpoint where the logs cannot be written, for `error`: the message stays about them and says whether
    /// there is one, or that the whole directory is gone.
    fn save_without_logs(&mut self, error: Error) -> Error {
        if let Err(gone) = self.dir.check() {
            return error.context(gone);
        }
        let saved = self.write_checkpoint();
        error.context(if saved.is_ok() { "a checkpoint was written" } else { "no checkpoint could be written either" })
    }

    fn write_checkpoint(&mut self) -> Result<()> {
        let mut state = self.shards.save()?;
        if self.configured && self.done() {
            self.choose(&mut state)?;
        }
        let rank = self.rank();
        let is_best = rank.is_some_and(|rank| self.best.is_none_or(|best| rank.is_above(&best)));
        let checkpoint = Checkpoint {
            config: self.config.clone(),
            steps: self.runner().steps(),
            session: Session {
                wall_s: self.wall_s,
                rank,
                schedule: self.runner().schedule(),
                choice: self.choice.clone(),
            },
            state,
        };
        self.dir.checkpoints().save(&checkpoint, is_best, self.config.checkpoint.keep)?;
        if is_best {
            self.best = rank;
        }
        self.saved_at = Some(checkpoint.steps);
        Ok(())
    }

    /// Chooses the policy that the run leaves; `state` then has it as the one to deploy.
    fn choose(&mut self, state: &mut State) -> Result<()> {
        let store = self.dir.checkpoints().of_run(self.config.clone());
        let (runner, device) = (self.shards.first(), self.shards.first().policy().device());
        let last = (runner.steps(), &runner.snapshot()?);
        if let Some((choice, params)) = choose(&self.config, &store, last, runner.constraints(), &device)? {
            state.tensors.extend(params.map(|params| (DEPLOYED_POLICY.to_owned(), params)));
            self.choice = Some(choice);
            self.wall_s = self.former_wall_s + self.started.elapsed().as_secs_f64();
        }
        Ok(())
    }

    /// The place of the policy that is left, or else of the one that was judged last, among the run's.
    fn rank(&self) -> Option<Rank> {
        let outcome = match &self.choice {
            Some(choice) => choice.outcome(),
            None => Outcome::of(self.report.as_ref()?.judged(), FULL_WINDOW),
        };
        outcome.rank(self.runner().constraints())
    }

    /// Why the run, so far, has learned nothing; `None` if it has learned.
    pub fn futility(&self) -> Option<String> {
        let (totals, config) = (self.runner().totals(), &self.config);
        if totals.learned > 0.0 {
            return None;
        }
        let updates = self.runner().iteration() - u64::from(config.init_from.is_none()).min(self.runner().iteration());
        Some(if updates == 0 {
            format!(
                "no update was made: the first rollout, num_envs x rollout_steps = {} steps, only sets the observation \
                 normaliser, and total_steps = {} ends the run with it",
                config.batch_size(),
                config.total_steps
            )
        } else {
            format!(
                "no step of the policy was kept in {updates} updates: {} were taken back, {} skipped because a number was not finite",
                totals.rollbacks, totals.skipped
            )
        })
    }
}
