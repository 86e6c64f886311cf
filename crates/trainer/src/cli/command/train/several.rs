//! `train` as one of several processes: the first leads and reports, the others follow it and say nothing unless they fail.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;

use super::{TrainArgs, lead};
use crate::cli::console::diagnose;
use crate::cli::{exit_code, interrupt};
use crate::comm::Processes;
use crate::config::TrainConfig;
use crate::error::UsageError;
use crate::shards::{Follower, OutOfStep, end, follow};

/// Trains with the other processes and returns the exit code, which is the same for all.
///
/// # Errors
///
/// When the others cannot be told how it ended.
pub fn run(args: &TrainArgs, processes: &Arc<dyn Processes>) -> Result<ExitCode> {
    let (rank, size) = (processes.rank(), processes.size());
    if rank > 0 {
        let code = follow_as_told(args, processes).unwrap_or_else(|error| {
            diagnose(&format!("error: process {rank} of {size}: {error:#}"));
            processes.abort(exit_code(&error))
        });
        return Ok(ExitCode::from(code));
    }
    let code = lead(args, processes).unwrap_or_else(|error| {
        let code = exit_code(&error);
        if code > 0 {
            diagnose(&format!("error: {error:#}"));
        }
        if error.is::<OutOfStep>() {
            processes.abort(code);
        }
        code
    });
    end(processes.as_ref(), code)?;
    Ok(ExitCode::from(code))
}

fn follow_as_told(args: &TrainArgs, processes: &Arc<dyn Processes>) -> Result<u8> {
    let threads = args.common.apply_threads()?;
    let device = args.common.select_device()?;
    interrupt::install("")?;
    follow(&Follower { processes, device: &device.device, threads, asked: interrupt::requested, in_pool: true })
}

/// As many shards as processes, where the configuration of a new run asks for one.
pub fn share_out(config: &mut TrainConfig, processes: usize) -> Result<()> {
    if config.shards == 1 {
        config.shards = processes;
    }
    ensure_shared(config, processes)
}

/// Refuses a run that so many processes cannot share evenly.
pub fn ensure_shared(config: &TrainConfig, processes: usize) -> Result<()> {
    let TrainConfig { shards, num_envs, .. } = *config;
    if !shards.is_multiple_of(processes) {
        let message = format!(
            "shards = {shards}: {processes} processes cannot share them evenly; begin {shards}, or so many that they divide {shards}"
        );
        return Err(UsageError::new(message).into());
    }
    if !num_envs.is_multiple_of(shards) {
        let message =
            format!("num_envs = {num_envs}: {shards} shards cannot share them evenly; must be a multiple of {shards}");
        return Err(UsageError::new(message).into());
    }
    Ok(())
}

/// Refuses several runs in several processes, which train one together.
pub fn ensure_one_run(args: &TrainArgs, processes: usize) -> Result<()> {
    if processes > 1 && (args.seeds.is_some() || args.resume.len() > 1) {
        let message = format!("{processes} processes train one run together: begin them once for each seed or run");
        return Err(UsageError::new(message).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_shared_out_evenly_or_refused() {
        let shared = |shards, num_envs, processes| {
            let mut config = TrainConfig { shards, num_envs, ..TrainConfig::default() };
            share_out(&mut config, processes).map(|()| config.shards).map_err(|error| error.to_string())
        };
        assert_eq!(shared(1, 512, 4), Ok(4), "one each, unless said");
        assert_eq!([shared(8, 512, 4), shared(8, 512, 1), shared(1, 7, 1)], [Ok(8), Ok(8), Ok(1)]);
        assert!(shared(6, 600, 4).unwrap_err().contains("shards = 6: 4 processes"));
        assert!(shared(1, 512, 3).unwrap_err().contains("num_envs = 512"));
    }
}
