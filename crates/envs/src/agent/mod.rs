//! Agents: how a body moves under an action and what it senses of itself.

mod car;
mod point;

pub use car::Car;
pub use point::Point;

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::lidar::Ego;

/// An agent, composed statically with a task; all functions see one environment's numbers only.
#[cfg_attr(feature = "gpu", cube)]
pub trait Agent: 'static + Send + Sync {
    /// Puts the agent at rest at the position already in the state, with yaw `yaw`.
    fn reset(state: &mut [f32], base: usize, yaw: f32);

    /// Advances one environment step under the action (`u0`, `u1`): agent and movable objects.
    /// `scratch[at..]` is working memory of [`crate::step::SCRATCH`] numbers.
    fn advance(
        params: &[f32],
        state: &mut [f32],
        base: usize,
        u0: f32,
        u1: f32,
        scratch: &mut [f32],
        scratch_at: usize,
    );

    /// Writes what the agent senses of itself to `obs[at..]`.
    fn observe(state: &mut [f32], base: usize, obs: &mut [f32], at: usize);

    /// How the agent sees points on the floor.
    fn ego(state: &mut [f32], base: usize) -> Ego;
}

/// Which agent an environment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentKind {
    /// `Point`.
    Point,
    /// `Car`.
    Car,
}

impl AgentKind {
    /// Name in environment ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Point => "Point",
            Self::Car => "Car",
        }
    }

    /// Length of an action.
    pub const fn action_dim(self) -> usize {
        match self {
            Self::Point => point::ACTION_DIM,
            Self::Car => car::ACTION_DIM,
        }
    }

    /// Numbers the agent writes to an observation.
    pub const fn sensor_dim(self) -> usize {
        match self {
            Self::Point => point::SENSOR_DIM,
            Self::Car => car::SENSOR_DIM,
        }
    }

    /// Numbers of its own the agent keeps in the state, after the common ones.
    pub const fn state_fields(self) -> usize {
        match self {
            Self::Point => point::STATE_FIELDS,
            Self::Car => car::STATE_FIELDS,
        }
    }

    /// The agent's sensors in observation order, as the original names them.
    pub const fn sensors(self) -> &'static [(&'static str, usize)] {
        match self {
            Self::Point => &[("accelerometer", 3), ("velocimeter", 3), ("gyro", 3), ("magnetometer", 3)],
            Self::Car => car::SENSORS,
        }
    }

    /// Simulated time of one environment step \[s\]: ten substeps of MuJoCo.
    pub const fn step_seconds(self) -> f32 {
        match self {
            Self::Point => 0.02,
            Self::Car => 0.04,
        }
    }

    /// MuJoCo's timestep \[s\]; an environment step is ten of them.
    pub const fn substep(self) -> f32 {
        match self {
            Self::Point => 0.002,
            Self::Car => 0.004,
        }
    }
}
