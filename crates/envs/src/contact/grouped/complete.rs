//! `rows.rs`: frames, lever arms and stiffness of the contacts.

use super::path::add_motion;
use super::solver::{parts_of, slot_of};
use super::*;

/// Completes the pushed contacts, those of the agent and of the bodies in slots 1 ..= `bodies`, and makes contacts that
/// trouble no sum of those that fill up the last group.
pub(in crate::contact) fn complete<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, bodies: usize) {
    dispatch(Frames { scratch, scratch_base });
    for part in 0..parts_of::<M>(AGENT_SLOT) {
        dispatch(See { scratch, scratch_base, slot: slot_of::<M>(AGENT_SLOT, part) });
    }
    for slot in 1..=bodies {
        dispatch(See { scratch, scratch_base, slot });
    }
}

struct Frames<'a> {
    scratch: &'a mut [f32],
    scratch_base: usize,
}

/// The places in a group.
const PLACES: [f32; GROUP] = {
    let mut places = [0.0; GROUP];
    let mut k = 0;
    while k < GROUP {
        places[k] = k as f32;
        k += 1;
    }
    places
};

/// [`impedance`] of each gap.
#[inline(always)]
fn impedance_of<S: Simd>(gap: Lanes<S>) -> Lanes<S> {
    let x = (gap.magnitude() * 1000.0).smaller(gap.fixed(1.0));
    let rest = gap.fixed(1.0) - x;
    let low = x * 2.0 * x;
    let high = gap.fixed(1.0) - rest * 2.0 * rest;
    let y = high.pick(gap.fixed(0.5).below(x), low);
    y * 0.05 + 0.9
}

impl Work for Frames<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Registers>(self, simd: S) {
        let Self { scratch, scratch_base } = self;
        let like = Lanes::new(simd);
        let count = scratch[scratch_base + COUNT];
        for group in 0..groups(scratch, scratch_base) {
            let first = (group * GROUP) as f32;
            let mut contacts = Pack::of(like, scratch, scratch_base, group);
            let there = like.load(&PLACES).below(like.fixed(count - first));
            for side in [FIRST, SECOND] {
                contacts.put(side, contacts.get(side).pick(there, like.fixed(-1.0)));
            }
            frame(&mut contacts, there);
            soften(&mut contacts, there);
        }
    }
}

/// Frames of `contacts`. Those that are not `there` become such as trouble no sum.
#[inline(always)]
pub(in crate::contact) fn frame<S: Simd>(contacts: &mut Pack<S>, there: LaneMask<S>) {
    let like = contacts.like;
    let (zero, one) = (like.fixed(0.0), like.fixed(1.0));
    let n = contacts.get3(FRAME).pick(there, Three { x: zero, y: zero, z: one });
    // MuJoCo's tangents: world y, or world z where the normal is near y, made orthogonal to the normal.
    let flat = n.y.magnitude().below(like.fixed(0.5));
    let along = n.y.pick(flat, n.z);
    let sy = one.pick(flat, zero);
    let t = Three { x: -along * n.x, y: sy - along * n.y, z: (one - sy) - along * n.z };
    let t = t * (one / t.dot(t).root());
    contacts.put3(FRAME, n);
    contacts.put3(FRAME + 3, t);
    contacts.put3(FRAME + 6, n.cross(t));
}

/// Stiffness and frictions of `contacts`, their gaps' part of y, and the points in the places of the arms. Those that are not `there`
/// become such as trouble no sum.
#[inline(always)]
pub(in crate::contact) fn soften<S: Simd>(contacts: &mut Pack<S>, there: LaneMask<S>) {
    let like = contacts.like;
    let (zero, one) = (like.fixed(0.0), like.fixed(1.0));
    let none = Three { x: zero, y: zero, z: zero };
    let point = contacts.get3(ARM_FIRST).pick(there, none);
    contacts.put3(ARM_FIRST, point);
    contacts.put3(ARM_SECOND, point);
    let gap = contacts.get(Y).pick(there, zero);
    let d = impedance_of(gap);
    let mu = contacts.get(MU).pick(there, one);
    let torsion = contacts.get(MU + 1).pick(there, zero);
    let roll = contacts.get(MU + 2).pick(there, zero);
    let weight = contacts.get(MU + 3).pick(there, one);
    contacts.put(STIFF, d / ((one - d) * 2.0 * mu * mu * (mu * mu + 1.0) * weight));
    for (k, friction) in [mu, mu, torsion, roll, roll].into_iter().enumerate() {
        contacts.put(MU + k, friction);
    }
    contacts.put(Y, d * STIFFNESS * gap);
    for k in 1..6 {
        contacts.put(Y + k, zero);
    }
    for k in 0..6 {
        contacts.put(DY + k, zero);
    }
}

/// Lever arms of the body in `slot`, and what its velocity and present acceleration add to y.
struct See<'a> {
    scratch: &'a mut [f32],
    scratch_base: usize,
    slot: usize,
}

impl Work for See<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Registers>(self, simd: S) {
        let Self { scratch, scratch_base, slot } = self;
        let b = body(scratch_base, slot);
        if scratch[b + TOUCHES] == 0.0 {
            return;
        }
        let like = Lanes::new(simd);
        let position = Three::read(like, scratch, b + GEOM);
        let damping = like.fixed(DAMPING);
        let slide = Three::read(like, scratch, b + VEL) * damping + Three::read(like, scratch, b + ACC);
        let turn = Three::read(like, scratch, b + VEL + 3) * damping + Three::read(like, scratch, b + ACC + 3);
        let motion = [slide, turn];
        for group in 0..groups(scratch, scratch_base) {
            let mut contacts = Pack::of(like, scratch, scratch_base, group);
            for (side, arm, sign) in [(FIRST, ARM_FIRST, -1.0), (SECOND, ARM_SECOND, 1.0)] {
                let mine = contacts.on(side, slot);
                if mine.any() {
                    let point = contacts.get3(arm);
                    let lever = (point - position).pick(mine, point);
                    contacts.put3(arm, lever);
                    add_motion(&mut contacts, Y, lever, motion, like.fixed(sign), mine);
                }
            }
        }
    }
}
