//! The shards of a run that this process has, kept in step with each other and with those of other processes.
//!
//! Process 0 leads: it says what is done next, an iteration, saving or the end, and the others [`follow`]. After every iteration
//! all processes compare checksums of what they have learned, which is to be the same to the last bit.

mod message;

use std::fmt;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Error, Result, anyhow, ensure};
use burn::tensor::Device;
use compute::State;

use crate::comm::{Group, Processes, on_devices};
use crate::config::TrainConfig;
use crate::policy::source::{PolicySource, Taken};
use crate::runner::{IterationReport, Runner};
use crate::schedule::Schedule;
use message::{Command, Start, state_of_bytes, state_to_bytes};

/// Bytes of a checksum.
const CHECKSUM: usize = 4;

/// Why the processes of a run cannot go on together: one of them failed in the midst of what all do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfStep;

impl fmt::Display for OutOfStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the processes of the run cannot go on together")
    }
}

/// The shards of a run that this process has.
pub struct Shards {
    /// In their order; the first stands for all.
    runners: Vec<Runner>,
    /// How they meet, where there are several or other processes have further ones.
    group: Option<Arc<Group>>,
    /// Whether this process was asked to stop.
    asked: Box<dyn Fn() -> bool + Send>,
    /// Whether any process had been asked to stop by the last iteration.
    any_asked: bool,
}

impl Shards {
    /// Prepares this process's shards of a run that `processes` train together.
    ///
    /// # Errors
    /// As [`Runner::new`]; also where the processes cannot share the shards evenly.
    pub fn new(config: &TrainConfig, device: &Device, processes: Arc<dyn Processes>) -> Result<Self> {
        if config.shards == 1 && processes.size() == 1 {
            return Ok(Self::of_runner(Runner::new(config.clone(), device.clone())?));
        }
        let group = Group::new(config.shards, on_devices(processes, device)?)?;
        let runner = |shard| Runner::of_shard(config.clone(), device.clone(), Box::new(shard));
        let runners = group.shards().into_iter().map(runner).collect::<Result<_>>()?;
        Ok(Self { group: Some(group), ..Self::of_runners(runners) })
    }

    /// The one shard of a run that nobody else trains.
    pub fn of_runner(runner: Runner) -> Self {
        Self::of_runners(vec![runner])
    }

    fn of_runners(runners: Vec<Runner>) -> Self {
        Self { runners, group: None, asked: Box::new(|| false), any_asked: false }
    }

    /// Lets other processes know of it where `asked` says that this one is to stop.
    pub fn ask(&mut self, asked: impl Fn() -> bool + Send + 'static) {
        self.asked = Box::new(asked);
    }

    /// Whether any process had been asked to stop by the last iteration.
    pub fn any_asked(&self) -> bool {
        self.any_asked
    }

    /// The first shard of this process. What it knows of the run all know.
    pub fn first(&self) -> &Runner {
        &self.runners[0]
    }

    /// How many of them there are.
    pub fn local(&self) -> usize {
        self.runners.len()
    }

    /// Processes that train the run.
    pub fn processes(&self) -> usize {
        self.group.as_ref().map_or(1, |group| group.processes().size())
    }

    /// Lets every shard's schedules go on from elsewhere: [`Runner::set_schedule`].
    pub fn set_schedule(&mut self, schedule: Schedule) {
        self.runners.iter_mut().for_each(|runner| runner.set_schedule(schedule));
    }

    /// Begins with another run's policy: [`Runner::start_from`].
    ///
    /// # Errors
    /// As there.
    pub fn start_from(&mut self, source: &PolicySource) -> Result<Taken> {
        let taken = self.runners[0].start_from(source)?;
        let state = self.runners[0].common_state()?;
        self.runners[1..].iter_mut().try_for_each(|runner| runner.load_common(&state))?;
        Ok(taken)
    }

    /// Continues from [`Self::save`].
    ///
    /// # Errors
    /// As [`Runner::load`].
    pub fn load(&mut self, state: &State) -> Result<()> {
        for runner in &mut self.runners {
            runner.load_common(state)?;
            if runner.comm().size() == 1 {
                runner.load_own(state)?;
                continue;
            }
            let name = part_name(runner.comm().rank());
            runner.load_own(&state.part(&name)?).with_context(|| format!("state `{name}`"))?;
        }
        Ok(())
    }

