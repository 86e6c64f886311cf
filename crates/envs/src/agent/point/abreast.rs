//! `mj_step` of several Points among obstacles, and of objects that move far from theirs, substep by substep together: the bits of
//! [`Agent::advance`](crate::agent::Agent::advance), with the contacts of several environments solved at a time.

use super::body::{PointBody, write_agent_force};
use super::{
    ACC_X, ACC_Y, ACTION_DIM, Motion, REACH, STEP, SUBSTEPS, accelerometer, contact_push, integrate, load_point,
    motor_force, servo_error, smooth_force,
};
use crate::contact::{CONTACT_TOUCH, Nobody, scratch_of, solve_each, with_scratch};
use crate::math::{sin_cos, wrap_angle};
use crate::object::{
    objects_begin, obstacles_begin, obstacles_collide, obstacles_finish, publish_touches, touch_nothing,
};
use crate::state::{COS, DX, DY, LANES, OMEGA, SIN, TOUCHED, VX, VY, X, Y, YAW};

/// A Point on its way through a step, or objects without one.
#[derive(Clone, Copy)]
struct Underway {
    lane: usize,
    /// None where the Point meets nothing: its motion stands already.
    point: Option<Course>,
    /// Whether obstacles are near.
    met: bool,
}

/// The Point's motion and its commands.
#[derive(Clone, Copy)]
struct Course {
    now: Motion,
    force: f32,
    turn: f32,
    start: [f32; 2],
    touched: f32,
}

/// One environment step of the Points in the lanes `among` of a block under `action [lanes, 2]`, and of the objects in the lanes
/// `alone`, whose Points have moved already.
pub(super) fn advance(params: &[f32], state: &mut [f32], among: &[usize], alone: &[usize], action: &[f32]) {
    with_scratch(|scratch| {
        let mut all = [Underway { lane: 0, point: None, met: false }; LANES];
        let all = &mut all[..among.len() + alone.len()];
        for (k, (going, &lane)) in all.iter_mut().zip(among.iter().chain(alone)).enumerate() {
            let base = scratch_of(k);
            *going = if k < among.len() {
                let met = obstacles_begin(params, state, lane, REACH, scratch, base) > 0;
                Underway { lane, point: Some(Course::set_out(state, lane, action)), met }
            } else {
                Underway { lane, point: None, met: objects_begin(params, state, lane, scratch, base) }
            };
        }
        for pass in 0..=SUBSTEPS {
            substep(params, state, all, pass, scratch);
        }
        for (k, going) in all.iter().enumerate() {
            going.arrive(params, state, scratch, scratch_of(k));
        }
    });
}

/// The substep `pass` of all. The last one moves nothing: MuJoCo ends a step with a forward pass, so sensors and contact flags are
/// those of the new state.
fn substep(params: &[f32], state: &mut [f32], all: &mut [Underway], pass: u32, scratch: &mut [f32]) {
    let moves = pass < SUBSTEPS;
    let takes_part = |going: &Underway| going.met && (moves || going.point.is_some());
    for (k, going) in all.iter_mut().enumerate() {
        let base = scratch_of(k);
        if let Some(course) = &mut going.point {
            if !moves {
                course.face(state, going.lane);
            }
            if going.met {
                let (at, push) = (course.now, course.smooth_force());
                load_point(
                    scratch,
                    base,
                    course.start[0] + at.dx,
                    course.start[1] + at.dy,
                    at.cos,
                    at.sin,
                    at.vx,
                    at.vy,
                    at.omega,
                    push.0,
                    push.1,
                    push.2,
                );
                // The forward pass at the end sees the mocap bodies where the last substep put them.
                let substep = pass.min(SUBSTEPS - 1) as f32;
                obstacles_collide::<PointBody>(params, state, going.lane, substep, scratch, base);
            }
        } else if takes_part(going) {
            obstacles_collide::<Nobody>(params, state, going.lane, pass as f32, scratch, base);
        }
    }
    let solved = all.iter().enumerate().filter(|(_, going)| takes_part(going)).map(|(k, _)| scratch_of(k));
    solve_each::<PointBody>(scratch, solved);
    for (k, going) in all.iter_mut().enumerate() {
        let base = scratch_of(k);
        if going.met && moves {
            obstacles_finish(params, state, going.lane, STEP, scratch, base);
        }
        if let Some(course) = &mut going.point {
            let mut push = course.smooth_force();
            if going.met {
                write_agent_force(scratch, base);
                let (x, y, torque) = contact_push(scratch, base, course.now.cos, course.now.sin);
                push = (push.0 + x, push.1 + y, push.2 + torque);
                course.touched = course.touched.max(scratch[base + CONTACT_TOUCH]);
            }
            if moves {
                course.go_on(push);
            } else {
                let (forward, left) = accelerometer(push.0, push.1, push.2);
                state[ACC_X * LANES + going.lane] = forward;
                state[ACC_Y * LANES + going.lane] = left;
            }
        }
        spent!(AgentMotion);
    }
}

impl Course {
    fn set_out(state: &[f32], lane: usize, action: &[f32]) -> Self {
        let get = |field: usize| state[field * LANES + lane];
        let command = &action[lane * ACTION_DIM..][..ACTION_DIM];
        let turn = command[1].max(-1.0).min(1.0);
        let omega = get(OMEGA);
        let now = Motion {
            vx: get(VX),
            vy: get(VY),
            error: servo_error(turn, omega),
            omega,
            cos: get(COS),
            sin: get(SIN),
            dx: 0.0,
            dy: 0.0,
            dyaw: 0.0,
        };
        Self { now, force: motor_force(command[0]), turn, start: [get(X), get(Y)], touched: 0.0 }
    }

    /// Takes the full sine and cosine of the yaw at the step's end.
    fn face(&mut self, state: &mut [f32], lane: usize) {
        let yaw = wrap_angle(state[YAW * LANES + lane] + self.now.dyaw);
        (self.now.sin, self.now.cos) = sin_cos(yaw);
        state[YAW * LANES + lane] = yaw;
    }

    fn smooth_force(&self) -> (f32, f32, f32) {
        let Motion { vx, vy, error, omega, cos, sin, .. } = self.now;
        smooth_force(self.force, error, omega, cos, sin, vx, vy)
    }

    fn go_on(&mut self, (x, y, torque): (f32, f32, f32)) {
        let Motion { vx, vy, error, cos, sin, dx, dy, dyaw, .. } = self.now;
        self.now = integrate(self.turn, x, y, torque, vx, vy, error, cos, sin, dx, dy, dyaw);
    }
}

impl Underway {
    fn arrive(&self, params: &[f32], state: &mut [f32], scratch: &mut [f32], base: usize) {
        let lane = self.lane;
        if self.met {
            publish_touches(params, state, lane, scratch, base);
        } else {
            touch_nothing(state, lane);
        }
        state[TOUCHED * LANES + lane] = self.point.map_or(0.0, |course| course.touched);
        let Some(Course { now, start, .. }) = self.point else { return };
        for (field, value) in [
            (X, start[0] + now.dx),
            (Y, start[1] + now.dy),
            (COS, now.cos),
            (SIN, now.sin),
            (VX, now.vx),
            (VY, now.vy),
            (OMEGA, now.omega),
            (DX, now.dx),
            (DY, now.dy),
        ] {
            state[field * LANES + lane] = value;
        }
    }
}
