//! `block.rs`' sums: gradient and Hessian of the contact objective in one body's motion.

use super::*;

/// Adds to the sums what the contacts of `slot` put into the gradient and the Hessian of its body's motion.
pub(in crate::contact) fn accumulate<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, slot: usize) {
    if M::is_planar() && slot == AGENT_SLOT {
        dispatch(Accumulate::<true> { scratch, scratch_base, slot });
    } else {
        dispatch(Accumulate::<false> { scratch, scratch_base, slot });
    }
}

/// With `PLANAR` only what a planar body asks for.
struct Accumulate<'a, const PLANAR: bool> {
    scratch: &'a mut [f32],
    scratch_base: usize,
    slot: usize,
}

/// Gradient 6, Hessian: linear 6, angular by linear 9, angular 6.
pub(in crate::contact) const SUMS: usize = 27;

/// Numbers from the first to the last of them in the scratch.
const SPAN: usize = 42;
/// Where they are from [`SUM`] on: the Hessian's lower triangle in rows of 6.
const OFFSETS: [usize; SUMS] =
    [0, 1, 2, 3, 4, 5, 6, 13, 20, 12, 18, 19, 24, 25, 26, 30, 31, 32, 36, 37, 38, 27, 34, 41, 33, 39, 40];

/// A pair of edges `normal +- side`: the sum and difference of their violations (<= 0), then of their on-switches.
#[inline(always)]
fn edge_pair<S: Simd>(normal: Lanes<S>, side: Lanes<S>) -> [Lanes<S>; 4] {
    let (zero, one) = (normal.fixed(0.0), normal.fixed(1.0));
    let (plus, minus) = ((normal + side).smaller(zero), (normal - side).smaller(zero));
    let (on_plus, on_minus) = (one.pick(plus.below(zero), zero), one.pick(minus.below(zero), zero));
    [plus + minus, plus - minus, on_plus + on_minus, on_plus - on_minus]
}

/// a b + c d + e f.
#[inline(always)]
fn six<S: Simd>(a: Lanes<S>, b: Lanes<S>, c: Lanes<S>, d: Lanes<S>, e: Lanes<S>, f: Lanes<S>) -> Lanes<S> {
    a * b + c * d + e * f
}

