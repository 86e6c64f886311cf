//! What is recorded of an episode: who was where at every step, what the lidars read, return and cost.

use anyhow::{Context, Result};
use envs::{CostKind, Navigation, NavigationSpec, Scene, SceneObject, StepBatch};

use crate::config::Constraint;
use crate::evaluate::Evaluator;
use crate::policy::exported::host;

/// Ending of the names of lidars among the parts of an observation.
const LIDAR_SUFFIX: &str = "_lidar";

/// Recorded episodes of one policy in one environment.
#[derive(Debug)]
pub struct Replay {
    /// Environment id.
    pub env: String,
    /// Kind of agent, as in environment ids.
    pub agent: &'static str,
    /// Algorithm that trained the policy.
    pub algo: String,
    /// Environment steps of its training.
    pub checkpoint: u64,
    /// Seed of the episodes.
    pub seed: u64,
    /// Whether the policy's mean was taken as the action.
    pub deterministic: bool,
    /// What is limited.
    pub constraints: Vec<Constraint>,
    /// Simulated time of a step \[s\].
    pub step_seconds: f32,
    /// Half-width of the square in which objects are placed \[m\].
    pub half_extent: f32,
    /// Range of the lidars \[m\].
    pub lidar_range: f32,
    /// The lidars, in observation order.
    pub lidars: Vec<Lidar>,
    /// The episodes.
    pub episodes: Vec<Episode>,
}

/// Where a lidar stands in an observation and what it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lidar {
    /// Name of the objects it sees, such as `hazard`.
    pub kind: &'static str,
    /// First bin in the observation.
    pub first: usize,
    /// Bins, counterclockwise from the agent's x axis.
    pub bins: usize,
}

/// Position and direction seen from above: x \[mm\], y \[mm\], yaw \[mrad\].
pub type Pose = [i32; 3];

/// One episode of T steps, or its beginning. Frame 0 is the beginning, frame t the outcome of step t.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Episode {
    /// `[T]` The agent in frames 0 to T - 1. Environments begin the next episode within the last step, so that of frame T
    /// is not seen; the one before stands for it.
    pub agent: Vec<Pose>,
    /// `[T + 1]` Return until then.
    pub returns: Vec<f32>,
    /// `[C, T + 1]` Cost until then, by every constraint.
    pub costs: Vec<Vec<f32>>,
    /// `[T]` The kinds of cost ([`CostKind`]) that step 1 to T brought, by their bits; empty where they are not told apart.
    pub kinds: Vec<u32>,
    /// `[T, bins of all lidars]` Closeness from 0 (nothing in range) to 1, row-major.
    pub lidar: Vec<f32>,
    /// The objects.
    pub objects: Vec<Track>,
}

/// One object through an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Its name in the original, such as `hazard`.
    pub kind: &'static str,
    /// Radius, or half-width of a box \[m\].
    pub size: f32,
    /// Whether it costs.
    pub constrained: bool,
    /// Frames in which it got another pose, with that pose; the first is frame 0.
    pub keys: Vec<(usize, Pose)>,
}

impl Track {
    /// Its pose in `frame`.
    pub fn at(&self, frame: usize) -> Pose {
        let next = self.keys.partition_point(|(since, _)| *since <= frame);
        self.keys[next.max(1) - 1].1
    }
}

impl Episode {
    /// Frames: one more than steps.
    pub fn frames(&self) -> usize {
        self.agent.len() + 1
    }

    /// The agent's pose in `frame`.
    pub fn agent_at(&self, frame: usize) -> Pose {
        self.agent[frame.min(self.agent.len() - 1)]
    }

    /// The steps that brought cost of this kind.
    pub fn steps_with(&self, kind: CostKind) -> Vec<usize> {
        let steps = self.kinds.iter().enumerate().filter(|(_, kinds)| *kinds & kind.bit() != 0);
        steps.map(|(step, _)| step + 1).collect()
    }

