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
