//! `path.rs` and `search.rs`: the path of the search in the contacts, the objective along it, and a step along it.

use super::search::{EVERY, LAST_OTHER};
use super::solver::{parts_of, slot_of};
use super::*;

/// The contacts that involve the body in `slot`, which is every part of the agent where it is the agent's.
#[inline(always)]
fn concerned<S: Simd>(contacts: &Pack<S>, slot: usize) -> LaneMask<S> {
    let mut concerned = contacts.on(FIRST, slot).either(contacts.on(SECOND, slot));
    if slot == AGENT_SLOT {
        let last = contacts.like.fixed(LAST_OTHER);
        concerned = concerned.either(last.below(contacts.get(FIRST))).either(last.below(contacts.get(SECOND)));
    } else if slot == EVERY {
        concerned = contacts.like.equals(0.0);
    }
    concerned
}

/// The six numbers of a `motion`, linear and angular, of the body at the end of the lever arms `arm`, seen in the contacts'
/// frames, with the sign `sign`.
#[inline(always)]
pub(in crate::contact) fn seen<S: Simd>(
    axes: [Three<S>; 3],
    arm: Three<S>,
    motion: [Three<S>; 2],
    sign: Lanes<S>,
) -> [Lanes<S>; 6] {
    let [linear, angular] = motion;
    let v = (linear + angular.cross(arm)) * sign;
    let w = angular * sign;
    let [n, t, u] = axes;
    [n.dot(v), t.dot(v), u.dot(v), n.dot(w), t.dot(w), u.dot(w)]
}

/// Adds what is [`seen`] of a motion to the contacts' numbers from `to` on, where `mask`.
#[inline(always)]
pub(super) fn add_motion<S: Simd>(
    contacts: &mut Pack<S>,
    to: usize,
    arm: Three<S>,
    motion: [Three<S>; 2],
    sign: Lanes<S>,
    mask: LaneMask<S>,
) {
    for (k, number) in seen(contacts.axes(), arm, motion, sign).into_iter().enumerate() {
        let before = contacts.get(to + k);
        contacts.put(to + k, (before + number).pick(mask, before));
    }
}

/// Slope, curvature and, if `CROSSINGS` are asked for, whether an edge changed sides of each of `contacts` at `t` along the path.
#[inline(always)]
pub(in crate::contact) fn edges_along<S: Simd, const CROSSINGS: bool>(
    contacts: &Pack<S>,
    t: Lanes<S>,
) -> (Lanes<S>, Lanes<S>, LaneMask<S>) {
    let zero = t.fixed(0.0);
    let (y0, d0) = (contacts.get(Y), contacts.get(DY));
    let (mut own_slope, mut own_curvature) = (zero, zero);
    let mut crossed = zero.below(zero);
    for i in 0..5 {
        let mu = contacts.get(MU + i);
        let (y, d) = (mu * contacts.get(Y + 1 + i), mu * contacts.get(DY + 1 + i));
        for (e, de) in [(y0 + y, d0 + d), (y0 - y, d0 - d)] {
            let now = e + t * de;
            let on = now.below(zero);
            let de = de.pick(on, zero);
            own_slope += now * de;
            own_curvature += de * de;
            if CROSSINGS {
                crossed = crossed.either(on.differs(e.below(zero)));
            }
        }
    }
    let stiff = contacts.get(STIFF);
    (stiff * own_slope, stiff * own_curvature, crossed)
}

/// Zeroes the path's part in the contacts of `slot`.
pub(in crate::contact) fn clear_paths(scratch: &mut [f32], scratch_base: usize, slot: usize) {
    dispatch(Clear { scratch, scratch_base, slot });
}

struct Clear<'a> {
    scratch: &'a mut [f32],
    scratch_base: usize,
    slot: usize,
}

