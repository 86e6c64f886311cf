//! The program: arguments, exit codes, and where each verb goes.
//!
//! Results go to stdout, progress and diagnostics to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage,
//! 130 interrupted after saving.

mod args;
mod chart;
mod colour;
mod command;
mod common_args;
mod console;
mod course;
mod figure_page;
mod interrupt;
pub mod launches;
mod plot;
mod progress;
mod runs;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::{Error, Result};
use clap::Parser;

use crate::cli::args::{Cli, Verb};
use crate::cli::console::{FAILED, diagnose, is_broken_pipe};
use crate::error::UsageError;

pub use command::record::{live, numbers};
pub use command::train::Summary;

const WRONG_USAGE: u8 = 2;

/// Does what the process's arguments say and returns the exit code.
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// Does what the arguments say, the program's name first, and returns the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(usage) => {
            let _ = usage.print(); // also help and version, which are no errors
            return if usage.use_stderr() { WRONG_USAGE } else { 0 };
        }
    };
    report_panics();
    interrupt::survive_file_size_limits();
    // A panic is a bug, but even then scripts get the documented exit code.
    let done = catch_unwind(AssertUnwindSafe(|| run_verb(cli))).unwrap_or(Ok(ExitCode::from(FAILED)));
    match done {
        Ok(code) => (0..=u8::MAX).find(|number| ExitCode::from(*number) == code).unwrap_or(FAILED),
        Err(error) => {
            let code = exit_code(&error);
            if code > 0 {
                diagnose(&format!("error: {error:#}"));
            }
            code
        }
    }
}

/// The exit code of a program that ends by this error.
fn exit_code(error: &Error) -> u8 {
    match error {
        error if is_broken_pipe(error) => 0, // the reader of stdout (`| head`) has seen enough
        error if error.chain().any(|cause| cause.is::<UsageError>()) => WRONG_USAGE,
        _ => FAILED,
    }
}

fn run_verb(cli: Cli) -> Result<ExitCode> {
    match cli.verb {
        None => command::train::run(&cli.train),
        Some(Verb::Train(args)) => command::train::run(&args),
        Some(Verb::Sweep(args)) => command::sweep::run(&args),
        Some(Verb::Eval(args)) => command::eval::run(&args),
        Some(Verb::Parity(args)) => command::parity::run(&args),
        Some(Verb::Export(args)) => command::export::run(&args),
        Some(Verb::Record(args)) => command::record::run(&args),
        Some(Verb::Bench(args)) => command::bench::run(&args),
        Some(Verb::Check(args)) => command::check::run(&args),
        Some(Verb::Report(args)) => command::report::run(&args),
        Some(Verb::Watch(args)) => command::watch::run(&args),
        Some(Verb::Envs(args)) => command::list::envs(&args),
        Some(Verb::Algos(args)) => command::list::algos(&args),
        Some(Verb::Config(args)) => command::config::run(&args),
        Some(Verb::Completions(args)) => command::completions::completions(&args),
        Some(Verb::Man(args)) => command::completions::man(&args),
    }
}

/// Says what a panic means to the user; with RUST_BACKTRACE set, Rust's own report follows.
fn report_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        diagnose(&format!("error: internal error, please report it: {info}"));
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            default(info);
        }
    }));
}
