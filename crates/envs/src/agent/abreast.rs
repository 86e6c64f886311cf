//! What agents have in common that go through a step among obstacles abreast, with the bits of
//! [`Agent::advance`](super::Agent::advance): the floor under all of them in vectors, what else touches them one by one.

use crate::contact::{load_static, scratch_of, with_scratch};
use crate::lanes::Place;
use crate::object::{obstacles_begin, publish_touches, touch_nothing};
use crate::state::{LANES, TOUCHED, X, Y};

/// Environments in the widest register.
const WIDEST: usize = 16;

/// Does `work` with the agents at `places`, a block of them at a time, and with working memory for them. Returns those left over: all
/// on a machine without vector registers, or a single one, which is no quicker so.
pub(super) fn together(places: &[Place], mut work: impl FnMut(&[Place], &mut [f32])) -> &[Place] {
    // Every machine that has the wider registers has these.
    if pulp::x86::V3::try_new().is_none() {
        return places;
    }
    let single = places.len() % LANES == 1;
    let (several, left) = places.split_at(places.len() - usize::from(single));
    for places in several.chunks(LANES) {
        with_scratch(|scratch| work(places, scratch));
    }
    left
}

/// The agents at `places`, a block of them at most, at the beginning of a step, each with working memory from [`scratch_of`] its
/// number here on.
pub(super) fn set_out(
    params: &[f32],
    state: &mut [f32],
    places: &[Place],
    reach: f32,
    is_tilted: impl Fn(&mut [f32], usize) -> bool,
    scratch: &mut [f32],
) -> [Underway; LANES] {
    let mut agents = [Underway::default(); LANES];
    for (k, (agent, place)) in agents.iter_mut().zip(places).enumerate() {
        let tilted = is_tilted(state, place.base);
        *agent = Underway::begin(params, state, place.base, reach, tilted, scratch, scratch_of(k));
    }
    agents
}

/// The agents at `places` by their numbers here, and after them the first once more for each place left in the last register:
/// what fills it up is solved too, and so takes no longer than the first.
pub(super) fn filled_up(places: &[Place]) -> impl Iterator<Item = (usize, Place)> + '_ {
    (0..places.len().next_multiple_of(WIDEST)).map(|k| (k, places.get(k).copied().unwrap_or(places[0])))
}

/// An agent on its way through a step.
#[derive(Clone, Copy, Default)]
pub(super) struct Underway {
    /// Where its numbers are in the state.
    pub base: usize,
    /// Where it stood when the step began, x \[m\].
    pub x: f32,
    /// The same, y.
    pub y: f32,
    /// Whether anything at all may touch it within the step.
    pub near: bool,
    /// Whether anything has touched it.
    pub touched: bool,
    /// Whether obstacles are near.
    met: bool,
}

impl Underway {
    /// The agent at `base`, whose working memory begins at `scratch_base`, with what is within its `reach` \[m\]; `tilted` says that
    /// it may meet the floor with more than its wheels.
    fn begin(
        params: &[f32],
        state: &mut [f32],
        base: usize,
        reach: f32,
        tilted: bool,
        scratch: &mut [f32],
        scratch_base: usize,
    ) -> Self {
        let met = obstacles_begin(params, state, base, reach, scratch, scratch_base) > 0;
        let near = met || tilted;
        if near {
            load_static(scratch, scratch_base);
        }
        Self { base, x: state[X * LANES + base], y: state[Y * LANES + base], near, touched: false, met }
    }

    /// Says in the state what was touched.
    pub fn end(&self, params: &[f32], state: &mut [f32], scratch: &mut [f32], scratch_base: usize) {
        state[TOUCHED * LANES + self.base] = if self.touched { 1.0 } else { 0.0 };
        if self.met {
            publish_touches(params, state, self.base, scratch, scratch_base);
        } else {
            touch_nothing(state, self.base);
        }
    }
}
