//! The pseudo-lidar: 16 bins around the agent, closeness of the nearest object in each.
//!
//! An object at distance d and angle a gives s = max(0, D - d) / D to its bin, and, anti-aliased,
//! (fraction) s to the next and (1 - fraction) s to the previous bin. The reading is continuous
//! at a bin's edge: just below it the next bin already reads s, just above it the previous one does.
//! A task may hide objects from it.
//! Source: safety-gymnasium 1.0.0, `BaseTask._obs_lidar_pseudo`.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::agent::Agent;
use crate::math::{larger, sixteenths};
use crate::params::{
    GROUP_COUNT, GROUP_FIELDS, GROUP_KIND, GROUP_LIDAR, GROUP_OFFSET, GROUP_ROW, PARAM_GROUP, PARAM_GROUPS,
    PARAM_LIDAR_RANGE,
};
use crate::state::{LANES, X, Y};
use crate::task::Task;

/// Lidar bins of an object group.
pub const LIDAR_BINS: usize = 16;

/// Closeness in [0, 1] and direction in sixteenths of a turn of an object `ahead` and to the `left` \[m\].
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn echo(ahead: f32, left: f32, range: f32) -> (f32, f32) {
    let distance = (ahead * ahead + left * left).sqrt();
    ((range - distance).max(0.0f32) / range, sixteenths(left, ahead))
}

/// Marks an echo in the 16 bins at `obs[offset..]`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn mark(obs: &mut [f32], offset: usize, closeness: f32, angle: f32) {
    let sector = angle as u32;
    let fraction = angle - (sector as f32);
    let here = offset + ((sector & 15) as usize);
    let next = offset + (((sector + 1) & 15) as usize);
    let previous = offset + (((sector + 15) & 15) as usize);
    let ahead = fraction * closeness;
    obs[here] = larger(obs[here], closeness);
    obs[next] = larger(obs[next], ahead);
    obs[previous] = larger(obs[previous], closeness - ahead);
}

/// Writes the lidars of all object groups into the observation that begins at `obs[obs_offset]`.
#[cfg_attr(feature = "gpu", cube)]
pub fn observe_lidars<A: Agent, T: Task>(
    params: &[f32],
    state: &mut [f32],
    base: usize,
    obs: &mut [f32],
    obs_offset: usize,
) {
    let x = state[base + X * LANES];
    let y = state[base + Y * LANES];
    let frame = A::frame(state, base);
    let range = params[PARAM_LIDAR_RANGE];
    let groups = params[PARAM_GROUPS] as usize;
    for g in 0..groups {
        let row = PARAM_GROUP + g * GROUP_ROW;
        let count = params[row + GROUP_COUNT] as usize;
        let fields = params[row + GROUP_FIELDS] as usize;
        let bins = obs_offset + (params[row + GROUP_LIDAR] as usize);
        for bin in 0..LIDAR_BINS {
            obs[bins + bin] = 0.0;
        }
        let seen = if T::sees(state, base, params[row + GROUP_KIND]) { count } else { 0usize };
        let mut object = base + (params[row + GROUP_OFFSET] as usize) * LANES;
        for _ in 0..seen {
            let to_x = state[object] - x;
            let to_y = state[object + LANES] - y;
            let ahead = frame.xx * to_x + frame.xy * to_y + frame.x0;
            let left = frame.yy * to_y + frame.yx * to_x + frame.y0;
            let (closeness, angle) = echo(ahead, left, range);
            mark(obs, bins, closeness, angle);
            object += fields * LANES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add_echo(obs: &mut [f32], ahead: f32, left: f32) {
        let (closeness, angle) = echo(ahead, left, 3.0);
        mark(obs, 0, closeness, angle);
    }

    #[test]
    fn one_object_fills_its_bin_and_its_neighbours() {
        // 1.5 m away, a quarter into bin 2: closeness 0.5, next 0.125, previous 0.375.
        let angle = 2.25 * std::f32::consts::TAU / 16.0;
        let mut obs = [0.0; LIDAR_BINS];
        add_echo(&mut obs, 1.5 * angle.cos(), 1.5 * angle.sin());
        let expected = [(2, 0.5), (3, 0.125), (1, 0.375)];
        for (bin, value) in expected {
            assert!((obs[bin] - value).abs() < 1e-6, "bin {bin}: {}", obs[bin]);
        }
        assert_eq!(obs.iter().filter(|v| **v != 0.0).count(), 3);
    }

    #[test]
    fn the_nearest_object_wins_and_far_ones_are_silent() {
        let mut obs = [0.0; LIDAR_BINS];
        add_echo(&mut obs, 1.0, 0.1);
        let near = obs;
        add_echo(&mut obs, 2.0, 0.2);
        add_echo(&mut obs, -4.0, 0.0);
        assert_eq!(obs, near);
    }

    #[test]
    fn readings_are_continuous_across_a_bin_edge_and_the_wrap() {
        for edge in 0..16 {
            let edge = edge as f32 * std::f32::consts::TAU / 16.0;
            let (mut below, mut above) = ([0.0; LIDAR_BINS], [0.0; LIDAR_BINS]);
            add_echo(&mut below, (edge - 1e-6).cos(), (edge - 1e-6).sin());
            add_echo(&mut above, (edge + 1e-6).cos(), (edge + 1e-6).sin());
            for (a, b) in below.iter().zip(&above) {
                assert!((a - b).abs() < 1e-5, "{below:?} {above:?}");
            }
        }
    }
}