/// What `contacts` put there, those alone that are `mine`: the body is on their `side` (-1 the first, 1 the second), with the
/// lever arm `r`; `upright` says that those are with the floor.
#[inline(always)]
pub(in crate::contact) fn terms<S: Simd>(
    contacts: &Pack<S>,
    side: Lanes<S>,
    r: Three<S>,
    mine: LaneMask<S>,
    upright: bool,
) -> [Lanes<S>; SUMS] {
    let zero = contacts.like.fixed(0.0);
    let none = Three { x: zero, y: zero, z: zero };
    let r = r.pick(mine, none);
    let stiff = contacts.get(STIFF).pick(mine, zero);
    let y0 = contacts.get(Y).pick(mine, zero);
    let (mu, twist, roll) = (contacts.get(MU), contacts.get(MU + 2), contacts.get(MU + 3));
    let [sum_1, diff_1, on_1, odd_1] = edge_pair(y0, mu * contacts.get(Y + 1).pick(mine, zero));
    let [sum_2, diff_2, on_2, odd_2] = edge_pair(y0, mu * contacts.get(Y + 2).pick(mine, zero));
    let [sum_3, diff_3, on_3, odd_3] = edge_pair(y0, twist * contacts.get(Y + 3).pick(mine, zero));
    let [sum_4, diff_4, on_4, odd_4] = edge_pair(y0, roll * contacts.get(Y + 4).pick(mine, zero));
    let [sum_5, diff_5, on_5, odd_5] = edge_pair(y0, roll * contacts.get(Y + 5).pick(mine, zero));
    // A force at the contact point and a couple, in the contact's frame.
    let push = stiff * side;
    let f0 = push * (sum_1 + sum_2 + sum_3 + sum_4 + sum_5);
    let (f1, f2) = (push * mu * diff_1, push * mu * diff_2);
    let (t0, t1, t2) = (push * twist * diff_3, push * roll * diff_4, push * roll * diff_5);
    // K = n q' + q n' + k1 u u' + k2 v v'; k3 to k5 and the ones before: torsion and roll, and what couples them with
    // the normal.
    let k0 = stiff * (on_1 + on_2 + on_3 + on_4 + on_5) * 0.5;
    let (q1, q2) = (stiff * mu * odd_1, stiff * mu * odd_2);
    let (k1, k2) = (stiff * mu * mu * on_1, stiff * mu * mu * on_2);
    let (twist_1, roll_1, roll_2) = (stiff * twist * odd_3, stiff * roll * odd_4, stiff * roll * odd_5);
    let k3 = stiff * twist * twist * on_3;
    let (k4, k5) = (stiff * roll * roll * on_4, stiff * roll * roll * on_5);

    if upright {
        // n = z, u = y, v = -x: most contacts are with the floor, and most of the products below are zero.
        let kzz = k0 * 2.0;
        let kxz = -q2;
        let (mpx, mpy, mpz) = (r.y * kxz, r.y * q1 - r.z * k1, r.y * kzz - r.z * q1);
        let (mqx, mqy, mqz) = (r.z * k2 - r.x * kxz, -r.x * q1, r.z * kxz - r.x * kzz);
        let (mrx, mry, mrz) = (-r.y * k2, r.x * k1, r.x * q1 - r.y * kxz);
        return [
            -f2,
            f1,
            f0,
            (r.y * f0 - r.z * f1) - t2,
            (r.x * -f0 - r.z * f2) + t1,
            (r.x * f1 + r.y * f2) + t0,
            k2,
            k1,
            kzz,
            zero,
            kxz,
            q1,
            mpx,
            mpy,
            mpz - roll_2,
            mqx,
            mqy,
            mqz + roll_1,
            mrx,
            mry,
            mrz + twist_1,
            k5 + (r.y * mpz - r.z * mpy - roll_2 * r.y * 2.0),
            k4 + (r.z * mqx - r.x * mqz - roll_1 * r.x * 2.0),
            k3 + (r.x * mry - r.y * mrx),
            r.z * mpx - r.x * mpz + roll_2 * r.x + roll_1 * r.y,
            r.x * mpy - r.y * mpx + twist_1 * r.y,
            r.x * mqy - r.y * mqx - twist_1 * r.x,
        ];
    }
    let [n, u, v] = contacts.axes();
    let f = n * f0 + u * f1 + v * f2;
    let moment = r.cross(f) + (n * t0 + u * t1 + v * t2);
    let q = n * k0 + u * q1 + v * q2;
    let (u1, v2) = (u * k1, v * k2);
    let kxx = n.x * q.x * 2.0 + u1.x * u.x + v2.x * v.x;
    let kyy = n.y * q.y * 2.0 + u1.y * u.y + v2.y * v.y;
    let kzz = n.z * q.z * 2.0 + u1.z * u.z + v2.z * v.z;
    let kxy = n.x * q.y + n.y * q.x + u1.x * u.y + v2.x * v.y;
    let kxz = n.x * q.z + n.z * q.x + u1.x * u.z + v2.x * v.z;
    let kyz = n.y * q.z + n.z * q.y + u1.y * u.z + v2.y * v.z;
    // [r] K, column by column.
    let h = n * twist_1 + u * roll_1 + v * roll_2;
    let mpx = r.y * kxz - r.z * kxy;
    let mpy = r.y * kyz - r.z * kyy;
    let mpz = r.y * kzz - r.z * kyz;
    let mqx = r.z * kxx - r.x * kxz;
    let mqy = r.z * kxy - r.x * kyz;
    let mqz = r.z * kxz - r.x * kzz;
    let mrx = r.x * kxy - r.y * kxx;
    let mry = r.x * kyy - r.y * kxy;
    let mrz = r.x * kyz - r.y * kxz;
    let j = r.cross(n);
    let (n3, u4, v5) = (n * k3, u * k4, v * k5);
    [
        f.x,
        f.y,
        f.z,
        moment.x,
        moment.y,
        moment.z,
        kxx,
        kyy,
        kzz,
        kxy,
        kxz,
        kyz,
        mpx + h.x * n.x,
        mpy + h.x * n.y,
        mpz + h.x * n.z,
        mqx + h.y * n.x,
        mqy + h.y * n.y,
        mqz + h.y * n.z,
        mrx + h.z * n.x,
        mry + h.z * n.y,
        mrz + h.z * n.z,
        six(n3.x, n.x, u4.x, u.x, v5.x, v.x) + (r.y * mpz - r.z * mpy + h.x * j.x * 2.0),
        six(n3.y, n.y, u4.y, u.y, v5.y, v.y) + (r.z * mqx - r.x * mqz + h.y * j.y * 2.0),
        six(n3.z, n.z, u4.z, u.z, v5.z, v.z) + (r.x * mry - r.y * mrx + h.z * j.z * 2.0),
        six(n3.x, n.y, u4.x, u.y, v5.x, v.y) + (r.z * mpx - r.x * mpz + h.x * j.y + h.y * j.x),
        six(n3.x, n.z, u4.x, u.z, v5.x, v.z) + (r.x * mpy - r.y * mpx + h.x * j.z + h.z * j.x),
        six(n3.y, n.z, u4.y, u.z, v5.y, v.z) + (r.x * mqy - r.y * mqx + h.y * j.z + h.z * j.y),
    ]
}

