//! Levels as data: which objects a task holds, how many, how far apart, what costs.
//!
//! Scalar bodies read a level from a parameter slice (`spec/params.rs`), so one compiled step serves every level of a
//! task.

mod table;

pub use table::levels;

use crate::object::ObjectGroup;
use crate::task::TaskKind;

/// A level of a task: what an agent finds around itself.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
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
    pub agent_keepout: f32,
    /// Objects, in the order they are placed and observed, as the Point meets them
    /// ([`crate::NavigationSpec::groups`] has the agent's own).
    pub groups: Vec<ObjectGroup>,
    /// Lines not to cross, 1.125 m from the origin: 0, 2 (left and right) or 4.
    #[cfg_attr(feature = "serde", serde(default))]
    pub walls: usize,
    /// Range of the lidars \[m\].
    pub lidar_range: f32,
    /// Steps after which an episode is truncated.
    pub max_episode_steps: usize,
}
