//! `mj_collision`: what an agent can run into, free objects (vases, gremlins, the push box) and solids (buttons, pillars).
//!
//! A step that nothing can be met in is not seen here. The others go substep by substep: find all contacts at the
//! present poses, solve them together with the agent (`crate::contact`), move the free objects.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::body::is_idle;
use super::gremlin::{drift_all, orbit, weld};
use super::pair::{PILLAR, ROOM, apart, collide, lean_room, place_body_geom, place_solid};
use crate::contact::{
    ACC, ACTIVE, AGENT_SLOT, ASLEEP, BOX, CONTACT_TOUCH, COUNT, CYLINDER, ContactBody, FREE, GEOM, INDEX, LINKED,
    MAX_BODIES, OTHER_GEOM, SPARE_GEOM, SPHERE, STATIC_SLOT, TOUCH_BUTTONS, TOUCH_COSTS, TOUCHES, body, floor_box,
    load_free_body, load_static, set_surface,
};
use crate::object::ObjectKind;
use crate::params::{
    PARAM_BODIES, PARAM_BODY_COSTS, PARAM_BODY_FIELDS, PARAM_BODY_FIRST, PARAM_BODY_HALF, PARAM_BODY_KIND,
    PARAM_BODY_MASS, PARAM_BODY_MOMENT, PARAM_BODY_REACH, PARAM_BODY_SPIN_MOMENT, PARAM_SOLID_COSTS, PARAM_SOLID_FIRST,
    PARAM_SOLID_KIND, PARAM_SOLID_RADIUS, PARAM_SOLIDS, PARAM_SUBSTEP,
};
use crate::state::{AGE, LANES, STATIC_FIELDS, X, Y};

const GREMLIN: f32 = ObjectKind::Gremlin.code();
const PUSH_BOX: f32 = ObjectKind::PushBox.code();

/// What a free object that is not at rest, or a gremlin on its way, can travel in a step, generously \[m\].
const BODY_TRAVEL: f32 = 0.02;
/// Distance a resting neighbour must have from a struck body to stay asleep, beyond both reaches \[m\].
const SPARE: f32 = 0.04;
/// Friction of every object: torsion and roll \[m\]; sliding friction is 1.
const TORSION: f32 = 0.005;
const ROLL: f32 = 0.0001;

/// Distance from the agent's origin beyond which a resting object of reach `object` \[m\] cannot be met in a step, for an
/// agent of reach `agent` (its travel included).
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn alone_range(agent: f32, object: f32) -> f32 {
    agent + object + BODY_TRAVEL
}

