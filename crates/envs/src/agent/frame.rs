//! The agent's frame: how it sees points on the floor.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

/// World to agent, for points on the floor: x ahead = `xx` dx + `xy` dy + `x0` for a point (dx, dy) from the agent's
/// origin in world axes, and y to the left likewise. The offsets are those of a tilted agent above the floor.
#[cfg_attr(feature = "gpu", derive(CubeType))]
#[derive(Clone, Copy, Debug)]
pub struct AgentFrame {
    /// x ahead per world x.
    pub xx: f32,
    /// x ahead per world y.
    pub xy: f32,
    /// x ahead of the point below the origin \[m\].
    pub x0: f32,
    /// y to the left per world x.
    pub yx: f32,
    /// y to the left per world y.
    pub yy: f32,
    /// y to the left of the point below the origin \[m\].
    pub y0: f32,
}
