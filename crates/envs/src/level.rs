//! Levels as data: which objects a task holds, how many, how far apart, what costs.
//!
//! A level is a row of [`LEVELS`] (`level/table.rs`); scalar bodies read it from a parameter slice
//! (`level/params.rs`), so one compiled step serves every level of a task.

mod params;
mod table;

pub use params::*;
pub use table::LEVELS;

use crate::agent::AgentKind;
use crate::object::{FREE_OBJECT_FIELDS, GREMLIN_FIELDS};
use crate::state::{AGENT_OWN, STATIC_FIELDS};

/// Lidar bins of an object group.
pub const LIDAR_BINS: usize = 16;

/// A kind of object; its numbers are the kind column of the parameter slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// The place to reach.
    Goal = 0,
    /// A disc on the floor that costs while the agent's origin is inside.
    Hazard = 1,
    /// A light box that slides when hit.
    Vase = 2,
    /// A sphere to press.
    Button = 3,
    /// A tall cylinder that stands in the way.
    Pillar = 4,
    /// A light box that hovers along a circle.
    Gremlin = 5,
    /// The box to push.
    PushBox = 6,
    /// The circle to drive along, about the origin.
    Circle = 7,
}

impl ObjectKind {
    /// The kind column of a group's parameter row.
    pub const fn code(self) -> f32 {
        self as u8 as f32
    }

    /// Numbers a single object of this kind has in the state.
    pub const fn fields(self) -> usize {
        match self {
            Self::Goal | Self::Hazard | Self::Button | Self::Pillar | Self::Circle => STATIC_FIELDS,
            Self::Vase | Self::PushBox => FREE_OBJECT_FIELDS,
            Self::Gremlin => GREMLIN_FIELDS,
        }
    }

    /// Whether it moves when hit (or by itself).
    pub const fn is_free(self) -> bool {
        matches!(self, Self::Vase | Self::Gremlin | Self::PushBox)
    }

    /// Whether it stands fast and stops the agent.
    pub const fn is_solid(self) -> bool {
        matches!(self, Self::Button | Self::Pillar)
    }

    /// Name of one such object in the original, without its number.
    pub const fn object_name(self) -> &'static str {
        match self {
            Self::Goal => "goal",
            Self::Hazard => "hazard",
            Self::Vase => "vase",
            Self::Button => "button",
            Self::Pillar => "pillar",
            Self::Gremlin => "gremlin",
            Self::PushBox => "push_box",
            Self::Circle => "circle",
        }
    }

    /// Name of the lidar this kind appears in.
    pub const fn lidar_name(self) -> &'static str {
        match self {
            Self::Goal => "goal_lidar",
            Self::Hazard => "hazards_lidar",
            Self::Vase => "vases_lidar",
            Self::Button => "buttons_lidar",
            Self::Pillar => "pillars_lidar",
            Self::Gremlin => "gremlins_lidar",
            Self::PushBox => "push_box_lidar",
            Self::Circle => "circle_lidar",
        }
    }
}

/// Objects of one kind in a level, in placement order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ObjectGroup {
    /// What they are.
    pub kind: ObjectKind,
    /// How many.
    pub count: usize,
    /// Clearance each keeps around itself in a fresh layout \[m\].
    pub keepout: f32,
    /// Radius, or half-width of a box \[m\].
    pub size: f32,
    /// Whether they cost.
    pub constrained: bool,
}

/// Which task a level belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Reach the goal, again and again.
    Goal,
    /// Press the button that is meant, again and again.
    Button,
    /// Push the box to the goal, again and again.
    Push,
    /// Drive along the circle.
    Circle,
}

impl TaskKind {
    /// Name in environment ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Goal => "Goal",
            Self::Button => "Button",
            Self::Push => "Push",
            Self::Circle => "Circle",
        }
    }
}

/// One row of the level table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The task.
    pub task: TaskKind,
    /// Difficulty, part of the id.
    pub number: u8,
    /// Objects are placed within `[-half_extent, half_extent]^2` \[m\].
    pub half_extent: f32,
    /// The agent is placed within `[-agent_extent, agent_extent]^2` \[m\].
    pub agent_extent: f32,
    /// Clearance the agent keeps in a fresh layout \[m\].
    pub agent_keepout: f32,
    /// Objects, in the order they are placed and observed, as the Point meets them
    /// ([`crate::EnvSpec::groups`] has the agent's own).
    pub groups: &'static [ObjectGroup],
    /// Lines not to cross, 1.125 m from the origin: 0, 2 (left and right) or 4.
    pub walls: usize,
    /// Range of the lidars \[m\].
    pub lidar_range: f32,
    /// Steps after which an episode is truncated.
    pub max_episode_steps: usize,
}

/// Distance of the walls of the Circle task from the origin \[m\].
pub const WALL_DISTANCE: f32 = 1.125;
/// Half-width and clearance of the Car's push box \[m\].
const CAR_PUSH_BOX: f32 = 0.125;

impl Level {
    /// Task and difficulty, for example `Goal1`.
    pub fn name(&self) -> String {
        format!("{}{}", self.task.name(), self.number)
    }

    /// The objects as `agent` meets them: the Car pushes a smaller box.
    pub fn groups(&self, agent: AgentKind) -> Vec<ObjectGroup> {
        let resize = |group: &ObjectGroup| match (group.kind, agent) {
            (ObjectKind::PushBox, AgentKind::Car) => {
                ObjectGroup { size: CAR_PUSH_BOX, keepout: CAR_PUSH_BOX, ..*group }
            }
            _ => *group,
        };
        self.groups.iter().map(resize).collect()
    }

    /// Whether anything here costs.
    pub fn is_constrained(&self) -> bool {
        self.walls > 0 || self.groups.iter().any(|group| group.constrained)
    }

    /// Numbers one environment of this level has in the state, given the agent's own.
    pub fn state_dim(&self, agent_fields: usize) -> usize {
        let objects: usize = self.groups.iter().map(|g| g.count * g.kind.fields()).sum();
        AGENT_OWN + agent_fields + objects
    }

    /// Lidar numbers in the observation.
    pub fn lidar_dim(&self) -> usize {
        self.groups.len() * LIDAR_BINS
    }
}
