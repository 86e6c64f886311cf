// `mj_solNewton` on the problem of `problem.rs`: front wheels' spins, steering hinges and rear axle eliminated, six unknowns
// left, factorised as L D L'. As the Car's (`car/newton.rs`), by full steps.
device! {

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Solution of a [`Problem`]; `unsolved` is 1 where forces were left unbalanced, else 0.
#[derive(Clone, Copy, Debug)]
pub struct Solved {
    pub acc: Acc,
    pub unsolved: Real,
}

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

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A Newton step, and the largest unbalanced force before it in units of what may be left.
#[derive(Clone, Copy, Debug)]
pub struct Newton {
    pub step: Acc,
    pub residual: Real,
}

#[cfg_attr(feature = "gpu", cube)]
/// The Newton step at `acc`.
#[inline(always)]
fn newton(p: Problem, acc: Acc) -> Newton {
    let nothing = fixed(acc.rear, 0.0);
    let unit = fixed(acc.rear, 1.0);
    let mass = fixed(acc.rear, MASS);
    let lin = plus(acc.lin, p.rates.lin);
    let ang = plus(acc.ang, p.rates.ang);
    let rear = acc.rear + p.rates.rear;
    let left = wheel(
        p.left,
        p.ez,
        lin,
        ang,
        acc.steer_left + p.rates.steer_left,
        acc.left + p.rates.left,
        acc.lin,
        acc.ang,
        acc.steer_left,
        acc.left,
        p.force.steer_left,
        p.force.left,
    );
    let right = wheel(
        p.right,
        p.ez,
        lin,
        ang,
        acc.steer_right + p.rates.steer_right,
        acc.right + p.rates.right,
        acc.lin,
        acc.ang,
        acc.steer_right,
        acc.right,
        p.force.steer_right,
        p.force.right,
    );
    let rear_lin = along(lin, rear, p.rear);
    let rear_ang = along(ang, rear, p.axle);
    let two = add_contact(add_contact(no_sums(rear), p.a, rear_lin, rear_ang), p.b, rear_lin, rear_ang);
    let back = add_contact(add_contact(two, p.c, rear_lin, rear_ang), p.d, rear_lin, rear_ang);
    let roll = pulled(back.matrix, p.rear, p.axle);
    let axle = Column {
        lin: roll.lin,
        ang: plus(roll.ang, by(p.axle, AXLE_SPIN)),
        own: roll.own + AXLE_SPIN,
    };

    // The rod holds both hinges at one angle.
    let rod = (acc.steer_left - acc.steer_right + (p.rates.steer_left - p.rates.steer_right) + p.rod_push)
        * p.rod_weight;
    let g_lin = plus(
        plus(
            minus(by(acc.lin, MASS), cross(p.moment, acc.ang)),
            plus(scaled(p.left.mass_lin, acc.steer_left), scaled(p.right.mass_lin, acc.steer_right)),
        ),
        minus(
            plus(plus(left.sums.wrench.force, right.sums.wrench.force), back.wrench.force),
            p.force.lin,
        ),
    );
    let spins = plus(
        plus(scaled(p.left.axle, acc.left * WHEEL_SPIN), scaled(p.right.axle, acc.right * WHEEL_SPIN)),
        scaled(p.axle, acc.rear * AXLE_SPIN),
    );
    let g_ang = plus(
        plus(
            plus(cross(p.moment, acc.lin), times(p.inertia, acc.ang)),
            plus(
                plus(scaled(p.left.mass_ang, acc.steer_left), scaled(p.right.mass_ang, acc.steer_right)),
                spins,
            ),
        ),
        minus(
            plus(plus(left.sums.wrench.torque, right.sums.wrench.torque), back.wrench.torque),
            p.force.ang,
        ),
    );
    let g_rear = (dot(p.axle, acc.ang) + acc.rear) * AXLE_SPIN - p.force.rear
        + dot(p.rear, back.wrench.force)
        + dot(p.axle, back.wrench.torque);
    let g_left = left.steer_pull + rod;
    let g_right = right.steer_pull - rod;
    let turns = larger(
        larger(magnitude(g_left), magnitude(g_right)),
        larger(magnitude(left.spin_pull), magnitude(right.spin_pull)),
    );
    let residual = larger(
        larger(largest(g_lin) * PER_FORCE, largest(g_ang) * PER_TORQUE),
        larger(turns * PER_TURN, magnitude(g_rear) * PER_AXLE),
    );

    let left = without_spin(left);
    let right = without_spin(right);
    // The left hinge, then the right one, whose column the rod couples with the left one's.
    let left_own = unit / (left.steer.own + p.rod_weight);
    let left_pull = left.steer_pull + rod;
    let tied = p.rod_weight * left_own;
    let right_steer = Column {
        lin: along(right.steer.lin, tied, left.steer.lin),
        ang: along(right.steer.ang, tied, left.steer.ang),
        own: right.steer.own + p.rod_weight - tied * p.rod_weight,
    };
    let right_own = unit / right_steer.own;
    let right_pull = right.steer_pull - rod + tied * left_pull;
    let axle_own = unit / axle.own;

    let chassis = Sym6 {
        lin: Sym3 { xx: mass, yy: mass, zz: mass, xy: nothing, xz: nothing, yz: nothing },
        px: v3(nothing, p.moment.z, -p.moment.y),
        py: v3(-p.moment.z, nothing, p.moment.x),
        pz: v3(p.moment.y, -p.moment.x, nothing),
        ang: p.inertia,
    };
    let whole = add_matrix(add_matrix(add_matrix(chassis, left.sums.matrix), right.sums.matrix), back.matrix);
    let whole = eliminate(eliminate(whole, left.spin, left.inverse), right.spin, right.inverse);
    let whole = eliminate(eliminate(eliminate(whole, left.steer, left_own), right_steer, right_own), axle, axle_own);
    let s1 = left.spin_pull * left.inverse;
    let s2 = right.spin_pull * right.inverse;
    let s3 = left_pull * left_own;
    let s4 = right_pull * right_own;
    let s5 = g_rear * axle_own;
    let to_lin = along(along(by(g_lin, -1.0), s1, left.spin.lin), s2, right.spin.lin);
    let to_lin = along(along(along(to_lin, s3, left.steer.lin), s4, right_steer.lin), s5, axle.lin);
    let to_ang = along(along(by(g_ang, -1.0), s1, left.spin.ang), s2, right.spin.ang);
    let to_ang = along(along(along(to_ang, s3, left.steer.ang), s4, right_steer.ang), s5, axle.ang);
    let x = solve6(whole, Pair { lin: to_lin, ang: to_ang });
    let steer_right = -s4 - (dot(right_steer.lin, x.lin) + dot(right_steer.ang, x.ang)) * right_own;
    let steer_left =
        -s3 - (dot(left.steer.lin, x.lin) + dot(left.steer.ang, x.ang) - p.rod_weight * steer_right) * left_own;
    Newton {
        step: Acc {
            lin: x.lin,
            ang: x.ang,
            steer_left,
            steer_right,
            left: -s1
                - (dot(left.spin.lin, x.lin) + dot(left.spin.ang, x.ang) + left.mixed * steer_left) * left.inverse,
            right: -s2
                - (dot(right.spin.lin, x.lin) + dot(right.spin.ang, x.ang) + right.mixed * steer_right)
                    * right.inverse,
            rear: -s5 - (dot(axle.lin, x.lin) + dot(axle.ang, x.ang)) * axle_own,
        },
        residual,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// `acc + length d` where `m`, else `acc`.
#[inline(always)]
fn advance(m: Mask, acc: Acc, length: Fixed, d: Acc) -> Acc {
    Acc {
        lin: pick3(m, plus(acc.lin, by(d.lin, length)), acc.lin),
        ang: pick3(m, plus(acc.ang, by(d.ang, length)), acc.ang),
        steer_left: pick(m, acc.steer_left + d.steer_left * length, acc.steer_left),
        steer_right: pick(m, acc.steer_right + d.steer_right * length, acc.steer_right),
        left: pick(m, acc.left + d.left * length, acc.left),
        right: pick(m, acc.right + d.right * length, acc.right),
        rear: pick(m, acc.rear + d.rear * length, acc.rear),
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Where the search begins: the chassis at rest, hinges, wheels and axle free.
#[inline(always)]
pub fn first_guess(p: Problem) -> Acc {
    let nothing = fixed(p.force.rear, 0.0);
    let still = v3(nothing, nothing, nothing);
    let steer = (p.force.steer_left + p.force.steer_right) * (0.5 * PER_STEER_SPIN);
    Acc {
        lin: still,
        ang: still,
        steer_left: steer,
        steer_right: steer,
        left: p.force.left * PER_WHEEL_SPIN,
        right: p.force.right * PER_WHEEL_SPIN,
        rear: p.force.rear * PER_AXLE_SPIN,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Solves the contacts: the accelerations at which all forces balance.
#[inline(always)]
pub fn solve(p: Problem) -> Solved {
    let nothing = fixed(p.force.rear, 0.0);
    let unit = fixed(p.force.rear, 1.0);
    let mut acc = first_guess(p);
    let mut live = below(nothing, unit);
    // A lane that is done is frozen, so that its bits do not depend on its neighbours.
    for pass in 0..PASSES {
        if any(live) {
            let n = newton(p, acc);
            // Not "above": an undefined residual must count as unsolved.
            live = both(live, negated(below(n.residual, unit)));
            if any(live) {
                // Full steps could only fail by cycling; from here on every other one is halved.
                if pass >= PATIENCE && pass % 4 != 0 {
                    acc = advance(live, acc, 0.5, n.step);
                } else {
                    acc = advance(live, acc, 1.0, n.step);
                }
            }
        }
    }
    Solved { acc, unsolved: pick(live, unit, nothing) }
}

}
