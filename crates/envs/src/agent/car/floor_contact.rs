// `mjc_PlaneCylinder`, `mjc_PlaneSphere` and `mj_makeConstraint` of the Car on the floor: a soft pyramidal law.
//
// Each contact pushes along ten edges n +- mu_i i: n the normal, i two slides (world x and y), torsion
// and two rolls. The accelerations a minimise (Gauss' principle with MuJoCo's regularisation)
//
//     1/2 (a - a0)' M (a - a0)  +  sum over edges  w/2 min(0, e)^2,   e = J a + b J v + k d r
//
// r <= 0 the distance, v the velocities, w, d, b, k from `model.rs`. M is block diagonal once wheels
// and ball carry their own rotations; a is [`Acc`].
//
// Substeps in which an obstacle touches the car go to the solver of `crate::contact` instead (`body.rs`, `contact_step.rs`):
// the same law, with frames of any direction.
device! {

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A three-vector; world axes unless a name says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct V3 {
    pub x: Real,
    pub y: Real,
    pub z: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A symmetric 3x3 matrix.
#[derive(Clone, Copy, Debug)]
pub struct Sym3 {
    pub xx: Real,
    pub yy: Real,
    pub zz: Real,
    pub xy: Real,
    pub xz: Real,
    pub yz: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Accelerations (or generalised forces): the centre of mass and the chassis' rotation, each
/// wheel's spin about the axle relative to the chassis, the ball's absolute rotation.
#[derive(Clone, Copy, Debug)]
pub struct Acc {
    pub lin: V3,
    pub ang: V3,
    pub left: Real,
    pub right: Real,
    pub ball: V3,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// One contact: its point from the centre of mass (of the ball: the ball's centre), the rolling
/// body's lever above it, the weight of an edge (0 where nothing touches) and k d r.
#[derive(Clone, Copy, Debug)]
pub struct Contact {
    pub x: Real,
    pub y: Real,
    pub z: Real,
    pub lever: Real,
    pub weight: Real,
    pub push: Real,
    /// The distance itself, for the solver of contacts with obstacles.
    // Only `floor.rs`, which is scalar, asks for it.
    #[allow(dead_code)]
    pub gap: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// What one substep has to solve. Contacts `a` and `b` are the left wheel's outer and inner rim,
/// `c` and `d` the right wheel's inner and outer, `e` the ball.
#[derive(Clone, Copy, Debug)]
pub struct Problem {
    /// The axle's direction.
    pub ex: V3,
    /// Inertia without the wheels' about the axle and the ball's.
    pub inertia: Sym3,
    /// Acceleration of the centre of mass without contacts.
    pub lin: V3,
    /// Torques without contacts: on the chassis, the wheels about the axle, the ball.
    pub torque: V3,
    pub left: Real,
    pub right: Real,
    pub ball: V3,
    /// b v: what velocities add to the rows.
    pub rates: Acc,
    pub a: Contact,
    pub b: Contact,
    pub c: Contact,
    pub d: Contact,
    pub e: Contact,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Motion or force at one contact: normal, slides x and y, torsion t, rolls u (about x) and v
/// (about y). Motions are multiplied by their friction coefficients.
#[derive(Clone, Copy, Debug)]
pub struct Six {
    pub n: Real,
    pub x: Real,
    pub y: Real,
    pub t: Real,
    pub u: Real,
    pub v: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Motions at all contacts.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    pub a: Six,
    pub b: Six,
    pub c: Six,
    pub d: Six,
    pub e: Six,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Hessian of one contact in the coordinates of [`Six`]: an edge pair n +- i adds to both diagonals,
/// and couples i with n where only one of the two is active.
#[derive(Clone, Copy, Debug)]
pub struct Cone {
    pub nn: Real,
    pub xx: Real,
    pub yy: Real,
    pub tt: Real,
    pub uu: Real,
    pub vv: Real,
    pub xn: Real,
    pub yn: Real,
    pub tn: Real,
    pub un: Real,
    pub vn: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Hessians of all contacts.
#[derive(Clone, Copy, Debug)]
pub struct Cones {
    pub a: Cone,
    pub b: Cone,
    pub c: Cone,
    pub d: Cone,
    pub e: Cone,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// What a contact does: force and torque about the centre of mass on the chassis, generalised force
/// on the rolling body (a wheel uses x alone).
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub force: V3,
    pub torque: V3,
    pub own: V3,
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn v3(x: Real, y: Real, z: Real) -> V3 {
    V3 { x, y, z }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn plus(a: V3, b: V3) -> V3 {
    v3(a.x + b.x, a.y + b.y, a.z + b.z)
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn minus(a: V3, b: V3) -> V3 {
    v3(a.x - b.x, a.y - b.y, a.z - b.z)
}

#[cfg_attr(feature = "gpu", cube)]
/// s a
#[inline(always)]
pub fn scaled(a: V3, s: Real) -> V3 {
    v3(a.x * s, a.y * s, a.z * s)
}

#[cfg_attr(feature = "gpu", cube)]
/// a + s b
#[inline(always)]
pub fn along(a: V3, s: Real, b: V3) -> V3 {
    v3(a.x + s * b.x, a.y + s * b.y, a.z + s * b.z)
}

#[cfg_attr(feature = "gpu", cube)]
/// s a, s a constant
#[inline(always)]
pub fn by(a: V3, s: Fixed) -> V3 {
    v3(a.x * s, a.y * s, a.z * s)
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn dot(a: V3, b: V3) -> Real {
    a.x * b.x + a.y * b.y + a.z * b.z
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn cross(a: V3, b: V3) -> V3 {
    v3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn times(m: Sym3, v: V3) -> V3 {
    v3(
        m.xx * v.x + m.xy * v.y + m.xz * v.z,
        m.xy * v.x + m.yy * v.y + m.yz * v.z,
        m.xz * v.x + m.yz * v.y + m.zz * v.z,
    )
}

#[cfg_attr(feature = "gpu", cube)]
/// A contact `gap` above the floor (negative: below) at `x`, `y`, `z` from the centre of mass.
#[inline(always)]
pub fn floor_contact(gap: Real, x: Real, y: Real, z: Real, lever: Real, weight: Fixed) -> Contact {
    let nothing = fixed(gap, 0.0);
    let unit = fixed(gap, 1.0);
    // MuJoCo's impedance d(r): 0.9 to 0.95 over a millimetre, two parabolas.
    let depth = smaller(magnitude(gap) * PER_WIDTH, unit);
    let shallow = unit - depth;
    let rise = pick(below(depth, fixed(gap, 0.5)), depth * depth * 2.0, unit - shallow * shallow * 2.0);
    let impedance = rise * SOFT_RANGE + SOFTEST;
    let touching = impedance * weight / (unit - impedance);
    Contact {
        x,
        y,
        z,
        lever,
        // A distance of exactly zero is a contact, in MuJoCo too: a car put down at rest touches.
        weight: pick(below(nothing, gap), nothing, touching),
        push: gap * impedance * STIFFNESS,
        gap,
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn wheel_row(c: Contact, ex: V3, lin: V3, ang: V3, spin: Real) -> Six {
    // The rim runs along the horizontal direction normal to the axle: the normal row has no spin.
    let slip = c.lever * spin;
    Six {
        n: lin.z + c.y * ang.x - c.x * ang.y + c.push,
        x: lin.x + c.z * ang.y - c.y * ang.z - ex.y * slip,
        y: lin.y - c.z * ang.x + c.x * ang.z + ex.x * slip,
        t: (ang.z + ex.z * spin) * TORSION,
        u: (ang.x + ex.x * spin) * ROLLING,
        v: (ang.y + ex.y * spin) * ROLLING,
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn ball_row(c: Contact, lin: V3, ang: V3, ball: V3) -> Six {
    Six {
        n: lin.z + c.y * ang.x - c.x * ang.y + c.push,
        x: lin.x + c.z * ang.y - c.y * ang.z - c.lever * ball.y,
        y: lin.y - c.z * ang.x + c.x * ang.z + c.lever * ball.x,
        t: ball.z * TORSION,
        u: ball.x * ROLLING,
        v: ball.y * ROLLING,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Motions less their references, at all contacts.
#[inline(always)]
fn rows(p: Problem, acc: Acc) -> Rows {
    let lin = plus(acc.lin, p.rates.lin);
    let ang = plus(acc.ang, p.rates.ang);
    let left = acc.left + p.rates.left;
    let right = acc.right + p.rates.right;
    Rows {
        a: wheel_row(p.a, p.ex, lin, ang, left),
        b: wheel_row(p.b, p.ex, lin, ang, left),
        c: wheel_row(p.c, p.ex, lin, ang, right),
        d: wheel_row(p.d, p.ex, lin, ang, right),
        e: ball_row(p.e, lin, ang, plus(acc.ball, p.rates.ball)),
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn cone(weight: Real, j: Six) -> Cone {
    let nothing = fixed(weight, 0.0);
    let xp = pick(below(j.n + j.x, nothing), weight, nothing);
    let xm = pick(below(j.n - j.x, nothing), weight, nothing);
    let yp = pick(below(j.n + j.y, nothing), weight, nothing);
    let ym = pick(below(j.n - j.y, nothing), weight, nothing);
    let tp = pick(below(j.n + j.t, nothing), weight, nothing);
    let tm = pick(below(j.n - j.t, nothing), weight, nothing);
    let up = pick(below(j.n + j.u, nothing), weight, nothing);
    let um = pick(below(j.n - j.u, nothing), weight, nothing);
    let vp = pick(below(j.n + j.v, nothing), weight, nothing);
    let vm = pick(below(j.n - j.v, nothing), weight, nothing);
    let xx = xp + xm;
    let yy = yp + ym;
    let tt = tp + tm;
    let uu = up + um;
    let vv = vp + vm;
    Cone {
        nn: (xx + yy) + (tt + (uu + vv)),
        xx,
        yy,
        tt,
        uu,
        vv,
        xn: xp - xm,
        yn: yp - ym,
        tn: tp - tm,
        un: up - um,
        vn: vp - vm,
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn cones(p: Problem, j: Rows) -> Cones {
    Cones {
        a: cone(p.a.weight, j.a),
        b: cone(p.b.weight, j.b),
        c: cone(p.c.weight, j.c),
        d: cone(p.d.weight, j.d),
        e: cone(p.e.weight, j.e),
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Gradient of one contact's penalty, t, u and v as torques.
#[inline(always)]
pub fn reaction(k: Cone, j: Six) -> Six {
    Six {
        n: (k.nn * j.n + k.xn * j.x + k.yn * j.y) + (k.tn * j.t + k.un * j.u + k.vn * j.v),
        x: k.xn * j.n + k.xx * j.x,
        y: k.yn * j.n + k.yy * j.y,
        t: (k.tn * j.n + k.tt * j.t) * TORSION,
        u: (k.un * j.n + k.uu * j.u) * ROLLING,
        v: (k.vn * j.n + k.vv * j.v) * ROLLING,
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn wheel_load(c: Contact, k: Cone, ex: V3, j: Six) -> Load {
    let r = reaction(k, j);
    let nothing = fixed(r.n, 0.0);
    Load {
        force: v3(r.x, r.y, r.n),
        torque: v3(
            c.y * r.n - c.z * r.y + r.u,
            c.z * r.x - c.x * r.n + r.v,
            c.x * r.y - c.y * r.x + r.t,
        ),
        own: v3(c.lever * (ex.x * r.y - ex.y * r.x) + dot(ex, v3(r.u, r.v, r.t)), nothing, nothing),
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn ball_load(c: Contact, k: Cone, j: Six) -> Load {
    let r = reaction(k, j);
    Load {
        force: v3(r.x, r.y, r.n),
        torque: v3(c.y * r.n - c.z * r.y, c.z * r.x - c.x * r.n, c.x * r.y - c.y * r.x),
        own: v3(c.lever * r.y + r.u, r.v - c.lever * r.x, r.t),
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Gradient of the whole cost at `acc`: the forces that do not balance.
#[inline(always)]
fn gradient(p: Problem, k: Cones, acc: Acc, j: Rows) -> Acc {
    let a = wheel_load(p.a, k.a, p.ex, j.a);
    let b = wheel_load(p.b, k.b, p.ex, j.b);
    let c = wheel_load(p.c, k.c, p.ex, j.c);
    let d = wheel_load(p.d, k.d, p.ex, j.d);
    let e = ball_load(p.e, k.e, j.e);
    let spin = dot(p.ex, acc.ang);
    let left = (acc.left + spin) * WHEEL_SPIN;
    let right = (acc.right + spin) * WHEEL_SPIN;
    Acc {
        lin: plus(
            by(minus(acc.lin, p.lin), MASS),
            plus(plus(a.force, b.force), plus(plus(c.force, d.force), e.force)),
        ),
        ang: plus(
            along(minus(times(p.inertia, acc.ang), p.torque), left + right, p.ex),
            plus(plus(a.torque, b.torque), plus(plus(c.torque, d.torque), e.torque)),
        ),
        left: left - p.left + (a.own.x + b.own.x),
        right: right - p.right + (c.own.x + d.own.x),
        ball: plus(minus(by(acc.ball, BALL_SPIN), p.ball), e.own),
    }
}

}
