//! `mj_mulM` and `mj_solveM` of the Point among obstacles: a planar body (x, y, yaw) of the contact solver.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::contact::{
    ACC, AGENT_SLOT, BODY_LEN, BOX, ContactBody, DIRECTION, FREE, GEOM, INERTIA, MASS, OWN, PATH, PULL, SPHERE, SUM,
    VEL, advance_record, answer_of, body, clear_sums, coupling_of, inverse, matrix, own_step, path_of_record,
    place_upright_box, write_direction, write_six,
};

/// Scratch offset of the constraint force on the Point: x, y \[N\], yaw \[N m\], world frame.
pub const AGENT_FORCE: usize = OWN;

// The Point of safety-gymnasium's `point.xml`: a sphere with a cube for a nose.
/// `body_invweight0` of the Point \[1/kg\].
const POINT_WEIGHT: f32 = 128.482_1;
const RADIUS: f32 = 0.1;
const NOSE_AHEAD: f32 = 0.1;
const NOSE_HALF: f32 = 0.05;
/// The nose's half diagonal \[m\].
const NOSE_BOUND: f32 = 0.086_602_54;

/// The Point among obstacles: one part, three degrees of freedom.
pub struct PointBody;

#[cfg_attr(feature = "gpu", cube)]
impl ContactBody for PointBody {
    fn geoms() -> usize {
        2
    }

    fn geom_kind(geom: usize) -> usize {
        if geom == 0 { SPHERE } else { BOX }
    }

    fn geom_slot(_geom: usize) -> usize {
        AGENT_SLOT
    }

    fn geom_weight(_geom: usize) -> f32 {
        POINT_WEIGHT
    }

    fn geom_torsion(geom: usize) -> f32 {
        if geom == 0 { 0.01f32 } else { 0.005f32 }
    }

    fn geom_roll(geom: usize) -> f32 {
        if geom == 0 { 0.01f32 } else { 0.0001f32 }
    }

    fn geom_bound(geom: usize) -> f32 {
        if geom == 0 { RADIUS } else { NOSE_BOUND }
    }

    fn place_geom(scratch: &mut [f32], scratch_base: usize, geom: usize, to: usize) {
        let a = body(scratch_base, AGENT_SLOT);
        let x = scratch[a + GEOM];
        let y = scratch[a + GEOM + 1];
        let z = scratch[a + GEOM + 2];
        let cos = scratch[a + GEOM + 3];
        let sin = scratch[a + GEOM + 6];
        if geom == 0 {
            place_upright_box(scratch, to, x, y, z, cos, sin, RADIUS, 0.0, 0.0);
        } else {
            let nose_x = x + NOSE_AHEAD * cos;
            let nose_y = y + NOSE_AHEAD * sin;
            place_upright_box(scratch, to, nose_x, nose_y, z, cos, sin, NOSE_HALF, NOSE_HALF, NOSE_HALF);
        }
    }

    fn parts() -> usize {
        1
    }

    fn part_slot(_part: usize) -> usize {
        AGENT_SLOT
    }

    fn start_part(scratch: &mut [f32], scratch_base: usize, _part: usize) {
        let b = body(scratch_base, AGENT_SLOT);
        let mass = scratch[b + MASS];
        let mx = scratch[b + INERTIA];
        let my = scratch[b + INERTIA + 1];
        let izz = scratch[b + INERTIA + 2];
        let lx = scratch[b + ACC] - scratch[b + FREE];
        let ly = scratch[b + ACC + 1] - scratch[b + FREE + 1];
        let wz = scratch[b + ACC + 5] - scratch[b + FREE + 5];
        let x = mass * lx - my * wz;
        let y = mass * ly + mx * wz;
        let r = izz * wz + mx * ly - my * lx;
        clear_sums(scratch, scratch_base);
        write_six(scratch, scratch_base + SUM, x, y, 0.0, 0.0, 0.0, r);
        write_six(scratch, b + PULL, x, y, 0.0, 0.0, 0.0, r);
        scratch[matrix(scratch_base, 0, 0)] = mass;
        scratch[matrix(scratch_base, 1, 1)] = mass;
        scratch[matrix(scratch_base, 5, 0)] = -my;
        scratch[matrix(scratch_base, 5, 1)] = mx;
        scratch[matrix(scratch_base, 5, 5)] = izz;
    }

    fn finish_part(_scratch: &mut [f32], _s0: usize, _part: usize) {}

    fn direction(scratch: &mut [f32], scratch_base: usize) -> (f32, f32) {
        let (pxx, pyy, pzz, pxy, pxz, pyz) = inverse(
            scratch[matrix(scratch_base, 0, 0)],
            scratch[matrix(scratch_base, 1, 1)],
            scratch[matrix(scratch_base, 5, 5)],
            scratch[matrix(scratch_base, 1, 0)],
            scratch[matrix(scratch_base, 5, 0)],
            scratch[matrix(scratch_base, 5, 1)],
        );
        let x = -scratch[scratch_base + SUM];
        let y = -scratch[scratch_base + SUM + 1];
        let r = -scratch[scratch_base + SUM + 5];
        let dx = pxx * x + pxy * y + pxz * r;
        let dy = pxy * x + pyy * y + pyz * r;
        let dr = pxz * x + pyz * y + pzz * r;
        // The planar joint bears the rest.
        for k in 2..5usize {
            scratch[scratch_base + SUM + k] = 0.0;
        }
        write_direction(scratch, scratch_base, body(scratch_base, AGENT_SLOT), dx, dy, 0.0, 0.0, 0.0, dr)
    }