    /// What the lidars read in `frame`, bins of all lidars one after another.
    pub fn lidar_at(&self, frame: usize) -> &[f32] {
        let bins = self.lidar.len() / self.agent.len();
        &self.lidar[frame.min(self.agent.len() - 1) * bins..][..bins]
    }

    /// Return of all that was recorded.
    pub fn total_return(&self) -> f64 {
        self.returns.last().copied().unwrap_or_default().into()
    }

    /// Cost of all that was recorded, by constraint `k`.
    pub fn total_cost(&self, k: usize) -> f64 {
        self.costs.get(k).and_then(|costs| costs.last()).copied().unwrap_or_default().into()
    }

    /// Cost until `frame`, by constraint `k`; 0 where there is no such constraint.
    pub fn cost_at(&self, k: usize, frame: usize) -> f64 {
        self.costs.get(k).and_then(|costs| costs.get(frame)).copied().unwrap_or_default().into()
    }

    /// Whether anything costs after frame `since`, up to `frame`.
    pub fn costs_between(&self, since: usize, frame: usize) -> bool {
        self.costs.iter().any(|costs| costs[frame] > costs[since])
    }

    /// One moment: a scene, what the lidars read in it, return and cost until then. Its only frame is frame 0.
    pub fn moment(scene: &Scene, lidar: impl Iterator<Item = f32>, episode_return: f32, cost: f32) -> Self {
        let mut moment = Self { returns: vec![episode_return], costs: vec![vec![cost]], ..Self::begin(scene, 1) };
        moment.push_scene(scene, lidar);
        moment
    }

    fn begin(scene: &Scene, constraints: usize) -> Self {
        let objects = scene.objects.iter().map(|object| Track {
            kind: object.kind.object_name(),
            size: object.size,
            constrained: object.constrained,
            keys: vec![(0, object_pose(object))],
        });
        // Last, so that the objects keep their numbers.
        let objects = objects.chain(walls(scene)).collect();
        Self { returns: vec![0.0], costs: vec![vec![0.0]; constraints], objects, ..Self::default() }
    }

    fn push_scene(&mut self, scene: &Scene, lidar: impl Iterator<Item = f32>) {
        let frame = self.agent.len();
        self.agent.push(pose(scene.x, scene.y, scene.yaw));
        self.lidar.extend(lidar);
        for (track, object) in self.objects.iter_mut().zip(&scene.objects) {
            let pose = object_pose(object);
            if track.keys.last().is_none_or(|(_, last)| *last != pose) {
                track.keys.push((frame, pose));
            }
        }
    }
}

/// The lidars of an environment.
pub fn lidars(env: &NavigationSpec) -> Vec<Lidar> {
    let mut first = 0;
    let mut found = Vec::new();
    for (name, bins) in env.obs_parts() {
        let kind = env.level.groups.iter().map(|group| group.kind).find(|kind| kind.lidar_name() == name);
        if let Some(kind) = kind.filter(|_| name.ends_with(LIDAR_SUFFIX)) {
            found.push(Lidar { kind: kind.object_name(), first, bins });
        }
        first += bins;
    }
    found
}

/// Plays one episode in every environment, or its first `most` steps, and records them.
///
/// # Errors
///
/// When the device cannot be read.
pub fn record(play: &mut Evaluator, most: usize) -> Result<Vec<Episode>> {
    let spec = navigation(play)?.navigation_spec().clone();
    let lidars = lidars(&spec);
    let mut scenes = navigation(play)?.scenes();
    let mut episodes: Vec<Episode> =
        scenes.iter().map(|scene| Episode::begin(scene, spec.env.constraints.len())).collect();
    let mut running = vec![true; episodes.len()];
    for _ in 0..most {
        let obs = host(play.obs())?;
        let rows = obs.chunks_exact(spec.env.obs_dim);
        for (i, (scene, row)) in scenes.iter().zip(rows).enumerate().filter(|(i, _)| running[*i]) {
            episodes[i].push_scene(scene, lidars.iter().flat_map(|l| &row[l.first..l.first + l.bins]).copied());
        }
        let StepBatch { episode_return, episode_costs, terminated, truncated, kinds, .. } = play.advance();
        let kinds = kinds.map(|kinds| host(&kinds)).transpose()?;
        let (returns, costs) = (host(&episode_return)?, host(&episode_costs)?); // costs row after row
        let all = episodes.len();
        let done = host(&(terminated + truncated))?;
        for (i, episode) in episodes.iter_mut().enumerate().filter(|(i, _)| running[*i]) {
            episode.returns.push(returns[i]);
            episode.kinds.extend(kinds.as_ref().map(|kinds| kinds[i] as u32));
            for (until, cost) in episode.costs.iter_mut().zip(costs.iter().skip(i).step_by(all)) {
                until.push(*cost);
            }
        }
        for (running, done) in running.iter_mut().zip(done) {
            *running &= done == 0.0;
        }
        if !running.contains(&true) {
            break;
        }
        scenes = navigation(play)?.scenes();
    }
    Ok(episodes)
}

