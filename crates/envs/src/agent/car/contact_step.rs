//! `mj_step` of the Car where something other than the floor may touch it.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::POSE;
use super::body::{CarBody, load_motion, load_pose, read_car};
use super::floor::{overturned, push_floor};
use super::model;
use super::variants::scalar::{
    Acc, Frame, Motion, Problem, ROUNDS, SUBSTEPS, frame, integrate, load, problem, proper_acceleration,
    solve as solve_floor, store,
};
use crate::contact::{COUNT, agent_touches, diverged, load_static, solve_active};
use crate::object::{obstacles_collide, obstacles_finish};
use crate::state::{LANES, TOUCHED, X, Y};

pub(super) const STEP: f32 = model::H as f32;
pub(super) const STRONGEST: f32 = model::TORQUE_LIMIT as f32;

/// Cosine of the tilt at which a step must watch the chassis: 16 degrees, a step of 5 rad/s short of `floor.rs`' 26.
const LEANING: f32 = 0.96;

/// Whether the car at `base` is so tilted that its chassis may meet the floor within the step: it has climbed
/// something and topples.
#[cfg_attr(feature = "gpu", cube)]
pub fn is_tilted(state: &mut [f32], base: usize) -> bool {
    let x = state[base + (POSE + 1) * LANES];
    let y = state[base + (POSE + 2) * LANES];
    1.0 - 2.0 * (x * x + y * y) < LEANING
}

/// Finds what touches what with `car`, whose frame is `f` and which stood at (`x`, `y`) when the step began, in round `round`
/// of the step. Returns whether there is something to solve.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn find_contacts(
    car: Motion,
    f: Frame,
    x: f32,
    y: f32,
    round: u32,
    params: &[f32],
    state: &mut [f32],
    base: usize,
    scratch: &mut [f32],
    scratch_base: usize,
) -> bool {
    load_pose(scratch, scratch_base, car, f, x, y);
    // The round that only senses sees the mocap bodies where the last substep put them.
    let substep = if round < SUBSTEPS { round } else { SUBSTEPS - 1 };
    obstacles_collide::<CarBody>(params, state, base, substep as f32, scratch, scratch_base);
    scratch[scratch_base + COUNT] > 0.0 || overturned(f)
}

/// Solves what [`find_contacts`] found; `p` is the car's floor problem, `guess` where the search begins. Returns whether the
/// car takes part: then its acceleration is that of [`read_car`].
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn solve_contacts(
    car: Motion,
    f: Frame,
    p: Problem,
    guess: Acc,
    scratch: &mut [f32],
    scratch_base: usize,
) -> bool {
    if overturned(f) || agent_touches::<CarBody>(scratch, scratch_base) > 0.0 {
        push_floor(scratch, scratch_base, f, p);
        spent!(FloorContacts);
    }
    let touched = agent_touches::<CarBody>(scratch, scratch_base) > 0.0;
    if touched {
        load_motion(scratch, scratch_base, car, f, p, guess);
    }
    solve_active::<CarBody>(scratch, scratch_base);
    touched
}

/// One environment step of the car at `base` under motor commands `left` and `right`: ten substeps and a last round that
/// only senses, as in `dynamics.rs`.
///
/// Where `near` is false nothing can touch the car within the step and no obstacle is looked at: the bits are those of
/// `scalar::drive`. It must be true of a car that [`is_tilted`], whose chassis may meet the floor. Where it is true
/// (`obstacles_begin` has chosen the obstacles), a substep in which nothing touches the car still costs one floor
/// problem and has those bits; one with contacts goes to the contact solver, the floor's contacts included.
#[cfg_attr(feature = "gpu", cube)]
pub fn drive_in_contact(
    left: f32,
    right: f32,
    near: bool,
    params: &[f32],
    state: &mut [f32],
    base: usize,
    scratch: &mut [f32],
    scratch_base: usize,
) {
    let left = left.min(STRONGEST).max(-STRONGEST);
    let right = right.min(STRONGEST).max(-STRONGEST);
    let x = state[base + X * LANES];
    let y = state[base + Y * LANES];
    let mut car = load(0.0f32, state, base);
    let mut ever = 0.0f32;
    if near {
        load_static(scratch, scratch_base);
    }
    for round in 0..ROUNDS {
        let f = frame(car.pose);
        let p = problem(car, f, left, right);
        // The answer where nothing touches the car, else where the search for it begins: what touches seldom changes which
        // rims the floor bears.
        let alone = solve_floor(p);
        spent!(AgentMotion);
        let mut touched = false;
        // One within the other: a kernel evaluates both sides of an "and".
        if near {
            let found = find_contacts(car, f, x, y, round, params, state, base, scratch, scratch_base);
            if found {
                touched = solve_contacts(car, f, p, alone.acc, scratch, scratch_base);
            }
        }
        let mut acc = alone.acc;
        if touched {
            ever = 1.0;
            acc = read_car(scratch, scratch_base);
            car.unsolved += diverged(acc.lin.x, acc.lin.y, acc.lin.z);
        } else {
            car.unsolved += alone.unsolved;
        }
        let moves = round < SUBSTEPS;
        if moves {
            car = integrate(car, f, p, acc);
            spent!(AgentMotion);
            if near {
                obstacles_finish(params, state, base, STEP, scratch, scratch_base);
            }
        } else {
            car.accelerometer = proper_acceleration(f, acc);
        }
        spent!(AgentMotion);
    }
    store(car, state, base);
    state[base + TOUCHED * LANES] = ever;
}
