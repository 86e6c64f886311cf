//! What an agent gives to the CPU's path, which moves 32 environments in step.

use pulp::NullaryFnOnce;

use super::Agent;
use super::frame::FrameLanes;
use crate::lanes::{Lane, Place, row, row_mut, with_simd};
use crate::math::{SIXTEENTH, sixteenths, wrap_angle};
use crate::state::{COS, SIN, YAW, Z};

/// An agent that can move in vectors.
pub(crate) trait SimdAgent: Agent {
    /// Farthest point from the origin, and what the agent travels in a step, generously \[m\].
    const REACH: f32;
    /// What it covers of the floor.
    const FOOTPRINT: Footprint;
    /// What rocking within a step can add to the path of its corners \[m\].
    const ROCKING: f32;

    /// One step of all agents of a block over the bare floor under `action [lanes, action_dim]`.
    fn advance_free(state: &mut [f32], action: &[f32]);

    /// [`Agent::advance`] of the environments `among` of some blocks, in which something may be met, and
    /// [`advance_objects`](crate::object::advance_objects) of those in which objects move `alone`.
    fn advance_among(
        params: &[f32],
        state: &mut [f32],
        among: &[Place],
        alone: &[Place],
        action: &[f32],
        action_dim: usize,
        scratch: &mut [f32],
    );

    /// [`Agent::observe`] of the first `obs.len() / obs_dim` agents of a block, each to its row of `obs`, and
    /// [`Agent::frame`] of them; those of the other lanes mean nothing.
    fn sense_block(state: &mut [f32], obs: &mut [f32], obs_dim: usize, frames: &mut FrameLanes) {
        sense_lane_by_lane::<Self>(state, obs, obs_dim, frames);
    }

    /// How far its corners stand out of the footprint because it is tilted \[m\]; None where it may fall.
    fn tilt_margin(state: &mut [f32], lane: usize) -> Option<f32>;
}

/// What an agent covers of the floor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    /// Holds the agent.
    pub whole: Patch,
    /// Hold the agent together, and less besides.
    pub parts: &'static [Patch],
    /// Distance of the farthest corner from the origin \[m\].
    pub lever: f32,
}

/// A rectangle in the agent's frame, grown by `radius` to all sides; upright, nothing stands out of it \[m\].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patch {
    /// Centre, x.
    pub x: f32,
    /// Centre, y.
    pub y: f32,
    /// Half length along x.
    pub half_x: f32,
    /// Half length along y.
    pub half_y: f32,
    /// Width of what is round about it.
    pub radius: f32,
}

impl Patch {
    /// With sharp corners.
    pub const fn rectangle(x: f32, y: f32, half_x: f32, half_y: f32) -> Self {
        Self { x, y, half_x, half_y, radius: 0.0 }
    }

    /// A disc.
    pub const fn disc(x: f32, y: f32, radius: f32) -> Self {
        Self { x, y, half_x: 0.0, half_y: 0.0, radius }
    }
}

/// [`SimdAgent::advance_among`] one environment after another.
pub(super) fn advance_lane_by_lane<A: Agent + ?Sized>(
    params: &[f32],
    state: &mut [f32],
    places: &[Place],
    action: &[f32],
    action_dim: usize,
    scratch: &mut [f32],
) {
    for place in places {
        A::advance(params, state, place.base, action, place.number * action_dim, scratch, 0);
    }
}

/// [`SimdAgent::sense_block`] without vectors.
pub(crate) fn sense_lane_by_lane<A: Agent + ?Sized>(
    state: &mut [f32],
    obs: &mut [f32],
    obs_dim: usize,
    frames: &mut FrameLanes,
) {
    for (lane, obs) in obs.chunks_exact_mut(obs_dim).enumerate() {
        A::observe(state, lane, obs, 0);
        frames.set(lane, A::frame(state, lane));
    }
}

/// Yaw and height of all agents of a block from their heading and the field `lift`, their height above `height`.
pub(super) fn publish_block(state: &mut [f32], height: f32, lift: usize) {
    with_simd(Publish { state, height, lift });
}

struct Publish<'a> {
    state: &'a mut [f32],
    height: f32,
    lift: usize,
}

impl NullaryFnOnce for Publish<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { state, height, lift } = self;
        let (sin, cos, lift): (Lane, Lane, Lane) = (*row(state, SIN), *row(state, COS), *row(state, lift));
        for ((yaw, sin), cos) in row_mut(state, YAW).iter_mut().zip(sin).zip(cos) {
            *yaw = wrap_angle(sixteenths(sin, cos) * SIXTEENTH);
        }
        for (z, lift) in row_mut(state, Z).iter_mut().zip(lift) {
            *z = height + lift;
        }
    }
}
