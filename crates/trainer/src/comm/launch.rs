//! How the processes of a run find each other: what the launcher that began this one says of them.

use std::env;
use std::sync::Arc;
use std::thread;

use anyhow::Result;

use super::{OneProcess, Processes};
use crate::error::UsageError;

/// Where launchers say how many processes they have begun: (variable, launcher).
const LAUNCHERS: [(&str, &str); 3] =
    [("OMPI_COMM_WORLD_SIZE", "mpirun"), ("PMI_SIZE", "mpiexec"), ("SLURM_STEP_NUM_TASKS", "srun")];
/// Where torchrun says it.
const WORLD_SIZE: &str = "WORLD_SIZE";
/// Where they say how many of them are on this machine.
const LOCAL_SIZES: [&str; 4] =
    ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"];
/// Where they say which of them this one is.
#[cfg_attr(not(feature = "cuda"), allow(dead_code))]
const LOCAL_RANKS: [&str; 3] = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"];

/// What began this process as one of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Launch {
    size: usize,
    launcher: &'static str,
    variable: &'static str,
}

/// The processes that this one was begun with; MPI is not touched where there are no others.
///
/// # Errors
/// [`UsageError`] where there are others and this program or their launcher cannot bring them together: each would train a
/// run of its own.
pub fn connect() -> Result<Arc<dyn Processes>> {
    match launched(&|name| env::var(name).ok())? {
        Some(launch) => reach(launch),
        None => Ok(Arc::new(OneProcess)),
    }
}

/// Refuses to go on as one of several processes, for work that each would do for itself; `what` names it.
///
/// # Errors
/// [`UsageError`] where there are others.
pub fn ensure_one(what: &str) -> Result<()> {
    let Some(Launch { size, launcher, variable }) = launched(&|name| env::var(name).ok())? else { return Ok(()) };
    let message = format!(
        "{what} is the work of one process, and {launcher} has begun {size}: each would do all of it (to let them: env -u \
         {variable} trainer ...)"
    );
    Err(UsageError::new(message).into())
}

fn launched(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Launch>> {
    let size = |name: &str| variable(name)?.trim().parse::<usize>().ok();
    let found = LAUNCHERS.iter().find_map(|(variable, launcher)| {
        let size = size(variable)?;
        Some(Launch { size, launcher, variable })
    });
    if let (None, Some(size @ 2..)) = (found, size(WORLD_SIZE)) {
        let message = format!(
            "{WORLD_SIZE} = {size}: processes that torchrun has begun cannot find each other here; begin them by mpirun -n \
             {size} or srun -n {size} (for runs of their own: env -u {WORLD_SIZE} trainer ...)"
        );
        return Err(UsageError::new(message).into());
    }
    Ok(found.filter(|launch| launch.size > 1))
}

#[cfg(feature = "mpi")]
fn reach(Launch { size, launcher, variable }: Launch) -> Result<Arc<dyn Processes>> {
    let world = super::Mpi::connect()?;
    if world.size() == size {
        return Ok(Arc::new(world));
    }
    let message = format!(
        "{launcher} has begun {size} processes, and MPI knows {}: {launcher} is not that of the MPI this program was built \
         with, or needs to be told of it (srun --mpi=pmix; for runs of their own: env -u {variable} trainer ...)",
        world.size()
    );
    Err(UsageError::new(message).into())
}

#[cfg(not(feature = "mpi"))]
fn reach(Launch { size, launcher, variable }: Launch) -> Result<Arc<dyn Processes>> {
    let message = format!(
        "{launcher} has begun {size} processes, and this program was built without MPI: each would train a run of its own. \
         Build it with --features mpi to train one together (for runs of their own: env -u {variable} trainer ...)"
    );
    Err(UsageError::new(message).into())
}

/// The CPU threads of this process where it shares a machine with others of its run, and nothing says how many: its part of
/// the cores, or all those that the launcher has bound it to.
pub fn threads() -> Option<usize> {
    launched(&|name| env::var(name).ok()).ok()??;
    let others = LOCAL_SIZES.iter().find_map(|name| leading_number(&env::var(name).ok()?))?;
    let allowed = thread::available_parallelism().map_or(1, usize::from);
    Some(share(allowed, others, cores().unwrap_or(allowed)))
}

/// Which of its run's processes on this machine this one is, from 0, where it is one of several.
#[cfg_attr(not(feature = "cuda"), allow(dead_code))]
pub(crate) fn local_rank() -> Option<usize> {
    launched(&|name| env::var(name).ok()).ok()??;
    LOCAL_RANKS.iter().find_map(|name| env::var(name).ok()?.trim().parse().ok())
}

/// Of `cores` cores, `allowed` of which this process may use, beside `processes` that are allowed as many.
fn share(allowed: usize, processes: usize, cores: usize) -> usize {
    let bound = allowed * processes <= cores;
    if bound { allowed } else { (allowed / processes.max(1)).max(1) }
}

/// `4`, or Slurm's `4(x2),3`: tasks of the first machine.
fn leading_number(text: &str) -> Option<usize> {
    let digits = text.trim().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Cores of this machine, whoever may use them; only Linux tells: `0-15` or `0-7,16-23`.
fn cores() -> Option<usize> {
    let ranges = std::fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    };
    ranges.trim().split(',').map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<Option<usize>> {
        let get = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Ok(launched(&get)?.map(|launch| launch.size))
    }

    #[test]
    fn launchers_are_known_by_their_variables() {
        assert_eq!(found(&[]).unwrap(), None);
        assert_eq!(found(&[("OMPI_COMM_WORLD_SIZE", "4")]).unwrap(), Some(4));
        assert_eq!(found(&[("OMPI_COMM_WORLD_SIZE", "1")]).unwrap(), None);
        assert_eq!(found(&[("SLURM_STEP_NUM_TASKS", "512")]).unwrap(), Some(512));
        // A batch script of Slurm's is one process, whatever its job asked for.
        assert_eq!(found(&[("SLURM_NTASKS", "8")]).unwrap(), None);
        assert_eq!(found(&[("WORLD_SIZE", "1")]).unwrap(), None);
        let error = found(&[("WORLD_SIZE", "8")]).unwrap_err().to_string();
        assert!(error.contains("WORLD_SIZE = 8") && error.contains("mpirun -n 8"), "{error}");
        // A launcher that MPI knows, whose processes torch's variables were set for as well.
        assert_eq!(found(&[("PMI_SIZE", "2"), ("WORLD_SIZE", "2")]).unwrap(), Some(2));
    }

    #[test]
    fn processes_of_a_machine_share_its_cores() {
        // All may use all cores; each is bound to one, or to a half; more processes than cores.
        assert_eq!([share(16, 4, 16), share(1, 2, 2), share(8, 2, 16), share(2, 4, 2)], [4, 1, 8, 1]);
        assert_eq!([leading_number("4"), leading_number("12(x3),5"), leading_number("")], [Some(4), Some(12), None]);
        if let Some(cores) = cores() {
            assert!(cores >= thread::available_parallelism().map_or(1, usize::from));
        }
    }
}