/// The environments as those that can be drawn.
fn navigation(play: &mut Evaluator) -> Result<&mut Navigation> {
    play.env().navigation().context("only the navigation environments can be drawn")
}

/// The lines not to cross, each by the point of it nearest to the origin.
fn walls(scene: &Scene) -> impl Iterator<Item = Track> {
    let along_x = scene.walls.map(|(x, _)| x);
    let along_y = scene.walls.and_then(|(_, y)| y);
    let places = along_x.into_iter().flat_map(|x| [(x, 0.0), (-x, 0.0)]);
    let places = places.chain(along_y.into_iter().flat_map(|y| [(0.0, y), (0.0, -y)]));
    places.map(|(x, y)| Track { kind: "sigwall", size: 0.0, constrained: true, keys: vec![(0, pose(x, y, 0.0))] })
}

fn object_pose(object: &SceneObject) -> Pose {
    pose(object.x, object.y, object.yaw)
}

fn pose(x: f32, y: f32, yaw: f32) -> Pose {
    [x, y, yaw].map(|value| (value * 1e3).round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use envs::ObjectKind;

    fn scene(goal_x: f32) -> Scene {
        let goal = SceneObject { kind: ObjectKind::Goal, x: goal_x, y: -0.5, yaw: 0.0, size: 0.3, constrained: false };
        Scene { x: 0.1234, y: 0.0, yaw: 1.5, objects: vec![goal], walls: None }
    }

    #[test]
    fn an_object_is_noted_only_when_it_moves() {
        let mut episode = Episode::begin(&scene(1.0), 1);
        for goal_x in [1.0, 1.0001, 2.0, 2.0] {
            episode.push_scene(&scene(goal_x), [0.5, 0.25].into_iter());
        }
        let goal = &episode.objects[0];
        assert_eq!(goal.keys, [(0, [1000, -500, 0]), (2, [2000, -500, 0])]);
        assert_eq!([0, 1, 2, 3, 9].map(|frame| goal.at(frame)[0]), [1000, 1000, 2000, 2000, 2000]);
        assert_eq!((episode.frames(), episode.agent_at(4)), (5, [123, 0, 1500]));
        assert_eq!(episode.lidar_at(4), [0.5, 0.25]);
    }

    #[test]
    fn costs_are_kept_by_constraint() {
        let costs = vec![vec![0.0, 1.0, 1.0], vec![0.0, 0.0, 2.5]];
        let episode = Episode { agent: vec![[0; 3]; 2], costs, ..Episode::default() };
        assert_eq!([0, 1, 2].map(|k| episode.total_cost(k)), [1.0, 2.5, 0.0]);
        assert!(episode.costs_between(0, 1) && episode.costs_between(1, 2) && !episode.costs_between(2, 2));
    }

    #[test]
    fn lidars_are_found_behind_the_sensors() {
        let env = envs::find("PointGoal1").unwrap();
        let found: Vec<(&str, usize)> = lidars(&env).iter().map(|l| (l.kind, l.first)).collect();
        assert_eq!(found, [("goal", 12), ("hazard", 28), ("vase", 44)]);
    }
}
