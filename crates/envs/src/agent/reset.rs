//! An agent put down at rest: the fields of the state that all agents have.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::math::sin_cos;
use crate::object::touch_nothing;
use crate::state::{COS, DX, DY, LANES, OMEGA, SIN, VX, VY, YAW, Z};

/// Stands still with yaw `yaw` \[rad\], its origin `height` \[m\] above the floor, touching nothing; the position is
/// already in the state.
#[cfg_attr(feature = "gpu", cube)]
pub fn reset_common(state: &mut [f32], base: usize, yaw: f32, height: f32) {
    let (sin, cos) = sin_cos(yaw);
    state[base + YAW * LANES] = yaw;
    state[base + SIN * LANES] = sin;
    state[base + COS * LANES] = cos;
    state[base + VX * LANES] = 0.0;
    state[base + VY * LANES] = 0.0;
    state[base + OMEGA * LANES] = 0.0;
    state[base + DX * LANES] = 0.0;
    state[base + DY * LANES] = 0.0;
    state[base + Z * LANES] = height;
    touch_nothing(state, base);
}
