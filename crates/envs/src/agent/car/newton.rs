// `mj_solNewton` on the contact problem of `floor_contact.rs`: wheels and ball eliminated, six unknowns
// left, factorised as L D L'.
//
// The cost is convex and piecewise quadratic, so one full step is exact as soon as the active edges
// are the right ones. From a start with the chassis unaccelerated and wheels and ball free, full
// steps found them in 3 steps in the mean and 8 at most; the previous substep's solution is a worse
// start (stick and slip change every substep) and needs a line search.
device! {

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Solution of a [`Problem`]; `unsolved` is 1 where forces were left unbalanced, else 0.
#[derive(Clone, Copy, Debug)]
pub struct Solved {
    pub acc: Acc,
    pub unsolved: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A vector over (linear, angular).
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub lin: V3,
    pub ang: V3,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A symmetric 6x6 over (linear, angular): the two diagonal blocks and the rows of the block between.
#[derive(Clone, Copy, Debug)]
pub struct Sym6 {
    pub lin: Sym3,
    pub px: V3,
    pub py: V3,
    pub pz: V3,
    pub ang: Sym3,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A wheel's column of the Hessian: its coupling with the chassis and its diagonal.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub lin: V3,
    pub ang: V3,
    pub own: Real,
}

#[cfg_attr(feature = "gpu", cube)]
/// Torsion and rolls of a cone: what couples them with the normal.
#[inline(always)]
pub fn turning(k: Cone) -> V3 {
    v3(k.un * ROLLING, k.vn * ROLLING, k.tn * TORSION)
}

#[cfg_attr(feature = "gpu", cube)]
/// Torsion and rolls of a cone: their diagonal.
#[inline(always)]
pub fn rolling(k: Cone) -> V3 {
    v3(k.uu * ROLLING_2, k.vv * ROLLING_2, k.tt * TORSION_2)
}

#[cfg_attr(feature = "gpu", cube)]
/// h + J' K J for a contact whose angular motion is the chassis' (`turn`, `roll`).
#[inline(always)]
pub fn add_cone(h: Sym6, k: Cone, turn: V3, roll: V3, c: Contact) -> Sym6 {
    // B: rotation -> motion of the contact point; P = K B + z turn'.
    let px = v3(k.xn * c.y, k.xx * c.z - k.xn * c.x, -(k.xx * c.y));
    let py = v3(k.yn * c.y - k.yy * c.z, -(k.yn * c.x), k.yy * c.x);
    let pz = v3(
        k.nn * c.y - k.yn * c.z + turn.x,
        k.xn * c.z - k.nn * c.x + turn.y,
        k.yn * c.x - k.xn * c.y + turn.z,
    );
    Sym6 {
        lin: Sym3 {
            xx: h.lin.xx + k.xx,
            yy: h.lin.yy + k.yy,
            zz: h.lin.zz + k.nn,
            xy: h.lin.xy,
            xz: h.lin.xz + k.xn,
            yz: h.lin.yz + k.yn,
        },
        px: plus(h.px, px),
        py: plus(h.py, py),
        pz: plus(h.pz, pz),
        // B'P + turn z'B + diag(roll)
        ang: Sym3 {
            xx: h.ang.xx + (c.y * pz.x - c.z * py.x + turn.x * c.y + roll.x),
            yy: h.ang.yy + (c.z * px.y - c.x * pz.y - turn.y * c.x + roll.y),
            zz: h.ang.zz + (c.x * py.z - c.y * px.z + roll.z),
            xy: h.ang.xy + (c.y * pz.y - c.z * py.y - turn.x * c.x),
            xz: h.ang.xz + (c.y * pz.z - c.z * py.z),
            yz: h.ang.yz + (c.z * px.z - c.x * pz.z),
        },
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Adds what one contact puts into its wheel's column.
#[inline(always)]
fn add_column(h: Column, k: Cone, turn: V3, roll: V3, c: Contact, ex: V3) -> Column {
    let sx = -(ex.y * c.lever);
    let sy = ex.x * c.lever;
    let lin = v3(k.xx * sx, k.yy * sy, k.xn * sx + k.yn * sy + dot(turn, ex));
    let drag = v3(roll.x * ex.x, roll.y * ex.y, roll.z * ex.z);
    Column {
        lin: plus(h.lin, lin),
        ang: plus(
            h.ang,
            v3(
                c.y * lin.z - c.z * lin.y + drag.x,
                c.z * lin.x - c.x * lin.z + drag.y,
                c.x * lin.y - c.y * lin.x + drag.z,
            ),
        ),
        own: h.own + (lin.x * sx + lin.y * sy + dot(drag, ex)),
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// h - w w' / own, given 1 / own.
#[inline(always)]
pub fn eliminate(h: Sym6, w: Column, inverse: Real) -> Sym6 {
    let l = scaled(w.lin, -inverse);
    let a = scaled(w.ang, -inverse);
    Sym6 {
        lin: Sym3 {
            xx: h.lin.xx + l.x * w.lin.x,
            yy: h.lin.yy + l.y * w.lin.y,
            zz: h.lin.zz + l.z * w.lin.z,
            xy: h.lin.xy + l.x * w.lin.y,
            xz: h.lin.xz + l.x * w.lin.z,
            yz: h.lin.yz + l.y * w.lin.z,
        },
        px: along(h.px, l.x, w.ang),
        py: along(h.py, l.y, w.ang),
        pz: along(h.pz, l.z, w.ang),
        ang: Sym3 {
            xx: h.ang.xx + a.x * w.ang.x,
            yy: h.ang.yy + a.y * w.ang.y,
            zz: h.ang.zz + a.z * w.ang.z,
            xy: h.ang.xy + a.x * w.ang.y,
            xz: h.ang.xz + a.x * w.ang.z,
            yz: h.ang.yz + a.y * w.ang.z,
        },
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Solves h x = r by L D L'.
#[inline(always)]
pub fn solve6(h: Sym6, r: Pair) -> Pair {
    let unit = fixed(h.lin.xx, 1.0);
    // l: column of L; w: the same column times D; i: 1 / D.
    let i0 = unit / h.lin.xx;
    let l10 = h.lin.xy * i0;
    let l20 = h.lin.xz * i0;
    let l30 = h.px.x * i0;
    let l40 = h.px.y * i0;
    let l50 = h.px.z * i0;
    let i1 = unit / (h.lin.yy - l10 * h.lin.xy);
    let w21 = h.lin.yz - l20 * h.lin.xy;
    let w31 = h.py.x - l30 * h.lin.xy;
    let w41 = h.py.y - l40 * h.lin.xy;
    let w51 = h.py.z - l50 * h.lin.xy;
    let l21 = w21 * i1;
    let l31 = w31 * i1;
    let l41 = w41 * i1;
    let l51 = w51 * i1;
    let i2 = unit / (h.lin.zz - l20 * h.lin.xz - l21 * w21);
    let w32 = h.pz.x - l30 * h.lin.xz - l31 * w21;
    let w42 = h.pz.y - l40 * h.lin.xz - l41 * w21;
    let w52 = h.pz.z - l50 * h.lin.xz - l51 * w21;
    let l32 = w32 * i2;
    let l42 = w42 * i2;
    let l52 = w52 * i2;
    let i3 = unit / (h.ang.xx - l30 * h.px.x - l31 * w31 - l32 * w32);
    let w43 = h.ang.xy - l40 * h.px.x - l41 * w31 - l42 * w32;
    let w53 = h.ang.xz - l50 * h.px.x - l51 * w31 - l52 * w32;
    let l43 = w43 * i3;
    let l53 = w53 * i3;
    let i4 = unit / (h.ang.yy - l40 * h.px.y - l41 * w41 - l42 * w42 - l43 * w43);
    let w54 = h.ang.yz - l50 * h.px.y - l51 * w41 - l52 * w42 - l53 * w43;
    let l54 = w54 * i4;
    let i5 = unit / (h.ang.zz - l50 * h.px.z - l51 * w51 - l52 * w52 - l53 * w53 - l54 * w54);

    let y0 = r.lin.x;
    let y1 = r.lin.y - l10 * y0;
    let y2 = r.lin.z - l20 * y0 - l21 * y1;
    let y3 = r.ang.x - l30 * y0 - l31 * y1 - l32 * y2;
    let y4 = r.ang.y - l40 * y0 - l41 * y1 - l42 * y2 - l43 * y3;
    let y5 = r.ang.z - l50 * y0 - l51 * y1 - l52 * y2 - l53 * y3 - l54 * y4;
    let x5 = y5 * i5;
    let x4 = y4 * i4 - l54 * x5;
    let x3 = y3 * i3 - l43 * x4 - l53 * x5;
    let x2 = y2 * i2 - l32 * x3 - l42 * x4 - l52 * x5;
    let x1 = y1 * i1 - l21 * x2 - l31 * x3 - l41 * x4 - l51 * x5;
    let x0 = y0 * i0 - l10 * x1 - l20 * x2 - l30 * x3 - l40 * x4 - l50 * x5;
    Pair { lin: v3(x0, x1, x2), ang: v3(x3, x4, x5) }
}

#[cfg_attr(feature = "gpu", cube)]
/// The Newton step at gradient `g` while the edges in `k` stay active.
#[inline(always)]
fn direction(p: Problem, k: Cones, g: Acc) -> Acc {
    let nothing = fixed(g.left, 0.0);
    let unit = fixed(g.left, 1.0);
    let still = v3(nothing, nothing, nothing);
    let mass = fixed(g.left, MASS);
    let axle = by(p.ex, WHEEL_SPIN);
    // Wheels held relative to the chassis turn with it: their axle inertia joins the chassis'.
    let both = by(p.ex, WHEEL_SPIN_2);
    let bare = Sym6 {
        lin: Sym3 { xx: mass, yy: mass, zz: mass, xy: nothing, xz: nothing, yz: nothing },
        px: still,
        py: still,
        pz: still,
        ang: Sym3 {
            xx: p.inertia.xx + both.x * p.ex.x,
            yy: p.inertia.yy + both.y * p.ex.y,
            zz: p.inertia.zz + both.z * p.ex.z,
            xy: p.inertia.xy + both.x * p.ex.y,
            xz: p.inertia.xz + both.x * p.ex.z,
            yz: p.inertia.yz + both.y * p.ex.z,
        },
    };

    let ta = turning(k.a);
    let tb = turning(k.b);
    let tc = turning(k.c);
    let td = turning(k.d);
    let ra = rolling(k.a);
    let rb = rolling(k.b);
    let rc = rolling(k.c);
    let rd = rolling(k.d);
    let spin = Column { lin: still, ang: axle, own: fixed(g.left, WHEEL_SPIN) };
    let left = add_column(add_column(spin, k.a, ta, ra, p.a, p.ex), k.b, tb, rb, p.b, p.ex);
    let right = add_column(add_column(spin, k.c, tc, rc, p.c, p.ex), k.d, td, rd, p.d, p.ex);

    // The ball: its rotation couples only with the motion of its centre, and diagonally with itself,
    // so it is eliminated inside the cone. Names: row of the cone, then axis of the rotation.
    let te = turning(k.e);
    let re = rolling(k.e);
    let lever = p.e.lever;
    let fx = unit / (k.e.yy * lever * lever + re.x + BALL_SPIN);
    let fy = unit / (k.e.xx * lever * lever + re.y + BALL_SPIN);
    let fz = unit / (re.z + BALL_SPIN);
    let yx = k.e.yy * lever;
    let xy = -(k.e.xx * lever);
    let nx = k.e.yn * lever + te.x;
    let ny = te.y - k.e.xn * lever;
    let nz = te.z;
    let rest = Cone {
        nn: k.e.nn - nx * nx * fx - ny * ny * fy - nz * nz * fz,
        xx: k.e.xx - xy * xy * fy,
        yy: k.e.yy - yx * yx * fx,
        tt: nothing,
        uu: nothing,
        vv: nothing,
        xn: k.e.xn - xy * ny * fy,
        yn: k.e.yn - yx * nx * fx,
        tn: nothing,
        un: nothing,
        vn: nothing,
    };
    let qx = g.ball.x * fx;
    let qy = g.ball.y * fy;
    let qz = g.ball.z * fz;
    let back = v3(xy * qy, yx * qx, nx * qx + ny * qy + nz * qz);
    let ball_at = v3(p.e.x, p.e.y, p.e.z);

    let left_inverse = unit / left.own;
    let right_inverse = unit / right.own;
    let sl = g.left * left_inverse;
    let sr = g.right * right_inverse;
    let wheels = add_cone(
        add_cone(add_cone(add_cone(bare, k.a, ta, ra, p.a), k.b, tb, rb, p.b), k.c, tc, rc, p.c),
        k.d,
        td,
        rd,
        p.d,
    );
    let whole = add_cone(wheels, rest, still, still, p.e);
    let x = solve6(
        eliminate(eliminate(whole, left, left_inverse), right, right_inverse),
        Pair {
            lin: along(along(minus(back, g.lin), sl, left.lin), sr, right.lin),
            ang: along(along(minus(cross(ball_at, back), g.ang), sl, left.ang), sr, right.ang),
        },
    );
    let centre = plus(x.lin, cross(x.ang, ball_at));
    Acc {
        lin: x.lin,
        ang: x.ang,
        left: -sl - (dot(left.lin, x.lin) + dot(left.ang, x.ang)) * left_inverse,
        right: -sr - (dot(right.lin, x.lin) + dot(right.ang, x.ang)) * right_inverse,
        ball: v3(
            -qx - (yx * centre.y + nx * centre.z) * fx,
            -qy - (xy * centre.x + ny * centre.z) * fy,
            -qz - nz * centre.z * fz,
        ),
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn largest(v: V3) -> Real {
    larger(larger(magnitude(v.x), magnitude(v.y)), magnitude(v.z))
}

#[cfg_attr(feature = "gpu", cube)]
/// The largest unbalanced force, each in units of what may be left.
#[inline(always)]
fn residual(g: Acc) -> Real {
    let spins = larger(largest(g.ball), larger(magnitude(g.left), magnitude(g.right)));
    larger(larger(largest(g.lin) * PER_FORCE, largest(g.ang) * PER_TORQUE), spins * PER_SPIN)
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn pick3(m: Mask, a: V3, b: V3) -> V3 {
    v3(pick(m, a.x, b.x), pick(m, a.y, b.y), pick(m, a.z, b.z))
}

#[cfg_attr(feature = "gpu", cube)]
/// `acc + length d` where `m`, else `acc`.
#[inline(always)]
fn advance(m: Mask, acc: Acc, length: Fixed, d: Acc) -> Acc {
    Acc {
        lin: pick3(m, plus(acc.lin, by(d.lin, length)), acc.lin),
        ang: pick3(m, plus(acc.ang, by(d.ang, length)), acc.ang),
        left: pick(m, acc.left + d.left * length, acc.left),
        right: pick(m, acc.right + d.right * length, acc.right),
        ball: pick3(m, plus(acc.ball, by(d.ball, length)), acc.ball),
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Solves the contacts: the accelerations at which all forces balance.
#[inline(always)]
pub fn solve(p: Problem) -> Solved {
    let nothing = fixed(p.left, 0.0);
    let unit = fixed(p.left, 1.0);
    let still = v3(nothing, nothing, nothing);
    let mut acc = Acc {
        lin: still,
        ang: still,
        left: p.left * PER_WHEEL_SPIN,
        right: p.right * PER_WHEEL_SPIN,
        ball: by(p.ball, PER_BALL_SPIN),
    };
    let mut live = below(nothing, unit);
    // A lane that is done is frozen, so that its bits do not depend on its neighbours.
    for pass in 0..PASSES {
        if any(live) {
            let j = rows(p, acc);
            let k = cones(p, j);
            let g = gradient(p, k, acc, j);
            // Not "above": an undefined residual must count as unsolved.
            live = both(live, negated(below(residual(g), unit)));
            if any(live) {
                let d = direction(p, k, g);
                // Full steps could only fail by cycling; from here on every other one is halved.
                if pass >= PATIENCE && pass % 4 != 0 {
                    acc = advance(live, acc, 0.5, d);
                } else {
                    acc = advance(live, acc, 1.0, d);
                }
            }
        }
    }
    Solved { acc, unsolved: pick(live, unit, nothing) }
}

}
