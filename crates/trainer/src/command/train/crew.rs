//! Several runs at once in one process: a worker takes the run that is furthest behind, advances it by one iteration and
//! puts it back.
//!
//! A run's bits do not depend on who advances it, so each equals the same run trained alone. Runs that have a thread each
//! need not wait for one another within an iteration: on two cores two of them finish sooner than one after another on both.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Error, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::training::Training;
use crate::interrupt;
use crate::log::group_progress::GroupProgress;

/// Trains all `runs` to their ends, or until the process is asked to stop; every run is saved either way.
///
/// `workers` runs advance at the same time and share `threads` threads evenly.
///
/// # Errors
///
/// The first failure of any run, after the others have been saved.
pub fn train(runs: Vec<Training>, workers: usize, threads: usize, progress: GroupProgress) -> Result<Vec<Training>> {
    let pools = pools(workers.clamp(1, runs.len().max(1)), threads)?;
    let crew = Mutex::new(Crew { idle: runs.into_iter().enumerate().collect(), progress, failure: None });
    std::thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(|| pool.install(|| work(&crew)));
        }
    });
    let mut crew = crew.into_inner().unwrap_or_else(PoisonError::into_inner);
    crew.progress.finish();
    crew.idle.sort_by_key(|(index, _)| *index);
    let mut runs: Vec<Training> = crew.idle.into_iter().map(|(_, run)| run).collect();
    let mut failure = crew.failure;
    for run in &mut runs {
        if let Err(error) = run.close() {
            failure.get_or_insert(error);
        }
    }
    failure.map_or(Ok(runs), Err)
}

struct Crew {
    /// Runs nobody advances at the moment, with their places in the caller's list.
    idle: Vec<(usize, Training)>,
    progress: GroupProgress,
    failure: Option<Error>,
}

impl Crew {
    /// The unfinished run with the smallest share of its steps done, unless everybody is to stop.
    fn next(&mut self) -> Option<(usize, Training)> {
        if self.failure.is_some() || interrupt::requested() {
            return None;
        }
        let unfinished = self.idle.iter().enumerate().filter(|(_, (_, run))| !run.done());
        let behind = unfinished.min_by(|(_, (_, a)), (_, (_, b))| a.progress().total_cmp(&b.progress()));
        behind.map(|(at, _)| at).map(|at| self.idle.swap_remove(at))
    }
}

fn lock(crew: &Mutex<Crew>) -> MutexGuard<'_, Crew> {
    crew.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends when no unfinished run is idle: those that are left then have a worker each.
fn work(crew: &Mutex<Crew>) {
    loop {
        let Some((index, mut run)) = lock(crew).next() else { return };
        let advanced = run.advance();
        let mut crew = lock(crew);
        match advanced {
            Ok(()) => {
                let record = run.last().expect("the run has just advanced");
                crew.progress.show(index, &record);
            }
            Err(error) => {
                let error = error.context(format!("the run in {} failed", run.dir().path().display()));
                crew.failure.get_or_insert(error);
            }
        }
        crew.idle.push((index, run));
    }
}

/// A thread pool for each worker; the first ones take what an even share leaves over.
fn pools(workers: usize, threads: usize) -> Result<Vec<ThreadPool>> {
    let share = |worker: usize| (threads / workers + usize::from(worker < threads % workers)).max(1);
    let pool = |worker| ThreadPoolBuilder::new().num_threads(share(worker)).build();
    (0..workers).map(|worker| pool(worker).context("cannot start the thread pools")).collect()
}
