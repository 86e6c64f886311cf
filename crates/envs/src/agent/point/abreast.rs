//! `mj_step` of several Points among obstacles, and of objects that move far from theirs, substep by substep together: the bits of
//! [`Agent::advance`](crate::agent::Agent::advance), with the contacts of several environments solved at a time.

use super::body::{PointBody, write_agent_force};
use super::{
    ACC_X, ACC_Y, ACTION_DIM, Motion, REACH, STEP, SUBSTEPS, accelerometer, contact_push, integrate, load_point,
    motor_force, servo_error, smooth_force,
};
use crate::contact::{CONTACT_TOUCH, MOST_TOGETHER, Nobody, scratch_of, solve_each, with_scratch};
use crate::lanes::Place;
use crate::math::{sin_cos, wrap_angle};
use crate::object::{
    objects_begin, obstacles_begin, obstacles_collide, obstacles_finish, publish_touches, touch_nothing,
};
use crate::state::{COS, DX, DY, LANES, OMEGA, SIN, TOUCHED, VX, VY, X, Y, YAW};

/// A Point on its way through a step, or objects without one.
#[derive(Clone, Copy)]
struct Underway {
    /// Where its numbers are in the state.
    base: usize,
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

/// One environment step of the Points at `among` under `action [Points of the blocks, 2]`, and of the objects at `alone`, whose Points
/// have moved already.
pub(super) fn advance(params: &[f32], state: &mut [f32], among: &[Place], alone: &[Place], action: &[f32]) {
    let mut left = among.iter().map(|place| (place, true)).chain(alone.iter().map(|place| (place, false))).peekable();
    while left.peek().is_some() {
        with_scratch(|scratch| {
            let mut all = [Underway { base: 0, point: None, met: false }; MOST_TOGETHER];
            let mut count = 0;
            for (k, (place, has_point)) in left.by_ref().take(MOST_TOGETHER).enumerate() {
                all[k] = Underway::set_out(params, state, *place, has_point, action, scratch, scratch_of(k));
                count += 1;
            }
            let all = &mut all[..count];
            for pass in 0..=SUBSTEPS {
                substep(params, state, all, pass, scratch);
            }
            for (k, going) in all.iter().enumerate() {
                going.arrive(params, state, scratch, scratch_of(k));
            }
        });
    }
}

/// The substep `pass` of all. The last one moves nothing: MuJoCo ends a step with a forward pass, so sensors and contact flags are
/// those of the new state.
fn substep(params: &[f32], state: &mut [f32], all: &mut [Underway], pass: u32, scratch: &mut [f32]) {
    let moves = pass < SUBSTEPS;
    let takes_part = |going: &Underway| going.met && (moves || going.point.is_some());
    for (k, going) in all.iter_mut().enumerate() {
        let own = scratch_of(k);
        if let Some(course) = &mut going.point {
            if !moves {
                course.face(state, going.base);
            }
            if going.met {
                let (at, push) = (course.now, course.smooth_force());
                load_point(
                    scratch,
                    own,
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
                obstacles_collide::<PointBody>(params, state, going.base, substep, scratch, own);
            }
        } else if takes_part(going) {
            obstacles_collide::<Nobody>(params, state, going.base, pass as f32, scratch, own);
        }
    }
    let solved = all.iter().enumerate().filter(|(_, going)| takes_part(going)).map(|(k, _)| scratch_of(k));
    solve_each::<PointBody>(scratch, solved);
    for (k, going) in all.iter_mut().enumerate() {
        let own = scratch_of(k);
        if going.met && moves {
            obstacles_finish(params, state, going.base, STEP, scratch, own);
        }
        if let Some(course) = &mut going.point {
            let mut push = course.smooth_force();
            if going.met {
                write_agent_force(scratch, own);
                let (x, y, torque) = contact_push(scratch, own, course.now.cos, course.now.sin);
                push = (push.0 + x, push.1 + y, push.2 + torque);
                course.touched = course.touched.max(scratch[own + CONTACT_TOUCH]);
            }
            if moves {
                course.go_on(push);
            } else {
                let (forward, left) = accelerometer(push.0, push.1, push.2);
                state[ACC_X * LANES + going.base] = forward;
                state[ACC_Y * LANES + going.base] = left;
            }
        }
        spent!(AgentMotion);
    }
}

impl Course {
    fn set_out(state: &[f32], place: Place, action: &[f32]) -> Self {
        let get = |field: usize| state[field * LANES + place.base];
        let command = &action[place.number * ACTION_DIM..][..ACTION_DIM];
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
    fn face(&mut self, state: &mut [f32], base: usize) {
        let yaw = wrap_angle(state[YAW * LANES + base] + self.now.dyaw);
        (self.now.sin, self.now.cos) = sin_cos(yaw);
        state[YAW * LANES + base] = yaw;
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
    /// The environment at `place`, whose working memory begins at `own`.
    fn set_out(
        params: &[f32],
        state: &mut [f32],
        place: Place,
        has_point: bool,
        action: &[f32],
        scratch: &mut [f32],
        own: usize,
    ) -> Self {
        let base = place.base;
        if has_point {
            let met = obstacles_begin(params, state, base, REACH, scratch, own) > 0;
            Self { base, point: Some(Course::set_out(state, place, action)), met }
        } else {
            Self { base, point: None, met: objects_begin(params, state, base, scratch, own) }
        }
    }

    fn arrive(&self, params: &[f32], state: &mut [f32], scratch: &mut [f32], own: usize) {
        let base = self.base;
        if self.met {
            publish_touches(params, state, base, scratch, own);
        } else {
            touch_nothing(state, base);
        }
        state[TOUCHED * LANES + base] = self.point.map_or(0.0, |course| course.touched);
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
            state[field * LANES + base] = value;
        }
    }
}
