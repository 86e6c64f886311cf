//! `mj_RungeKutta` of the Racecar among obstacles: stage by stage, with whatever touches.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::POSE;
use super::body::{RacecarBody, load_motion, load_pose, read_car};
use super::floor::{overturned, push_floor};
use super::model;
use super::variants::scalar::{
    ROUNDS, STAGES, SUBSTEPS, along_flow, asked, flow, frame, load, moved, no_flow, problem, proper_acceleration,
    reach_of, share_of, solve as solve_floor, store,
};
use crate::contact::{ACTIVE, COUNT, LINKED, agent_touches, load_static, solve};
use crate::object::{obstacles_collide, obstacles_stage};
use crate::state::{LANES, TOUCHED, X, Y};

const STEP: f32 = model::H as f32;
const MOST_SPEED_F: f32 = model::MOST_SPEED as f32;
const MOST_STEER_F: f32 = model::MOST_STEER as f32;
/// Accelerations beyond this count as diverged \[m/s^2\].
const ABSURD: f32 = 1e9;

/// Cosine of the tilt at which a step must watch the trunk: 2.5 degrees, a step of 0.6 rad/s short of where it may touch.
const LEANING: f32 = 0.999;

/// Whether the car at `base` is so tilted that its trunk may meet the floor within the step.
#[cfg_attr(feature = "gpu", cube)]
pub fn is_tilted(state: &mut [f32], base: usize) -> bool {
    let x = state[base + (POSE + 1) * LANES];
    let y = state[base + (POSE + 2) * LANES];
    1.0 - 2.0 * (x * x + y * y) < LEANING
}

/// One environment step of the car at `base` under the commands for `speed` and `steer`, as in `dynamics.rs`.
///
/// Where `near` is false nothing can touch the car within the step and no obstacle is looked at: the bits are those of
/// `scalar::drive`. It must be true of a car that [`is_tilted`]. Where it is true (`obstacles_begin` has chosen the
/// obstacles), a stage in which nothing touches the car still costs one floor problem and has those bits; one with contacts
/// goes to the contact solver, the floor's contacts included.
#[cfg_attr(feature = "gpu", cube)]
pub fn drive_in_contact(
    speed: f32,
    steer: f32,
    near: bool,
    params: &[f32],
    state: &mut [f32],
    base: usize,
    scratch: &mut [f32],
    scratch_base: usize,
) {
    let speed = asked(speed, MOST_SPEED_F);
    let steer = asked(steer, MOST_STEER_F);
    let x = state[base + X * LANES];
    let y = state[base + Y * LANES];
    let mut start = load(0.0f32, state, base);
    let mut car = start;
    let mut sum = no_flow(0.0f32);
    let mut ever = 0.0f32;
    if near {
        load_static(scratch, scratch_base);
    }
    for round in 0..ROUNDS {
        let stage = round % STAGES;
        let f = frame(car.pose);
        let p = problem(car, f, speed, steer);
        // The answer where nothing touches the car, else where the search for it begins.
        let alone = solve_floor(p);
        let mut touched = false;
        if near {
            load_pose(scratch, scratch_base, car, f, x, y);
            // The round that only senses sees the mocap bodies where the last timestep put them.
            let substep = if round < STAGES * SUBSTEPS { round / STAGES } else { SUBSTEPS - 1 };
            obstacles_collide::<RacecarBody>(params, state, base, substep as f32, scratch, scratch_base);
            let fallen = overturned(f);
            if scratch[scratch_base + COUNT] > 0.0 || fallen {
                if fallen || agent_touches::<RacecarBody>(scratch, scratch_base) > 0.0 {
                    push_floor(scratch, scratch_base, f, p);
                }
                touched = agent_touches::<RacecarBody>(scratch, scratch_base) > 0.0;
                if touched {
                    load_motion(scratch, scratch_base, car, f, p, alone.acc);
                }
                let bodies = scratch[scratch_base + ACTIVE] as usize;
                let linked = scratch[scratch_base + LINKED] > 0.0;
                solve::<RacecarBody>(scratch, scratch_base, bodies, linked);
            }
        }
        let mut acc = alone.acc;
        if touched {
            ever = 1.0;
            acc = read_car(scratch, scratch_base);
            // Not "above": an undefined number must count as unsolved.
            let sound = acc.lin.x.abs() + acc.lin.y.abs() + acc.lin.z.abs() < ABSURD;
            start.unsolved += if sound { 0.0f32 } else { 1.0f32 };
        } else {
            start.unsolved += alone.unsolved;
        }
        if round < STAGES * SUBSTEPS {
            let now = flow(car, f, acc);
            sum = along_flow(sum, share_of(stage), now);
            if stage == STAGES - 1 {
                start = moved(start, sum, STEP);
                car = start;
                sum = no_flow(0.0f32);
            } else {
                car = moved(start, now, reach_of(stage));
            }
            if near {
                obstacles_stage(params, state, base, stage, STEP, scratch, scratch_base);
            }
        } else {
            car.accelerometer = proper_acceleration(car, f, acc);
            car.unsolved = start.unsolved;
        }
    }
    store(car, state, base);
    state[base + TOUCHED * LANES] = ever;
}
