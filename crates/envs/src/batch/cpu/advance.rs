//! Moves the agents of a block in vectors where nothing is met, and tells where something may be.
//!
//! Most agents are near some object and yet meet none of them, so the vectors move all of them first, and what came of
//! it tells: an agent that was clear of everything before and is after, by more than it can have strayed in between,
//! met nothing, and its motion over the bare floor stands; objects that still slide then do so by themselves. The
//! others are put back and take the scalar step, whose bits are the same where nothing touches.

use pulp::NullaryFnOnce;

use super::clearance::{Detail, clearance};
use crate::agent::{AgentModel, SimdAgent};
use crate::lanes::{Place, row, with_simd};
use crate::math::{square, wrap_angle};
use crate::object::ObjectKind;
use crate::object::{alone_range, touch_nothing};
use crate::params::{
    PARAM_BODIES, PARAM_BODY_FIELDS, PARAM_BODY_FIRST, PARAM_BODY_KIND, PARAM_BODY_REACH, PARAM_SOLID_FIRST,
    PARAM_SOLID_RADIUS, PARAM_SOLIDS,
};
use crate::state::{AGE, AGENT, AGENT_OWN, DX, DY, IDLE, LANES, OMEGA, STATIC_FIELDS, VX, VY, X, Y, YAW};

/// Most numbers an agent has in the state.
const MOST_FIELDS: usize = 48;
/// After so many steps a gremlin has caught up with its mocap body, and keeps its speed.
const CAUGHT_UP: f32 = 30.0;
/// What an object that moves can go beyond its present speed in a step, itself or by pushing another \[m\].
const STRAY: f32 = 0.005;

/// Nearer than this an object is looked at more closely: an agent travels less in a step \[m\].
const CLOSE: f32 = 0.1;

/// What stands around the agent of a lane at the beginning of a step.
#[derive(Clone, Copy, PartialEq)]
enum Surroundings {
    /// Nothing is within reach: the agent moves over the bare floor.
    Free,
    /// Something is near, or moves by itself, but nothing touches the agent yet.
    Near {
        /// Distance to the nearest object \[m\].
        clear: f32,
        /// How much of that distance tilting and the objects' own motion can use up within the step \[m\].
        margin: f32,
    },
    /// Something may be touched: the step needs the contact solver.
    Busy,
}

/// Numbers the agent has in the state, the common ones included.
const fn agent_fields<A: AgentModel>() -> usize {
    AGENT_OWN + A::STATE_FIELDS - AGENT
}

/// The environments of some blocks that the vectors leave over.
#[derive(Default)]
pub(super) struct Rest {
    /// Those whose agents may meet something.
    pub among: Vec<Place>,
    /// Those whose agents have met nothing, and whose objects move.
    pub alone: Vec<Place>,
}

/// [`Agent::advance`] of those of a block's first `action.len() / action_dim` environments whose agents meet nothing, and adds the others
/// to the `rest`; the block's first environment is `first`. Returns in which of them nothing moves but the agent.
pub(super) fn advance_freely<A: SimdAgent + AgentModel>(
    params: &[f32],
    state: &mut [f32],
    action: &[f32],
    action_dim: usize,
    first: Place,
    rest: &mut Rest,
) -> [bool; LANES] {
    let lanes = action.len() / action_dim;
    let mut kinds = classify::<A>(params, state, lanes);
    spent!(Sorting);
    let mut before = [[0.0; MOST_FIELDS]; LANES];
    for lane in (0..lanes).filter(|lane| kinds[*lane] != Surroundings::Free) {
        for (i, kept) in before[lane][..agent_fields::<A>()].iter_mut().enumerate() {
            *kept = state[(AGENT + i) * LANES + lane];
        }
    }
    A::advance_free(state, action);
    spent!(FreeMotion);
    for lane in 0..lanes {
        if let Surroundings::Near { clear, margin } = kinds[lane] {
            if clear_all_along::<A>(params, state, lane, &before[lane], clear, margin) {
                kinds[lane] = Surroundings::Free;
            }
        }
    }
    spent!(Sorting);
    let mut free = [false; LANES];
    for lane in 0..lanes {
        let place = Place { base: first.base + lane, number: first.number + lane };
        if kinds[lane] == Surroundings::Free {
            free[lane] = state[IDLE * LANES + lane] > 0.5;
            if free[lane] {
                touch_nothing(state, lane);
            } else {
                rest.alone.push(place);
            }
        } else {
            for (i, kept) in before[lane][..agent_fields::<A>()].iter().enumerate() {
                state[(AGENT + i) * LANES + lane] = *kept;
            }
            rest.among.push(place);
        }
    }
    free
}

