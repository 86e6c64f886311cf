//! The agent as a planar body (x, y, yaw), and everything that stands still.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::*;

/// Fills the agent's slot: origin (x, y, z) \[m\], cos and sin of the yaw, velocity and smooth generalised force
/// (`M a = force`) in world axes, `mass` \[kg\], `mass_com` = mass times the com's offset along body x \[kg m\] and
/// `inertia` about the origin \[kg m^2\]. Its acceleration starts as the free one, its count of touches at 0.
#[cfg_attr(feature = "gpu", cube)]
pub fn load_planar_body(
    scratch: &mut [f32],
    s0: usize,
    x: f32,
    y: f32,
    z: f32,
    cos: f32,
    sin: f32,
    vx: f32,
    vy: f32,
    omega: f32,
    force_x: f32,
    force_y: f32,
    torque: f32,
    mass: f32,
    mass_com: f32,
    inertia: f32,
) {
    let a = body(s0, AGENT_SLOT);
    for k in 0..BODY_LEN {
        scratch[a + k] = 0.0;
    }
    scratch[a + VEL] = vx;
    scratch[a + VEL + 1] = vy;
    scratch[a + VEL + 5] = omega;
    // M a = f with M = [m 0 -my; 0 m mx; -my mx I]: the yaw acceleration first.
    let mx = mass_com * cos;
    let my = mass_com * sin;
    let spin = (torque + (my * force_x - mx * force_y) / mass) / (inertia - mass_com * mass_com / mass);
    scratch[a + FREE] = (force_x + my * spin) / mass;
    scratch[a + FREE + 1] = (force_y - mx * spin) / mass;
    scratch[a + FREE + 5] = spin;
    for k in 0..6 {
        scratch[a + ACC + k] = scratch[a + FREE + k];
    }
    scratch[a + MASS] = mass;
    scratch[a + INERTIA] = mx;
    scratch[a + INERTIA + 1] = my;
    scratch[a + INERTIA + 2] = inertia;
    scratch[a + GEOM] = x;
    scratch[a + GEOM + 1] = y;
    scratch[a + GEOM + 2] = z;
}

/// Leaves the constraint force on the agent, `M (a - a_free)`, at [`AGENT_FORCE`].
#[cfg_attr(feature = "gpu", cube)]
pub fn write_agent_force(scratch: &mut [f32], s0: usize) {
    let a = body(s0, AGENT_SLOT);
    let ax = scratch[a + ACC] - scratch[a + FREE];
    let ay = scratch[a + ACC + 1] - scratch[a + FREE + 1];
    let aw = scratch[a + ACC + 5] - scratch[a + FREE + 5];
    let mass = scratch[a + MASS];
    let mx = scratch[a + INERTIA];
    let my = scratch[a + INERTIA + 1];
    scratch[s0 + AGENT_FORCE] = mass * ax - my * aw;
    scratch[s0 + AGENT_FORCE + 1] = mass * ay + mx * aw;
    scratch[s0 + AGENT_FORCE + 2] = -my * ax + mx * ay + scratch[a + INERTIA + 2] * aw;
}

/// Fills the slot of what never moves.
#[cfg_attr(feature = "gpu", cube)]
pub fn load_static(scratch: &mut [f32], s0: usize) {
    let fixed = body(s0, STATIC_SLOT);
    for k in 0..BODY_LEN {
        scratch[fixed + k] = 0.0;
    }
}

/// Writes a geom at `geom`: centre (x, y, z), turned by the yaw about z, half sizes.
#[cfg_attr(feature = "gpu", cube)]
pub fn place_upright_box(
    scratch: &mut [f32],
    geom: usize,
    x: f32,
    y: f32,
    z: f32,
    cos: f32,
    sin: f32,
    half_x: f32,
    half_y: f32,
    half_z: f32,
) {
    scratch[geom] = x;
    scratch[geom + 1] = y;
    scratch[geom + 2] = z;
    scratch[geom + 3] = cos;
    scratch[geom + 4] = -sin;
    scratch[geom + 5] = 0.0;
    scratch[geom + 6] = sin;
    scratch[geom + 7] = cos;
    scratch[geom + 8] = 0.0;
    scratch[geom + 9] = 0.0;
    scratch[geom + 10] = 0.0;
    scratch[geom + 11] = 1.0;
    scratch[geom + 12] = half_x;
    scratch[geom + 13] = half_y;
    scratch[geom + 14] = half_z;
}
