//! MuJoCo's `mj_makeConstraint` and `mj_solNewton` for a few bodies: soft contacts as records in a scratch slice.
//!
//! Every contact has a frame (normal n, tangents t1, t2), five friction directions (two slides, one
//! torsion, two rolls) and ten pyramid edges `J_n +- mu_i J_i` that share one regularisation
//! `R = 2 mu^2 (1 - d) / d (1 + mu^2) w`, w the sum of the two bodies' `invweight0`. The accelerations
//! minimise
//!
//! ```text
//! 1/2 (a - a_free)' M (a - a_free) + sum over edges 1/(2R) min(0, e)^2,    e = J a + b J v + k d r
//! ```
//!
//! with r the (negative) gap, `b = 2 / (0.95 * 0.02)`, `k = 1 / (0.95 * 0.02)^2` and the impedance d(r) of
//! [`impedance`]. All of a contact's edges are sums of the six numbers `y = J a + b J v` in its frame, so a
//! contact keeps y (36 floats in all) and no Jacobian.
//!
//! The objective is minimised body by body (block descent, exact Newton steps in each block): the Point weighs
//! 650 vases, so one vase against the Point settles within two sweeps, and any number of bodies needs no
//! larger matrix than 6 x 6.
//!
//! Symbols: a acceleration, v velocity, w angular velocity, n normal, r gap (in formulas) or lever arm; `scratch_base` is
//! the start of the caller's scratch. A slot is one body's place in the scratch; slot [`AGENT_SLOT`] and those behind
//! [`STATIC_SLOT`] are the agent's parts ([`ContactBody`]), [`STATIC_SLOT`] never moves, the others have six degrees of freedom.
//!
//! # References
//! MuJoCo documentation, "Computation: constraint model"; engine 2.3.3.

#[macro_use]
mod grouped;

mod abreast;
mod block;
mod boxes;
mod contact_body;
mod convex;
mod factors;
mod free_body;
mod hull;
mod joint;
mod kind;
mod path;
mod place;
mod portal;
mod rows;
mod search;
mod shape;
mod solver;
#[cfg(test)]
pub(crate) mod tests;
mod vector;

pub(crate) use abreast::{MOST_TOGETHER, scratch_of, solve_each, with_scratch};
pub(crate) use block::{SUM, clear_sums, inverse, matrix, write_direction, write_six};
pub use boxes::box_box;
pub use contact_body::{ContactBody, Nobody, agent_touches};
pub use convex::{BOX, CYLINDER, HULL, SPHERE, convex_convex};
pub(crate) use factors::{factorise, substitute, substitute_couplings};
pub use free_body::{load_free_body, move_free_body, place_free_body};
pub(crate) use joint::{answer_of, coupling_of, own_step};
pub(crate) use kind::{Kind, contact_kinds, contacts_in};
pub(crate) use path::{advance_record, path_of_record};
pub use place::{copy_geom, load_static, place_upright_box};
pub use shape::{ball_ball, floor_box, sphere_box};
pub(crate) use solver::LEVER;
#[cfg(test)]
pub(crate) use solver::solve;
pub use solver::{diverged, solve_active};

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

/// Movable bodies that can be in the solver at once, next to the agent.
pub const MAX_BODIES: usize = 10;
/// Contacts that can exist at once; further ones are dropped.
pub const MAX_CONTACTS: usize = 96;
/// Floats of scratch that one environment's contact code needs.
pub const SCRATCH_LEN: usize = STAGED + MAX_BODIES * STAGED_LEN;

/// Parts that an agent can have besides its first.
const MORE_PARTS: usize = 3;

/// Slot of the agent, or of its first part.
pub const AGENT_SLOT: usize = 0;
/// Slot of everything that never moves.
pub const STATIC_SLOT: usize = MAX_BODIES + 1;
/// Slot of the agent's second part; the others follow, [`MORE_PARTS`] in all.
pub const PARTS_SLOT: usize = STATIC_SLOT + 1;

// The scratch: a header, temporaries of one function each, bodies, contacts.
pub(crate) const ACTIVE: usize = 0;
pub(crate) const COUNT: usize = 1;
/// Scratch offset: 1 where the agent touches an object, else 0.
pub const CONTACT_TOUCH: usize = 2;
/// Scratch offset: 1 where two movable bodies touch each other, else 0; set by the collision loop, read by [`solve`]'s
/// callers.
pub const LINKED: usize = 6;
/// Scratch offset: the bits of the kinds of cost that the touched objects bring, buttons apart.
pub const TOUCH_COSTS: usize = 7;
pub(crate) const SPARE_GEOM: usize = 8;
/// Scratch offset: sum of 2^i over the touched buttons i.
pub const TOUCH_BUTTONS: usize = 23;
const SURFACE: usize = 24;
pub(crate) const TEMPORARY: usize = 28;
/// The partner's geom while a pair is examined.
pub(crate) const OTHER_GEOM: usize = 72;
const BODIES: usize = 88;
const CONTACTS: usize = BODIES + (PARTS_SLOT + MORE_PARTS) * BODY_LEN;
/// First of the [`OWN_LEN`] numbers that an agent keeps for itself between the calls of its [`ContactBody`].
pub(crate) const OWN: usize = CONTACTS + MAX_CONTACTS * CONTACT_LEN;
pub(crate) const OWN_LEN: usize = 364;
/// The joint solver's, see `joint.rs`: couplings of the agent with each of a free body's six motions, what the agent answers
/// to each, and its step without that body.
pub(crate) const COUPLING: usize = OWN + OWN_LEN;
const COUPLING_LEN: usize = 13 * MOST_UNKNOWNS;
/// Degrees of freedom that an agent can have.
pub(crate) const MOST_UNKNOWNS: usize = 11;
/// What a timestep of several stages keeps of the movable bodies: [`STAGED_LEN`] numbers each.
pub(crate) const STAGED: usize = COUPLING + COUPLING_LEN;
/// State at the timestep's start 13, sums over the stages: velocities 6, accelerations 6.
pub(crate) const STAGED_LEN: usize = 25;

