//! Run: as far as possible along world -y between two lines; beyond them it costs.
//!
//! Reward: 60 times the decrease of the distance to the point (0, -1000 m).
//! Source: safety-gymnasium 1.0.0, `tasks/safe_navigation/run`.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::{Task, TaskModel};
use crate::object::{ObjectGroup, object_costs};
use crate::state::{DX, DY, LANES, X, Y};

const REWARD_FACTOR: f32 = 60.0;
/// Where the track would end \[m\]; no episode gets there.
const FINISH_Y: f32 = -1000.0;

/// The Run task.
pub struct Run;

#[cfg_attr(feature = "gpu", cube)]
impl Task for Run {
    fn reset(_params: &[f32], _state: &mut [f32], _base: usize, _env: u32) {}

    fn reward(_params: &[f32], state: &mut [f32], base: usize) -> f32 {
        let x = state[base + X * LANES];
        let y = state[base + Y * LANES] - FINISH_Y;
        let dx = state[base + DX * LANES];
        let dy = state[base + DY * LANES];
        let (before_x, before_y) = (x - dx, y - dy);
        let distance = (x * x + y * y).sqrt();
        let before = (before_x * before_x + before_y * before_y).sqrt();
        // d0 - d1 = (d0^2 - d1^2) / (d0 + d1): a step of millimetres would drown in the difference of two kilometres.
        let gain = (before_x + x) * dx + (before_y + y) * dy;
        -REWARD_FACTOR * gain / (before + distance)
    }

    fn costs(params: &[f32], state: &mut [f32], base: usize) -> u32 {
        object_costs(params, state, base)
    }

    fn update(_params: &[f32], _state: &mut [f32], _base: usize, _env: u32) -> bool {
        true
    }

    fn sees(_state: &mut [f32], _base: usize, _kind: f32) -> bool {
        true
    }
}

impl TaskModel for Run {
    fn check(_groups: &[ObjectGroup]) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_ahead_earns_sixty_a_metre_and_a_sidestep_next_to_nothing() {
        let mut state = vec![0.0f32; (DY + 1) * LANES];
        (state[Y * LANES], state[DX * LANES], state[DY * LANES]) = (16.47, 0.0, -0.03);
        // 0.03 m straight to the far point, a kilometre away.
        assert!((Run::reward(&[], &mut state, 0) - 1.8).abs() < 1e-6);
        (state[X * LANES], state[DX * LANES], state[DY * LANES]) = (0.3, 0.01, 0.0);
        // The distance grows by x dx / d = (0.295 m) (0.01 m) / 1016.47 m.
        let expected = -60.0 * 0.295 * 0.01 / 1016.47;
        assert!((Run::reward(&[], &mut state, 0) / expected - 1.0).abs() < 1e-3);
    }
}
