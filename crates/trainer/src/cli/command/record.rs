//! `record`: plays episodes of a saved policy into a file to look at: an HTML page, a GIF, or one frame as a PNG.

mod canvas;
mod episode;
mod gif;
mod html;
pub mod live;
pub mod numbers;
mod picture;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use crate::atomic_file::write_output;
use crate::cli::command::episodes::{EpisodeArgs, Player};
use crate::cli::common_args::CommonArgs;
use crate::cli::console::{diagnose, print};
use crate::config::{Actions, Constraint};
use crate::error::UsageError;
use crate::evaluate::Evaluator;
use crate::statistics::mean;
use episode::{Episode, Replay, record};
use picture::Painter;

/// Arguments of `record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Run directory, checkpoint, or exported policy (.safetensors)
    #[arg(value_name = "RUN|FILE")]
    pub run: PathBuf,
    /// File to write, .html, .gif or .png [default: RUN/replay.html; replay.html for a file]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Episodes to record; in a GIF one after another, in a PNG the first
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub episodes: u32,
    /// Which policy plays where.
    #[command(flatten)]
    pub play: EpisodeArgs,
    /// Record the first N steps of each episode only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Width of a picture in pixels [default: 360 for a GIF, 720 for a PNG]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u16).range(120..=2000))]
    pub size: Option<u16>,
    /// Environment steps from one picture of a GIF to the next, 25 pictures a second [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub every: Option<u32>,
    /// Step of the frame in a PNG [default: the last]
    #[arg(long, value_name = "STEP")]
    pub at: Option<u32>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Device and threads.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Width of a GIF unless `--size` says otherwise \[pixels\].
const DEFAULT_GIF_SIZE: u16 = 360;
/// Width of a PNG unless `--size` says otherwise \[pixels\].
const DEFAULT_PNG_SIZE: u16 = 720;
/// Steps from one picture of a GIF to the next unless `--every` says otherwise.
const DEFAULT_EVERY: u32 = 4;

/// File format, by the extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Html,
    Gif,
    Png,
}

