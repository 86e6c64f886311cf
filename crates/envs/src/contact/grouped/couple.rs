//! `joint.rs`: what the contacts between the agent and a free body couple.

use super::*;

/// Adds to the couplings what the contacts between the agent's `part`, whose slot is `own`, and the body in `slot` put there.
pub(in crate::contact) fn couple<M: ContactBody>(
    scratch: &mut [f32],
    scratch_base: usize,
    part: usize,
    own: usize,
    slot: usize,
) {
    let sums = if M::is_planar() {
        dispatch(Couple::<true> { scratch, scratch_base, own, slot })
    } else {
        dispatch(Couple::<false> { scratch, scratch_base, own, slot })
    };
    if let Some(sums) = sums {
        for (motion, [x, y, z, p, q, r]) in sums.into_iter().enumerate() {
            M::add_coupling(scratch, scratch_base, part, motion, x, y, z, p, q, r);
        }
    }
}

/// With `PLANAR` only what a planar agent asks for, else zeros.
struct Couple<'a, const PLANAR: bool> {
    scratch: &'a mut [f32],
    scratch_base: usize,
    own: usize,
    slot: usize,
}

/// Of the edges `y_0 +- mu y_i`: stiffness of y_0, of y_i, and what couples them, per stiffness of an edge.
#[inline(always)]
fn edges_on<S: Simd>(normal: Lanes<S>, side: Lanes<S>, mu: Lanes<S>) -> [Lanes<S>; 3] {
    let (zero, one) = (normal.fixed(0.0), normal.fixed(1.0));
    let plus = one.pick((normal + side).below(zero), zero);
    let minus = one.pick((normal - side).below(zero), zero);
    [plus + minus, mu * mu * (plus + minus), mu * (plus - minus)]
}

impl<const PLANAR: bool> Work for Couple<'_, PLANAR> {
    /// Force and couple on the agent's part for each motion of the body; none where the two do not touch.
    type Output = Option<[[f32; 6]; 6]>;

    #[inline(always)]
    fn run<S: Registers>(self, simd: S) -> Self::Output {
        let Self { scratch, scratch_base, own, slot } = self;
        let like = Lanes::new(simd);
        let mut sums = [[like; 6]; 6];
        let mut touching = false;
        for group in 0..groups(scratch, scratch_base) {
            let contacts = Pack::of(like, scratch, scratch_base, group);
            let first = contacts.on(FIRST, own).both(contacts.on(SECOND, slot));
            let both = first.either(contacts.on(FIRST, slot).both(contacts.on(SECOND, own)));
            if both.any() {
                touching = true;
                let (arm_first, arm_second) = (contacts.get3(ARM_FIRST), contacts.get3(ARM_SECOND));
                let (r, q) = (arm_first.pick(first, arm_second), arm_second.pick(first, arm_first));
                add_pushes(&contacts, r, q, both, &mut sums);
            }
        }
        let mut all = [[0.0; 6]; 6];
        for (to, sums) in all.iter_mut().zip(sums) {
            if PLANAR {
                [to[0], to[1], to[5]] = totals(simd, &[sums[0], sums[1], sums[5]]);
            } else {
                *to = totals(simd, &sums);
            }
        }
        if touching { Some(all) } else { None }
    }
}

/// Stiffnesses of a contact's edges.
#[derive(Clone, Copy)]
struct Edges<S: Simd> {
    stiff: Lanes<S>,
    on: Lanes<S>,
    /// Of each friction direction, as [`edges_on`] has them.
    each: [[Lanes<S>; 3]; 5],
}

/// Adds, for each motion of the body, the forces of the contacts of `both`, whose lever arms are the agent's `r` and the body's
/// `q`.
#[inline(always)]
pub(in crate::contact) fn add_pushes<S: Simd>(
    contacts: &Pack<S>,
    r: Three<S>,
    q: Three<S>,
    both: LaneMask<S>,
    sums: &mut [[Lanes<S>; 6]; 6],
) {
    let [n, u, v] = contacts.axes();
    let y0 = contacts.get(Y);
    let (mu, twist, roll) = (contacts.get(MU), contacts.get(MU + 2), contacts.get(MU + 3));
    let each = [
        edges_on(y0, mu * contacts.get(Y + 1), mu),
        edges_on(y0, mu * contacts.get(Y + 2), mu),
        edges_on(y0, twist * contacts.get(Y + 3), twist),
        edges_on(y0, roll * contacts.get(Y + 4), roll),
        edges_on(y0, roll * contacts.get(Y + 5), roll),
    ];
    let zero = y0.fixed(0.0);
    let on = each[0][0] + each[1][0] + each[2][0] + each[3][0] + each[4][0];
    let edges = Edges { stiff: zero - contacts.get(STIFF).pick(both, zero), on, each };
    let none = [zero; 3];
    let sides = [[n.x, u.x, v.x], [n.y, u.y, v.y], [n.z, u.z, v.z]];
    // What a turn about each axis moves at the end of the arm.
    let swings = [
        Three { x: zero, y: zero - q.z, z: q.y },
        Three { x: q.z, y: zero, z: zero - q.x },
        Three { x: zero - q.y, y: q.x, z: zero },
    ];
    for axis in 0..3 {
        let swing = swings[axis];
        let swung = [n.dot(swing), u.dot(swing), v.dot(swing)];
        add_push(edges, sides[axis], none, [n, u, v], r, &mut sums[axis]);
        add_push(edges, swung, sides[axis], [n, u, v], r, &mut sums[3 + axis]);
    }
}

/// Adds force and couple that answer to slides `slide` and turns `turn`, in the contacts' frames of axes `axes`.
#[inline(always)]
fn add_push<S: Simd>(
    edges: Edges<S>,
    slide: [Lanes<S>; 3],
    turn: [Lanes<S>; 3],
    axes: [Three<S>; 3],
    r: Three<S>,
    sums: &mut [Lanes<S>; 6],
) {
    let Edges { stiff, on, each: [e1, e2, e3, e4, e5] } = edges;
    let ([m0, m1, m2], [m3, m4, m5], [n, u, v]) = (slide, turn, axes);
    let f0 = stiff * (on * m0 + e1[2] * m1 + e2[2] * m2 + e3[2] * m3 + e4[2] * m4 + e5[2] * m5);
    let f1 = stiff * (e1[2] * m0 + e1[1] * m1);
    let f2 = stiff * (e2[2] * m0 + e2[1] * m2);
    let t0 = stiff * (e3[2] * m0 + e3[1] * m3);
    let t1 = stiff * (e4[2] * m0 + e4[1] * m4);
    let t2 = stiff * (e5[2] * m0 + e5[1] * m5);
    let f = n * f0 + u * f1 + v * f2;
    let moment = r.cross(f) + (n * t0 + u * t1 + v * t2);
    for (sum, term) in sums.iter_mut().zip([f.x, f.y, f.z, moment.x, moment.y, moment.z]) {
        *sum += term;
    }
}
