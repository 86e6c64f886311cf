//! What an environment is: sizes and names for everybody ([`EnvSpec`]), and an agent in a level ([`NavigationSpec`]).

mod layouts;
mod params;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::agent::AgentKind;
use crate::error::EnvError;
use crate::layout::failed_attempts;
use crate::level::{CostKind, Layout, Level};
use crate::lidar::LIDAR_BINS;
use crate::object::ObjectGroup;
use crate::state::{AGENT_OWN, LANES};

/// What a learner needs to know of an environment, whoever made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
///
/// As data it is `{"agent": .., "level": {..}}`; reading validates it.
///
/// ```
/// use std::sync::Arc;
///
/// use envs::{AgentKind, Level, NavigationSpec, ObjectGroup, ObjectKind, find};
///
/// # fn main() -> Result<(), envs::EnvError> {
/// let mut level = Level::clone(&find("PointGoal1")?.level);
/// level.name = "Pillars".to_owned();
/// level.groups[2] =
///     ObjectGroup { kind: ObjectKind::Pillar, count: 3, keepout: 0.3, size: 0.2, constrained: true };
/// let spec = NavigationSpec::new(AgentKind::Car, level)?;
/// assert_eq!((spec.env.id.as_str(), spec.env.obs_dim), ("SafetyCarPillars-v0", 72));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "AgentInLevel", into = "AgentInLevel")]
pub struct NavigationSpec {
    /// Sizes and names.
    pub env: EnvSpec,
    /// The agent.
    pub agent: AgentKind,
    /// The level.
    pub level: Arc<Level>,
}

/// What a [`NavigationSpec`] follows from.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentInLevel {
    agent: AgentKind,
    level: Level,
}

impl TryFrom<AgentInLevel> for NavigationSpec {
    type Error = EnvError;

    fn try_from(AgentInLevel { agent, level }: AgentInLevel) -> Result<Self, EnvError> {
        Self::new(agent, level)
    }
}

impl From<NavigationSpec> for AgentInLevel {
    fn from(spec: NavigationSpec) -> Self {
        Self { agent: spec.agent, level: Level::clone(&spec.level) }
    }
}

/// Layouts that a level must be able to have, to be accepted, and ...
const TRIAL_LAYOUTS: u32 = 64;
/// ... the attempts within which each must succeed. An episode has ten times as many: where 64 layouts in a row take fewer
/// than these, that one should need more is less likely than 1e-12.
const TRIAL_ATTEMPTS: u32 = 1000;

impl NavigationSpec {
    /// `agent` in a `level` of one's own.
    ///
    /// # Errors
    /// [`EnvError::Level`] where the level cannot be simulated ([`Level::validate`]), or has no room for its objects: then
    /// the message names the group that most often found no place.
    pub fn new(agent: AgentKind, level: Level) -> Result<Self, EnvError> {
        level.validate()?;
        let spec = Self::of(agent, Arc::new(level));
        let placed = |layout: &Layout| matches!(layout, Layout::Placed(_));
        if !spec.level.layouts.is_empty() && spec.level.layouts.iter().all(placed) {
            return Ok(spec);
        }
        let mut state = vec![0.0; spec.state_dim() * LANES];
        let params = spec.params(0);
        let mut failures = vec![0; spec.level.groups.len()];
        let fits = |env| failed_attempts(&params, &mut state, env, TRIAL_ATTEMPTS, &mut failures) < TRIAL_ATTEMPTS;
        if (0..TRIAL_LAYOUTS).all(fits) {
            return Ok(spec);
        }
        let most = failures.iter().enumerate().max_by_key(|(_, count)| **count).map_or(0, |(group, _)| group);
        let group = &spec.level.groups[most];
        let problem = format!(
            "groups[{most}] ({}): its {} objects do not fit among the others: a larger `half_extent`, fewer objects or smaller \
             `keepout`s make room",
            group.kind.object_name(),
            group.count
        );
        Err(EnvError::Level { level: spec.level.name.clone(), problem })
    }

    /// `agent` in a level that is known to be valid.
    pub(crate) fn of(agent: AgentKind, level: Arc<Level>) -> Self {
        let env = EnvSpec {
            id: format!("Safety{}{}-v0", agent.name(), level.name),
            obs_dim: agent.sensor_dim() + level.groups.len() * LIDAR_BINS,
            action_dim: agent.action_dim(),
            max_episode_steps: level.max_episode_steps,
            constraints: level.cost_sums().into_iter().map(|sum| sum.name).collect(),
        };
        Self { env, agent, level }
    }

    /// The same environment under another name of its level, of letters, digits, - and _.
    pub fn with_level_named(&self, name: &str) -> Self {
        Self::of(self.agent, Arc::new(Level { name: name.to_owned(), ..Level::clone(&self.level) }))
    }

    /// The short id, for example `PointGoal1`.
    pub fn short_id(&self) -> String {
        format!("{}{}", self.agent.name(), self.level.name)
    }

    /// Numbers one environment has in the state tensor.
    pub fn state_dim(&self) -> usize {
        let objects: usize = self.level.groups.iter().map(|group| group.count * group.kind.fields()).sum();
        AGENT_OWN + self.agent.state_fields() + objects + self.further_costs()
    }

    /// Constraints behind the first, each of which keeps its sum behind the objects in the state.
    pub(crate) fn further_costs(&self) -> usize {
        self.env.constraints.len() - 1
    }

    /// The kinds of cost that steps are told apart by: what costs in the level, where it is more than one kind.
    pub fn cost_kinds(&self) -> Vec<CostKind> {
        let kinds = self.level.cost_kinds();
        if kinds.len() > 1 { kinds.into_iter().collect() } else { Vec::new() }
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

#[cfg(test)]
mod tests;