fn classify<A: SimdAgent + AgentModel>(params: &[f32], state: &mut [f32], lanes: usize) -> [Surroundings; LANES] {
    let near = with_simd(FindNear { params, state, reach: A::REACH });
    let gremlins = params[PARAM_BODY_KIND] == ObjectKind::Gremlin.code();
    let mut kinds = [Surroundings::Free; LANES];
    for lane in 0..lanes {
        let get = |field: usize| state[field * LANES + lane];
        let (idle, young) = (get(IDLE) > 0.5, get(AGE) < CAUGHT_UP);
        if idle && !near[lane] {
            if A::tilt_margin(state, lane).is_none() {
                kinds[lane] = Surroundings::Busy;
            }
        } else if gremlins && young && near[lane] {
            kinds[lane] = Surroundings::Busy;
        } else {
            let (mut clear, motion) = clearance(params, state, lane, &A::FOOTPRINT, A::REACH, Detail::Outline);
            if clear < CLOSE {
                (clear, _) = clearance(params, state, lane, &A::FOOTPRINT, A::REACH, Detail::Parts);
            }
            let drift = if motion > 0.0 { motion * A::STEP_SECONDS + STRAY } else { 0.0 };
            let tilt = A::tilt_margin(state, lane).unwrap_or(f32::INFINITY);
            let margin = A::ROCKING + tilt + drift;
            kinds[lane] = if clear > 0.5 * margin { Surroundings::Near { clear, margin } } else { Surroundings::Busy };
        }
    }
    kinds
}

/// Lanes in which something is so near that it could be met.
struct FindNear<'a> {
    params: &'a [f32],
    state: &'a [f32],
    reach: f32,
}

impl NullaryFnOnce for FindNear<'_> {
    type Output = [bool; LANES];

    #[inline(always)]
    fn call(self) -> [bool; LANES] {
        let Self { params, state, reach } = self;
        let mut near = [false; LANES];
        let (bodies, body_fields) = (params[PARAM_BODIES] as usize, params[PARAM_BODY_FIELDS] as usize);
        let range = alone_range(reach, params[PARAM_BODY_REACH]);
        mark_near(state, params[PARAM_BODY_FIRST] as usize, bodies, body_fields, range, &mut near);
        let range = alone_range(reach, params[PARAM_SOLID_RADIUS]);
        let solids = params[PARAM_SOLIDS] as usize;
        mark_near(state, params[PARAM_SOLID_FIRST] as usize, solids, STATIC_FIELDS, range, &mut near);
        near
    }
}

/// Marks the lanes in which one of `count` objects is nearer than `range` to the agent.
#[inline(always)]
fn mark_near(state: &[f32], first: usize, count: usize, fields: usize, range: f32, near: &mut [bool; LANES]) {
    let (x, y) = (row(state, X), row(state, Y));
    for object in 0..count {
        let field = first + object * fields;
        let (object_x, object_y) = (row(state, field), row(state, field + 1));
        for l in 0..LANES {
            near[l] |= square(object_x[l] - x[l]) + square(object_y[l] - y[l]) < square(range);
        }
    }
}

/// Whether an agent that has moved from `before`, where it was `clear` of everything, cannot have met anything on its
/// way: the path of its corners, and what else can take off the clearances at both ends, is less than their sum.
fn clear_all_along<A: SimdAgent + AgentModel>(
    params: &[f32],
    state: &mut [f32],
    lane: usize,
    before: &[f32],
    clear: f32,
    margin: f32,
) -> bool {
    let Some(tilt) = A::tilt_margin(state, lane) else { return false };
    let (mut clear_after, _) = clearance(params, state, lane, &A::FOOTPRINT, A::REACH, Detail::Outline);
    if clear_after < CLOSE {
        (clear_after, _) = clearance(params, state, lane, &A::FOOTPRINT, A::REACH, Detail::Parts);
    }
    let now = |field: usize| state[field * LANES + lane];
    let was = |field: usize| before[field - AGENT];
    let speed = 0.5 * (now(VX).hypot(now(VY)) + was(VX).hypot(was(VY)));
    let path = now(DX).hypot(now(DY)).max(speed * A::STEP_SECONDS);
    let spin = 0.5 * (now(OMEGA).abs() + was(OMEGA).abs());
    let turn = wrap_angle(now(YAW) - was(YAW)).abs().max(spin * A::STEP_SECONDS);
    clear + clear_after > path + turn * A::FOOTPRINT.lever + 2.0 * margin + tilt
}
