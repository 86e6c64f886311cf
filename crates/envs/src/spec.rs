//! What an environment is: sizes and names for everybody ([`EnvSpec`]), and an agent in a level ([`NavigationSpec`]).

mod params;

use std::sync::Arc;

use crate::agent::AgentKind;
use crate::level::Level;
use crate::lidar::LIDAR_BINS;
use crate::object::ObjectGroup;
use crate::state::AGENT_OWN;

/// What a learner needs to know of an environment, whoever made it.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvSpec {
    /// Its name, for example `SafetyPointGoal1-v0`.
    pub id: String,
    /// Length of an observation.
    pub obs_dim: usize,
    /// Length of an action; each number is clipped to [-1, 1].
    pub action_dim: usize,
    /// Steps after which an episode is truncated.
    pub max_episode_steps: usize,
    /// Names of the costs, in the order of [`crate::StepBatch::costs`].
    pub constraints: Vec<String>,
}

/// A navigation environment: an agent in a level.
#[derive(Clone, Debug, PartialEq)]
pub struct NavigationSpec {
    /// Sizes and names.
    pub env: EnvSpec,
    /// The agent.
    pub agent: AgentKind,
    /// The level.
    pub level: Arc<Level>,
}

impl NavigationSpec {
    pub(crate) fn new(agent: AgentKind, level: Arc<Level>) -> Self {
        let env = EnvSpec {
            id: format!("Safety{}{}-v0", agent.name(), level.name),
            obs_dim: agent.sensor_dim() + level.groups.len() * LIDAR_BINS,
            action_dim: agent.action_dim(),
            max_episode_steps: level.max_episode_steps,
            constraints: vec!["cost".to_owned()],
        };
        Self { env, agent, level }
    }

    /// The short id, for example `PointGoal1`.
    pub fn short_id(&self) -> String {
        format!("{}{}", self.agent.name(), self.level.name)
    }

    /// Numbers one environment has in the state tensor.
    pub fn state_dim(&self) -> usize {
        let objects: usize = self.level.groups.iter().map(|group| group.count * group.kind.fields()).sum();
        AGENT_OWN + self.agent.state_fields() + objects
    }

    /// The objects as the agent meets them, in the order they are placed and observed.
    pub fn groups(&self) -> Vec<ObjectGroup> {
        self.level.groups.iter().map(|group| self.agent.group(*group)).collect()
    }

    /// Names and lengths of the observation's parts, in order.
    pub fn obs_parts(&self) -> Vec<(&'static str, usize)> {
        let lidars = self.level.groups.iter().map(|group| (group.kind.lidar_name(), LIDAR_BINS));
        self.agent.sensors().iter().copied().chain(lidars).collect()
    }
}
