//! `rows.rs`, `block.rs`, `joint.rs` and `path.rs`: the contacts' part of the objective, each environment's for itself.

use super::bodies::{Motion, Planar};
use super::problem::{AGENT_ARM, AGENT_SIDE, Contact, OBJECT_ARM, OBJECT_SIDE, Problem};
use super::*;
use crate::contact::grouped::{Pack, SUMS, Three, add_pushes, frame, seen, soften, terms};
use crate::register::{LaneMask, Lanes};
use pulp::Simd;

/// Which of [`terms`] a planar body has: gradient x, y, r; Hessian xx, yy, xy, rx, ry, rr.
pub(super) const PLANAR_SUMS: [usize; 9] = [0, 1, 5, 6, 7, 9, 18, 19, 23];

/// A contact of each environment.
#[inline(always)]
pub(super) fn pack<S: Simd>(like: Lanes<S>, contact: &mut Contact) -> Pack<'_, S> {
    Pack { group: contact, like }
}

/// Where `side` is a side.
#[inline(always)]
fn is_on<S: Simd>(side: Lanes<S>) -> LaneMask<S> {
    side.equals(0.0).negated()
}

/// Completes the contacts.
#[inline(always)]
pub(super) fn complete<S: Simd>(like: Lanes<S>, problem: &mut Problem, agents: [Three<S>; 2], objects: [Three<S>; 2]) {
    let (contacts, floor) = problem.longest();
    let agent_position = Three::of(like, &problem.agents.position);
    let object_position = Three::of(like, &problem.objects.position);
    let counts = like.load(&problem.contact_counts);
    for k in 0..contacts {
        let there = like.fixed(k as f32).below(counts);
        let mut contacts = pack(like, &mut problem.contacts[k]);
        let agent = contacts.get(AGENT_SIDE).pick(there, like);
        let object = contacts.get(OBJECT_SIDE).pick(there, like);
        frame(&mut contacts, there);
        soften(&mut contacts, there);
        let point = contacts.get3(ARM_FIRST);
        let (agent_arm, object_arm) = (point - agent_position, point - object_position);
        add_seen(&mut contacts, Y, agent_arm, agents, agent);
        add_seen(&mut contacts, Y, object_arm, objects, object);
        contacts.put3(AGENT_ARM, agent_arm);
        contacts.put3(OBJECT_ARM, object_arm);
        contacts.put(AGENT_SIDE, agent);
        contacts.put(OBJECT_SIDE, object);
    }
    let counts = like.load(&problem.floor_counts);
    for k in 0..floor {
        let there = like.fixed(k as f32).below(counts);
        let mut contacts = pack(like, &mut problem.floor[k]);
        soften(&mut contacts, there);
        let arm = contacts.get3(ARM_FIRST) - object_position;
        let side = like.fixed(1.0).pick(there, like.fixed(0.0));
        contacts.put3(OBJECT_ARM, arm);
        contacts.put(OBJECT_SIDE, side);
        add_upright(&mut contacts, Y, arm, objects, side);
    }
}

/// Adds what is [`seen`] of a motion to the contacts' numbers from `to` on.
#[inline(always)]
fn add_seen<S: Simd>(contacts: &mut Pack<S>, to: usize, arm: Three<S>, motion: [Three<S>; 2], side: Lanes<S>) {
    for (k, number) in seen(contacts.axes(), arm, motion, side).into_iter().enumerate() {
        contacts.put(to + k, contacts.get(to + k) + number);
    }
}

/// The same in the floor's frame: normal z, tangents y and -x.
#[inline(always)]
fn add_upright<S: Simd>(contacts: &mut Pack<S>, to: usize, arm: Three<S>, motion: [Three<S>; 2], side: Lanes<S>) {
    for (k, number) in upright(arm, motion, side).into_iter().enumerate() {
        contacts.put(to + k, contacts.get(to + k) + number);
    }
}

/// What is [`seen`] of a motion in the floor's frame.
#[inline(always)]
fn upright<S: Simd>(arm: Three<S>, motion: [Three<S>; 2], side: Lanes<S>) -> [Lanes<S>; 6] {
    let [linear, angular] = motion;
    let (v, w) = ((linear + angular.cross(arm)) * side, angular * side);
    [v.z, v.y, -v.x, w.z, w.y, -w.x]
}

/// Adds to the agents' sums.
#[inline(always)]
pub(super) fn add_agents<S: Simd>(like: Lanes<S>, contacts: &mut [Contact], sums: &mut Planar<S>) {
    for contact in contacts {
        let contacts = pack(like, contact);
        let side = contacts.get(AGENT_SIDE);
        let terms = terms(&contacts, side, contacts.get3(AGENT_ARM), is_on(side), false);
        for (sum, k) in sums.0.iter_mut().zip(PLANAR_SUMS) {
            *sum += terms[k];
        }
    }
}

/// Adds to what couples agents and objects, of those that are `pairs`: for each motion of the object the force along x and y and
/// the couple about z on the agent.
#[inline(always)]
pub(super) fn add_couplings<S: Simd>(
    like: Lanes<S>,
    contacts: &mut [Contact],
    pairs: LaneMask<S>,
    couplings: &mut [[Lanes<S>; 3]; 6],
) {
    let mut sums = [[like; 6]; 6];
    for contact in contacts {
        let contacts = pack(like, contact);
        let both = is_on(contacts.get(AGENT_SIDE)).both(is_on(contacts.get(OBJECT_SIDE))).both(pairs);
        if both.any() {
            add_pushes(&contacts, contacts.get3(AGENT_ARM), contacts.get3(OBJECT_ARM), both, &mut sums);
        }
    }
    for (to, [x, y, _, _, _, r]) in couplings.iter_mut().zip(sums) {
        *to = [x, y, r];
    }
}

