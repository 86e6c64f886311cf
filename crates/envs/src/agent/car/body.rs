//! `mj_fwdPosition` and `mj_fwdVelocity` of the Car among obstacles: its bodies as parts of the contact solver.
//!
//! The small floor solver of `newton.rs` serves all substeps in which nothing but the floor touches the car.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::block::{
    AXES, BALL_SLOT, BEFORE, FORCE, GRADIENT, HESSIAN, LEFT_SLOT, PULLED, RATE, REACH, RIGHT_SLOT, SEARCH_PATH, SIZE,
    STEP, SWEEP, TENSOR, add_ball, add_rigid, add_spin, read3, spread_parts, start_block, times_inertia, write3,
};
use super::model;
use super::shape::{BALL_INVERSE, CHASSIS_INVERSE, WHEEL_INVERSE, shape};
use super::variants::scalar::{
    Acc, Frame, Motion, Problem, along, by, centre_of_mass, cross, dot, plus, scaled, to_world, v3,
};
use crate::contact::{
    ACC, AGENT_SLOT, BOX, CYLINDER, ContactBody, GEOM, LEVER, MASS, PATH, SPHERE, STATIC_SLOT, TOUCHES, VEL, body,
    clear_sums, coupling_of, factorise, own_step, substitute, substitute_couplings,
};

const MASS_F: f32 = model::MASS as f32;
const RADIUS_F: f32 = model::RADIUS as f32;
const AXLE_Y_COM_F: f32 = model::AXLE_Y_COM as f32;
const BALL_Y_COM_F: f32 = model::BALL_Y_COM as f32;
const HUB_Z_COM_F: f32 = model::HUB_Z_COM as f32;
const COM_Y_F: f32 = model::COM_Y as f32;
const COM_Z_F: f32 = model::COM_Z as f32;
const HEIGHT_F: f32 = model::NOMINAL_HEIGHT as f32;
const TORSION_F: f32 = model::TORSION as f32;
const ROLLING_F: f32 = model::ROLLING as f32;
/// Squared lever arm at which a change of spin counts as linear: the radius \[m^2\].
const SPIN_LEVER: f32 = RADIUS_F * RADIUS_F;

/// The Car among obstacles.
pub struct CarBody;

/// Loads the pose of `car`, whose frame is `f` and whose body origin stood at (`x`, `y`) \[m\] when `car.dx` and `car.dy`
/// were 0: all that finding contacts takes. The parts' counts of touches start at 0.
#[cfg_attr(feature = "gpu", cube)]
pub fn load_pose(scratch: &mut [f32], scratch_base: usize, car: Motion, f: Frame, x: f32, y: f32) {
    let com = centre_of_mass(f);
    let centre = v3(x + car.dx + com.x, y + car.dy + com.y, HEIGHT_F + car.lift + com.z);
    let reach = plus(by(f.ey, BALL_Y_COM_F), by(f.ez, HUB_Z_COM_F));
    write3(scratch, scratch_base + AXES, f.ex);
    write3(scratch, scratch_base + AXES + 3, f.ey);
    write3(scratch, scratch_base + AXES + 6, f.ez);
    write3(scratch, scratch_base + REACH, reach);
    write3(scratch, body(scratch_base, AGENT_SLOT) + GEOM, centre);
    write3(scratch, body(scratch_base, LEFT_SLOT) + GEOM, centre);
    write3(scratch, body(scratch_base, RIGHT_SLOT) + GEOM, centre);
    write3(scratch, body(scratch_base, BALL_SLOT) + GEOM, plus(centre, reach));
    scratch[body(scratch_base, AGENT_SLOT) + TOUCHES] = 0.0;
    scratch[body(scratch_base, LEFT_SLOT) + TOUCHES] = 0.0;
    scratch[body(scratch_base, RIGHT_SLOT) + TOUCHES] = 0.0;
    scratch[body(scratch_base, BALL_SLOT) + TOUCHES] = 0.0;
}

