//! Levels as data: which objects a task holds, how many, how far apart, what costs.
//!
//! Scalar bodies read a level from a parameter slice (`spec/params.rs`), so one compiled step serves every level of a
//! task.

mod costs;
mod fixed_layout;
mod table;
mod validate;

pub use costs::{CostKind, CostRule, CostSum};
pub use fixed_layout::{Layout, PlacedLayout, Pose};
pub use table::levels;
pub use validate::MAX_OBJECTS;

use serde::{Deserialize, Serialize};

use crate::object::ObjectGroup;
use crate::task::TaskKind;

/// A level of a task: what an agent finds around itself.
///
/// As data, `task`, `name`, the two extents and a group's `kind`, `count`, `keepout` and `size` must be there, all else may be
/// left out:
///
/// ```
/// let level: envs::Level = serde_json::from_str(
///     r#"{
///         "name": "Maze", "task": "Goal", "half_extent": 1.5, "agent_extent": 1.5,
///         "groups": [
///             {"kind": "goal", "count": 1, "keepout": 0.305, "size": 0.3},
///             {"kind": "pillar", "count": 5, "keepout": 0.3, "size": 0.2, "constrained": true}
///         ]
///     }"#,
/// )
/// .unwrap();
/// level.validate().unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Its name, for example `Goal1`: an environment's id is made of it.
    pub name: String,
    /// The task.
    pub task: TaskKind,
    /// Objects are placed within `[-half_extent, half_extent]^2` \[m\].
    pub half_extent: f32,
    /// The agent is placed within `[-agent_extent, agent_extent]^2` \[m\].
    pub agent_extent: f32,
    /// Clearance the agent keeps in a fresh layout \[m\].
    #[serde(default = "agent_keepout")]
    pub agent_keepout: f32,
    /// Objects, in the order they are placed and observed, as the Point meets them
    /// ([`crate::NavigationSpec::groups`] has the agent's own).
    pub groups: Vec<ObjectGroup>,
    /// Where the agent is placed instead, within which it keeps its clearance: from `[x, y]` to `[x, y]` \[m\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_area: Option<[[f32; 2]; 2]>,
    /// Lines not to cross: 0, 2 (left and right) or 4.
    #[serde(default)]
    pub walls: usize,
    /// Distance of the lines from the origin \[m\].
    #[serde(default = "wall_distance")]
    pub wall_distance: f32,
    /// Range of the lidars \[m\].
    #[serde(default = "lidar_range")]
    pub lidar_range: f32,
    /// Steps after which an episode is truncated.
    #[serde(default = "max_episode_steps")]
    pub max_episode_steps: usize,
    /// Whether an episode goes on when its goal is reached; else it ends there (`terminated`).
    #[serde(default = "continue_goal")]
    pub continue_goal: bool,
    /// Cost at which an episode ends (`terminated`): as soon as its costs add up to so much. Never where there is none.
    #[serde(default)]
    pub terminate_at_cost: Option<f32>,
    /// How the kinds of cost that a step breaks make up its cost.
    #[serde(default)]
    pub cost: CostRule,
    /// What is limited, sums of kinds of cost by name; where there are none, one constraint `cost` of all kinds.
    #[serde(default)]
    pub constraints: Vec<CostSum>,
    /// Layouts of which every episode draws one; where there are none, it is laid out at random.
    #[serde(default)]
    pub layouts: Vec<Layout>,
}

// What data may leave out is as in the suite's levels.
fn agent_keepout() -> f32 {
    table::AGENT_KEEPOUT
}

fn wall_distance() -> f32 {
    table::WALL_DISTANCE
}

fn lidar_range() -> f32 {
    table::LIDAR_RANGE
}

fn max_episode_steps() -> usize {
    table::MAX_EPISODE_STEPS
}

fn continue_goal() -> bool {
    true
}

impl Level {
    /// Middle and half lengths of the rectangle in which the agent's origin starts \[m\].
    pub(crate) fn agent_place(&self) -> ([f32; 2], [f32; 2]) {
        let keepout = self.agent_keepout;
        match self.agent_area {
            None => ([0.0; 2], [self.agent_extent - keepout; 2]),
            Some([from, to]) => {
                let middle = |axis: usize| 0.5 * (from[axis] + to[axis]);
                let half = |axis: usize| 0.5 * (to[axis] - from[axis]) - keepout;
                ([middle(0), middle(1)], [half(0), half(1)])
            }
        }
    }
}
