//! The page: a player of the recorded episodes in one file that needs nothing else, not even a network.

use std::collections::BTreeMap;

use anyhow::Result;
use envs::CostKind;
use serde::Serialize;

use super::episode::{Episode, Replay};
use super::picture::color;
use crate::config::Constraint;

/// The player; the data replaces [`SLOT`].
const TEMPLATE: &str = include_str!("page.html");
/// Where the data goes.
const SLOT: &str = "{{replay}}";
/// Digits of a lidar reading: `A` is 0, `_` is 1.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[derive(Serialize)]
struct Data<'a> {
    format: &'static str,
    env: &'a str,
    agent: &'a str,
    algo: &'a str,
    checkpoint: u64,
    seed: u64,
    deterministic: bool,
    constraints: &'a [Constraint],
    step_seconds: f32,
    half_extent: f32,
    lidar_range: f32,
    /// Kinds of the lidars, innermost ring first, and their bins.
    lidars: Vec<(&'static str, usize)>,
    colors: BTreeMap<&'static str, String>,
    episodes: Vec<EpisodeData<'a>>,
}

#[derive(Serialize)]
struct EpisodeData<'a> {
    /// x \[mm\], y \[mm\], yaw \[mrad\] of frame 0, of frame 1, ..., of frame T - 1.
    agent: Vec<i32>,
    /// Return until frames 0 to T, in thousandths.
    returns: Vec<i64>,
    /// Of every constraint, frame after frame whose step cost: the frame, and the step's cost in thousandths.
    costs: Vec<Vec<i64>>,
    /// Frames whose step cost by a kind, where kinds are told apart.
    kinds: BTreeMap<&'static str, Vec<usize>>,
    /// One of [`DIGITS`] a bin, frame after frame.
    lidar: String,
    objects: Vec<ObjectData<'a>>,
}

#[derive(Serialize)]
struct ObjectData<'a> {
    kind: &'a str,
    size: f32,
    constrained: bool,
    /// Frame, x \[mm\], y \[mm\], yaw \[mrad\] of every change.
    track: Vec<i64>,
}

/// The page that plays `replay`.
///
/// # Errors
///
/// When the data cannot be expressed in JSON.
pub fn page(replay: &Replay) -> Result<String> {
    let kinds = replay.episodes.iter().flat_map(|e| &e.objects).map(|o| o.kind);
    let kinds = kinds.chain(replay.lidars.iter().map(|l| l.kind));
    let data = Data {
        format: "kfcpo-replay-2",
        env: &replay.env,
        agent: replay.agent,
        algo: &replay.algo,
        checkpoint: replay.checkpoint,
        seed: replay.seed,
        deterministic: replay.deterministic,
        constraints: &replay.constraints,
        step_seconds: replay.step_seconds,
        half_extent: replay.half_extent,
        lidar_range: replay.lidar_range,
        lidars: replay.lidars.iter().map(|l| (l.kind, l.bins)).collect(),
        colors: kinds.map(|kind| (kind, color(kind).hex())).collect(),
        episodes: replay.episodes.iter().map(episode_data).collect(),
    };
    // `</` would end the script element that holds the data, and `<!--` would hide its end.
    let json = serde_json::to_string(&data)?.replace('<', "\\u003c");
    Ok(TEMPLATE.replacen(SLOT, &json, 1))
}

fn episode_data(episode: &Episode) -> EpisodeData<'_> {
    let spent = |until: &Vec<f32>| -> Vec<i64> {
        let steps =
            until.windows(2).enumerate().map(|(step, pair)| (step, thousandths(pair[1]) - thousandths(pair[0])));
        steps.filter(|(_, cost)| *cost != 0).flat_map(|(step, cost)| [step as i64 + 1, cost]).collect()
    };
    let kinds = CostKind::ALL.into_iter().map(|kind| (kind.name(), episode.steps_with(kind)));
    EpisodeData {
        agent: episode.agent.concat(),
        returns: episode.returns.iter().map(|r| thousandths(*r)).collect(),
        costs: episode.costs.iter().map(spent).collect(),
        kinds: kinds.filter(|(_, steps)| !steps.is_empty()).collect(),
        lidar: episode.lidar.iter().map(|closeness| digit(*closeness)).collect(),
        objects: (episode.objects.iter())
            .map(|track| ObjectData {
                kind: track.kind,
                size: track.size,
                constrained: track.constrained,
                track: (track.keys.iter())
                    .flat_map(|(frame, [x, y, yaw])| [*frame as i64, (*x).into(), (*y).into(), (*yaw).into()])
                    .collect(),
            })
            .collect(),
    }
}

fn thousandths(value: f32) -> i64 {
    (f64::from(value) * 1e3).round() as i64
}

fn digit(closeness: f32) -> char {
    let most = DIGITS.len() - 1;
    char::from(DIGITS[(closeness.clamp(0.0, 1.0) * most as f32).round() as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closeness_is_one_digit() {
        assert_eq!([0.0, 1.0, 0.5, -1.0, f32::NAN, 1.0 / 63.0].map(digit), ['A', '_', 'g', 'A', 'A', 'B']);
    }

    #[test]
    fn a_step_that_costs_is_named_by_the_frame_it_leads_to() {
        let episode = Episode {
            agent: vec![[1, 2, 3], [4, 5, 6]],
            returns: vec![0.0, 0.5, -0.25],
            costs: vec![vec![0.0, 0.0, 1.0], vec![0.0, 0.25, 2.0]],
            kinds: vec![0, CostKind::Hazards.bit() | CostKind::Walls.bit()],
            lidar: vec![0.0, 1.0],
            objects: vec![],
        };
        let data = episode_data(&episode);
        assert_eq!((data.agent, data.returns), (vec![1, 2, 3, 4, 5, 6], vec![0, 500, -250]));
        assert_eq!(data.costs, [vec![2, 1000], vec![1, 250, 2, 1750]]);
        assert_eq!(data.kinds, BTreeMap::from([("hazards", vec![2]), ("walls", vec![2])]));
    }

    #[test]
    fn the_template_has_one_place_for_the_data_and_refers_to_nothing_outside() {
        assert_eq!(TEMPLATE.matches(SLOT).count(), 1);
        for outside in ["http:", "https:", "src=", "href=", "@import", "fetch("] {
            assert!(!TEMPLATE.contains(outside), "{outside}");
        }
    }
}
