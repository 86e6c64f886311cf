//! `envs` and `algos`: what there is.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::algorithm::ALGORITHMS;
use crate::cli::console::print;
use crate::config::load::env_changed;

/// Arguments of `envs`.
#[derive(Debug, Args)]
pub struct EnvsArgs {
    /// One environment, an id or a level's file: prints agent and level as such a file, in TOML
    #[arg(value_name = "ENV")]
    pub env: Option<String>,
    /// A change of ENV, for example env.hazards.count=4; may be repeated
    #[arg(long, value_name = "env.key=value", requires = "env")]
    pub set: Vec<String>,
    /// Print one JSON object a line; with ENV, the level's file in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `algos`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Prints every environment with its sizes, or one of them whole.
///
/// # Errors
///
/// When there is no such environment or stdout does not take it.
pub fn envs(args: &EnvsArgs) -> Result<ExitCode> {
    if let Some(env) = &args.env {
        let spec = env_changed(env, &args.set)?;
        let text = if args.json { serde_json::to_string_pretty(&spec)? } else { toml::to_string_pretty(&spec)? };
        print(text.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = envs::registry().iter().map(|spec| spec.env.id.len()).max().unwrap_or(0);
    for spec in envs::registry() {
        let text = if args.json {
            json!({
                "env": spec.env.id,
                "short": spec.short_id(),
                "obs_dim": spec.env.obs_dim,
                "action_dim": spec.env.action_dim,
                "max_episode_steps": spec.env.max_episode_steps,
            })
            .to_string()
        } else {
            format!(
                "{:width$}  observation {:3}  action {}  episode {} steps",
                spec.env.id, spec.env.obs_dim, spec.env.action_dim, spec.env.max_episode_steps
            )
        };
        print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints every algorithm with a line about it.
///
/// # Errors
///
/// When stdout does not take it.
pub fn algos(args: &ListArgs) -> Result<ExitCode> {
    let width = ALGORITHMS.iter().map(|algorithm| algorithm.name.len()).max().unwrap_or(0);
    for algorithm in ALGORITHMS {
        let text = if args.json {
            json!({"algo": algorithm.name, "summary": algorithm.summary}).to_string()
        } else {
            format!("{:width$}  {}", algorithm.name, algorithm.summary)
        };
        print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}
