//! The Car's state from MuJoCo's coordinates, for comparisons with recordings.

use super::{BALL, BALL_POSE, LEFT, LIFT, POSE, RIGHT, SPIN, VZ, model};
use crate::state::{COS, LANES, OMEGA, SIN, VX, VY, X, Y, YAW, Z};

/// `v` turned by the unit quaternion `q` (w, x, y, z).
fn turned(q: &[f64], v: [f64; 3]) -> [f64; 3] {
    let (w, u) = (q[0], [q[1], q[2], q[3]]);
    let cross =
        |a: [f64; 3], b: [f64; 3]| [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let t = cross(u, v).map(|x| 2.0 * x);
    let s = cross(u, t);
    [0, 1, 2].map(|i| v[i] + w * t[i] + s[i])
}

/// Writes the state of one environment at `base`. `qpos`: position, chassis quaternion, wheel angles, ball
/// quaternion; `qvel`: velocity, chassis rates (chassis axes), wheel rates, ball rates (ball axes). Readings of the
/// last step (accelerometer, contacts) stay as they are.
pub(super) fn restore(state: &mut [f32], base: usize, qpos: &[f64], qvel: &[f64]) {
    let mut put = |field: usize, value: f64| state[base + field * LANES] = value as f32;
    put(X, qpos[0]);
    put(Y, qpos[1]);
    put(Z, qpos[2]);
    put(LIFT, qpos[2] - model::NOMINAL_HEIGHT);
    for i in 0..4 {
        put(POSE + i, qpos[3 + i]);
        put(BALL_POSE + i, qpos[9 + i]);
    }
    put(VX, qvel[0]);
    put(VY, qvel[1]);
    put(VZ, qvel[2]);
    for i in 0..3 {
        put(SPIN + i, qvel[3 + i]);
    }
    put(LEFT, qvel[6]);
    put(RIGHT, qvel[7]);
    // Ball rates are kept in chassis axes.
    let ball = turned(&qpos[9..13], [qvel[8], qvel[9], qvel[10]]);
    for i in 0..3 {
        put(BALL + i, ball[i]);
    }
    let nose = turned(&qpos[3..7], [1.0, 0.0, 0.0]);
    let level = nose[0].hypot(nose[1]);
    put(COS, nose[0] / level);
    put(SIN, nose[1] / level);
    put(YAW, nose[1].atan2(nose[0]));
    put(OMEGA, turned(&qpos[3..7], [qvel[3], qvel[4], qvel[5]])[2]);
}
