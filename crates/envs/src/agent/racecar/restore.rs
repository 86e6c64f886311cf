//! The Racecar's state from MuJoCo's coordinates, for comparisons with recordings.

use super::{
    AXLE, LEFT, LIFT, POSE, REAR, RIGHT, SPIN, STEER_LEFT, STEER_LEFT_RATE, STEER_RIGHT, STEER_RIGHT_RATE, VZ, model,
};
use crate::state::{COS, LANES, OMEGA, SIN, VX, VY, X, Y, YAW, Z};

/// Writes the state of one environment at `base`. `qpos`: position, chassis quaternion, left hinge and wheel, right hinge and
/// wheel, rear axle; `qvel`: velocity, chassis rates (chassis axes), the same five. Readings of the last step
/// (accelerometer, contacts) stay as they are.
pub(super) fn restore(state: &mut [f32], base: usize, qpos: &[f64], qvel: &[f64]) {
    let mut put = |field: usize, value: f64| state[base + field * LANES] = value as f32;
    put(X, qpos[0]);
    put(Y, qpos[1]);
    put(Z, qpos[2]);
    put(LIFT, qpos[2] - model::RADIUS);
    for i in 0..4 {
        put(POSE + i, qpos[3 + i]);
    }
    put(STEER_LEFT, qpos[7]);
    put(STEER_RIGHT, qpos[9]);
    put(AXLE, qpos[11].cos());
    put(AXLE + 1, qpos[11].sin());
    put(VX, qvel[0]);
    put(VY, qvel[1]);
    put(VZ, qvel[2]);
    for i in 0..3 {
        put(SPIN + i, qvel[3 + i]);
    }
    for (field, k) in [(STEER_LEFT_RATE, 6), (LEFT, 7), (STEER_RIGHT_RATE, 8), (RIGHT, 9), (REAR, 10)] {
        put(field, qvel[k]);
    }
    let (w, x, y, z) = (qpos[3], qpos[4], qpos[5], qpos[6]);
    let nose = [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z)];
    let level = nose[0].hypot(nose[1]);
    put(COS, nose[0] / level);
    put(SIN, nose[1] / level);
    put(YAW, nose[1].atan2(nose[0]));
    let up = [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)];
    put(OMEGA, up[0] * qvel[3] + up[1] * qvel[4] + up[2] * qvel[5]);
}
