//! `train --dry-run`: what would be trained, and where.

use std::fmt::Write as _;

use anyhow::Result;

use crate::cli::console::print;
use crate::comm::Processes;
use crate::config::TrainConfig;
use crate::shards::places;
use crate::training::Resources;

/// Prints what would be trained, on which processes.
///
/// # Errors
///
/// When a process or stdout fails.
pub fn tell(configs: &[TrainConfig], processes: &dyn Processes, resources: &Resources) -> Result<()> {
    let places = places(processes, resources.threads)?;
    for config in configs {
        print(&text(config, &resources.device.name(), &places))?;
    }
    Ok(())
}

fn text(config: &TrainConfig, device: &str, places: &[String]) -> String {
    let TrainConfig { algo, env, seed, num_envs, shards, total_steps, .. } = config;
    let mut text = format!(
        "would train {algo} on {env}, seed {seed}, for {total_steps} steps: {num_envs} environments in {shards} {}, {} samples \
         per iteration, device {device}",
        if *shards == 1 { "shard" } else { "shards" },
        config.batch_size()
    );
    let each = shards / places.len().max(1);
    for (process, place) in places.iter().enumerate() {
        let (first, last) = (process * each, (process + 1) * each - 1);
        let own = if first == last { format!("shard {first}") } else { format!("shards {first} to {last}") };
        let _ = write!(text, "\nprocess {process}: {own}, {} environments, {place}", num_envs / shards * each);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_is_named_with_its_part() {
        let config = TrainConfig { shards: 4, num_envs: 512, total_steps: 1000, ..TrainConfig::default() };
        let place = |host: &str| format!("2 threads on {host}");
        let text = text(&config, "cpu", &[place("a"), place("b")]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].contains("kfcpo on SafetyPointGoal1-v0, seed 0, for 1000 steps: 512 environments in 4 shards")
        );
        assert_eq!(lines[1], "process 0: shards 0 to 1, 256 environments, 2 threads on a");
        assert_eq!(lines[2], "process 1: shards 2 to 3, 256 environments, 2 threads on b");
    }
}
