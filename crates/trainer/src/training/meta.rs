//! `config.json` and `meta.json`: what a run is, who made it and on what.

use std::time::SystemTime;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Resources;
use crate::atomic_file::move_aside;
use crate::config::TrainConfig;
use crate::run_dir::{RunDir, timestamp};

const META: &str = "meta.json";

/// Where and from what a run was started or continued.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Start {
    /// UTC.
    time: String,
    steps: u64,
    version: String,
    git_commit: String,
    device: String,
    threads: usize,
    command: Vec<String>,
}

/// `meta.json`: who made this run, on what.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Meta {
    #[serde(flatten)]
    start: Start,
    seed: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resumed: Vec<Start>,
}

/// Writes `config.json` and `meta.json`, or adds this session to the latter. One that cannot be read is moved aside: that is
/// the warning returned.
///
/// # Errors
///
/// When the disk refuses.
pub fn record_start(
    dir: &RunDir,
    config: &TrainConfig,
    resources: &Resources,
    steps: u64,
    resumed: bool,
) -> Result<Option<String>> {
    let start = Start {
        time: timestamp(SystemTime::now()),
        steps,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_commit: env!("GIT_COMMIT").to_owned(),
        device: resources.device.name(),
        threads: resources.threads,
        command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
    };
    let former = if resumed { dir.read_json_if_present::<Meta>(META) } else { Ok(None) };
    let (former, warning) = match former {
        Ok(former) => (former, None),
        Err(error) => {
            let aside = move_aside(&dir.path().join(META))?;
            (None, Some(format!("{error:#}: moved to {}", aside.display())))
        }
    };
    let meta = match former {
        None => Meta { start, seed: config.seed, resumed: Vec::new() },
        Some(mut meta) => {
            meta.resumed.push(start);
            meta
        }
    };
    dir.write_json("config.json", config)?;
    dir.write_json(META, &meta)?;
    Ok(warning)
}
