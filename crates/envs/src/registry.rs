//! Every environment there is: agents times levels.

use std::sync::OnceLock;

use crate::agent::AgentKind;
use crate::error::EnvError;
use crate::level::{LEVELS, LIDAR_BINS, Level, ObjectGroup};
use crate::operations::operations_per_step;

/// Agents the registry offers with every level.
const AGENTS: &[AgentKind] = &[AgentKind::Point, AgentKind::Car];

/// `f::<Agent, Task>` of an agent's and a task's kind, with further types behind them where given: the one table of compiled
/// pairs.
macro_rules! for_kind {
    ($agent:expr, $task:expr, $($f:ident)::+ $(, $more:ty)*) => {{
        use $crate::agent::{AgentKind, Car, Point};
        use $crate::level::TaskKind;
        use $crate::task::{Button, Circle, Goal, Push};
        match ($agent, $task) {
            (AgentKind::Point, TaskKind::Goal) => $($f)::+::<Point, Goal $(, $more)*>,
            (AgentKind::Point, TaskKind::Button) => $($f)::+::<Point, Button $(, $more)*>,
            (AgentKind::Point, TaskKind::Push) => $($f)::+::<Point, Push $(, $more)*>,
            (AgentKind::Point, TaskKind::Circle) => $($f)::+::<Point, Circle $(, $more)*>,
            (AgentKind::Car, TaskKind::Goal) => $($f)::+::<Car, Goal $(, $more)*>,
            (AgentKind::Car, TaskKind::Button) => $($f)::+::<Car, Button $(, $more)*>,
            (AgentKind::Car, TaskKind::Push) => $($f)::+::<Car, Push $(, $more)*>,
            (AgentKind::Car, TaskKind::Circle) => $($f)::+::<Car, Circle $(, $more)*>,
        }
    }};
}
pub(crate) use for_kind;

/// An environment: an agent in a level.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvSpec {
    /// Safety-Gymnasium's id, for example `SafetyPointGoal1-v0`.
    pub id: String,
    /// Length of an observation.
    pub obs_dim: usize,
    /// Length of an action; each number is clipped to [-1, 1].
    pub action_dim: usize,
    /// Steps after which an episode is truncated.
    pub max_episode_steps: usize,
    /// The agent.
    pub agent: AgentKind,
    /// The level.
    pub level: &'static Level,
}

impl EnvSpec {
    fn new(agent: AgentKind, level: &'static Level) -> Self {
        Self {
            id: format!("Safety{}{}-v0", agent.name(), level.name()),
            obs_dim: agent.sensor_dim() + level.lidar_dim(),
            action_dim: agent.action_dim(),
            max_episode_steps: level.max_episode_steps,
            agent,
            level,
        }
    }

    /// The short id, for example `PointGoal1`.
    pub fn short_id(&self) -> String {
        format!("{}{}", self.agent.name(), self.level.name())
    }

    /// Numbers one environment has in the state tensor.
    pub fn state_dim(&self) -> usize {
        self.level.state_dim(self.agent.state_fields())
    }

    /// Floating-point operations of an average step under random actions, autoreset included (`operations.rs`).
    pub fn operations_per_step(&self) -> f64 {
        operations_per_step(self.agent, self.level)
    }

    /// The objects, in the order they are placed and observed.
    pub fn groups(&self) -> Vec<ObjectGroup> {
        self.level.groups(self.agent)
    }

    /// Names and lengths of the observation's parts, in order.
    pub fn obs_parts(&self) -> Vec<(&'static str, usize)> {
        let lidars = self.level.groups.iter().map(|group| (group.kind.lidar_name(), LIDAR_BINS));
        self.agent.sensors().iter().copied().chain(lidars).collect()
    }

    /// Parameters of the scalar bodies for this environment under `seed`.
    pub(crate) fn params(&self, seed: u64) -> Vec<f32> {
        self.level.params(seed, self.agent)
    }
}

/// All environments.
pub fn registry() -> &'static [EnvSpec] {
    static REGISTRY: OnceLock<Vec<EnvSpec>> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        AGENTS.iter().flat_map(|agent| LEVELS.iter().map(|level| EnvSpec::new(*agent, level))).collect()
    })
}

/// The environment called `id`: Safety-Gymnasium's id or the short one.
///
/// # Errors
/// [`EnvError::UnknownEnv`], which lists the valid ids.
pub fn find(id: &str) -> Result<EnvSpec, EnvError> {
    registry().iter().find(|spec| spec.id == id || spec.short_id() == id).cloned().ok_or_else(|| EnvError::UnknownEnv {
        id: id.to_owned(),
        valid: registry().iter().map(|spec| spec.id.clone()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_find_the_same_environment() {
        assert_eq!(find("SafetyPointGoal1-v0").unwrap(), find("PointGoal1").unwrap());
    }

    #[test]
    fn an_unknown_id_lists_the_valid_ones() {
        let message = find("PointGoal9").unwrap_err().to_string();
        assert!(message.contains("PointGoal9") && message.contains("SafetyPointGoal1-v0"), "{message}");
    }

    #[test]
    fn observation_lengths_are_those_of_the_original() {
        let dims = [
            ("Goal0", 28),
            ("Goal1", 60),
            ("Goal2", 60),
            ("Button0", 44),
            ("Button1", 76),
            ("Button2", 76),
            ("Push0", 44),
            ("Push1", 76),
            ("Push2", 76),
            ("Circle0", 28),
            ("Circle1", 28),
            ("Circle2", 28),
        ];
        assert_eq!(registry().len(), 2 * dims.len());
        for (id, dim) in
            dims.iter().flat_map(|(level, dim)| [(format!("Point{level}"), *dim), (format!("Car{level}"), dim + 12)])
        {
            let id = id.as_str();
            let spec = find(id).unwrap();
            assert_eq!(spec.obs_dim, dim, "{id}");
            assert_eq!(spec.obs_parts().iter().map(|part| part.1).sum::<usize>(), dim, "{id}");
        }
    }
}
