//! [`super::sample_layout`] for the CPU: a batch of tries at a time, in vectors.
//!
//! Random numbers are a function of their count, so that the tries of an object can be drawn and judged at once and the
//! first that fits taken: the numbers used, and every bit of the layout, are those of the plain sampler. Crowded levels
//! (Button) start over many times and try thousands of places; their layouts took half of all time.

use pulp::NullaryFnOnce;

use super::{RESTARTS, TRIES};
use crate::lanes::with_simd;
use crate::level::MAX_OBJECTS;
use crate::math::square;
use crate::params::{
    GROUP_COUNT, GROUP_FIELDS, GROUP_KEEPOUT, GROUP_OFFSET, GROUP_RANGE, GROUP_ROW, PARAM_AGENT_KEEPOUT,
    PARAM_AGENT_RANGE, PARAM_AGENT_RANGE_Y, PARAM_AGENT_X, PARAM_AGENT_Y, PARAM_GROUP, PARAM_GROUPS,
};
use crate::rng::{bits, seed_words, unit};
use crate::state::{DRAW, EPISODE, LANES, X, Y};

/// Tries judged at once.
const BATCH: usize = 16;
/// The objects of a level, and the agent.
const MOST: usize = MAX_OBJECTS + 1;

/// Writes a fresh layout: positions of the agent and of every object. The same bits as [`super::sample_layout`]. False
/// where no attempt found a place for every object, which are then somewhere.
pub(crate) fn sample_layout_simd(params: &[f32], state: &mut [f32], base: usize, env: u32) -> bool {
    with_simd(Sampler::new(params, state, base, env))
}

/// How many attempts at the layout of environment `env` fail, of `most`, before one succeeds; each is counted in
/// `failures` under the group that found no place.
pub(crate) fn failed_attempts(params: &[f32], state: &mut [f32], env: u32, most: u32, failures: &mut [u32]) -> u32 {
    let mut sampler = Sampler::new(params, state, 0, env);
    for attempt in 0..most {
        match sampler.attempt() {
            Ok(()) => return attempt,
            Err(group) => failures[group] += 1,
        }
    }
    most
}

/// What stands already: places and clearances.
struct Placed {
    x: [f32; MOST],
    y: [f32; MOST],
    keepout: [f32; MOST],
    count: usize,
}

impl Placed {
    #[inline(always)]
    fn push(&mut self, x: f32, y: f32, keepout: f32) {
        self.x[self.count] = x;
        self.y[self.count] = y;
        self.keepout[self.count] = keepout;
        self.count += 1;
    }
}

struct Sampler<'a> {
    params: &'a [f32],
    state: &'a mut [f32],
    base: usize,
    env: u32,
    seed: (u32, u32),
    episode: u32,
    drawn: u32,
}

impl<'a> Sampler<'a> {
    fn new(params: &'a [f32], state: &'a mut [f32], base: usize, env: u32) -> Self {
        let episode = state[base + EPISODE * LANES] as u32;
        let drawn = state[base + DRAW * LANES] as u32;
        Self { seed: seed_words(params), params, state, base, env, episode, drawn }
    }

    /// Random number `count` as a coordinate within plus or minus `range`, as [`super::place`] makes it.
    #[inline(always)]
    fn coordinate(&self, count: u32, range: f32) -> f32 {
        let unit = unit(bits(self.seed.0, self.seed.1, self.env, self.episode, count));
        (unit + unit - 1.0) * range
    }

    /// Tries until the object fits; None after [`TRIES`].
    #[inline(always)]
    fn place(&mut self, placed: &Placed, keepout: f32, range: f32) -> Option<(f32, f32)> {
        let mut tries = 0;
        while tries < TRIES as usize {
            let batch = BATCH.min(TRIES as usize - tries);
            let (mut x, mut y, mut free) = ([0.0; BATCH], [0.0; BATCH], [1u32; BATCH]);
            for k in 0..BATCH {
                x[k] = self.coordinate(self.drawn.wrapping_add(2 * k as u32), range);
                y[k] = self.coordinate(self.drawn.wrapping_add(2 * k as u32 + 1), range);
            }
            for object in 0..placed.count {
                let (other_x, other_y) = (placed.x[object], placed.y[object]);
                let clearance = square(placed.keepout[object] + keepout);
                for k in 0..BATCH {
                    let distance = square(x[k] - other_x) + square(y[k] - other_y);
                    free[k] &= u32::from(distance >= clearance);
                }
            }
            if let Some(k) = free[..batch].iter().position(|free| *free == 1) {
                self.drawn += 2 * (k as u32 + 1);
                return Some((x[k], y[k]));
            }
            self.drawn += 2 * batch as u32;
            tries += batch;
        }
        None
    }

    /// One attempt at the whole layout; the group of an object that found no place, where there was one.
    #[inline(always)]
    fn attempt(&mut self) -> Result<(), usize> {
        let mut placed = Placed { x: [0.0; MOST], y: [0.0; MOST], keepout: [0.0; MOST], count: 0 };
        let x = self.params[PARAM_AGENT_X] + self.coordinate(self.drawn, self.params[PARAM_AGENT_RANGE]);
        let y = self.params[PARAM_AGENT_Y] + self.coordinate(self.drawn + 1, self.params[PARAM_AGENT_RANGE_Y]);
        self.drawn += 2;
        self.write(X, x, y);
        debug_assert_eq!(Y, X + 1);
        placed.push(x, y, self.params[PARAM_AGENT_KEEPOUT]);
        let params = self.params;
        let groups = params[PARAM_GROUP..].chunks_exact(GROUP_ROW).take(params[PARAM_GROUPS] as usize);
        for (number, group) in groups.enumerate() {
            let keepout = group[GROUP_KEEPOUT];
            for object in 0..group[GROUP_COUNT] as usize {
                let Some((x, y)) = self.place(&placed, keepout, group[GROUP_RANGE]) else { return Err(number) };
                self.write(group[GROUP_OFFSET] as usize + object * group[GROUP_FIELDS] as usize, x, y);
                placed.push(x, y, keepout);
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn write(&mut self, field: usize, x: f32, y: f32) {
        self.state[self.base + field * LANES] = x;
        self.state[self.base + (field + 1) * LANES] = y;
    }
}

impl NullaryFnOnce for Sampler<'_> {
    type Output = bool;

    #[inline(always)]
    fn call(mut self) -> bool {
        let mut attempts = 0;
        while attempts < RESTARTS && self.attempt().is_err() {
            attempts += 1;
        }
        self.state[self.base + DRAW * LANES] = self.drawn as f32;
        attempts < RESTARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::sample_layout;
    use crate::registry::registry;

    #[test]
    fn layouts_are_those_of_the_plain_sampler_bit_for_bit() {
        for spec in registry() {
            let params = spec.params(5);
            for env in 0..200 {
                let mut plain = vec![0.0f32; spec.state_dim() * LANES];
                plain[3 + EPISODE * LANES] = 2.0;
                let mut fast = plain.clone();
                sample_layout(&params, &mut plain, 3, env);
                sample_layout_simd(&params, &mut fast, 3, env);
                let differ = plain.iter().zip(&fast).position(|(a, b)| a.to_bits() != b.to_bits());
                assert_eq!(differ.map(|i| i / LANES), None, "{} env {env}: state field", spec.env.id);
            }
        }
    }
}
