//! What agents have in common that go through a step among obstacles abreast, with the bits of
//! [`Agent::advance`](super::Agent::advance): the floor under all of them in vectors, what else touches them one by one.

use crate::contact::{load_static, scratch_of, with_scratch};
use crate::object::{obstacles_begin, publish_touches, touch_nothing};
use crate::state::{LANES, TOUCHED, X, Y};

/// Environments in the widest register.
const WIDEST: usize = 16;

/// Does `work` with working memory for a block of environments. Returns whether it was done: not on a machine without vector
/// registers.
pub(super) fn in_scratch(work: impl FnOnce(&mut [f32])) -> bool {
    // Every machine that has the wider registers has these.
    let can = pulp::x86::V3::try_new().is_some();
    if can {
        with_scratch(work);
    }
    can
}

/// The agents in `lanes` at the beginning of a step, each with working memory from [`scratch_of`] its place on.
pub(super) fn set_out(
    params: &[f32],
    state: &mut [f32],
    lanes: &[usize],
    reach: f32,
    is_tilted: impl Fn(&mut [f32], usize) -> bool,
    scratch: &mut [f32],
) -> [Underway; LANES] {
    let mut agents = [Underway::default(); LANES];
    for (k, (agent, &lane)) in agents.iter_mut().zip(lanes).enumerate() {
        let tilted = is_tilted(state, lane);
        *agent = Underway::begin(params, state, lane, reach, tilted, scratch, scratch_of(k));
    }
    agents
}

/// Places and lanes of the agents in `lanes`, and after them the first once more for each place left in the last register:
/// what fills it up is solved too, and so takes no longer than the first.
pub(super) fn filled_up(lanes: &[usize]) -> impl Iterator<Item = (usize, usize)> + '_ {
    (0..lanes.len().next_multiple_of(WIDEST)).map(|k| (k, lanes.get(k).copied().unwrap_or(lanes[0])))
}

/// An agent on its way through a step.
#[derive(Clone, Copy, Default)]
pub(super) struct Underway {
    /// Its lane in the block.
    pub lane: usize,
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
    /// The agent in `lane`, whose working memory begins at `base`, with what is within its `reach` \[m\]; `tilted` says that
    /// it may meet the floor with more than its wheels.
    fn begin(
        params: &[f32],
        state: &mut [f32],
        lane: usize,
        reach: f32,
        tilted: bool,
        scratch: &mut [f32],
        base: usize,
    ) -> Self {
        let met = obstacles_begin(params, state, lane, reach, scratch, base) > 0;
        let near = met || tilted;
        if near {
            load_static(scratch, base);
        }
        Self { lane, x: state[X * LANES + lane], y: state[Y * LANES + lane], near, touched: false, met }
    }

    /// Says in the state what was touched.
    pub fn end(&self, params: &[f32], state: &mut [f32], scratch: &mut [f32], base: usize) {
        state[TOUCHED * LANES + self.lane] = if self.touched { 1.0 } else { 0.0 };
        if self.met {
            publish_touches(params, state, self.lane, scratch, base);
        } else {
            touch_nothing(state, self.lane);
        }
    }
}
