//! `mj_step` of several Cars among obstacles, round by round together: what the floor alone does to them in vectors, what else
//! touches them one by one. The bits of [`Agent::advance`](crate::agent::Agent::advance).

use core::cell::RefCell;
use core::mem::swap;

use super::body::read_car;
use super::contact_step::{STEP, STRONGEST, diverged, find_contacts, is_tilted, solve_contacts};
use super::register::{Aligned, in_vectors};
use super::variants::scalar::{
    Acc, ROUNDS, SUBSTEPS, frame, integrate, keep, load, problem, proper_acceleration, recall, store, v3,
};
use super::variants::{avx2, avx512};
use super::{ACTION_DIM, REACH, STATE_FIELDS, publish};
use crate::contact::{SCRATCH_LEN, load_static};
use crate::object::{obstacles_begin, obstacles_finish, publish_touches, touch_nothing};
use crate::state::{AGENT_OWN, LANES, TOUCHED, X, Y};

/// Numbers of a block of cars by themselves.
const BLOCK: usize = (AGENT_OWN + STATE_FIELDS) * LANES;
/// Unknowns of the floor problem.
const ACCS: usize = 11;
/// Cars in the widest register.
const WIDEST: usize = 16;

thread_local! {
    /// Working memory of the contacts of up to 32 cars, kept from step to step: clearing it takes as long as a step may.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A car on its way through a step.
#[derive(Clone, Copy, Default)]
struct Underway {
    lane: usize,
    /// Where it stood when the step began \[m\].
    x: f32,
    y: f32,
    /// Whether obstacles are near, and whether anything at all may touch it.
    met: bool,
    near: bool,
    /// Whether anything has touched it.
    ever: bool,
}

/// One environment step of the cars in `lanes` of a block under `action [cars of the block, 2]`. Returns whether it was taken:
/// not on a machine without vector registers.
pub(super) fn advance(params: &[f32], state: &mut [f32], lanes: &[usize], action: &[f32]) -> bool {
    // Every machine that has the wider registers has these.
    if pulp::x86::V3::try_new().is_none() {
        return false;
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(SCRATCH_LEN * LANES, 0.0);
        advance_in(params, state, lanes, action, scratch);
    });
    true
}

fn advance_in(params: &[f32], state: &mut [f32], lanes: &[usize], action: &[f32], scratch: &mut [f32]) {
    let (mut now, mut next) = (&mut [0.0; BLOCK], &mut [0.0; BLOCK]);
    let mut accs = [0.0; ACCS * LANES];
    let mut torques = Aligned([0.0; 2 * LANES]);
    let mut cars = [Underway::default(); LANES];
    let cars = &mut cars[..lanes.len()];
    for (k, (car, &lane)) in cars.iter_mut().zip(lanes).enumerate() {
        let met = obstacles_begin(params, state, lane, REACH, scratch, k * SCRATCH_LEN) > 0;
        let near = met || is_tilted(state, lane);
        if near {
            load_static(scratch, k * SCRATCH_LEN);
        }
        *car = Underway { lane, x: state[X * LANES + lane], y: state[Y * LANES + lane], met, near, ever: false };
        keep(load(0.0, state, lane), now, k);
        for (side, row) in torques.0.chunks_exact_mut(LANES).enumerate() {
            row[k] = action[lane * ACTION_DIM + side].min(STRONGEST).max(-STRONGEST);
        }
    }
    // What fills up the last register is solved too: the first car once more, which takes no longer than itself.
    for k in lanes.len()..lanes.len().next_multiple_of(WIDEST) {
        keep(load(0.0, state, lanes[0]), now, k);
        torques.0[k] = torques.0[0];
        torques.0[LANES + k] = torques.0[LANES];
    }
    for round in 0..ROUNDS {
        let moves = round < SUBSTEPS;
        let taken = in_vectors!(Round {
            now: &mut now[..],
            next: &mut next[..],
            torques: &torques,
            cars: lanes.len(),
            moves: moves,
            accs: &mut accs
        });
        debug_assert!(taken, "the machine has vector registers");
        spent!(AgentMotion);
        for (k, car) in cars.iter_mut().enumerate().filter(|(_, car)| car.near) {
            let base = k * SCRATCH_LEN;
            let mut motion = recall(0.0, &mut now[..], k);
            let f = frame(motion.pose);
            if find_contacts(motion, f, car.x, car.y, round, params, state, car.lane, scratch, base) {
                let p = problem(motion, f, torques.0[k], torques.0[LANES + k]);
                if solve_contacts(motion, f, p, acc_of(&accs, k), scratch, base) {
                    car.ever = true;
                    let acc = read_car(scratch, base);
                    motion.unsolved += diverged(acc);
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
                obstacles_finish(params, state, car.lane, STEP, scratch, base);
            }
        }
        swap(&mut now, &mut next);
    }
    for (k, car) in cars.iter().enumerate() {
        store(recall(0.0, &mut now[..], k), state, car.lane);
        state[TOUCHED * LANES + car.lane] = if car.ever { 1.0 } else { 0.0 };
        if car.met {
            publish_touches(params, state, car.lane, scratch, k * SCRATCH_LEN);
        } else {
            touch_nothing(state, car.lane);
        }
        publish(state, car.lane);
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
