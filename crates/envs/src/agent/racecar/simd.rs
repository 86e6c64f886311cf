//! The Racecar, 32 environments in step: motion over the bare floor in vectors.

#[cfg(target_arch = "x86_64")]
use super::abreast;
use super::contact_step::is_tilted;
#[cfg(target_arch = "x86_64")]
use super::variants::{avx2, avx512};
use super::{ACTION_DIM, HEIGHT, LIFT, POSE, REACH, Racecar, scalar};
#[cfg(target_arch = "x86_64")]
use crate::agent::car::register::in_vectors;
use crate::agent::simd::{advance_lane_by_lane, publish_block};
use crate::agent::{Footprint, Patch, SimdAgent};
use crate::lanes::Place;
use crate::object::advance_objects;
use crate::state::LANES;

/// Height of the bumper's upper edge above the origin, for what a tilt moves it sideways \[m\].
const SHOULDER: f32 = 0.06;

impl SimdAgent for Racecar {
    const REACH: f32 = REACH;
    // From the trunk's back to the bumper; steered front wheels stay within. The rear wheels, the trunk, the front wheels
    // however they are steered, the bumper.
    const FOOTPRINT: Footprint = Footprint {
        whole: Patch::rectangle(0.0163, 0.0, 0.2306, 0.168),
        parts: &[
            Patch::rectangle(-0.16, 0.0, 0.05, 0.145),
            Patch::rectangle(-0.0045, 0.0, 0.2097, 0.1017),
            Patch::rectangle(0.165, 0.0, 0.075, 0.168),
            Patch::rectangle(0.23, 0.0, 0.0168, 0.0875),
        ],
        lever: 0.299,
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

    fn tilt_margin(state: &mut [f32], lane: usize) -> Option<f32> {
        if is_tilted(state, lane) {
            return None;
        }
        let (x, y) = (state[(POSE + 1) * LANES + lane], state[(POSE + 2) * LANES + lane]);
        Some(2.0 * SHOULDER * (x * x + y * y).sqrt())
    }
}

impl Racecar {
    /// The motion of the first `action.len() / ACTION_DIM` cars of a block over the bare floor, by the widest vectors the
    /// machine has: the bits of `drive`. The other lanes are computed too and mean nothing. `state` is `[state_dim, 32]`,
    /// `action` `[cars, ACTION_DIM]`.
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