/// Loads what solving takes besides: the motion of `car` and its floor problem `p`. The search begins at the acceleration
/// `guess`.
#[cfg_attr(feature = "gpu", cube)]
pub fn load_motion(scratch: &mut [f32], scratch_base: usize, car: Motion, f: Frame, p: Problem, guess: Acc) {
    scratch[body(scratch_base, AGENT_SLOT) + MASS] = MASS_F;
    write3(scratch, scratch_base + SWEEP, along(by(f.ey, HUB_Z_COM_F), -AXLE_Y_COM_F, f.ez));
    scratch[scratch_base + TENSOR] = p.inertia.xx;
    scratch[scratch_base + TENSOR + 1] = p.inertia.yy;
    scratch[scratch_base + TENSOR + 2] = p.inertia.zz;
    scratch[scratch_base + TENSOR + 3] = p.inertia.xy;
    scratch[scratch_base + TENSOR + 4] = p.inertia.xz;
    scratch[scratch_base + TENSOR + 5] = p.inertia.yz;
    write3(scratch, scratch_base + FORCE, scaled(p.lin, MASS_F));
    write3(scratch, scratch_base + FORCE + 3, p.torque);
    scratch[scratch_base + FORCE + 6] = p.left;
    scratch[scratch_base + FORCE + 7] = p.right;
    write3(scratch, scratch_base + FORCE + 8, p.ball);

    // Velocities, by way of the path's place.
    let omega = to_world(f, car.omega);
    write3(scratch, scratch_base + SEARCH_PATH, plus(car.velocity, cross(omega, centre_of_mass(f))));
    write3(scratch, scratch_base + SEARCH_PATH + 3, omega);
    scratch[scratch_base + SEARCH_PATH + 6] = car.left;
    scratch[scratch_base + SEARCH_PATH + 7] = car.right;
    write3(scratch, scratch_base + SEARCH_PATH + 8, plus(omega, to_world(f, car.ball)));
    spread_parts(scratch, scratch_base, scratch_base + SEARCH_PATH, VEL);
    for k in 0..SIZE {
        scratch[scratch_base + SEARCH_PATH + k] = 0.0;
        scratch[scratch_base + GRADIENT + k] = 0.0;
    }

    write3(scratch, scratch_base + RATE, guess.lin);
    write3(scratch, scratch_base + RATE + 3, guess.ang);
    scratch[scratch_base + RATE + 6] = guess.left;
    scratch[scratch_base + RATE + 7] = guess.right;
    write3(scratch, scratch_base + RATE + 8, guess.ball);
    spread_parts(scratch, scratch_base, scratch_base + RATE, ACC);
}

/// The accelerations that the solver found.
#[cfg_attr(feature = "gpu", cube)]
pub fn read_car(scratch: &mut [f32], scratch_base: usize) -> Acc {
    Acc {
        lin: read3(scratch, scratch_base + RATE),
        ang: read3(scratch, scratch_base + RATE + 3),
        left: scratch[scratch_base + RATE + 6],
        right: scratch[scratch_base + RATE + 7],
        ball: read3(scratch, scratch_base + RATE + 8),
    }
}

#[cfg_attr(feature = "gpu", cube)]
impl ContactBody for CarBody {
    fn geoms() -> usize {
        8
    }

    fn geom_kind(geom: usize) -> usize {
        let wheel = if geom < 7 { CYLINDER } else { SPHERE };
        if geom < 5 { BOX } else { wheel }
    }

    fn geom_slot(geom: usize) -> usize {
        let wheel = if geom == 5 { LEFT_SLOT } else { RIGHT_SLOT };
        let rolling = if geom < 7 { wheel } else { BALL_SLOT };
        if geom < 5 { AGENT_SLOT } else { rolling }
    }

    fn geom_weight(geom: usize) -> f32 {
        let rolling = if geom < 7 { WHEEL_INVERSE } else { BALL_INVERSE };
        if geom < 5 { CHASSIS_INVERSE } else { rolling }
    }

    fn geom_torsion(_geom: usize) -> f32 {
        TORSION_F
    }

    fn geom_roll(_geom: usize) -> f32 {
        ROLLING_F
    }

    fn geom_bound(geom: usize) -> f32 {
        let (_, _, _, x, y, z) = shape(geom);
        // A cylinder's sizes are radius, half height, 0.
        (x * x + y * y + z * z).sqrt()
    }

    fn place_geom(scratch: &mut [f32], scratch_base: usize, geom: usize, to: usize) {
        let (x, y, z, size_x, size_y, size_z) = shape(geom);
        let ex = read3(scratch, scratch_base + AXES);
        let ey = read3(scratch, scratch_base + AXES + 3);
        let ez = read3(scratch, scratch_base + AXES + 6);
        let c = read3(scratch, body(scratch_base, AGENT_SLOT) + GEOM);
        let to_x = along(c, x, ex);
        let to_y = along(to_x, y - COM_Y_F, ey);
        write3(scratch, to, along(to_y, z - COM_Z_F, ez));
        // A wheel's shape lies with its axis along -ex; its spin does not change it.
        let wheel = geom == 5 || geom == 6;
        let ux = if wheel { ez.x } else { ex.x };
        let uy = if wheel { ez.y } else { ex.y };
        let uz = if wheel { ez.z } else { ex.z };
        let vx = if wheel { -ex.x } else { ez.x };
        let vy = if wheel { -ex.y } else { ez.y };
        let vz = if wheel { -ex.z } else { ez.z };
        write3(scratch, to + 3, v3(ux, ey.x, vx));
        write3(scratch, to + 6, v3(uy, ey.y, vy));
        write3(scratch, to + 9, v3(uz, ey.z, vz));
        write3(scratch, to + 12, v3(size_x, size_y, size_z));
    }

    fn parts() -> usize {
        4
    }