impl Format {
    fn of(path: &Path) -> Result<Self, UsageError> {
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("html") => Ok(Self::Html),
            Some("gif") => Ok(Self::Gif),
            Some("png") => Ok(Self::Png),
            _ => Err(UsageError::new(format!(
                "--out {}: the name must end in .html (a page with a player), .gif (an animation) or .png (one frame)",
                path.display()
            ))),
        }
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Recorded {
    env: String,
    /// Environment steps of the recorded checkpoint.
    checkpoint: u64,
    episodes: usize,
    seed: u64,
    deterministic: bool,
    /// Pictures in the file.
    frames: usize,
    out: String,
    bytes: usize,
    /// Means over the episodes of what was recorded of them.
    return_mean: f64,
    /// By the first constraint, null where there is none.
    cost_mean: f64,
    cost_limit: f64,
    /// Every constraint.
    constraints: Vec<RecordedCost>,
}

/// A cost beside its limit.
#[derive(Debug, Serialize)]
struct RecordedCost {
    name: String,
    limit: f64,
    cost_mean: f64,
}

/// Plays the episodes, writes the file and prints what it holds.
///
/// # Errors
///
/// When the file's name has another extension, the run or checkpoint cannot be read, the device fails or the file
/// cannot be written.
pub fn run(args: &RecordArgs) -> Result<ExitCode> {
    let out = args.out.clone().unwrap_or_else(|| beside(&args.run, "replay.html"));
    let format = Format::of(&out)?;
    let misplaced = [
        ("--size", args.size.is_some() && format == Format::Html, "a picture"),
        ("--every", args.every.is_some() && format != Format::Gif, "a GIF"),
        ("--at", args.at.is_some() && format != Format::Png, "a PNG"),
    ];
    if let Some((option, _, shapes)) = misplaced.into_iter().find(|(_, misplaced, _)| *misplaced) {
        bail!(UsageError::new(format!("{option} shapes {shapes}, which {} is not", out.display())));
    }
    args.common.apply_threads()?;
    let device = args.common.select_device()?.device;
    let (player, _) = Player::open(&args.run, &args.play, &device)?;
    let Player { policy, config, spec: env, actions, .. } = &player;

    diagnose(&format!("playing {} of {}", counted(args.episodes as usize, "episode"), env.env.id));
    let all = player.environments(args.episodes as usize, &device)?;
    let mut play = Evaluator::new(policy, all, player.seed, *actions)?;
    let most = args.steps.map_or(usize::MAX, |steps| steps as usize);
    let replay = Replay {
        env: env.env.id.clone(),
        agent: env.agent.name(),
        algo: config.algo.clone(),
        checkpoint: player.steps.unwrap_or_default(),
        seed: player.seed,
        deterministic: *actions == Actions::Mean,
        constraints: player.constraints.clone(),
        step_seconds: env.agent.step_seconds(),
        half_extent: env.level.half_extent,
        lidar_range: env.level.lidar_range,
        lidars: episode::lidars(env),
        episodes: record(&mut play, most)?,
    };
    let (bytes, frames) = match format {
        Format::Html => (html::page(&replay)?.into_bytes(), replay.episodes.iter().map(Episode::frames).sum()),
        Format::Gif => {
            let every = args.every.unwrap_or(DEFAULT_EVERY) as usize;
            gif::animation(&replay, args.size.unwrap_or(DEFAULT_GIF_SIZE), every, |done, all| {
                diagnose(&format!("drawing picture {done} of {all}"));
            })?
        }
        Format::Png => (still(&replay, args.size.unwrap_or(DEFAULT_PNG_SIZE).into(), args.at)?, 1),
    };
    write_output(&out, &bytes)?;

    let of = |total: &dyn Fn(&Episode) -> f64| mean(&replay.episodes.iter().map(total).collect::<Vec<f64>>());
    let cost = |(k, Constraint { name, limit }): (usize, &Constraint)| RecordedCost {
        name: name.clone(),
        limit: *limit,
        cost_mean: of(&|episode| episode.total_cost(k)),
    };
    let costs: Vec<RecordedCost> = replay.constraints.iter().enumerate().map(cost).collect();
    let recorded = Recorded {
        env: replay.env.clone(),
        checkpoint: replay.checkpoint,
        episodes: replay.episodes.len(),
        seed: replay.seed,
        deterministic: replay.deterministic,
        frames,
        out: out.display().to_string(),
        bytes: bytes.len(),
        return_mean: of(&Episode::total_return),
        cost_mean: costs.first().map_or(f64::NAN, |cost| cost.cost_mean),
        cost_limit: config.cost_limit.first(),
        constraints: costs,
    };
    if args.json {
        print(&serde_json::to_string(&recorded)?)?;
    } else {
        let cost = |cost: &RecordedCost| format!(", {} {:.1} (limit {})", cost.name, cost.cost_mean, cost.limit);
        print(&format!(
            "{}: {} of {}, {}, {:.0} kB; return {:.2}{}",
            recorded.out,
            counted(recorded.episodes, "episode"),
            recorded.env,
            counted(frames, "frame"),
            recorded.bytes as f64 / 1e3,
            recorded.return_mean,
            recorded.constraints.iter().map(cost).collect::<String>()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A frame of the first episode as a PNG: that after `step` steps, or the last one.
fn still(replay: &Replay, width: u32, step: Option<u32>) -> Result<Vec<u8>> {
    let episode = replay.episodes.first().context("nothing was recorded")?;
    let last = episode.frames() - 1;
    let frame = step.map_or(last, |step| step as usize);
    if frame > last {
        bail!(UsageError::new(format!("--at {frame}: the episode has {} recorded", counted(last, "step"))));
    }
    Painter::new(replay, episode, width).draw(frame, frame.saturating_sub(1))?.png()
}

/// A file of the run, or where none was named a file in the working directory.
fn beside(run: &Path, name: &str) -> PathBuf {
    if run.is_dir() { run.join(name) } else { PathBuf::from(name) }
}

/// `1 episode`, `2 episodes`.
fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_chooses_the_format_and_any_other_names_all() {
        assert_eq!(Format::of(Path::new("a/b.html")), Ok(Format::Html));
        assert_eq!(Format::of(Path::new("b.GIF")), Ok(Format::Gif));
        assert_eq!(Format::of(Path::new("b.c.png")), Ok(Format::Png));
        for wrong in ["b.mp4", "b", ".gif", "html"] {
            let message = Format::of(Path::new(wrong)).unwrap_err().to_string();
            assert!([".html", ".gif", ".png"].iter().all(|format| message.contains(format)), "{message}");
        }
    }
}
