//! The pseudo-lidar: 16 bins around the agent, closeness of the nearest object in each.
//!
//! An object at distance d and angle a gives s = max(0, D - d) / D to its bin, and, anti-aliased,
//! (fraction) s to the next and (1 - fraction) s to the previous bin. The reading is continuous
//! at a bin's edge: just below it the next bin already reads s, just above it the previous one does.
//! Source: safety-gymnasium 1.0.0, `BaseTask._obs_lidar_pseudo`.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::level::{
    GROUP_COUNT, GROUP_FIELDS, GROUP_LIDAR, GROUP_OFFSET, GROUP_ROW, LIDAR_BINS, PARAM_GROUP, PARAM_GROUPS,
    PARAM_LIDAR_RANGE,
};
use crate::math::sixteenths;
use crate::state::{COS, LANES, SIN, X, Y};

/// Adds one object, at (right of heading frame) `ego_x`, `ego_y`, to the 16 bins at `obs[at..]`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn add_echo(obs: &mut [f32], at: usize, ego_x: f32, ego_y: f32, range: f32) {
    let distance = (ego_x * ego_x + ego_y * ego_y).sqrt();
    if distance < range {
        let closeness = (range - distance) / range;
        let angle = sixteenths(ego_y, ego_x);
        let sector = angle as u32;
        let fraction = angle - (sector as f32);
        let here = at + ((sector & 15) as usize);
        let next = at + (((sector + 1) & 15) as usize);
        let previous = at + (((sector + 15) & 15) as usize);
        obs[here] = obs[here].max(closeness);
        obs[next] = obs[next].max(fraction * closeness);
        obs[previous] = obs[previous].max((1.0f32 - fraction) * closeness);
    }
}

/// Writes the lidars of all object groups into the observation that begins at `obs[at]`.
#[cfg_attr(feature = "gpu", cube)]
pub fn observe_lidars(params: &[f32], state: &mut [f32], base: usize, obs: &mut [f32], at: usize) {
    let x = state[base + X * LANES];
    let y = state[base + Y * LANES];
    let cos = state[base + COS * LANES];
    let sin = state[base + SIN * LANES];
    let range = params[PARAM_LIDAR_RANGE];
    let groups = params[PARAM_GROUPS] as usize;
    for g in 0..groups {
        let row = PARAM_GROUP + g * GROUP_ROW;
        let count = params[row + GROUP_COUNT] as usize;
        let fields = params[row + GROUP_FIELDS] as usize;
        let bins = at + (params[row + GROUP_LIDAR] as usize);
        for bin in 0..LIDAR_BINS {
            obs[bins + bin] = 0.0;
        }
        let mut object = base + (params[row + GROUP_OFFSET] as usize) * LANES;
        for _ in 0..count {
            let to_x = state[object] - x;
            let to_y = state[object + LANES] - y;
            let ego_x = cos * to_x + sin * to_y;
            let ego_y = cos * to_y - sin * to_x;
            add_echo(obs, bins, ego_x, ego_y, range);
            object += fields * LANES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_fills_its_bin_and_its_neighbours() {
        // 1.5 m away, a quarter into bin 2: closeness 0.5, next 0.125, previous 0.375.
        let angle = 2.25 * std::f32::consts::TAU / 16.0;
        let mut obs = [0.0; LIDAR_BINS];
        add_echo(&mut obs, 0, 1.5 * angle.cos(), 1.5 * angle.sin(), 3.0);
        let expected = [(2, 0.5), (3, 0.125), (1, 0.375)];
        for (bin, value) in expected {
            assert!((obs[bin] - value).abs() < 1e-6, "bin {bin}: {}", obs[bin]);
        }
        assert_eq!(obs.iter().filter(|v| **v != 0.0).count(), 3);
    }

    #[test]
    fn the_nearest_object_wins_and_far_ones_are_silent() {
        let mut obs = [0.0; LIDAR_BINS];
        add_echo(&mut obs, 0, 1.0, 0.1, 3.0);
        let near = obs;
        add_echo(&mut obs, 0, 2.0, 0.2, 3.0);
        add_echo(&mut obs, 0, -4.0, 0.0, 3.0);
        assert_eq!(obs, near);
    }

    #[test]
    fn readings_are_continuous_across_a_bin_edge_and_the_wrap() {
        for edge in 0..16 {
            let edge = edge as f32 * std::f32::consts::TAU / 16.0;
            let (mut below, mut above) = ([0.0; LIDAR_BINS], [0.0; LIDAR_BINS]);
            add_echo(&mut below, 0, (edge - 1e-6).cos(), (edge - 1e-6).sin(), 3.0);
            add_echo(&mut above, 0, (edge + 1e-6).cos(), (edge + 1e-6).sin(), 3.0);
            for (a, b) in below.iter().zip(&above) {
                assert!((a - b).abs() < 1e-5, "{below:?} {above:?}");
            }
        }
    }
}