    fn joins() -> bool {
        false
    }

    fn unknowns() -> usize {
        3
    }

    fn is_planar() -> bool {
        true
    }

    fn add_coupling(
        scratch: &mut [f32],
        scratch_base: usize,
        _part: usize,
        motion: usize,
        x: f32,
        y: f32,
        _z: f32,
        _p: f32,
        _q: f32,
        r: f32,
    ) {
        let c = coupling_of(scratch_base, motion);
        scratch[c] += x;
        scratch[c + 1] += y;
        scratch[c + 2] += r;
    }

    fn answer(scratch: &mut [f32], scratch_base: usize) {
        let (pxx, pyy, pzz, pxy, pxz, pyz) = inverse(
            scratch[matrix(scratch_base, 0, 0)],
            scratch[matrix(scratch_base, 1, 1)],
            scratch[matrix(scratch_base, 5, 5)],
            scratch[matrix(scratch_base, 1, 0)],
            scratch[matrix(scratch_base, 5, 0)],
            scratch[matrix(scratch_base, 5, 1)],
        );
        for motion in 0..6usize {
            let c = coupling_of(scratch_base, motion);
            let w = answer_of(scratch_base, motion);
            let x = -scratch[c];
            let y = -scratch[c + 1];
            let r = -scratch[c + 2];
            scratch[w] = pxx * x + pxy * y + pxz * r;
            scratch[w + 1] = pxy * x + pyy * y + pyz * r;
            scratch[w + 2] = pxz * x + pyz * y + pzz * r;
        }
        let b = body(scratch_base, AGENT_SLOT);
        let own = own_step(scratch_base);
        scratch[own] = scratch[b + DIRECTION];
        scratch[own + 1] = scratch[b + DIRECTION + 1];
        scratch[own + 2] = scratch[b + DIRECTION + 5];
    }

    fn follow(scratch: &mut [f32], scratch_base: usize) {
        let b = body(scratch_base, AGENT_SLOT);
        let own = own_step(scratch_base);
        scratch[b + DIRECTION] = scratch[own];
        scratch[b + DIRECTION + 1] = scratch[own + 1];
        scratch[b + DIRECTION + 5] = scratch[own + 2];
    }

    fn take_path(scratch: &mut [f32], scratch_base: usize, beta: f32) -> f32 {
        path_of_record(scratch, body(scratch_base, AGENT_SLOT), beta)
    }

    fn drop_path(scratch: &mut [f32], scratch_base: usize) {
        write_six(scratch, body(scratch_base, AGENT_SLOT) + PATH, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    }

    fn inertia_along(scratch: &mut [f32], scratch_base: usize) -> (f32, f32) {
        let b = body(scratch_base, AGENT_SLOT);
        let mut slope = 0.0f32;
        for k in 0..6 {
            slope += scratch[b + PULL + k] * scratch[b + PATH + k];
        }
        let x = scratch[b + PATH];
        let y = scratch[b + PATH + 1];
        let z = scratch[b + PATH + 2];
        let r = scratch[b + PATH + 5];
        let turning = 2.0 * r * (scratch[b + INERTIA] * y - scratch[b + INERTIA + 1] * x);
        let linear = scratch[b + MASS] * (x * x + y * y + z * z);
        (slope, linear + turning + scratch[b + INERTIA + 2] * r * r)
    }

    fn advance(scratch: &mut [f32], scratch_base: usize, t: f32) -> f32 {
        advance_record(scratch, body(scratch_base, AGENT_SLOT), t)
    }
}

/// Fills the agent's slot: origin (x, y, z) \[m\], cos and sin of the yaw, velocity and smooth generalised force
/// (`M a = force`) in world axes, `mass` \[kg\], `mass_com` = mass times the com's offset along body x \[kg m\] and
/// `inertia` about the origin \[kg m^2\]. Its acceleration starts as the free one, its count of touches at 0.
#[cfg_attr(feature = "gpu", cube)]
pub fn load_planar_body(
    scratch: &mut [f32],
    scratch_base: usize,
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
    let a = body(scratch_base, AGENT_SLOT);
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
    scratch[a + GEOM + 3] = cos;
    scratch[a + GEOM + 6] = sin;
}

/// Leaves the constraint force on the agent, `M (a - a_free)`, at [`AGENT_FORCE`].
#[cfg_attr(feature = "gpu", cube)]
pub fn write_agent_force(scratch: &mut [f32], scratch_base: usize) {
    let a = body(scratch_base, AGENT_SLOT);
    let ax = scratch[a + ACC] - scratch[a + FREE];
    let ay = scratch[a + ACC + 1] - scratch[a + FREE + 1];
    let aw = scratch[a + ACC + 5] - scratch[a + FREE + 5];
    let mass = scratch[a + MASS];
    let mx = scratch[a + INERTIA];
    let my = scratch[a + INERTIA + 1];
    scratch[scratch_base + AGENT_FORCE] = mass * ax - my * aw;
    scratch[scratch_base + AGENT_FORCE + 1] = mass * ay + mx * aw;
    scratch[scratch_base + AGENT_FORCE + 2] = -my * ax + mx * ay + scratch[a + INERTIA + 2] * aw;
}
