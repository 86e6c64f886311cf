// Parts of a Newton step of the Racecar: the sums of a body's contacts, and a front wheel with its hinge and spin.
device! {

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Force and torque about the body origin.
#[derive(Clone, Copy, Debug)]
pub struct Wrench {
    pub force: V3,
    pub torque: V3,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// What a body's contacts put into gradient and Hessian of its motion.
#[derive(Clone, Copy, Debug)]
pub struct Sums {
    pub wrench: Wrench,
    pub matrix: Sym6,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A front wheel's part of a Newton step: gradient of steering and spin; the hinge's column, once the spin is eliminated, and
/// the spin's.
#[derive(Clone, Copy, Debug)]
pub struct Wheel {
    pub sums: Sums,
    pub steer_pull: Real,
    pub spin_pull: Real,
    pub steer: Column,
    pub spin: Column,
    /// Coupling of steering and spin.
    pub mixed: Real,
    /// 1 / the spin's diagonal.
    pub inverse: Real,
}

#[cfg_attr(feature = "gpu", cube)]
/// Motion less its reference at contact `c` of a body that moves by `lin`, `ang`.
#[inline(always)]
fn contact_row(c: Contact, lin: V3, ang: V3) -> Six {
    Six {
        n: lin.z + c.y * ang.x - c.x * ang.y + c.push,
        x: lin.x + c.z * ang.y - c.y * ang.z,
        y: lin.y - c.z * ang.x + c.x * ang.z,
        t: ang.z * TORSION,
        u: ang.x * ROLLING,
        v: ang.y * ROLLING,
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn no_sums(like: Real) -> Sums {
    let o = fixed(like, 0.0);
    let still = v3(o, o, o);
    let empty = Sym3 { xx: o, yy: o, zz: o, xy: o, xz: o, yz: o };
    Sums {
        wrench: Wrench { force: still, torque: still },
        matrix: Sym6 { lin: empty, px: still, py: still, pz: still, ang: empty },
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Adds what contact `c` puts into the sums of a body that moves by `lin`, `ang`.
#[inline(always)]
fn add_contact(sums: Sums, c: Contact, lin: V3, ang: V3) -> Sums {
    let j = contact_row(c, lin, ang);
    let k = cone(c.weight, j);
    let r = reaction(k, j);
    let force = v3(r.x, r.y, r.n);
    let torque = v3(
        c.y * r.n - c.z * r.y + r.u,
        c.z * r.x - c.x * r.n + r.v,
        c.x * r.y - c.y * r.x + r.t,
    );
    Sums {
        wrench: Wrench { force: plus(sums.wrench.force, force), torque: plus(sums.wrench.torque, torque) },
        matrix: add_cone(sums.matrix, k, turning(k), rolling(k), c),
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// What a motion does to `sums`: the product with their Hessian, and its own share of the gradient's curvature in `own`.
#[inline(always)]
fn pulled(h: Sym6, lin: V3, ang: V3) -> Column {
    let to_lin = plus(
        v3(
            h.lin.xx * lin.x + h.lin.xy * lin.y + h.lin.xz * lin.z,
            h.lin.xy * lin.x + h.lin.yy * lin.y + h.lin.yz * lin.z,
            h.lin.xz * lin.x + h.lin.yz * lin.y + h.lin.zz * lin.z,
        ),
        v3(dot(h.px, ang), dot(h.py, ang), dot(h.pz, ang)),
    );
    let to_ang = along(along(along(times(h.ang, ang), lin.x, h.px), lin.y, h.py), lin.z, h.pz);
    Column { lin: to_lin, ang: to_ang, own: dot(to_lin, lin) + dot(to_ang, ang) }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn add_matrix(a: Sym6, b: Sym6) -> Sym6 {
    Sym6 {
        lin: Sym3 {
            xx: a.lin.xx + b.lin.xx,
            yy: a.lin.yy + b.lin.yy,
            zz: a.lin.zz + b.lin.zz,
            xy: a.lin.xy + b.lin.xy,
            xz: a.lin.xz + b.lin.xz,
            yz: a.lin.yz + b.lin.yz,
        },
        px: plus(a.px, b.px),
        py: plus(a.py, b.py),
        pz: plus(a.pz, b.pz),
        ang: Sym3 {
            xx: a.ang.xx + b.ang.xx,
            yy: a.ang.yy + b.ang.yy,
            zz: a.ang.zz + b.ang.zz,
            xy: a.ang.xy + b.ang.xy,
            xz: a.ang.xz + b.ang.xz,
            yz: a.ang.yz + b.ang.yz,
        },
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn six_plus(a: Six, s: Real, b: Six, t: Real, c: Real) -> Six {
    Six {
        n: a.n * s + b.n * t + c,
        x: a.x * s + b.x * t,
        y: a.y * s + b.y * t,
        t: a.t * s + b.t * t,
        u: a.u * s + b.u * t,
        v: a.v * s + b.v * t,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// a' K b of a cone.
#[inline(always)]
fn between(k: Cone, a: Six, b: Six) -> Real {
    let n = k.nn * b.n + k.xn * b.x + k.yn * b.y + (k.tn * b.t + k.un * b.u + k.vn * b.v);
    a.n * n
        + a.x * (k.xn * b.n + k.xx * b.x)
        + a.y * (k.yn * b.n + k.yy * b.y)
        + a.t * (k.tn * b.n + k.tt * b.t)
        + a.u * (k.un * b.n + k.uu * b.u)
        + a.v * (k.vn * b.n + k.vv * b.v)
}

#[cfg_attr(feature = "gpu", cube)]
/// A front wheel's gradient and Hessian. `lin`, `ang` are the chassis' motion and `steer`, `spin` the wheel's, all with their
/// references; `steer_acc`, `spin_acc`, `chassis_lin`, `chassis_ang` the accelerations alone.
#[inline(always)]
fn wheel(
    w: Front,
    ez: V3,
    lin: V3,
    ang: V3,
    steer: Real,
    spin: Real,
    chassis_lin: V3,
    chassis_ang: V3,
    steer_acc: Real,
    spin_acc: Real,
    steer_force: Real,
    spin_force: Real,
) -> Wheel {
    let nothing = fixed(steer, 0.0);
    let body_lin = along(along(lin, steer, w.steer), spin, w.spin);
    let body_ang = along(along(ang, steer, ez), spin, w.axle);
    let sums = add_contact(add_contact(no_sums(steer), w.outer, body_lin, body_ang), w.inner, body_lin, body_ang);
    let hinge = pulled(sums.matrix, w.steer, ez);
    let roll = pulled(sums.matrix, w.spin, w.axle);
    // The limit and the bumper feel the wheel's own motion only.
    let at_stop = w.stop.sense * steer_acc + w.stop.push;
    let stop = pick(below(at_stop, nothing), w.stop.weight, nothing);
    let j = six_plus(w.rub.steer, steer, w.rub.spin, spin, w.rub.push);
    let k = cone(w.rub.weight, j);
    let mass = by(w.axle, WHEEL_SPIN);
    Wheel {
        sums,
        steer_pull: dot(w.mass_lin, chassis_lin) + dot(w.mass_ang, chassis_ang) + steer_acc * STEER_SPIN - steer_force
            + dot(w.steer, sums.wrench.force)
            + dot(ez, sums.wrench.torque)
            + stop * at_stop * w.stop.sense
            + between(k, w.rub.steer, j),
        spin_pull: (dot(w.axle, chassis_ang) + spin_acc) * WHEEL_SPIN - spin_force
            + dot(w.spin, sums.wrench.force)
            + dot(w.axle, sums.wrench.torque)
            + between(k, w.rub.spin, j),
        steer: Column {
            lin: plus(hinge.lin, w.mass_lin),
            ang: plus(hinge.ang, w.mass_ang),
            own: hinge.own + STEER_SPIN + stop + between(k, w.rub.steer, w.rub.steer),
        },
        spin: Column {
            lin: roll.lin,
            ang: plus(roll.ang, mass),
            own: roll.own + WHEEL_SPIN + between(k, w.rub.spin, w.rub.spin),
        },
        mixed: dot(hinge.lin, w.spin) + dot(hinge.ang, w.axle) + between(k, w.rub.steer, w.rub.spin),
        inverse: nothing,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// The wheel with its spin eliminated from the hinge's column and gradient.
#[inline(always)]
fn without_spin(w: Wheel) -> Wheel {
    let inverse = fixed(w.mixed, 1.0) / w.spin.own;
    let share = w.mixed * inverse;
    Wheel {
        sums: w.sums,
        steer_pull: w.steer_pull - share * w.spin_pull,
        spin_pull: w.spin_pull,
        steer: Column {
            lin: along(w.steer.lin, -share, w.spin.lin),
            ang: along(w.steer.ang, -share, w.spin.ang),
            own: w.steer.own - share * w.mixed,
        },
        spin: w.spin,
        mixed: w.mixed,
        inverse,
    }
}

}
