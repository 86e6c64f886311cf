//! Layouts that a level names instead of drawing them: by their poses, or as one that an evaluation met.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Level;
use crate::object::ObjectKind;
use crate::task::TaskKind;

/// Most layouts of a level.
const MAX_LAYOUTS: usize = 1024;
/// Numbers of layouts that float32 tells apart.
const MAX_NUMBER: u32 = 1 << 24;
/// Farthest that an object may be from the origin \[m\]: positions stay exact to micrometres.
const FARTHEST: f32 = 10.0;
/// Reach of an agent from its origin \[m\].
const AGENT_REACH: f32 = 0.2;

/// A layout that an episode may begin with.
///
/// As data either `{"seed": 1000000, "number": 37}` or `{"agent": [0, -1, 1.57], "objects": {"goal": [[1, 1]], ..}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Layout {
    /// What episode `number` of an evaluation with `seed` begins with, poses, goal and target button alike.
    Numbered {
        /// Seed of the evaluation.
        seed: u64,
        /// Number of the episode, from 0.
        number: u32,
    },
    /// Given poses.
    Placed(PlacedLayout),
}

/// Poses of agent and objects.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedLayout {
    /// The agent.
    pub agent: Pose,
    /// Number of the target button, from 0; drawn where there is none.
    pub target: Option<usize>,
    /// The objects by their kind, in the order of the level's groups. Circle and Button's goal have places of their own and
    /// are left out.
    pub objects: BTreeMap<ObjectKind, Vec<Pose>>,
}

/// Where something stands, world frame; as data `[x, y]` or `[x, y, yaw]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f32>", into = "Vec<f32>")]
pub struct Pose {
    /// Position x \[m\].
    pub x: f32,
    /// Position y \[m\].
    pub y: f32,
    /// Yaw \[rad\]; drawn where there is none.
    pub yaw: Option<f32>,
}

impl TryFrom<Vec<f32>> for Pose {
    type Error = String;

    fn try_from(numbers: Vec<f32>) -> Result<Self, String> {
        match numbers[..] {
            [x, y] => Ok(Self { x, y, yaw: None }),
            [x, y, yaw] => Ok(Self { x, y, yaw: Some(yaw) }),
            _ => Err(format!("a pose is [x, y] or [x, y, yaw], not {} numbers", numbers.len())),
        }
    }
}

impl From<Pose> for Vec<f32> {
    fn from(Pose { x, y, yaw }: Pose) -> Self {
        [x, y].into_iter().chain(yaw).collect()
    }
}

/// How a layout is written.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<Pose>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<BTreeMap<ObjectKind, Vec<Pose>>>,
}

impl TryFrom<Written> for Layout {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written { seed: Some(seed), number: Some(number), agent: None, target: None, objects: None } => {
                Ok(Self::Numbered { seed, number })
            }
            Written { seed: None, number: None, agent: Some(agent), target, objects } => {
                Ok(Self::Placed(PlacedLayout { agent, target, objects: objects.unwrap_or_default() }))
            }
            _ => Err("a layout has either `seed` and `number`, or `agent` and `objects`".to_owned()),
        }
    }
}

impl From<Layout> for Written {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Numbered { seed, number } => Self { seed: Some(seed), number: Some(number), ..Self::default() },
            Layout::Placed(PlacedLayout { agent, target, objects }) => {
                Self { agent: Some(agent), target, objects: Some(objects), ..Self::default() }
            }
        }
    }
}

impl Level {
    /// Whether every layout has what this level needs.
    pub(super) fn check_layouts(&self) -> Result<(), String> {
        if self.layouts.len() > MAX_LAYOUTS {
            return Err(format!("{} `layouts`: at most {MAX_LAYOUTS} are possible", self.layouts.len()));
        }
        for (i, layout) in self.layouts.iter().enumerate() {
            let result = match layout {
                Layout::Numbered { number, .. } if *number >= MAX_NUMBER => {
                    Err(format!("`number` = {number}: must be below {MAX_NUMBER}"))
                }
                Layout::Numbered { .. } => Ok(()),
                Layout::Placed(placed) => self.check_placed(placed),
            };
            result.map_err(|problem| format!("layouts[{i}]: {problem}"))?;
        }
        Ok(())
    }

    /// Whether a layout may leave out the group's places.
    pub(crate) fn places_itself(&self, kind: ObjectKind) -> bool {
        kind == ObjectKind::Circle || kind == ObjectKind::Goal && self.task == TaskKind::Button
    }

    fn check_placed(&self, placed: &PlacedLayout) -> Result<(), String> {
        let kinds = || self.groups.iter().map(|group| group.kind);
        if let Some(kind) = placed.objects.keys().find(|kind| !kinds().any(|other| other == **kind)) {
            return Err(format!("`objects.{}`: the level has no such group", kind.object_name()));
        }
        if let Some(target) = placed.target {
            let buttons: usize =
                self.groups.iter().filter(|group| group.kind == ObjectKind::Button).map(|group| group.count).sum();
            if self.task != TaskKind::Button || target >= buttons {
                return Err(format!(
                    "`target` = {target}: must be the number of a button, of which there are {buttons}"
                ));
            }
        }
        let mut bodies = vec![("agent".to_owned(), placed.agent, AGENT_REACH)];
        for kind in kinds().filter(|kind| !self.places_itself(*kind)) {
            let groups = || self.groups.iter().filter(|group| group.kind == kind);
            let count: usize = groups().map(|group| group.count).sum();
            let poses = placed.objects.get(&kind).map_or(&[][..], Vec::as_slice);
            if poses.len() != count {
                let (name, places) = (kind.object_name(), poses.len());
                return Err(format!("`objects.{name}`: {places} places for {count}"));
            }
            if kind.is_free() || kind.is_solid() {
                let reach = |size: f32| if kind == ObjectKind::PushBox { 1.5 * size } else { size };
                let reaches = groups().flat_map(|group| std::iter::repeat_n(reach(group.size), group.count));
                let named = poses.iter().zip(reaches).enumerate();
                bodies.extend(named.map(|(i, (pose, reach))| (format!("{}[{i}]", kind.object_name()), *pose, reach)));
            }
        }
        let all = std::iter::once(&placed.agent).chain(placed.objects.values().flatten());
        for Pose { x, y, yaw } in all {
            let legal = |number: f32| number.is_finite() && number.abs() <= FARTHEST;
            if !(legal(*x) && legal(*y) && yaw.is_none_or(legal)) {
                return Err(format!("[{x}, {y}]: poses must be within {FARTHEST} m, yaws within {FARTHEST} rad"));
            }
        }
        for (i, (name, pose, reach)) in bodies.iter().enumerate() {
            for (other, place, its_reach) in &bodies[..i] {
                if (pose.x - place.x).hypot(pose.y - place.y) < reach + its_reach {
                    return Err(format!("{name} stands in {other}: they must be {} m apart", reach + its_reach));
                }
            }
        }
        Ok(())
    }
}