    /// Tells the processes that [`follow`] what run this is and how it stands, `continued` being what was loaded, if anything.
    ///
    /// # Errors
    /// When a process or the network fails.
    pub fn lead(&self, config: &TrainConfig, continued: Option<&State>) -> Result<()> {
        let Some(group) = self.led() else { return Ok(()) };
        let state = match continued {
            Some(state) => state.clone(),
            None => self.first().common_state()?,
        };
        let schedule = self.first().schedule();
        let start = Start { config: config.clone(), schedule, continues: continued.is_some(), state };
        let bytes = start.to_bytes()?;
        self.command(Command::Begin).and_then(|()| group.processes().broadcast(bytes)).context(OutOfStep)?;
        Ok(())
    }

    /// One rollout and one update of all shards: [`Runner::iterate`].
    ///
    /// # Errors
    /// When a device, a process or the network fails, or the processes have learned different things.
    pub fn iterate(&mut self) -> Result<IterationReport> {
        if self.led().is_none() {
            return self.iterate_together();
        }
        self.command(Command::Iterate).and_then(|()| self.iterate_together()).context(OutOfStep)
    }

    /// Everything that the run needs to continue, with as many shards, in any number of processes that divides them: what
    /// all shards have in common, and of each what is its own.
    ///
    /// # Errors
    /// When a device, a process or the network fails.
    pub fn save(&self) -> Result<State> {
        if self.group.is_none() {
            return self.first().save();
        }
        let mut state = self.first().common_state()?;
        for own in self.command(Command::Save).and_then(|()| self.collect()).context(OutOfStep)? {
            state.tensors.extend(own.tensors);
            state.scalars.extend(own.scalars);
        }
        Ok(state)
    }

    /// The others, where this process leads any.
    fn led(&self) -> Option<&Arc<Group>> {
        self.group.as_ref().filter(|group| group.processes().size() > 1)
    }

    fn command(&self, command: Command) -> Result<()> {
        match self.led() {
            Some(group) => command.send(group.processes().as_ref()),
            None => Ok(()),
        }
    }

    /// What is the shards' own, of all processes for process 0; nothing for the others.
    fn collect(&self) -> Result<Vec<State>> {
        let mut own = State::new();
        for runner in &self.runners {
            own.put_part(&part_name(runner.comm().rank()), runner.own_state()?)?;
        }
        match self.led() {
            None => Ok(vec![own]),
            Some(group) => {
                let all = group.processes().collect(state_to_bytes(&own)?)?;
                all.iter().map(|bytes| state_of_bytes(bytes)).collect()
            }
        }
    }

    fn iterate_together(&mut self) -> Result<IterationReport> {
        let Some(group) = self.group.clone() else { return self.runners[0].iterate() };
        let before = self.first().comm().seconds();
        let mut report = iterate_all(&mut self.runners, &group)?;
        self.compare(&group, report.iteration)?;
        let seconds = self.first().comm().seconds() - before;
        report.update.metrics.push(("Time/Communication".into(), seconds));
        Ok(report)
    }

    /// Whether all shards have learned the same, and whether any process was asked to stop.
    fn compare(&mut self, group: &Group, iteration: u64) -> Result<()> {
        let mut own = vec![u8::from((self.asked)())];
        for runner in &self.runners {
            own.extend(runner.checksum()?.to_le_bytes());
        }
        let all = group.processes().gather(&own)?;
        self.any_asked = all.iter().any(|process| process.first().is_some_and(|asked| *asked > 0));
        let checksums: Vec<&[u8]> =
            all.iter().flat_map(|process| process.get(1..).unwrap_or_default().chunks(CHECKSUM)).collect();
        let differing = checksums.iter().position(|checksum| *checksum != checksums[0]);
        match differing {
            None => Ok(()),
            Some(rank) => Err(anyhow!(
                "shard {rank} (process {}) and shard 0 have learned different things in iteration {iteration}: processors of \
                 different kinds, or different builds of this program, do not compute the same bits",
                rank / group.local()
            )),
        }
    }
}

/// Where a shard's own state stands in the run's.
fn part_name(rank: usize) -> String {
    format!("shard.{rank}")
}

/// Frees the shards that wait for one whose thread unwinds.
struct FailsOnPanic<'a>(&'a Group);