    fn part_slot(part: usize) -> usize {
        if part == 0 { AGENT_SLOT } else { STATIC_SLOT + part }
    }

    fn start_part(scratch: &mut [f32], scratch_base: usize, part: usize) {
        if part == 0 {
            start_block(scratch, scratch_base);
        }
        clear_sums(scratch, scratch_base);
    }

    fn finish_part(scratch: &mut [f32], scratch_base: usize, part: usize) {
        if part < 3 {
            add_rigid(scratch, scratch_base);
            if part > 0 {
                add_spin(scratch, scratch_base, 5 + part);
            }
        } else {
            add_ball(scratch, scratch_base);
        }
    }

    fn direction(scratch: &mut [f32], scratch_base: usize) -> (f32, f32) {
        let factors = scratch_base + HESSIAN;
        factorise(scratch, factors, SIZE);
        substitute(scratch, factors, SIZE, scratch_base + GRADIENT, scratch_base + STEP);
        let mut slope = 0.0f32;
        let mut previous = 0.0f32;
        for k in 0..SIZE {
            slope += scratch[scratch_base + GRADIENT + k] * scratch[scratch_base + STEP + k];
            previous += scratch[scratch_base + BEFORE + k] * scratch[scratch_base + STEP + k];
        }
        (slope, previous)
    }

    fn joins() -> bool {
        true
    }

    fn unknowns() -> usize {
        SIZE
    }

    fn is_planar() -> bool {
        false
    }

    fn add_coupling(
        scratch: &mut [f32],
        scratch_base: usize,
        part: usize,
        motion: usize,
        x: f32,
        y: f32,
        z: f32,
        p: f32,
        q: f32,
        r: f32,
    ) {
        let c = coupling_of(scratch_base, motion);
        let force = v3(x, y, z);
        let couple = v3(p, q, r);
        let lin = read3(scratch, c);
        write3(scratch, c, plus(lin, force));
        let ang = read3(scratch, c + 3);
        if part < 3 {
            write3(scratch, c + 3, plus(ang, couple));
            if part > 0 {
                let sweep = read3(scratch, scratch_base + SWEEP);
                let ex = read3(scratch, scratch_base + AXES);
                scratch[c + 5 + part] += dot(sweep, force) + dot(ex, couple);
            }
        } else {
            let reach = read3(scratch, scratch_base + REACH);
            write3(scratch, c + 3, plus(ang, cross(reach, force)));
            let ball = read3(scratch, c + 8);
            write3(scratch, c + 8, plus(ball, couple));
        }
    }

    fn answer(scratch: &mut [f32], scratch_base: usize) {
        substitute_couplings(scratch, scratch_base, scratch_base + HESSIAN, SIZE);
        for k in 0..SIZE {
            scratch[own_step(scratch_base) + k] = scratch[scratch_base + STEP + k];
        }
    }

    fn follow(scratch: &mut [f32], scratch_base: usize) {
        for k in 0..SIZE {
            scratch[scratch_base + STEP + k] = scratch[own_step(scratch_base) + k];
        }
    }

    fn take_path(scratch: &mut [f32], scratch_base: usize, beta: f32) -> f32 {
        let mut slope = 0.0f32;
        for k in 0..SIZE {
            let d = scratch[scratch_base + STEP + k] + beta * scratch[scratch_base + SEARCH_PATH + k];
            scratch[scratch_base + SEARCH_PATH + k] = d;
            slope += scratch[scratch_base + GRADIENT + k] * d;
        }
        spread_parts(scratch, scratch_base, scratch_base + SEARCH_PATH, PATH);
        slope
    }

    fn drop_path(scratch: &mut [f32], scratch_base: usize) {
        for k in 0..SIZE {
            scratch[scratch_base + SEARCH_PATH + k] = 0.0;
        }
    }

    fn inertia_along(scratch: &mut [f32], scratch_base: usize) -> (f32, f32) {
        let mut slope = 0.0f32;
        let mut curvature = 0.0f32;
        // The direction has been taken; its place serves for M times the path.
        times_inertia(scratch, scratch_base, scratch_base + SEARCH_PATH, scratch_base + STEP);
        for k in 0..SIZE {
            slope += scratch[scratch_base + PULLED + k] * scratch[scratch_base + SEARCH_PATH + k];
            curvature += scratch[scratch_base + STEP + k] * scratch[scratch_base + SEARCH_PATH + k];
        }
        (slope, curvature)
    }

    fn advance(scratch: &mut [f32], scratch_base: usize, t: f32) -> f32 {
        let mut moved = 0.0f32;
        for k in 0..SIZE {
            let d = t * scratch[scratch_base + SEARCH_PATH + k];
            scratch[scratch_base + RATE + k] += d;
            let rotation = if k < 6 { LEVER } else { SPIN_LEVER };
            let lever = if k < 3 { 1.0f32 } else { rotation };
            moved += lever * d * d;
        }
        moved
    }
}