impl Work for Clear<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Registers>(self, simd: S) {
        let Self { scratch, scratch_base, slot } = self;
        let like = Lanes::new(simd);
        for group in 0..groups(scratch, scratch_base) {
            let mut contacts = Pack::of(like, scratch, scratch_base, group);
            let concerned = concerned(&contacts, slot);
            for k in 0..6 {
                contacts.put(DY + k, like.pick(concerned, contacts.get(DY + k)));
            }
        }
    }
}

/// Adds the path of the body in `slot` to the paths of its contacts.
pub(in crate::contact) fn spread_path<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, slot: usize) {
    for part in 0..parts_of::<M>(slot) {
        dispatch(Spread { scratch, scratch_base, slot: slot_of::<M>(slot, part) });
    }
}

struct Spread<'a> {
    scratch: &'a mut [f32],
    scratch_base: usize,
    slot: usize,
}

impl Work for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Registers>(self, simd: S) {
        let Self { scratch, scratch_base, slot } = self;
        let like = Lanes::new(simd);
        let path = body(scratch_base, slot) + PATH;
        let motion = [Three::read(like, scratch, path), Three::read(like, scratch, path + 3)];
        for group in 0..groups(scratch, scratch_base) {
            let mut contacts = Pack::of(like, scratch, scratch_base, group);
            let first = contacts.on(FIRST, slot);
            let mine = first.either(contacts.on(SECOND, slot));
            if mine.any() {
                let arm = contacts.get3(ARM_FIRST).pick(first, contacts.get3(ARM_SECOND));
                let sign = like.fixed(-1.0).pick(first, like.fixed(1.0));
                add_motion(&mut contacts, DY, arm, motion, sign, mine);
            }
        }
    }
}

/// Moves the contacts of `slot` (or [`EVERY`]) by `t` along their paths.
pub(in crate::contact) fn advance(scratch: &mut [f32], scratch_base: usize, slot: usize, t: f32) {
    dispatch(Advance { scratch, scratch_base, slot, t });
}

struct Advance<'a> {
    scratch: &'a mut [f32],
    scratch_base: usize,
    slot: usize,
    t: f32,
}

impl Work for Advance<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Registers>(self, simd: S) {
        let Self { scratch, scratch_base, slot, t } = self;
        let like = Lanes::new(simd);
        for group in 0..groups(scratch, scratch_base) {
            let mut contacts = Pack::of(like, scratch, scratch_base, group);
            let concerned = concerned(&contacts, slot);
            for k in 0..6 {
                let y = contacts.get(Y + k);
                contacts.put(Y + k, (y + contacts.get(DY + k) * t).pick(concerned, y));
            }
        }
    }
}

/// Slope, curvature and whether edges changed (1, else 0) of the contacts of `slot` at `t` along the path.
pub(in crate::contact) fn along(scratch: &mut [f32], scratch_base: usize, slot: usize, t: f32) -> (f32, f32, f32) {
    dispatch(Along { scratch, scratch_base, slot, t })
}

struct Along<'a> {
    scratch: &'a mut [f32],
    scratch_base: usize,
    slot: usize,
    t: f32,
}

impl Work for Along<'_> {
    type Output = (f32, f32, f32);

    #[inline(always)]
    fn run<S: Registers>(self, simd: S) -> (f32, f32, f32) {
        let Self { scratch, scratch_base, slot, t } = self;
        let like = Lanes::new(simd);
        let (zero, t) = (like.fixed(0.0), like.fixed(t));
        let (mut slope, mut curvature) = (zero, zero);
        let mut changed = false;
        for group in 0..groups(scratch, scratch_base) {
            let contacts = Pack::of(like, scratch, scratch_base, group);
            let concerned = concerned(&contacts, slot);
            let (own_slope, own_curvature, crossed) = edges_along::<S, true>(&contacts, t);
            slope += own_slope.pick(concerned, zero);
            curvature += own_curvature.pick(concerned, zero);
            changed |= crossed.both(concerned).any();
        }
        (slope.sum(), curvature.sum(), if changed { 1.0 } else { 0.0 })
    }
}