impl Drop for FailsOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail("an internal error, reported above");
        }
    }
}

/// One iteration of all shards of this process, a thread for each but the first; returns the first's report.
fn iterate_all(runners: &mut [Runner], group: &Group) -> Result<IterationReport> {
    let iterate = |runner: &mut Runner| {
        let _guard = FailsOnPanic(group);
        let done = runner.iterate();
        done.inspect_err(|error| group.fail(&format!("{error:#}")))
    };
    let [first, others @ ..] = runners else { return Err(anyhow!("a run has at least one shard")) };
    thread::scope(|scope| {
        let mut started = Vec::new();
        let mut refused: Option<Error> = None;
        for runner in others {
            match thread::Builder::new().spawn_scoped(scope, || iterate(runner)) {
                Ok(thread) => started.push(thread),
                Err(error) => refused = Some(anyhow!(error).context("cannot start a thread for each shard")),
            }
        }
        if let Some(error) = refused {
            group.fail(&format!("{error:#}"));
        }
        let report = iterate(first);
        let failed = started.into_iter().filter_map(|thread| thread.join().ok()?.err()).next();
        let report = report?;
        failed.map_or(Ok(report), Err)
    })
}

/// A process that follows process 0.
pub struct Follower<'a> {
    /// All of them.
    pub processes: &'a Arc<dyn Processes>,
    /// Where its shards compute.
    pub device: &'a Device,
    /// Its CPU threads.
    pub threads: usize,
    /// Says whether it was asked to stop.
    pub asked: fn() -> bool,
    /// Whether iterations may block a thread of the global pool, which has no other work: a parallel call from outside would
    /// hand over to a worker and wait for it.
    pub in_pool: bool,
}

/// What the processes but the first do: build what process 0 says, and do with it what it says, until it says that the run
/// ends; returns the exit code that it gives.
///
/// # Errors
/// When a device, a process or the network fails, or the processes have learned different things.
pub fn follow(follower: &Follower) -> Result<u8> {
    let Follower { processes, device, threads, asked, in_pool } = *follower;
    let mut shards: Option<Shards> = None;
    loop {
        let command = Command::receive(processes.as_ref())?;
        match (command, &mut shards) {
            (Command::End(code), _) => return Ok(code),
            (Command::Tell, _) => {
                processes.collect(place(processes.as_ref(), threads).into_bytes())?;
            }
            (Command::Begin, _) => shards = Some(begin(processes, device, asked)?),
            (Command::Iterate, Some(shards)) if in_pool && shards.local() == 1 => {
                rayon::scope(|_| shards.iterate_together())?;
            }
            (Command::Iterate, Some(shards)) => {
                shards.iterate_together()?;
            }
            (Command::Save, Some(shards)) => {
                shards.collect()?;
            }
            (Command::Iterate | Command::Save, None) => return Err(anyhow!("process 0 has not said what run this is")),
        }
    }
}

fn begin(processes: &Arc<dyn Processes>, device: &Device, asked: fn() -> bool) -> Result<Shards> {
    let Start { config, schedule, continues, state } = Start::of_bytes(&processes.broadcast(Vec::new())?)?;
    let mut shards = Shards::new(&config, device, processes.clone())?;
    ensure!(shards.group.is_some(), "process 0 says that it trains alone");
    if continues {
        shards.load(&state)?;
    } else {
        shards.runners.iter_mut().try_for_each(|runner| runner.load_common(&state))?;
    }
    shards.set_schedule(schedule);
    shards.ask(asked);
    Ok(shards)
}

/// Where the processes compute, in their order, this one with so many threads.
///
/// # Errors
/// When a process or the network fails.
pub fn places(processes: &dyn Processes, threads: usize) -> Result<Vec<String>> {
    Command::Tell.send(processes)?;
    let all = processes.collect(place(processes, threads).into_bytes())?;
    Ok(all.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
}

fn place(processes: &dyn Processes, threads: usize) -> String {
    format!("{threads} threads on {}", processes.host())
}

/// Tells the processes that [`follow`] that all is done, with the exit code of all.
///
/// # Errors
/// When a process or the network fails.
pub fn end(processes: &dyn Processes, code: u8) -> Result<()> {
    Command::End(code).send(processes)
}

#[cfg(test)]
mod tests;
