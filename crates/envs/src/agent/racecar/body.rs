//! `mj_fwdPosition` and `mj_fwdVelocity` of the Racecar among obstacles: its bodies as parts of the contact solver.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::block::{
    AXES, BEFORE, GRADIENT, HESSIAN, HUBS, LEFT_SLOT, PULLED, RATE, REAR_SLOT, RIGHT_SLOT, SEARCH_PATH, SIZE, STEP,
    add_rigid, add_twist, couple_twist, load_problem, read3, spread_parts, start_block, times_inertia, write3,
};
use super::model;
use super::rows::rows_along;
use super::shape::shape;
use super::variants::scalar::{Acc, Frame, Motion, Problem, along, cross, plus, to_world, turn_of, v3};
use crate::agent::car::model::{ROLLING, TORSION};
use crate::contact::{
    ACC, AGENT_SLOT, BOX, CYLINDER, ContactBody, GEOM, HULL, LEVER, MASS, PATH, STATIC_SLOT, TOUCHES, VEL, body,
    clear_sums, coupling_of, factorise, own_step, substitute, substitute_couplings,
};

const MASS_F: f32 = model::MASS as f32;
const RADIUS_F: f32 = model::RADIUS as f32;
const HINGE_X_F: f32 = model::HINGE_X as f32;
const HINGE_Y_F: f32 = model::HINGE_Y as f32;
const OFFSET_F: f32 = model::OFFSET as f32;
const FRONT_INVERSE_F: f32 = model::FRONT_INVERSE as f32;
const REAR_INVERSE_F: f32 = model::REAR_INVERSE as f32;
const BUMPER_INVERSE_F: f32 = model::BUMPER_INVERSE as f32;
const TRUNK_INVERSE_F: f32 = model::TRUNK_INVERSE as f32;
const TORSION_F: f32 = TORSION as f32;
const ROLLING_F: f32 = ROLLING as f32;
/// Squared lever arm at which a change of spin counts as linear: the radius \[m^2\].
const SPIN_LEVER: f32 = RADIUS_F * RADIUS_F;

/// The Racecar among obstacles.
pub struct RacecarBody;

/// Loads the pose of `car`, whose frame is `f` and whose body origin stood at (`x`, `y`) \[m\] when `car.dx` and `car.dy`
/// were 0: all that finding contacts takes. The parts' counts of touches start at 0.
#[cfg_attr(feature = "gpu", cube)]
pub fn load_pose(scratch: &mut [f32], scratch_base: usize, car: Motion, f: Frame, x: f32, y: f32) {
    let origin = v3(x + car.dx, y + car.dy, RADIUS_F + car.lift);
    write3(scratch, scratch_base + AXES, f.ex);
    write3(scratch, scratch_base + AXES + 3, f.ey);
    write3(scratch, scratch_base + AXES + 6, f.ez);
    let left = turn_of(car.steer_left);
    let right = turn_of(car.steer_right);
    let left_hub = v3(HINGE_X_F - left.sin * OFFSET_F, HINGE_Y_F + left.cos * OFFSET_F, 0.0);
    let right_hub = v3(HINGE_X_F + right.sin * OFFSET_F, -HINGE_Y_F - right.cos * OFFSET_F, 0.0);
    write3(scratch, scratch_base + HUBS, to_world(f, left_hub));
    write3(scratch, scratch_base + HUBS + 3, to_world(f, v3(-left.sin, left.cos, 0.0)));
    write3(scratch, scratch_base + HUBS + 6, to_world(f, right_hub));
    write3(scratch, scratch_base + HUBS + 9, to_world(f, v3(-right.sin, right.cos, 0.0)));
    for part in 0..4usize {
        let slot = if part == 0 { AGENT_SLOT } else { STATIC_SLOT + part };
        write3(scratch, body(scratch_base, slot) + GEOM, origin);
        scratch[body(scratch_base, slot) + TOUCHES] = 0.0;
    }
}

/// Writes an acceleration or velocity in the block's order.
#[cfg_attr(feature = "gpu", cube)]
fn write_block(scratch: &mut [f32], at: usize, acc: Acc) {
    write3(scratch, at, acc.lin);
    write3(scratch, at + 3, acc.ang);
    scratch[at + 6] = acc.steer_left;
    scratch[at + 7] = acc.left;
    scratch[at + 8] = acc.steer_right;
    scratch[at + 9] = acc.right;
    scratch[at + 10] = acc.rear;
}

