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

/// Trains all `runs` to their ends, or until the process is asked to stop; every run is saved either way. A run that fails
/// does not hold up the others: returned are those that did not, and why the others did.
///
/// `workers` runs advance at the same time and share `threads` threads evenly.
///
/// # Errors
///
/// When the threads cannot be started.
pub fn train(
    runs: Vec<Training>,
    workers: usize,
    threads: usize,
    progress: GroupProgress,
) -> Result<(Vec<Training>, Vec<Error>)> {
    let pools = pools(workers.clamp(1, runs.len().max(1)), threads)?;
    let queue = Mutex::new(Queue { idle: runs.into_iter().enumerate().collect(), progress, failures: Vec::new() });
    std::thread::scope(|scope| {
        for pool in &pools {
            let worker = || pool.install(|| work(&queue));
            let started = std::thread::Builder::new().spawn_scoped(scope, worker);
            started.context("cannot start a thread for each run; --threads 1 needs the fewest")?;
        }
        Ok::<(), Error>(())
    })?;
    let mut queue = queue.into_inner().unwrap_or_else(PoisonError::into_inner);
    queue.progress.finish();
    queue.idle.sort_by_key(|(index, _)| *index);
    let mut failures = queue.failures;
    let mut sound = Vec::new();
    for (_, mut run) in queue.idle {
        match run.close() {
            Ok(()) => sound.push(run),
            Err(error) => failures.push(failure(&run, error)),
        }
    }
    Ok((sound, failures))
}

struct Queue {
    /// Runs nobody advances at the moment, with their places in the caller's list.
    idle: Vec<(usize, Training)>,
    progress: GroupProgress,
    failures: Vec<Error>,
}

impl Queue {
    /// The unfinished run with the smallest share of its steps done, unless everybody is to stop.
    fn next(&mut self) -> Option<(usize, Training)> {
        if interrupt::requested() {
            return None;
        }
        let unfinished = self.idle.iter().enumerate().filter(|(_, (_, run))| !run.done());
        let behind = unfinished.min_by(|(_, (_, a)), (_, (_, b))| a.progress().total_cmp(&b.progress()));
        behind.map(|(at, _)| at).map(|at| self.idle.swap_remove(at))
    }
}

fn failure(run: &Training, error: Error) -> Error {
    error.context(format!("the run in {} failed", run.dir().path().display()))
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
                if let Some(record) = run.last() {
                    queue.progress.show(index, &record);
                }
                queue.idle.push((index, run));
            }
            Err(error) => queue.failures.push(failure(&run, error)),
        }
    }
}

/// A thread pool for each worker; the first ones take what an even share leaves over.
///
/// # Errors
///
/// When the threads cannot be started.
pub fn pools(workers: usize, threads: usize) -> Result<Vec<ThreadPool>> {
    let share = |worker: usize| (threads / workers + usize::from(worker < threads % workers)).max(1);
    let pool = |worker| ThreadPoolBuilder::new().num_threads(share(worker)).build();
    (0..workers).map(|worker| pool(worker).context("cannot start the thread pools")).collect()
}