/// Chooses the free objects that this step must simulate: those that move, those in the agent's reach, and those in
/// reach of one of them; gremlins that meet nothing are moved at once. Returns 0 where nothing can be met.
///
/// `reach` is the agent's, travel included \[m\]. At most [`MAX_BODIES`] free objects are simulated, the rest stand still.
#[cfg_attr(feature = "gpu", cube)]
pub fn obstacles_begin(
    params: &[f32],
    state: &mut [f32],
    base: usize,
    reach: f32,
    scratch: &mut [f32],
    scratch_base: usize,
) -> u32 {
    let agent_x = state[base + X * LANES];
    let agent_y = state[base + Y * LANES];
    let count = params[PARAM_BODIES] as usize;
    let fields = params[PARAM_BODY_FIELDS] as usize;
    let first = base + (params[PARAM_BODY_FIRST] as usize) * LANES;
    let gremlins = params[PARAM_BODY_KIND] == GREMLIN;
    let body_reach = params[PARAM_BODY_REACH];
    let near = alone_range(reach, body_reach);
    let mut active = 0usize;
    let mut busy = 0u32;
    for i in 0..count {
        let at = first + i * fields * LANES;
        let dx = state[at] - agent_x;
        let dy = state[at + LANES] - agent_y;
        let resting = is_idle(params, state, at);
        if (near > 0.0 && dx * dx + dy * dy < near * near || !resting) && active < MAX_BODIES {
            active += 1;
            busy |= 1u32 << (i as u32);
            wake(params, state, at, scratch, scratch_base, active, i, resting && !gremlins);
        }
    }
    // Bystanders: a resting object that an active one may hit. One pass is enough for a step.
    if active > 0 && count > 1 && !gremlins {
        let chosen = active;
        for i in 0..count {
            let at = first + i * fields * LANES;
            let mut close = false;
            for slot in 1..(chosen + 1) {
                let b = body(scratch_base, slot);
                let dx = state[at] - scratch[b + GEOM];
                let dy = state[at + LANES] - scratch[b + GEOM + 1];
                let gap = 2.0 * body_reach + SPARE;
                if dx * dx + dy * dy < gap * gap {
                    close = true;
                }
            }
            if close && (busy >> (i as u32)) & 1 == 0 && active < MAX_BODIES {
                active += 1;
                busy |= 1u32 << (i as u32);
                let resting = is_idle(params, state, at);
                wake(params, state, at, scratch, scratch_base, active, i, resting);
            }
        }
    }
    if gremlins {
        drift_all(params, state, base, busy);
    }
    let mut solid = 0u32;
    let solids = params[PARAM_SOLIDS] as usize;
    let mut at = base + (params[PARAM_SOLID_FIRST] as usize) * LANES;
    let near_solid = alone_range(reach, params[PARAM_SOLID_RADIUS]);
    for _ in 0..solids {
        let dx = state[at] - agent_x;
        let dy = state[at + LANES] - agent_y;
        if near_solid > 0.0 && dx * dx + dy * dy < near_solid * near_solid {
            solid = 1u32;
        }
        at += STATIC_FIELDS * LANES;
    }
    scratch[scratch_base + ACTIVE] = active as f32;
    let any = (active as u32) + solid;
    if any > 0 {
        load_static(scratch, scratch_base);
    }
    spent!(BroadPhase);
    any
}

/// Copies the free object at `at` into `slot`.
#[cfg_attr(feature = "gpu", cube)]
fn wake(
    params: &[f32],
    state: &mut [f32],
    at: usize,
    scratch: &mut [f32],
    scratch_base: usize,
    slot: usize,
    index: usize,
    asleep: bool,
) {
    let mass = params[PARAM_BODY_MASS];
    let moment = params[PARAM_BODY_MOMENT];
    let spin_moment = params[PARAM_BODY_SPIN_MOMENT];
    load_free_body(state, at, LANES, scratch, scratch_base, slot, mass, moment, spin_moment, params[PARAM_BODY_HALF]);
    let b = body(scratch_base, slot);
    scratch[b + INDEX] = index as f32;
    scratch[b + ASLEEP] = if asleep { 1.0f32 } else { 0.0f32 };
}

/// Whether the body in `slot` rests and nothing that moves was found to touch it yet.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn sleeps(scratch: &mut [f32], scratch_base: usize, slot: usize) -> bool {
    let b = body(scratch_base, slot);
    scratch[b + ASLEEP] > 0.5 && scratch[b + TOUCHES] == 0.0
}

/// Whether no solid is where a geom of the free object in slot 1 could meet it.
#[cfg_attr(feature = "gpu", cube)]
fn far_from_solids(params: &[f32], state: &mut [f32], base: usize, scratch: &mut [f32], scratch_base: usize) -> bool {
    let b = body(scratch_base, 1);
    let reach = 2.0 * params[PARAM_BODY_REACH] + params[PARAM_SOLID_RADIUS];
    let solids = params[PARAM_SOLIDS] as usize;
    let mut at = base + (params[PARAM_SOLID_FIRST] as usize) * LANES;
    let mut far = true;
    for _ in 0..solids {
        let dx = state[at] - scratch[b + GEOM];
        let dy = state[at + LANES] - scratch[b + GEOM + 1];
        if dx * dx + dy * dy < reach * reach {
            far = false;
        }
        at += STATIC_FIELDS * LANES;
    }
    far
}

