//! Agents: how a body moves under an action and what it senses of itself.
//!
//! An agent is a folder of its own and a row of [`agents!`].

#[cfg(target_arch = "x86_64")]
mod abreast;
mod car;
mod frame;
pub(crate) mod point;
mod racecar;
mod reset;
mod simd;

pub use car::Car;
pub use frame::AgentFrame;
pub(crate) use frame::FrameLanes;
pub use point::Point;
pub use racecar::Racecar;
pub(crate) use simd::{Footprint, Patch, SimdAgent};

#[cfg(feature = "gpu")]
use cubecl::prelude::*;
use serde::{Deserialize, Serialize};

use crate::object::ObjectGroup;

/// The table of agents, in the registry's order: hands its rows to the macro `$then`.
macro_rules! agents {
    ($then:ident! $arguments:tt) => {
        $then! { $arguments
            /// A sphere with a nose, two slide joints and a hinge: moves forward and turns.
            Point,
            /// A free chassis on two wheels and a ball.
            Car,
            /// Four wheels, steered in front, driven at the back.
            Racecar,
        }
    };
}
pub(crate) use agents;

/// An agent, composed statically with a task; all functions see one environment's numbers only.
#[cfg_attr(feature = "gpu", cube)]
pub trait Agent: 'static + Send + Sync {
    /// Puts the agent at rest at the position already in the state, with yaw `yaw`.
    fn reset(state: &mut [f32], base: usize, yaw: f32);

    /// Advances agent and movable objects one environment step under the action `action[action_offset..]`.
    /// `scratch[scratch_base..]` is working memory of [`crate::step::SCRATCH`] numbers.
    fn advance(
        params: &[f32],
        state: &mut [f32],
        base: usize,
        action: &[f32],
        action_offset: usize,
        scratch: &mut [f32],
        scratch_base: usize,
    );

    /// Writes what the agent senses of itself to `obs[obs_offset..]`.
    fn observe(state: &mut [f32], base: usize, obs: &mut [f32], obs_offset: usize);

    /// How the agent sees points on the floor.
    fn frame(state: &mut [f32], base: usize) -> AgentFrame;
}

/// What the host knows of an agent: its sizes, and how recordings of the original describe it.
pub trait AgentModel: Agent {
    /// Length of an action.
    const ACTION_DIM: usize;
    /// What the original takes for an action of ones: its actions are in these units.
    const ACTION_SCALE: &'static [f64] = &[1.0; 2];
    /// The agent's sensors in observation order, as the original names them, with their lengths.
    const SENSORS: &'static [(&'static str, usize)];
    /// Numbers of its own the agent keeps in the state, after the common ones.
    const STATE_FIELDS: usize;
    /// MuJoCo's timestep \[s\]; an environment step is ten of them.
    const SUBSTEP: f32;
    /// Stages of such a timestep: 1 (Euler) or 4 (Runge-Kutta).
    const STAGES: usize = 1;
    /// Simulated time of one environment step \[s\].
    const STEP_SECONDS: f32;

    /// Lengths of its share of MuJoCo's `qpos` and `qvel` that [`Self::restore`] reads.
    const COORDINATES: (usize, usize) = (0, 0);
    /// Whether it starts with every gap to the floor exactly zero, so that rounding decides what touches in the first step.
    const STARTS_TOUCHING: bool = false;

    /// `group` as this agent meets it.
    fn group(group: ObjectGroup) -> ObjectGroup {
        group
    }

    /// Writes what [`Agent::reset`] and the common fields leave open of a state that a recording describes by its
    /// MuJoCo coordinates `qpos` and `qvel`.
    fn restore(_state: &mut [f32], _base: usize, _qpos: &[f64], _qvel: &[f64]) {}
}

macro_rules! agent_kind {
    (() $($(#[$doc:meta])+ $agent:ident,)+) => {
        /// Which agent an environment has.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum AgentKind {
            $($(#[$doc])+ $agent,)+
        }

        impl AgentKind {
            /// Every agent, in the registry's order.
            pub const ALL: &'static [Self] = &[$(Self::$agent,)+];

            /// Name in environment ids.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$agent => stringify!($agent),)+ }
            }

            /// Length of an action.
            pub const fn action_dim(self) -> usize {
                match self { $(Self::$agent => $agent::ACTION_DIM,)+ }
            }

            /// The agent's sensors in observation order, as the original names them, with their lengths.
            pub const fn sensors(self) -> &'static [(&'static str, usize)] {
                match self { $(Self::$agent => $agent::SENSORS,)+ }
            }

            /// Numbers of its own the agent keeps in the state, after the common ones.
            pub const fn state_fields(self) -> usize {
                match self { $(Self::$agent => $agent::STATE_FIELDS,)+ }
            }

            /// What the original takes for an action of ones: its actions are in these units.
            pub const fn action_scale(self) -> &'static [f64] {
                match self { $(Self::$agent => $agent::ACTION_SCALE,)+ }
            }

            /// Stages of a MuJoCo timestep: 1 (Euler) or 4 (Runge-Kutta).
            pub(crate) const fn stages(self) -> usize {
                match self { $(Self::$agent => $agent::STAGES,)+ }
            }

            /// MuJoCo's timestep \[s\]; an environment step is ten of them.
            pub const fn substep(self) -> f32 {
                match self { $(Self::$agent => $agent::SUBSTEP,)+ }
            }

            /// Simulated time of one environment step \[s\].
            pub const fn step_seconds(self) -> f32 {
                match self { $(Self::$agent => $agent::STEP_SECONDS,)+ }
            }

            /// Lengths of its share of MuJoCo's `qpos` and `qvel` that a recording must have.
            pub(crate) const fn coordinates(self) -> (usize, usize) {
                match self { $(Self::$agent => $agent::COORDINATES,)+ }
            }

            /// `group` as this agent meets it.
            pub(crate) fn group(self, group: ObjectGroup) -> ObjectGroup {
                match self { $(Self::$agent => $agent::group(group),)+ }
            }
        }
    };
}
agents!(agent_kind!());

impl AgentKind {
    /// Numbers the agent writes to an observation.
    pub fn sensor_dim(self) -> usize {
        self.sensors().iter().map(|sensor| sensor.1).sum()
    }
}
