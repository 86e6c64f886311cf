//! What the contact code knows of an agent: its collision shapes and its block of the contact objective.
//!
//! An agent is one or several rigid parts, each with a record in the scratch ([`AGENT_SLOT`] and the slots behind
//! [`STATIC_SLOT`]): contacts name parts, and see a part's `VEL`, `ACC` and `PATH` at its record's position. What
//! moves the parts together (a planar joint, wheels on axles) is the agent's own affair: it turns the sums of its parts
//! into one Newton direction.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::*;

/// The agent among obstacles. All functions see one environment's scratch at `scratch_base`, into which the agent was loaded.
#[cfg_attr(feature = "gpu", cube)]
pub trait ContactBody: 'static + Send + Sync {
    /// Number of collision shapes, in MuJoCo's order.
    fn geoms() -> usize;
    /// [`SPHERE`], [`BOX`], [`CYLINDER`] or [`HULL`].
    fn geom_kind(geom: usize) -> usize;
    /// The part whose contacts it makes, as a slot.
    fn geom_slot(geom: usize) -> usize;
    /// Translational `invweight0` of its body \[1/kg\].
    fn geom_weight(geom: usize) -> f32;
    /// Its own torsional friction \[m\]; of two geoms the larger counts.
    fn geom_torsion(geom: usize) -> f32;
    /// Its own rolling friction \[m\]; of two geoms the larger counts.
    fn geom_roll(geom: usize) -> f32;
    /// Radius of a sphere about its centre that holds it \[m\].
    fn geom_bound(geom: usize) -> f32;
    /// Writes where it is now to the 15 numbers at `scratch[to]`: centre 3 \[m\], world-from-shape rotation 9 (row by
    /// row), sizes 3 \[m\].
    fn place_geom(scratch: &mut [f32], scratch_base: usize, geom: usize, to: usize);

    /// Number of parts.
    fn parts() -> usize;
    /// Slot of a part; part 0 has [`AGENT_SLOT`].
    fn part_slot(part: usize) -> usize;
    /// Starts the sums at [`SUM`] for the contacts of `part`; part 0, which comes first, also starts the agent's own.
    fn start_part(scratch: &mut [f32], scratch_base: usize, part: usize);
    /// Takes the sums over the contacts of `part`.
    fn finish_part(scratch: &mut [f32], scratch_base: usize, part: usize);
    /// Newton direction from the sums of all parts. Returns the slope along it, and the product of the **previous**
    /// gradient with it.
    fn direction(scratch: &mut [f32], scratch_base: usize) -> (f32, f32);
    /// Whether it is solved together with the one free body it touches, whatever that is; otherwise only with a push box. The
    /// Point weighs 650 vases, and settles with one in two sweeps.
    fn joins() -> bool;
    /// Degrees of freedom, [`MOST_UNKNOWNS`] at most.
    fn unknowns() -> usize;
    /// Whether it is one part that slides over the plane and turns about the vertical: then the sums of other motions are not
    /// asked for.
    fn is_planar() -> bool;
    /// Adds the force (x, y, z) and the couple (p, q, r) about the position of its record, on `part` in world axes, to the
    /// [`coupling_of`] motion `motion` of the free body that is solved together with the agent.
    fn add_coupling(
        scratch: &mut [f32],
        scratch_base: usize,
        part: usize,
        motion: usize,
        x: f32,
        y: f32,
        z: f32,
        p: f32,
        q: f32,
        r: f32,
    );
    /// After [`ContactBody::direction`]: writes the [`answer_of`] each motion, minus the inverse Hessian times its coupling, and
    /// [`own_step`], the direction.
    fn answer(scratch: &mut [f32], scratch_base: usize);
    /// Takes [`own_step`] for the direction.
    fn follow(scratch: &mut [f32], scratch_base: usize);
    /// Makes the path of the search: the direction plus `beta` times the previous path; spreads it to the parts' `PATH`.
    /// Returns the objective's slope along it.
    fn take_path(scratch: &mut [f32], scratch_base: usize, beta: f32) -> f32;
    /// Forgets the path.
    fn drop_path(scratch: &mut [f32], scratch_base: usize);
    /// Slope and curvature of the inertia's part of the objective along the path.
    fn inertia_along(scratch: &mut [f32], scratch_base: usize) -> (f32, f32);
    /// Moves the acceleration by `t` along the path. Returns the squared change \[(m/s^2)^2\].
    fn advance(scratch: &mut [f32], scratch_base: usize, t: f32) -> f32;
}

/// Contacts that the agent's parts take part in.
#[cfg_attr(feature = "gpu", cube)]
pub fn agent_touches<M: ContactBody>(scratch: &mut [f32], scratch_base: usize) -> f32 {
    let mut touches = 0.0f32;
    let parts = M::parts();
    for part in 0..parts {
        touches += scratch[body(scratch_base, M::part_slot(part)) + TOUCHES];
    }
    touches
}

/// No agent at all: free objects among themselves.
pub struct Nobody;

#[cfg_attr(feature = "gpu", cube)]
impl ContactBody for Nobody {
    fn geoms() -> usize {
        0
    }

    fn geom_kind(_geom: usize) -> usize {
        SPHERE
    }

    fn geom_slot(_geom: usize) -> usize {
        AGENT_SLOT
    }

    fn geom_weight(_geom: usize) -> f32 {
        0.0
    }

    fn geom_torsion(_geom: usize) -> f32 {
        0.0
    }

    fn geom_roll(_geom: usize) -> f32 {
        0.0
    }

    fn geom_bound(_geom: usize) -> f32 {
        0.0
    }

    fn place_geom(_scratch: &mut [f32], _s0: usize, _geom: usize, _to: usize) {}

    fn parts() -> usize {
        0
    }

    fn part_slot(_part: usize) -> usize {
        AGENT_SLOT
    }

    fn start_part(_scratch: &mut [f32], _s0: usize, _part: usize) {}

    fn finish_part(_scratch: &mut [f32], _s0: usize, _part: usize) {}

    fn direction(_scratch: &mut [f32], _s0: usize) -> (f32, f32) {
        (0.0f32, 0.0f32)
    }

    fn joins() -> bool {
        false
    }

    fn unknowns() -> usize {
        0
    }

    fn is_planar() -> bool {
        false
    }

    fn add_coupling(
        _scratch: &mut [f32],
        _s0: usize,
        _part: usize,
        _motion: usize,
        _x: f32,
        _y: f32,
        _z: f32,
        _p: f32,
        _q: f32,
        _r: f32,
    ) {
    }

    fn answer(_scratch: &mut [f32], _s0: usize) {}

    fn follow(_scratch: &mut [f32], _s0: usize) {}

    fn take_path(_scratch: &mut [f32], _s0: usize, _keep: f32) -> f32 {
        0.0
    }

    fn drop_path(_scratch: &mut [f32], _s0: usize) {}

    fn inertia_along(_scratch: &mut [f32], _s0: usize) -> (f32, f32) {
        (0.0f32, 0.0f32)
    }

    fn advance(_scratch: &mut [f32], _s0: usize, _t: f32) -> f32 {
        0.0
    }
}
