//! The verbs of the command line; each verb's options stand with its command.

use clap::{Parser, Subcommand};

use crate::cli::command::bench::BenchArgs;
use crate::cli::command::check::CheckArgs;
use crate::cli::command::completions::{CompletionsArgs, ManArgs};
use crate::cli::command::config::ConfigArgs;
use crate::cli::command::eval::EvalArgs;
use crate::cli::command::export::ExportArgs;
use crate::cli::command::list::{EnvsArgs, ListArgs};
use crate::cli::command::parity::ParityArgs;
use crate::cli::command::record::RecordArgs;
use crate::cli::command::report::ReportArgs;
use crate::cli::command::sweep::SweepArgs;
use crate::cli::command::train::TrainArgs;
use crate::cli::command::watch::WatchArgs;

/// Trains policies that earn reward and stay under a cost limit.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
#[command(after_help = "Without a verb, `train` is meant: `trainer` alone trains KFCPO on SafetyPointGoal1-v0.")]
pub struct Cli {
    /// What to do; none trains.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Options of `train`, the default.
    #[command(flatten)]
    pub train: TrainArgs,
}

/// A verb with its options.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train a policy and write a run directory
    Train(TrainArgs),
    /// Train environments x algorithms x seeds x settings, as a file says
    Sweep(SweepArgs),
    /// Evaluate a saved policy on fresh episodes, its normaliser frozen
    Eval(EvalArgs),
    /// Replay recorded Safety-Gymnasium trajectories through the simulator and print the errors
    Parity(ParityArgs),
    /// Write a policy for use elsewhere
    Export(ExportArgs),
    /// Play episodes of a saved policy into an HTML page, a GIF or a PNG
    Record(RecordArgs),
    /// Measure speed on this machine
    Bench(BenchArgs),
    /// Check that a device computes what it should: environments, kernels, training
    Check(CheckArgs),
    /// Compare runs: tables, figures, statistics
    Report(ReportArgs),
    /// Show the curves of runs that are being trained, or of finished ones, in the terminal or in a page
    Watch(WatchArgs),
    /// List the environments, or print one as a level's file
    Envs(EnvsArgs),
    /// List the algorithms
    Algos(ListArgs),
    /// Print the resolved configuration
    Config(ConfigArgs),
    /// Print what a shell needs to complete this command line
    Completions(CompletionsArgs),
    /// Print the manual page, or write one per verb
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn train_is_the_default_verb() {
        let with = Cli::try_parse_from(["trainer", "train", "--env", "PointGoal1", "--seed", "3"]).unwrap();
        let without = Cli::try_parse_from(["trainer", "--env", "PointGoal1", "--seed", "3"]).unwrap();
        let Some(Verb::Train(args)) = with.verb else { panic!("no train") };
        assert!(without.verb.is_none());
        assert_eq!(args.config.sources().flags, without.train.config.sources().flags);
        assert!(Cli::try_parse_from(["trainer"]).unwrap().verb.is_none());
        assert!(Cli::try_parse_from(["trainer", "trian"]).is_err());
    }
}