/// Loads what solving takes besides: the motion of `car` and its problem `p`. The search begins at the acceleration `guess`.
#[cfg_attr(feature = "gpu", cube)]
pub fn load_motion(scratch: &mut [f32], scratch_base: usize, car: Motion, f: Frame, p: Problem, guess: Acc) {
    scratch[body(scratch_base, AGENT_SLOT) + MASS] = MASS_F;
    load_problem(scratch, scratch_base, p);
    // Velocities, by way of the path's place.
    let rates = Acc {
        lin: car.rates.lin,
        ang: to_world(f, car.rates.ang),
        steer_left: car.rates.steer_left,
        steer_right: car.rates.steer_right,
        left: car.rates.left,
        right: car.rates.right,
        rear: car.rates.rear,
    };
    write_block(scratch, scratch_base + SEARCH_PATH, rates);
    spread_parts(scratch, scratch_base, scratch_base + SEARCH_PATH, VEL);
    for k in 0..SIZE {
        scratch[scratch_base + SEARCH_PATH + k] = 0.0;
        scratch[scratch_base + GRADIENT + k] = 0.0;
    }
    write_block(scratch, scratch_base + RATE, guess);
    spread_parts(scratch, scratch_base, scratch_base + RATE, ACC);
}

/// The accelerations that the solver found.
#[cfg_attr(feature = "gpu", cube)]
pub fn read_car(scratch: &mut [f32], scratch_base: usize) -> Acc {
    Acc {
        lin: read3(scratch, scratch_base + RATE),
        ang: read3(scratch, scratch_base + RATE + 3),
        steer_left: scratch[scratch_base + RATE + 6],
        steer_right: scratch[scratch_base + RATE + 8],
        left: scratch[scratch_base + RATE + 7],
        right: scratch[scratch_base + RATE + 9],
        rear: scratch[scratch_base + RATE + 10],
    }
}

#[cfg_attr(feature = "gpu", cube)]
impl ContactBody for RacecarBody {
    fn geoms() -> usize {
        6
    }

    fn geom_kind(geom: usize) -> usize {
        let trunk = if geom == 0 { BOX } else { HULL };
        if geom < 2 { trunk } else { CYLINDER }
    }

    fn geom_slot(geom: usize) -> usize {
        let front = if geom == 2 { LEFT_SLOT } else { RIGHT_SLOT };
        let wheel = if geom < 4 { front } else { REAR_SLOT };
        if geom < 2 { AGENT_SLOT } else { wheel }
    }

    fn geom_weight(geom: usize) -> f32 {
        let trunk = if geom == 0 { BUMPER_INVERSE_F } else { TRUNK_INVERSE_F };
        let wheel = if geom < 4 { FRONT_INVERSE_F } else { REAR_INVERSE_F };
        if geom < 2 { trunk } else { wheel }
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
        let origin = read3(scratch, body(scratch_base, AGENT_SLOT) + GEOM);
        let front = geom == 2 || geom == 3;
        let hub = scratch_base + HUBS + (if geom == 3 { 6usize } else { 0usize });
        let placed = along(along(along(origin, x, ex), y, ey), z, ez);
        let steered = along(origin, 1.0, read3(scratch, hub));
        let axle = read3(scratch, hub + 3);
        let at_x = if front { steered.x } else { placed.x };
        let at_y = if front { steered.y } else { placed.y };
        let at_z = if front { steered.z } else { placed.z };
        write3(scratch, to, v3(at_x, at_y, at_z));
        // A wheel's shape lies with its axis along the axle, to the right; its spin does not change it.
        let wx = if front { -axle.x } else { -ey.x };
        let wy = if front { -axle.y } else { -ey.y };
        let wz = if front { -axle.z } else { -ey.z };
        let v = cross(v3(wx, wy, wz), ez);
        let wheel = geom > 1;
        write3(
            scratch,
            to + 3,
            v3(if wheel { ez.x } else { ex.x }, if wheel { v.x } else { ey.x }, if wheel { wx } else { ez.x }),
        );
        write3(
            scratch,
            to + 6,
            v3(if wheel { ez.y } else { ex.y }, if wheel { v.y } else { ey.y }, if wheel { wy } else { ez.y }),
        );
        write3(
            scratch,
            to + 9,
            v3(if wheel { ez.z } else { ex.z }, if wheel { v.z } else { ey.z }, if wheel { wz } else { ez.z }),
        );
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
        add_rigid(scratch, scratch_base);
        if part == 1 || part == 2 {
            add_twist(scratch, scratch_base, 4 + 2 * part, false);
            add_twist(scratch, scratch_base, 5 + 2 * part, true);
        }
        if part == 3 {
            add_twist(scratch, scratch_base, 10, false);
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

    /// It outweighs the vases as the Point does.
    fn joins() -> bool {
        false
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
        write3(scratch, c + 3, plus(ang, couple));
        if part == 1 || part == 2 {
            couple_twist(scratch, scratch_base, c, 4 + 2 * part, force, couple);
            couple_twist(scratch, scratch_base, c, 5 + 2 * part, force, couple);
        }
        if part == 3 {
            couple_twist(scratch, scratch_base, c, 10, force, couple);
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
        let mut curvature = rows_along(scratch, scratch_base);
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
