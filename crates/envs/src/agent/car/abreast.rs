//! `mj_step` of several Cars among obstacles, round by round together.

use core::mem::swap;

use super::body::read_car;
use super::contact_step::{STEP, STRONGEST, find_contacts, is_tilted, solve_contacts};
use super::register::in_vectors;
use super::variants::scalar::{
    Acc, ROUNDS, SUBSTEPS, frame, integrate, keep, load, problem, proper_acceleration, recall, store, v3,
};
use super::variants::{avx2, avx512};
use super::{ACTION_DIM, REACH, STATE_FIELDS, publish};
use crate::agent::abreast::{filled_up, set_out, together};
use crate::contact::{diverged, scratch_of};
use crate::lanes::Place;
use crate::object::obstacles_finish;
use crate::register::Aligned;
use crate::state::{AGENT_OWN, LANES};

/// Numbers of a block of cars by themselves.
const BLOCK: usize = (AGENT_OWN + STATE_FIELDS) * LANES;
/// Unknowns of the floor problem.
const ACCS: usize = 11;

/// One environment step of the cars at `places` under `action [cars of the blocks, 2]`. Returns those left over: all, on a machine
/// without vector registers, or a single one.
pub(super) fn advance<'a>(params: &[f32], state: &mut [f32], places: &'a [Place], action: &[f32]) -> &'a [Place] {
    together(places, |places, scratch| advance_in(params, state, places, action, scratch))
}

fn advance_in(params: &[f32], state: &mut [f32], places: &[Place], action: &[f32], scratch: &mut [f32]) {
    let (mut now, mut next) = (&mut [0.0; BLOCK], &mut [0.0; BLOCK]);
    let mut accs = [0.0; ACCS * LANES];
    let mut torques = Aligned([0.0; 2 * LANES]);
    let cars = &mut set_out(params, state, places, REACH, is_tilted, scratch)[..places.len()];
    for (k, place) in filled_up(places) {
        keep(load(0.0, state, place.base), now, k);
        for (side, row) in torques.0.chunks_exact_mut(LANES).enumerate() {
            row[k] = action[place.number * ACTION_DIM + side].min(STRONGEST).max(-STRONGEST);
        }
    }
    for round in 0..ROUNDS {
        let moves = round < SUBSTEPS;
        let taken = in_vectors!(Round {
            now: &mut now[..],
            next: &mut next[..],
            torques: &torques,
            cars: places.len(),
            moves: moves,
            accs: &mut accs
        });
        debug_assert!(taken, "the machine has vector registers");
        spent!(AgentMotion);
        for (k, car) in cars.iter_mut().enumerate().filter(|(_, car)| car.near) {
            let base = scratch_of(k);
            let mut motion = recall(0.0, &mut now[..], k);
            let f = frame(motion.pose);
            if find_contacts(motion, f, car.x, car.y, round, params, state, car.base, scratch, base) {
                let p = problem(motion, f, torques.0[k], torques.0[LANES + k]);
                if solve_contacts(motion, f, p, acc_of(&accs, k), scratch, base) {
                    car.touched = true;
                    let acc = read_car(scratch, base);
                    motion.unsolved += diverged(acc.lin.x, acc.lin.y, acc.lin.z);
                    if moves {
                        motion = integrate(motion, f, p, acc);
                    } else {
                        motion.accelerometer = proper_acceleration(f, acc);
                    }
                    keep(motion, &mut next[..], k);
                }
            }
            spent!(AgentMotion);
            if moves {
                obstacles_finish(params, state, car.base, STEP, scratch, base);
            }
        }
        swap(&mut now, &mut next);
    }
    for (k, car) in cars.iter().enumerate() {
        store(recall(0.0, &mut now[..], k), state, car.base);
        car.end(params, state, scratch, scratch_of(k));
        publish(state, car.base);
    }
}

/// The acceleration of car `k` in `accs [11, 32]`.
fn acc_of(accs: &[f32], k: usize) -> Acc {
    let at = |number: usize| accs[number * LANES + k];
    Acc {
        lin: v3(at(0), at(1), at(2)),
        ang: v3(at(3), at(4), at(5)),
        left: at(6),
        right: at(7),
        ball: v3(at(8), at(9), at(10)),
    }
}
