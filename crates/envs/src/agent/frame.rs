//! The agent's frame: how it sees points on the floor.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::lanes::Lane;
use crate::state::LANES;

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

/// [`AgentFrame`] of every environment of a block.
pub(crate) struct FrameLanes {
    pub xx: Lane,
    pub xy: Lane,
    pub x0: Lane,
    pub yx: Lane,
    pub yy: Lane,
    pub y0: Lane,
}

impl Default for FrameLanes {
    fn default() -> Self {
        let zero = [0.0; LANES];
        Self { xx: zero, xy: zero, x0: zero, yx: zero, yy: zero, y0: zero }
    }
}

impl FrameLanes {
    pub(super) fn set(&mut self, lane: usize, frame: AgentFrame) {
        self.xx[lane] = frame.xx;
        self.xy[lane] = frame.xy;
        self.x0[lane] = frame.x0;
        self.yx[lane] = frame.yx;
        self.yy[lane] = frame.yy;
        self.y0[lane] = frame.y0;
    }
}
