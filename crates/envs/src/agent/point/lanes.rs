//! The Point, 32 environments in step: free motion in vectors, lanes with a vase in play one by one.

use pulp::NullaryFnOnce;

use super::{
    ACC_X, ACC_Y, ACTION_DIM, Point, SUBSTEPS, accelerometer, integrate, motor_force, servo_error, smooth_force,
};
use crate::agent::Agent;
use crate::lanes::{BlockAgent, Lane, row, row_mut, wide};
use crate::level::{PARAM_VASE_FIRST, PARAM_VASES};
use crate::math::{sin_cos, square, wrap_angle};
use crate::object::{VASE_FIELDS, VASE_RANGE};
use crate::state::{COS, DX, DY, LANES, MOVING, OMEGA, SIN, TOUCH, TOUCHED, VASES_IDLE, VX, VY, X, Y, YAW};

impl BlockAgent for Point {
    fn advance_block(
        params: &[f32],
        state: &mut [f32],
        action: &[f32],
        action_dim: usize,
        lanes: usize,
        scratch: &mut [f32],
    ) {
        debug_assert_eq!(action_dim, ACTION_DIM);
        let mut free = Free::load(state, action);
        let alone = lanes_alone(params, state, lanes);
        for lane in (0..lanes).filter(|lane| !alone[*lane]) {
            let (u0, u1) = (action[lane * ACTION_DIM], action[lane * ACTION_DIM + 1]);
            Self::advance(params, state, lane, u0, u1, scratch, 0);
        }
        wide(Advance(&mut free));
        free.store(state, &alone);
    }
}

/// Lanes in which no vase can matter in this step: all of them rest, out of the Point's reach.
fn lanes_alone(params: &[f32], state: &[f32], lanes: usize) -> [bool; LANES] {
    let mut alone = [false; LANES];
    let (first, vases) = (params[PARAM_VASE_FIRST] as usize, params[PARAM_VASES] as usize);
    let idle = row(state, VASES_IDLE);
    let (x, y) = (row(state, X), row(state, Y));
    for l in 0..LANES {
        alone[l] = vases == 0 || idle[l] > 0.5 || l >= lanes;
    }
    for vase in 0..vases {
        let field = first + vase * VASE_FIELDS;
        let (vase_x, vase_y) = (row(state, field), row(state, field + 1));
        for l in 0..LANES {
            alone[l] &= square(vase_x[l] - x[l]) + square(vase_y[l] - y[l]) >= square(VASE_RANGE);
        }
    }
    alone
}

/// A block of Points in free motion.
struct Free {
    force: Lane,
    turn: Lane,
    yaw: Lane,
    vx: Lane,
    vy: Lane,
    error: Lane,
    cos: Lane,
    sin: Lane,
    dx: Lane,
    dy: Lane,
    dyaw: Lane,
    omega: Lane,
    acc_x: Lane,
    acc_y: Lane,
}

impl Free {
    fn load(state: &[f32], action: &[f32]) -> Self {
        let (mut force, mut turn) = ([0.0; LANES], [0.0; LANES]);
        for (l, action) in action.chunks_exact(ACTION_DIM).enumerate() {
            force[l] = motor_force(action[0]);
            turn[l] = action[1].max(-1.0).min(1.0);
        }
        Self {
            force,
            turn,
            yaw: *row(state, YAW),
            vx: *row(state, VX),
            vy: *row(state, VY),
            error: [0.0; LANES],
            cos: *row(state, COS),
            sin: *row(state, SIN),
            dx: [0.0; LANES],
            dy: [0.0; LANES],
            dyaw: [0.0; LANES],
            omega: *row(state, OMEGA),
            acc_x: [0.0; LANES],
            acc_y: [0.0; LANES],
        }
    }

    /// Writes the lanes for which `keep` holds.
    fn store(&self, state: &mut [f32], keep: &[bool; LANES]) {
        let (old_x, old_y) = (*row(state, X), *row(state, Y));
        let (mut x, mut y) = (old_x, old_y);
        for l in 0..LANES {
            x[l] += self.dx[l];
            y[l] += self.dy[l];
        }
        let (zero, one) = ([0.0; LANES], [1.0; LANES]);
        let fields: [(usize, &Lane); 16] = [
            (X, &x),
            (Y, &y),
            (YAW, &self.yaw),
            (VX, &self.vx),
            (VY, &self.vy),
            (OMEGA, &self.omega),
            (COS, &self.cos),
            (SIN, &self.sin),
            (DX, &self.dx),
            (DY, &self.dy),
            (ACC_X, &self.acc_x),
            (ACC_Y, &self.acc_y),
            (TOUCH, &zero),
            (TOUCHED, &zero),
            (MOVING, &zero),
            (VASES_IDLE, &one),
        ];
        for (field, values) in fields {
            let row = row_mut(state, field);
            for l in 0..LANES {
                row[l] = if keep[l] { values[l] } else { row[l] };
            }
        }
    }
}

struct Advance<'a>(&'a mut Free);

impl NullaryFnOnce for Advance<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let f = self.0;
        for l in 0..LANES {
            f.error[l] = servo_error(f.turn[l], f.omega[l]);
        }
        for _ in 0..SUBSTEPS {
            for l in 0..LANES {
                let (turn, error, cos, sin, vx, vy) = (f.turn[l], f.error[l], f.cos[l], f.sin[l], f.vx[l], f.vy[l]);
                let (force_x, force_y, torque) = smooth_force(f.force[l], error, f.omega[l], cos, sin, vx, vy);
                let next =
                    integrate(turn, force_x, force_y, torque, vx, vy, error, cos, sin, f.dx[l], f.dy[l], f.dyaw[l]);
                f.vx[l] = next.vx;
                f.vy[l] = next.vy;
                f.error[l] = next.error;
                f.omega[l] = next.omega;
                f.cos[l] = next.cos;
                f.sin[l] = next.sin;
                f.dx[l] = next.dx;
                f.dy[l] = next.dy;
                f.dyaw[l] = next.dyaw;
            }
        }
        for l in 0..LANES {
            let yaw = wrap_angle(f.yaw[l] + f.dyaw[l]);
            let (sin, cos) = sin_cos(yaw);
            let (force_x, force_y, torque) =
                smooth_force(f.force[l], f.error[l], f.omega[l], cos, sin, f.vx[l], f.vy[l]);
            (f.acc_x[l], f.acc_y[l]) = accelerometer(force_x, force_y, torque);
            (f.yaw[l], f.sin[l], f.cos[l]) = (yaw, sin, cos);
        }
    }
}
