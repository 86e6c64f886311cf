//! `mj_RungeKutta` of several Racecars among obstacles, stage by stage together.

use core::mem::swap;

use super::body::read_car;
use super::contact_step::{MOST_SPEED_F, MOST_STEER_F, STEP, find_contacts, is_tilted, solve_contacts};
use super::variants::scalar::{
    Acc, Course, ROUNDS, Rates, STAGES, SUBSTEPS, asked, frame, keep_course, load, no_flow, onward, problem,
    recall_course, recall_rates, store,
};
use super::variants::{avx2, avx512};
use super::{ACTION_DIM, COURSE_SUM, RATES, REACH, publish};
use crate::agent::abreast::{filled_up, set_out, together};
use crate::agent::car::register::in_vectors;
use crate::contact::{diverged, scratch_of};
use crate::lanes::Place;
use crate::object::obstacles_stage;
use crate::register::Aligned;
use crate::state::LANES;

/// Numbers of a block of courses.
const BLOCK: usize = COURSE_SUM + 2 * RATES * LANES;

/// One environment step of the cars at `places` under `action [cars of the blocks, 2]`. Returns those left over: all, on a machine
/// without vector registers, or a single one.
pub(super) fn advance<'a>(params: &[f32], state: &mut [f32], places: &'a [Place], action: &[f32]) -> &'a [Place] {
    together(places, |places, scratch| advance_in(params, state, places, action, scratch))
}

fn advance_in(params: &[f32], state: &mut [f32], places: &[Place], action: &[f32], scratch: &mut [f32]) {
    let (mut now, mut next) = (&mut [0.0; BLOCK], &mut [0.0; BLOCK]);
    let mut accs = [0.0; RATES * LANES];
    let mut commands = Aligned([0.0; 2 * LANES]);
    let cars = &mut set_out(params, state, places, REACH, is_tilted, scratch)[..places.len()];
    for (k, place) in filled_up(places) {
        let begin = load(0.0, state, place.base);
        keep_course(Course { start: begin, car: begin, sum: no_flow(0.0) }, now, k);
        commands.0[k] = asked(action[place.number * ACTION_DIM], MOST_SPEED_F);
        commands.0[LANES + k] = asked(action[place.number * ACTION_DIM + 1], MOST_STEER_F);
    }
    for round in 0..ROUNDS {
        let taken = in_vectors!(Round {
            now: &mut now[..],
            next: &mut next[..],
            asked: &commands,
            cars: places.len(),
            round: round,
            accs: &mut accs
        });
        debug_assert!(taken, "the machine has vector registers");
        spent!(AgentMotion);
        for (k, car) in cars.iter_mut().enumerate().filter(|(_, car)| car.near) {
            let base = scratch_of(k);
            let course = recall_course(0.0, &mut now[..], k);
            let f = frame(course.car.pose);
            if find_contacts(course.car, f, car.x, car.y, round, params, state, car.base, scratch, base) {
                let p = problem(course.car, f, commands.0[k], commands.0[LANES + k]);
                if solve_contacts(course.car, f, p, acc_of(&mut accs, k), scratch, base) {
                    car.touched = true;
                    let acc = read_car(scratch, base);
                    keep_course(
                        onward(course, f, acc, diverged(acc.lin.x, acc.lin.y, acc.lin.z), round),
                        &mut next[..],
                        k,
                    );
                }
            }
            spent!(AgentMotion);
            if round < STAGES * SUBSTEPS {
                obstacles_stage(params, state, car.base, round % STAGES, STEP, scratch, base);
                spent!(ObjectMotion);
            }
        }
        swap(&mut now, &mut next);
    }
    for (k, car) in cars.iter().enumerate() {
        store(recall_course(0.0, &mut now[..], k).car, state, car.base);
        car.end(params, state, scratch, scratch_of(k));
        publish(state, car.base);
    }
}

/// The acceleration of car `k` in `accs [11, 32]`.
fn acc_of(accs: &mut [f32], k: usize) -> Acc {
    let Rates { lin, ang, steer_left, steer_right, left, right, rear } = recall_rates(0.0, accs, k, 0);
    Acc { lin, ang, steer_left, steer_right, left, right, rear }
}
