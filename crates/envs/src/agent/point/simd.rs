//! The Point, 32 environments in step: free motion in vectors.

use pulp::NullaryFnOnce;

use super::{
    ACC_X, ACC_Y, ACTION_DIM, Point, REACH, SUBSTEPS, abreast, accelerometer, integrate, motor_force, servo_error,
    smooth_force,
};
use crate::agent::{Footprint, Patch, SimdAgent};
use crate::lanes::{Lane, Place, row, row_mut, with_simd};
use crate::math::{sin_cos, wrap_angle};
use crate::state::{COS, DX, DY, LANES, OMEGA, SIN, VX, VY, X, Y, YAW};

impl SimdAgent for Point {
    const REACH: f32 = REACH;
    // The sphere and the arrow.
    const FOOTPRINT: Footprint = Footprint {
        whole: Patch::rectangle(0.025, 0.0, 0.125, 0.1),
        parts: &[Patch::disc(0.0, 0.0, 0.1), Patch::rectangle(0.1, 0.0, 0.05, 0.05)],
        lever: 0.181,
    };
    const ROCKING: f32 = 0.003;

    fn advance_free(state: &mut [f32], action: &[f32]) {
        let mut free = Free::load(state, action);
        with_simd(Advance(&mut free));
        free.store(state);
    }

    fn advance_among(
        params: &[f32],
        state: &mut [f32],
        among: &[Place],
        alone: &[Place],
        action: &[f32],
        _action_dim: usize,
        _scratch: &mut [f32],
    ) {
        abreast::advance(params, state, among, alone, action);
    }

    fn tilt_margin(_state: &mut [f32], _lane: usize) -> Option<f32> {
        Some(0.0)
    }
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

    fn store(&self, state: &mut [f32]) {
        let (mut x, mut y) = (*row(state, X), *row(state, Y));
        for l in 0..LANES {
            x[l] += self.dx[l];
            y[l] += self.dy[l];
        }
        let fields: [(usize, &Lane); 12] = [
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
        ];
        for (field, values) in fields {
            *row_mut(state, field) = *values;
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
