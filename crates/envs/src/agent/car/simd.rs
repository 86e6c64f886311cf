//! The Car, 32 environments in step: motion over the bare floor in vectors.

#[cfg(target_arch = "x86_64")]
use super::abreast;
use super::contact_step::is_tilted;
#[cfg(target_arch = "x86_64")]
use super::register::in_vectors;
#[cfg(target_arch = "x86_64")]
use super::variants::{avx2, avx512};
use super::{ACTION_DIM, Car, HEIGHT, LIFT, POSE, REACH, scalar};
use crate::agent::simd::{advance_lane_by_lane, publish_block, sense_lane_by_lane};
use crate::agent::{Footprint, FrameLanes, Patch, SimdAgent};
use crate::lanes::Place;
use crate::object::advance_objects;
use crate::state::LANES;

/// Height of the chassis' upper edges above its origin, for what a tilt moves them sideways \[m\].
const SHOULDER: f32 = 0.1;

impl SimdAgent for Car {
    const REACH: f32 = REACH;
    // The wheels, the bumpers; the wheels with the back bumper, the trunk before them, the front bumper.
    const FOOTPRINT: Footprint = Footprint {
        whole: Patch::rectangle(0.0, -0.0075, 0.155, 0.1675),
        parts: &[
            Patch::rectangle(0.0, 0.105, 0.155, 0.055),
            Patch::rectangle(0.0, -0.025, 0.1, 0.075),
            Patch::rectangle(0.0, -0.1375, 0.05, 0.0375),
        ],
        lever: 0.234,
    };
    const ROCKING: f32 = 0.006;

    fn advance_free(state: &mut [f32], action: &[f32]) {
        Self::drive_block(state, action);
        publish_block(state, HEIGHT, LIFT);
    }

    fn advance_among(
        params: &[f32],
        state: &mut [f32],
        among: &[Place],
        alone: &[Place],
        action: &[f32],
        action_dim: usize,
        scratch: &mut [f32],
    ) {
        advance_objects(params, state, alone);
        #[cfg(target_arch = "x86_64")]
        let among = abreast::advance(params, state, among, action);
        advance_lane_by_lane::<Self>(params, state, among, action, action_dim, scratch);
    }

    fn sense_block(state: &mut [f32], obs: &mut [f32], obs_dim: usize, frames: &mut FrameLanes) {
        #[cfg(target_arch = "x86_64")]
        if in_vectors!(Sense { state: &mut *state, obs: &mut *obs, obs_dim: obs_dim, frames: &mut *frames }) {
            return;
        }
        sense_lane_by_lane::<Self>(state, obs, obs_dim, frames);
    }

    fn tilt_margin(state: &mut [f32], lane: usize) -> Option<f32> {
        if is_tilted(state, lane) {
            return None;
        }
        let (x, y) = (state[(POSE + 1) * LANES + lane], state[(POSE + 2) * LANES + lane]);
        Some(2.0 * SHOULDER * (x * x + y * y).sqrt())
    }
}

impl Car {
    /// The motion of the first `action.len() / ACTION_DIM` cars of a block over the bare floor, by the widest vectors the
    /// machine has: the bits of `drive`, six to twelve times faster. The other lanes are computed too and mean nothing.
    /// `state` is `[state_dim, 32]`, `action` `[cars, ACTION_DIM]`.
    pub(super) fn drive_block(state: &mut [f32], action: &[f32]) {
        #[cfg(target_arch = "x86_64")]
        if in_vectors!(Drive { state: &mut *state, action: action }) {
            return;
        }
        for (base, command) in action.chunks_exact(ACTION_DIM).enumerate() {
            scalar::drive(command[0], command[1], state, base);
        }
    }
}