/// Adds to the objects' sums.
#[inline(always)]
pub(super) fn add_objects<S: Simd>(
    like: Lanes<S>,
    contacts: &mut [Contact],
    floor: &mut [Contact],
    sums: &mut [Lanes<S>; SUMS],
) {
    for contact in contacts {
        let contacts = pack(like, contact);
        let side = contacts.get(OBJECT_SIDE);
        let mine = is_on(side);
        if mine.any() {
            let terms = terms(&contacts, side, contacts.get3(OBJECT_ARM), mine, false);
            for (sum, term) in sums.iter_mut().zip(terms) {
                *sum += term;
            }
        }
    }
    for contact in floor {
        let contacts = pack(like, contact);
        let side = contacts.get(OBJECT_SIDE);
        let terms = terms(&contacts, side, contacts.get3(OBJECT_ARM), is_on(side), true);
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum += term;
        }
    }
}

/// Spreads the paths of the bodies to their contacts; a body that does not move has a path of zeros.
#[inline(always)]
pub(super) fn spread<S: Simd>(
    like: Lanes<S>,
    contacts: &mut [Contact],
    floor: &mut [Contact],
    agents: Motion<S>,
    objects: Motion<S>,
) {
    for contact in contacts {
        let mut contacts = pack(like, contact);
        for k in 0..6 {
            contacts.put(DY + k, like);
        }
        let (agent, object) = (contacts.get(AGENT_SIDE), contacts.get(OBJECT_SIDE));
        let (agent_arm, object_arm) = (contacts.get3(AGENT_ARM), contacts.get3(OBJECT_ARM));
        add_seen(&mut contacts, DY, agent_arm, agents.halves(), agent);
        add_seen(&mut contacts, DY, object_arm, objects.halves(), object);
    }
    for contact in floor {
        let mut contacts = pack(like, contact);
        for k in 0..6 {
            contacts.put(DY + k, like);
        }
        let (arm, side) = (contacts.get3(OBJECT_ARM), contacts.get(OBJECT_SIDE));
        add_upright(&mut contacts, DY, arm, objects.halves(), side);
    }
}

/// Moves the contacts by `t` along their paths.
#[inline(always)]
pub(super) fn advance<S: Simd>(like: Lanes<S>, contacts: &mut [Contact], t: Lanes<S>) {
    for contact in contacts {
        let mut contacts = pack(like, contact);
        for k in 0..6 {
            contacts.put(Y + k, contacts.get(Y + k) + t * contacts.get(DY + k));
        }
    }
}

/// [`spread`] and [`advance`] by a full step in one pass, in which the paths are not kept. Returns where an edge changed sides.
#[inline(always)]
pub(super) fn move_along<S: Simd>(
    like: Lanes<S>,
    contacts: &mut [Contact],
    floor: &mut [Contact],
    agents: Motion<S>,
    objects: Motion<S>,
) -> LaneMask<S> {
    let mut crossed = like.below(like);
    for contact in contacts {
        let mut contacts = pack(like, contact);
        let (agent, object) = (contacts.get(AGENT_SIDE), contacts.get(OBJECT_SIDE));
        let (agent_arm, object_arm) = (contacts.get3(AGENT_ARM), contacts.get3(OBJECT_ARM));
        let mut path = seen(contacts.axes(), agent_arm, agents.halves(), agent);
        for (of_both, own) in path.iter_mut().zip(seen(contacts.axes(), object_arm, objects.halves(), object)) {
            *of_both += own;
        }
        crossed = crossed.either(move_edges(&mut contacts, path));
    }
    for contact in floor {
        let mut contacts = pack(like, contact);
        let (arm, side) = (contacts.get3(OBJECT_ARM), contacts.get(OBJECT_SIDE));
        let path = upright(arm, objects.halves(), side);
        crossed = crossed.either(move_edges(&mut contacts, path));
    }
    crossed
}

/// Moves the contacts along all of `path`, the change of their six numbers. Returns where an edge changed sides, as
/// [`edges_along`](crate::contact::grouped::edges_along) sees it.
#[inline(always)]
fn move_edges<S: Simd>(contacts: &mut Pack<S>, path: [Lanes<S>; 6]) -> LaneMask<S> {
    let zero = contacts.like.fixed(0.0);
    let [d0, rest @ ..] = path;
    let y0 = contacts.get(Y);
    let mut crossed = zero.below(zero);
    for (i, change) in rest.into_iter().enumerate() {
        let (mu, number) = (contacts.get(MU + i), contacts.get(Y + 1 + i));
        let (y, d) = (mu * number, mu * change);
        for (e, de) in [(y0 + y, d0 + d), (y0 - y, d0 - d)] {
            crossed = crossed.either((e + de).below(zero).differs(e.below(zero)));
        }
        contacts.put(Y + 1 + i, number + change);
    }
    contacts.put(Y, y0 + d0);
    crossed
}