/// Finds every contact of the agent (loaded in its slot), the active free objects, the solids and, for free objects, the
/// floor at the present poses, in substep `substep` of the step (the weld of gremlins moves with it). Leaves the
/// agent's touches at [`CONTACT_TOUCH`], [`TOUCH_COSTS`], [`TOUCH_BUTTONS`] and whether bodies must be solved
/// together at [`LINKED`]. Bodies that rest against each other or a solid are left in peace.
#[cfg_attr(feature = "gpu", cube)]
pub fn obstacles_collide<M: ContactBody>(
    params: &[f32],
    state: &mut [f32],
    base: usize,
    substep: f32,
    scratch: &mut [f32],
    scratch_base: usize,
) {
    let active = scratch[scratch_base + ACTIVE] as usize;
    let fields = params[PARAM_BODY_FIELDS] as usize;
    let first_body = base + (params[PARAM_BODY_FIRST] as usize) * LANES;
    let kind = params[PARAM_BODY_KIND];
    let body_geoms = if kind == PUSH_BOX { 5usize } else { 1usize };
    let body_reach = params[PARAM_BODY_REACH];
    let body_weight = 1.0 / params[PARAM_BODY_MASS].max(1e-9);
    let solids = params[PARAM_SOLIDS] as usize;
    let first_solid = base + (params[PARAM_SOLID_FIRST] as usize) * LANES;
    let solid_radius = params[PARAM_SOLID_RADIUS];
    let pillars = params[PARAM_SOLID_KIND] == PILLAR;
    let solid_kind = if pillars { CYLINDER } else { SPHERE };

    scratch[scratch_base + COUNT] = 0.0;
    scratch[scratch_base + LINKED] = 0.0;
    scratch[scratch_base + CONTACT_TOUCH] = 0.0;
    scratch[scratch_base + TOUCH_COSTS] = 0.0;
    scratch[scratch_base + TOUCH_BUTTONS] = 0.0;
    for slot in 1..(active + 1) {
        scratch[body(scratch_base, slot) + TOUCHES] = 0.0;
    }
    if kind == GREMLIN {
        let (out_x, out_y) = orbit(state[base + AGE * LANES], substep, params[PARAM_SUBSTEP]);
        for slot in 1..(active + 1) {
            let at = first_body + (scratch[body(scratch_base, slot) + INDEX] as usize) * fields * LANES;
            weld(params, state, at, scratch, scratch_base, slot, out_x, out_y);
        }
    }

    // Owners of the first geom: the agent (slot 0), then the bodies; partners: later bodies, then solids.
    for slot in 0..(active + 1) {
        let agent = slot == AGENT_SLOT;
        let mut geoms = if agent { M::geoms() } else { body_geoms };
        if body_geoms > 1 && !agent && active == 1 && far_from_solids(params, state, base, scratch, scratch_base) {
            geoms = 0;
        }
        for geom in 0..geoms {
            if agent {
                M::place_geom(scratch, scratch_base, geom, scratch_base + SPARE_GEOM);
            } else {
                place_body_geom(scratch, scratch_base, slot, geom, scratch_base + SPARE_GEOM);
            }
            let own_slot = if agent { M::geom_slot(geom) } else { slot };
            let own_kind = if agent { M::geom_kind(geom) } else { BOX };
            let own_weight = if agent { M::geom_weight(geom) } else { body_weight };
            let bound = if agent { M::geom_bound(geom) } else { body_reach };
            let torsion = if agent { M::geom_torsion(geom) } else { TORSION };
            let roll = if agent { M::geom_roll(geom) } else { ROLL };
            let x = scratch[scratch_base + SPARE_GEOM];
            let y = scratch[scratch_base + SPARE_GEOM + 1];
            let z = scratch[scratch_base + SPARE_GEOM + 2];
            let partners = active - slot + solids;
            for partner in 0..partners {
                let other = slot + 1 + partner;
                let is_body = other <= active;
                let solid_at =
                    if is_body { first_solid } else { first_solid + (other - active - 1) * STATIC_FIELDS * LANES };
                let other_slot = if is_body { other } else { STATIC_SLOT };
                let b = body(scratch_base, other_slot);
                let other_x = if is_body { scratch[b + GEOM] } else { state[solid_at] };
                let other_y = if is_body { scratch[b + GEOM + 1] } else { state[solid_at + LANES] };
                let dx = other_x - x;
                let dy = other_y - y;
                let reach = bound + if is_body { body_reach } else { solid_radius };
                let dormant = !agent
                    && sleeps(scratch, scratch_base, slot)
                    && (!is_body || sleeps(scratch, scratch_base, other_slot));
                if dx * dx + dy * dy < reach * reach && !dormant {
                    let other_geoms = if is_body { body_geoms } else { 1usize };
                    let weight = own_weight + if is_body { body_weight } else { 0.0f32 };
                    set_surface(scratch, scratch_base, 1.0, torsion, roll, weight);
                    let later = !agent && is_body && scratch[body(scratch_base, slot) + INDEX] > scratch[b + INDEX];
                    let before = scratch[scratch_base + COUNT];
                    for other_geom in 0..other_geoms {
                        let mut near = true;
                        if body_geoms > 1 {
                            // Of a push box' five geoms most are far from what its whole is near.
                            let mut reach = bound + ROOM;
                            let mut squared = dx * dx + dy * dy;
                            if is_body {
                                squared = apart(scratch, scratch_base, other_slot, other_geom, x, y, z);
                            } else if agent {
                                reach += solid_radius;
                            } else {
                                reach = solid_radius + lean_room(scratch, scratch_base, slot);
                                squared = apart(scratch, scratch_base, slot, geom, other_x, other_y, z);
                            }
                            near = squared < reach * reach;
                        }
                        if near {
                            if is_body {
                                place_body_geom(
                                    scratch,
                                    scratch_base,
                                    other_slot,
                                    other_geom,
                                    scratch_base + OTHER_GEOM,
                                );
                            } else {
                                place_solid(params, state, solid_at, scratch, scratch_base + OTHER_GEOM);
                            }
                            let other_kind = if is_body { BOX } else { solid_kind };
                            collide(scratch, scratch_base, own_slot, own_kind, other_slot, other_kind, later);
                        }
                    }
                    if scratch[scratch_base + COUNT] > before {
                        if agent {
                            scratch[scratch_base + CONTACT_TOUCH] = 1.0;
                            let costs = if is_body { params[PARAM_BODY_COSTS] } else { params[PARAM_SOLID_COSTS] };
                            if costs > 0.5 && (is_body || pillars) {
                                let seen = scratch[scratch_base + TOUCH_COSTS] as u32;
                                scratch[scratch_base + TOUCH_COSTS] = (seen | (costs as u32)) as f32;
                            }
                            if !is_body && !pillars {
                                let bit = 1u32 << ((other - active - 1) as u32);
                                let seen = scratch[scratch_base + TOUCH_BUTTONS] as u32;
                                scratch[scratch_base + TOUCH_BUTTONS] = (seen | bit) as f32;
                            }
                            if kind == PUSH_BOX && is_body {
                                scratch[scratch_base + LINKED] = 1.0;
                            }
                        } else if is_body {
                            scratch[scratch_base + LINKED] = 1.0;
                        }
                    }
                }
            }
        }
    }
    spent!(Colliders);
    // A sleeping body that nothing touches stays asleep; others feel the floor.
    set_surface(scratch, scratch_base, 1.0, TORSION, ROLL, body_weight);
    for slot in 1..(active + 1) {
        let b = body(scratch_base, slot);
        if scratch[b + TOUCHES] > 0.0 {
            scratch[b + ASLEEP] = 0.0;
        }
        if scratch[b + ASLEEP] == 0.0 {
            for geom in 0..body_geoms {
                place_body_geom(scratch, scratch_base, slot, geom, scratch_base + SPARE_GEOM);
                floor_box(scratch, scratch_base, scratch_base + SPARE_GEOM, slot);
            }
            if scratch[b + TOUCHES] == 0.0 {
                for k in 0..6usize {
                    scratch[b + ACC + k] = scratch[b + FREE + k];
                }
            }
        }
    }
    spent!(FloorContacts);
}
