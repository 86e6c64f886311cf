//! Several runs at once in one process: a worker takes the run that is furthest behind, advances it by one iteration and
//! puts it back.
//!
//! A run's bits do not depend on who advances it, so each equals the same run trained alone. Runs that have a thread each
//! need not wait for one another within an iteration: on two cores two of them finish sooner than one after another on both.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Error, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::cli::interrupt;
use crate::cli::progress::group::GroupProgress;
use crate::training::Training;

/// Trains all `runs` to their ends, or until the process is asked to stop; every run is saved either way.
///
/// `workers` runs advance at the same time and share `threads` threads evenly.
///
/// # Errors
///
/// The first failure of any run, after the others have been saved.
pub fn train(runs: Vec<Training>, workers: usize, threads: usize, progress: GroupProgress) -> Result<Vec<Training>> {
    let pools = pools(workers.clamp(1, runs.len().max(1)), threads)?;
    let queue = Mutex::new(Queue { idle: runs.into_iter().enumerate().collect(), progress, failure: None });
    std::thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(|| pool.install(|| work(&queue)));
        }
    });
    let mut queue = queue.into_inner().unwrap_or_else(PoisonError::into_inner);
    queue.progress.finish();
    queue.idle.sort_by_key(|(index, _)| *index);
    let mut runs: Vec<Training> = queue.idle.into_iter().map(|(_, run)| run).collect();
    let mut failure = queue.failure;
    for run in &mut runs {
        if let Err(error) = run.close() {
            failure.get_or_insert(error);
        }
    }
    failure.map_or(Ok(runs), Err)
}

struct Queue {
    /// Runs nobody advances at the moment, with their places in the caller's list.
    idle: Vec<(usize, Training)>,
    progress: GroupProgress,
    failure: Option<Error>,
}

impl Queue {
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

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends when no unfinished run is idle: those that are left then have a worker each.
fn work(queue: &Mutex<Queue>) {
    loop {
        let Some((index, mut run)) = lock(queue).next() else { return };
        let advanced = run.advance();
        let mut queue = lock(queue);
        match advanced {
            Ok(()) => {
                let record = run.last().expect("the run has just advanced");
                queue.progress.show(index, &record);
            }
            Err(error) => {
                let error = error.context(format!("the run in {} failed", run.dir().path().display()));
                queue.failure.get_or_insert(error);
            }
        }
        queue.idle.push((index, run));
    }
}

/// A thread pool for each worker; the first ones take what an even share leaves over.
fn pools(workers: usize, threads: usize) -> Result<Vec<ThreadPool>> {
    let share = |worker: usize| (threads / workers + usize::from(worker < threads % workers)).max(1);
    let pool = |worker| ThreadPoolBuilder::new().num_threads(share(worker)).build();
    (0..workers).map(|worker| pool(worker).context("cannot start the thread pools")).collect()
}
