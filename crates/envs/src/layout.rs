//! Sampling of layouts by rejection, as the original does it.
//!
//! Objects are placed one after another (agent first, then the level's groups in order), each uniformly
//! in the square shrunk by its own keepout, 100 tries each; when one finds no place the whole layout
//! starts over. Source: safety-gymnasium 1.0.0, `utils/random_generator.py`.

mod simd;

pub(crate) use simd::{failed_attempts, sample_layout_simd};

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use crate::math::square;
use crate::params::{
    GROUP_COUNT, GROUP_FIELDS, GROUP_KEEPOUT, GROUP_OFFSET, GROUP_RANGE, GROUP_ROW, LAYOUT_AGENT, LAYOUT_OBJECTS,
    PARAM_AGENT_KEEPOUT, PARAM_GROUP, PARAM_GROUPS, PARAM_LAYOUT_FIRST, PARAM_LAYOUT_ROW, PARAM_LAYOUTS, POSE,
};
#[cfg(any(feature = "gpu", test))]
use crate::params::{PARAM_AGENT_RANGE, PARAM_AGENT_RANGE_Y, PARAM_AGENT_X, PARAM_AGENT_Y};
use crate::rng::draw;
use crate::state::{LANES, LAYOUT, X, Y};

const TRIES: u32 = 100;
const RESTARTS: u32 = 10_000;

/// Whether (x, y) with clearance `keepout` fits among the agent and the objects placed so far:
/// all of groups `0..groups`, the first `count` of group `groups`, leaving out group `skip`.
#[cfg_attr(feature = "gpu", cube)]
pub fn fits(
    params: &[f32],
    state: &mut [f32],
    base: usize,
    x: f32,
    y: f32,
    keepout: f32,
    groups: usize,
    count: usize,
    skip: usize,
) -> bool {
    let from_agent = square(x - state[base + X * LANES]) + square(y - state[base + Y * LANES]);
    let mut free = from_agent >= square(params[PARAM_AGENT_KEEPOUT] + keepout);
    // Loops end at the first object in the way: software Vulkan stops a program after 65535 rounds of all its loops.
    let mut g = 0usize;
    while free && g <= groups {
        let row = PARAM_GROUP + g * GROUP_ROW;
        let mut placed = count;
        if g < groups {
            placed = params[row + GROUP_COUNT] as usize;
        }
        if g == skip {
            placed = 0;
        }
        let clearance = square(params[row + GROUP_KEEPOUT] + keepout);
        let fields = params[row + GROUP_FIELDS] as usize;
        let mut at = base + (params[row + GROUP_OFFSET] as usize) * LANES;
        let mut i = 0usize;
        while free && i < placed {
            let distance = square(x - state[at]) + square(y - state[at + LANES]);
            if distance < clearance {
                free = false;
            }
            at += fields * LANES;
            i += 1;
        }
        g += 1;
    }
    free
}

/// A uniform coordinate within plus or minus `range` \[m\].
#[cfg_attr(feature = "gpu", cube)]
pub fn place(params: &[f32], state: &mut [f32], base: usize, env: u32, range: f32) -> f32 {
    let unit = draw(params, state, base, env);
    (unit + unit - 1.0) * range
}

/// Draws one of the level's fixed layouts and writes the positions of agent and objects; false where the level has none.
#[cfg_attr(feature = "gpu", cube)]
pub fn place_fixed(params: &[f32], state: &mut [f32], base: usize, env: u32) -> bool {
    let layouts = params[PARAM_LAYOUTS];
    let fixed = layouts > 0.5;
    if fixed {
        let chosen = ((draw(params, state, base, env) * layouts) as u32).min(layouts as u32 - 1);
        let row = params[PARAM_LAYOUT_FIRST] as usize + (chosen as usize) * (params[PARAM_LAYOUT_ROW] as usize);
        state[base + LAYOUT * LANES] = row as f32;
        state[base + X * LANES] = params[row + LAYOUT_AGENT];
        state[base + Y * LANES] = params[row + LAYOUT_AGENT + 1];
        let mut from = row + LAYOUT_OBJECTS;
        let groups = params[PARAM_GROUPS] as usize;
        for g in 0..groups {
            let group = PARAM_GROUP + g * GROUP_ROW;
            let count = params[group + GROUP_COUNT] as usize;
            let fields = params[group + GROUP_FIELDS] as usize;
            let mut at = base + (params[group + GROUP_OFFSET] as usize) * LANES;
            for _ in 0..count {
                state[at] = params[from];
                state[at + LANES] = params[from + 1];
                at += fields * LANES;
                from += POSE;
            }
        }
    }
    fixed
}

/// Writes a fresh layout: positions of the agent and of every object.
#[cfg(any(feature = "gpu", test))]
#[cfg_attr(feature = "gpu", cube)]
pub fn sample_layout(params: &[f32], state: &mut [f32], base: usize, env: u32) {
    let groups = params[PARAM_GROUPS] as usize;
    let mut complete = false;
    let mut restarts = 0u32;
    while !complete && restarts < RESTARTS {
        restarts += 1;
        complete = true;
        let x = place(params, state, base, env, params[PARAM_AGENT_RANGE]);
        let y = place(params, state, base, env, params[PARAM_AGENT_RANGE_Y]);
        state[base + X * LANES] = params[PARAM_AGENT_X] + x;
        state[base + Y * LANES] = params[PARAM_AGENT_Y] + y;
        for g in 0..groups {
            let row = PARAM_GROUP + g * GROUP_ROW;
            let count = params[row + GROUP_COUNT] as usize;
            let fields = params[row + GROUP_FIELDS] as usize;
            let keepout = params[row + GROUP_KEEPOUT];
            let range = params[row + GROUP_RANGE];
            let mut at = base + (params[row + GROUP_OFFSET] as usize) * LANES;
            for i in 0..count {
                let mut placed = false;
                let mut tries = 0u32;
                while complete && !placed && tries < TRIES {
                    tries += 1;
                    let x = place(params, state, base, env, range);
                    let y = place(params, state, base, env, range);
                    if fits(params, state, base, x, y, keepout, g, i, groups) {
                        state[at] = x;
                        state[at + LANES] = y;
                        placed = true;
                    }
                }
                complete = complete && placed;
                at += fields * LANES;
            }
        }
    }
}

/// Moves the single object of group `group` to a new place among the agent and all other objects where
/// they are now; false when 10000 tries found none (the object then stays).
#[cfg_attr(feature = "gpu", cube)]
pub fn resample(params: &[f32], state: &mut [f32], base: usize, env: u32, group: usize) -> bool {
    let groups = params[PARAM_GROUPS] as usize;
    let row = PARAM_GROUP + group * GROUP_ROW;
    let last = PARAM_GROUP + (groups - 1) * GROUP_ROW;
    let last_count = params[last + GROUP_COUNT] as usize;
    let keepout = params[row + GROUP_KEEPOUT];
    let range = params[row + GROUP_RANGE];
    let at = base + (params[row + GROUP_OFFSET] as usize) * LANES;
    let mut placed = false;
    let mut tries = 0u32;
    while !placed && tries < RESTARTS {
        tries += 1;
        let x = place(params, state, base, env, range);
        let y = place(params, state, base, env, range);
        if fits(params, state, base, x, y, keepout, groups - 1, last_count, group) {
            state[at] = x;
            state[at + LANES] = y;
            placed = true;
        }
    }
    placed
}

#[cfg(test)]
mod tests;