impl<const PLANAR: bool> Work for Accumulate<'_, PLANAR> {
    type Output = ();

    #[inline(always)]
    fn run<S: Registers>(self, simd: S) {
        let Self { scratch, scratch_base, slot } = self;
        if PLANAR {
            // Gradient x, y, r; Hessian xx, yy, xy, rx, ry, rr.
            add_sums(simd, scratch, scratch_base, slot, [0, 1, 5, 6, 7, 9, 18, 19, 23]);
        } else {
            const ALL: [usize; SUMS] = {
                let mut all = [0; SUMS];
                let mut k = 0;
                while k < SUMS {
                    all[k] = k;
                    k += 1;
                }
                all
            };
            add_sums(simd, scratch, scratch_base, slot, ALL);
        }
    }
}

/// Adds the sums `which`; what the others would take is then not computed.
#[inline(always)]
fn add_sums<S: Registers, const N: usize>(
    simd: S,
    scratch: &mut [f32],
    scratch_base: usize,
    slot: usize,
    which: [usize; N],
) {
    let like = Lanes::new(simd);
    let mut sums = [like; N];
    for group in 0..groups(scratch, scratch_base) {
        let contacts = Pack::of(like, scratch, scratch_base, group);
        let first = contacts.on(FIRST, slot);
        let mine = first.either(contacts.on(SECOND, slot));
        if mine.any() {
            let upright = !contacts.get(FRAME + 2).equals(1.0).negated().both(mine).any();
            let side = like.fixed(-1.0).pick(first, like.fixed(1.0));
            let r = contacts.get3(ARM_FIRST).pick(first, contacts.get3(ARM_SECOND));
            let terms =
                if upright { terms(&contacts, side, r, mine, true) } else { terms(&contacts, side, r, mine, false) };
            for (sum, k) in sums.iter_mut().zip(which) {
                *sum += terms[k];
            }
        }
    }
    let to: &mut [f32; SPAN] = (&mut scratch[scratch_base + SUM..][..SPAN]).try_into().expect("sums");
    for (total, k) in totals(simd, &sums).into_iter().zip(which) {
        to[OFFSETS[k]] += total;
    }
}