// One body.
pub(crate) const BODY_LEN: usize = 70;
pub(crate) const ACC: usize = 0;
pub(crate) const VEL: usize = 6;
pub(crate) const FREE: usize = 12;
pub(crate) const MASS: usize = 18;
/// Moments of inertia about the centre, world frame: xx, yy, zz, xy, xz, yz. Of the planar agent: mass times com
/// offset x, y, moment about the origin, zeros.
pub(crate) const INERTIA: usize = 19;
/// Position 3, world-from-body rotation 9 (row by row), half sizes 3.
pub(crate) const GEOM: usize = 25;
pub(crate) const TOUCHES: usize = 40;
pub(crate) const INDEX: usize = 41;
pub(crate) const ASLEEP: usize = 42;
/// Moments of inertia about the body's x and y axes, and about its z axis.
pub(crate) const MOMENT: usize = 68;
pub(crate) const SPIN_MOMENT: usize = 69;
/// The solver's, six numbers each: gradient, Newton direction, inertia's part of the gradient, path of the search.
pub(crate) const GRAD: usize = 44;
pub(crate) const DIRECTION: usize = 50;
pub(crate) const PULL: usize = 56;
pub(crate) const PATH: usize = 62;

// One contact; the same number of [`GROUP`] contacts lies side by side.
const GROUP: usize = 8;
const CONTACT_LEN: usize = 36;
const FIRST: usize = 0;
const SECOND: usize = 1;
const FRAME: usize = 2;
const ARM_FIRST: usize = 11;
const ARM_SECOND: usize = 14;
const Y: usize = 17;
const DY: usize = 23;
const STIFF: usize = 29;
const MU: usize = 30;

const DAMPING: f32 = 2.0 / (0.95 * 0.02);
const STIFFNESS: f32 = 1.0 / (0.95 * 0.95 * 0.02 * 0.02);

/// Offset of a slot's body record.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(crate) fn body(scratch_base: usize, slot: usize) -> usize {
    scratch_base + BODIES + slot * BODY_LEN
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn contact(scratch_base: usize, index: usize) -> usize {
    scratch_base + CONTACTS + (index / GROUP) * (GROUP * CONTACT_LEN) + index % GROUP
}

/// Offset of number `number` of the contact at `c`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn of(c: usize, number: usize) -> usize {
    c + number * GROUP
}

/// Sets the material of the contacts pushed next: sliding friction, torsional and rolling friction \[m\], and the
/// sum of the two bodies' translational `invweight0` \[1/kg\].
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn set_surface(scratch: &mut [f32], scratch_base: usize, slide: f32, torsion: f32, roll: f32, inverse_weight: f32) {
    scratch[scratch_base + SURFACE] = slide;
    scratch[scratch_base + SURFACE + 1] = torsion;
    scratch[scratch_base + SURFACE + 2] = roll;
    scratch[scratch_base + SURFACE + 3] = inverse_weight;
}

/// Impedance d of a contact with gap `gap` \[m\]: MuJoCo's default solimp (0.9, 0.95, 0.001, 0.5, 2).
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn impedance(gap: f32) -> f32 {
    let x = (gap.abs() * 1000.0).min(1.0);
    let rest = 1.0 - x;
    let y = if x <= 0.5 { 2.0 * x * x } else { 1.0 - 2.0 * rest * rest };
    0.9 + 0.05 * y
}

/// Adds a contact at `(px, py, pz)` with the unit normal `(nx, ny, nz)` from body `first` to body `second`
/// and the gap `gap` < 0, made of the present surface. [`solve`] completes it.
#[cfg_attr(feature = "gpu", cube)]
pub fn push_contact(
    scratch: &mut [f32],
    scratch_base: usize,
    first: usize,
    second: usize,
    nx: f32,
    ny: f32,
    nz: f32,
    px: f32,
    py: f32,
    pz: f32,
    gap: f32,
) {
    let count = scratch[scratch_base + COUNT] as usize;
    if count < MAX_CONTACTS && gap < 0.0 {
        scratch[scratch_base + COUNT] = (count + 1) as f32;
        let c = contact(scratch_base, count);
        scratch[body(scratch_base, first) + TOUCHES] += 1.0;
        scratch[body(scratch_base, second) + TOUCHES] += 1.0;
        scratch[of(c, FIRST)] = first as f32;
        scratch[of(c, SECOND)] = second as f32;
        scratch[of(c, FRAME)] = nx;
        scratch[of(c, FRAME + 1)] = ny;
        scratch[of(c, FRAME + 2)] = nz;
        // Until it is completed: the point in the arm's place, the gap in y's.
        scratch[of(c, ARM_FIRST)] = px;
        scratch[of(c, ARM_FIRST + 1)] = py;
        scratch[of(c, ARM_FIRST + 2)] = pz;
        scratch[of(c, Y)] = gap;
        for i in 0..4 {
            scratch[of(c, MU + i)] = scratch[scratch_base + SURFACE + i];
        }
    }
}
