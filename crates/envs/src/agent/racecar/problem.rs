// `mj_makeConstraint`, `mj_fwdVelocity` and `mj_fwdActuation` of the Racecar: from a state and two commands to the
// accelerations' objective. The law of contacts is the Car's (`car/floor_contact.rs`).
//
// Unknown accelerations ([`Acc`]) are those of the body origin and the chassis, world axes, of both steering hinges and of
// front wheels and rear axle relative to what carries them. Each of the three bodies that touch the floor moves as a rigid body:
// the chassis' motion, plus multiples of constant twists (a velocity at the body origin, a rate).
device! {

#[cfg_attr(feature = "gpu", cube)]
/// Sine and cosine of an angle below 1.5 rad, to 1e-7.
#[inline(always)]
pub fn turn_of(angle: Real) -> Turn {
    let t = angle * angle;
    let unit = fixed(angle, 1.0);
    let s = unit
        - t * 0.166_666_67 * (unit
            - t * 0.05 * (unit
                - t * 0.023_809_524 * (unit - t * 0.013_888_889 * (unit - t * 0.009_090_909 * (unit - t * 0.006_410_256_5)))));
    let c = unit
        - t * 0.5 * (unit
            - t * 0.083_333_336 * (unit
                - t * 0.033_333_335
                    * (unit - t * 0.017_857_144 * (unit - t * 0.011_111_111 * (unit - t * 0.007_575_757_6)))));
    Turn { sin: angle * s, cos: c }
}

#[cfg_attr(feature = "gpu", cube)]
/// MuJoCo's impedance at distance `r`: 0.9 to 0.95 over a millimetre or milliradian, two parabolas.
#[inline(always)]
fn impedance(r: Real) -> Real {
    let unit = fixed(r, 1.0);
    let depth = smaller(magnitude(r) * PER_WIDTH, unit);
    let shallow = unit - depth;
    let rise = pick(below(depth, fixed(r, 0.5)), depth * depth * 2.0, unit - shallow * shallow * 2.0);
    rise * SOFT_RANGE + SOFTEST
}

#[cfg_attr(feature = "gpu", cube)]
/// The weight of a row at impedance `d`.
#[inline(always)]
fn firm(d: Real, weight: Fixed) -> Real {
    d * weight / (fixed(d, 1.0) - d)
}

#[cfg_attr(feature = "gpu", cube)]
/// The limit of a steering hinge at `angle` that turns at `rate`.
#[inline(always)]
fn stop(angle: Real, rate: Real) -> Stop {
    let nothing = fixed(angle, 0.0);
    let unit = fixed(angle, 1.0);
    let gap = fixed(angle, MOST_STEER) - magnitude(angle);
    let d = impedance(gap);
    // The constraint's coordinate grows towards the middle.
    let sense = pick(below(angle, nothing), unit, -unit);
    Stop {
        weight: pick(below(gap, nothing), firm(d, LIMIT_WEIGHT), nothing),
        sense,
        push: sense * rate * APPROACH + gap * d * STIFFNESS,
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn cubic(x: Real, a: Fixed, b: Fixed, c: Fixed, d: Fixed) -> Real {
    ((x * d + c) * x + b) * x + a
}

#[cfg_attr(feature = "gpu", cube)]
/// Motion `lin` of the contact point and rate `ang` of a wheel in a contact's frame, seen from the wheel: the normal points away
/// from it.
#[inline(always)]
fn in_contact(n: V3, t1: V3, t2: V3, lin: V3, ang: V3) -> Six {
    Six {
        n: -dot(n, lin),
        x: -dot(t1, lin),
        y: -dot(t2, lin),
        t: dot(n, ang) * -TORSION,
        u: dot(t1, ang) * -ROLLING,
        v: dot(t2, ang) * -ROLLING,
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn no_six(like: Real) -> Six {
    let o = fixed(like, 0.0);
    Six { n: o, x: o, y: o, t: o, u: o, v: o }
}

#[cfg_attr(feature = "gpu", cube)]
/// Where a front wheel rubs the bumper; `side` is 1 for the left wheel, -1 for the right. It does, where it is steered
/// inwards beyond the limit.
#[inline(always)]
fn rub(f: Frame, side: Fixed, angle: Real, steer: V3, spin: V3, axle: V3) -> Rub {
    let nothing = fixed(angle, 0.0);
    let inwards = angle * -side;
    let mut found = Rub { weight: nothing, push: nothing, steer: no_six(angle), spin: no_six(angle) };
    if any(below(fixed(angle, RUB_FROM), inwards)) {
        let x = inwards - MOST_STEER;
        let gap = cubic(x, RUB_GAP_0, RUB_GAP_1, RUB_GAP_2, RUB_GAP_3);
        let point = v3(
            cubic(x, RUB_X_0, RUB_X_1, RUB_X_2, RUB_X_3),
            cubic(x, RUB_Y_0, RUB_Y_1, RUB_Y_2, RUB_Y_3) * -side,
            cubic(x, RUB_Z_0, RUB_Z_1, RUB_Z_2, RUB_Z_3),
        );
        let normal = v3(
            cubic(x, RUB_NX_0, RUB_NX_1, RUB_NX_2, RUB_NX_3),
            cubic(x, RUB_NY_0, RUB_NY_1, RUB_NY_2, RUB_NY_3) * -side,
            cubic(x, RUB_NZ_0, RUB_NZ_1, RUB_NZ_2, RUB_NZ_3),
        );
        let at = to_world(f, point);
        let n = to_world(f, normal);
        // MuJoCo's tangents: world y, or world z where the normal is near y, made orthogonal to the normal.
        let unit = fixed(angle, 1.0);
        let flat = below(magnitude(n.y), fixed(angle, 0.5));
        let along_n = pick(flat, n.y, n.z);
        let up = pick(flat, nothing, unit);
        let raw = v3(-(along_n * n.x), unit - up - along_n * n.y, up - along_n * n.z);
        let t1 = scaled(raw, unit / root(dot(raw, raw)));
        let t2 = cross(n, t1);
        let d = impedance(gap);
        let touching = both(below(fixed(angle, RUB_FROM), inwards), below(gap, nothing));
        found = Rub {
            weight: pick(touching, firm(d, RUB_WEIGHT), nothing),
            push: gap * d * STIFFNESS,
            steer: in_contact(n, t1, t2, plus(steer, cross(f.ez, at)), f.ez),
            spin: in_contact(n, t1, t2, plus(spin, cross(axle, at)), axle),
        };
    }
    found
}

#[cfg_attr(feature = "gpu", cube)]
/// The floor contact of a rim `shift` along `axle` from the wheel's centre `hub` (from the body origin), which stands `extra`
/// higher than it seems.
#[inline(always)]
fn rim(hub: V3, axle: V3, lift: Real, shift: Fixed, extra: Real, weight: Fixed) -> Contact {
    // Gaps are sums of small numbers only, so that micrometres survive float32 (see the Car's `problem`).
    let level = larger(root(axle.x * axle.x + axle.y * axle.y), fixed(lift, 1e-3));
    let unit = fixed(lift, 1.0);
    let gap = lift + hub.z + axle.z * axle.z / (level + unit) * RADIUS + axle.z * shift + extra;
    // A tilted wheel touches off its middle, this far along the axle.
    let lean = axle.z / level * RADIUS + shift;
    floor_contact(
        gap,
        hub.x + axle.x * lean,
        hub.y + axle.y * lean,
        gap * 0.5 - (lift + RADIUS),
        fixed(lift, 0.0),
        weight,
    )
}

#[cfg_attr(feature = "gpu", cube)]
/// Forces of inertia of a front wheel and its hinge's own rotation at chassis rates `w`: `hub` is the wheel's centre, `offset` that
/// from the hinge, `e` the axle; chassis axes.
#[inline(always)]
fn drag_of(w: V3, hub: V3, offset: V3, e: V3, steer: Real, spin: Real) -> Drag {
    let nothing = fixed(steer, 0.0);
    let up = v3(nothing, nothing, fixed(steer, 1.0));
    // Acceleration of the wheel's centre.
    let swing = v3(-(offset.y * steer), offset.x * steer, nothing);
    let centre = along(cross(w, plus(cross(w, hub), by(swing, 2.0))), -(steer * steer), offset);
    let force = by(centre, WHEEL_MASS);
    // Rates of the wheel beyond the chassis', and how they turn.
    let beyond = v3(e.x * spin, e.y * spin, steer);
    let rate = plus(w, beyond);
    let turning = along(cross(w, beyond), steer * spin, v3(-e.y, e.x, nothing));
    let along_axle = dot(e, turning);
    let spun = dot(e, rate) * WHEEL_EXCESS;
    let couple = plus(
        along(by(turning, WHEEL_TILT), along_axle * WHEEL_EXCESS, e),
        scaled(cross(rate, e), spun),
    );
    let hinge = by(cross(w, scaled(up, steer)), HINGE_SPIN);
    Drag {
        force,
        torque: plus(cross(hub, force), plus(couple, hinge)),
        steer: offset.x * force.y - offset.y * force.x + couple.z,
        spin: along_axle * WHEEL_SPIN,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// The chassis-frame matrix `t` in world axes.
#[inline(always)]
fn turned(f: Frame, t: Sym3) -> Sym3 {
    let a = along(along(scaled(f.ex, t.xx), t.xy, f.ey), t.xz, f.ez);
    let b = along(along(scaled(f.ex, t.xy), t.yy, f.ey), t.yz, f.ez);
    let c = along(along(scaled(f.ex, t.xz), t.yz, f.ey), t.zz, f.ez);
    Sym3 {
        xx: a.x * f.ex.x + b.x * f.ey.x + c.x * f.ez.x,
        yy: a.y * f.ex.y + b.y * f.ey.y + c.y * f.ez.y,
        zz: a.z * f.ex.z + b.z * f.ey.z + c.z * f.ez.z,
        xy: a.x * f.ex.y + b.x * f.ey.y + c.x * f.ez.y,
        xz: a.x * f.ex.z + b.x * f.ey.z + c.x * f.ez.z,
        yz: a.y * f.ex.z + b.y * f.ey.z + c.y * f.ez.z,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// A front wheel of the problem: `side` is 1 for the left wheel, -1 for the right.
#[inline(always)]
fn front(f: Frame, side: Fixed, lift: Real, angle: Real, rate: Real, e: V3, offset: V3, hub: V3) -> Front {
    let nothing = fixed(lift, 0.0);
    let axle = to_world(f, e);
    let hub_at = to_world(f, hub);
    let hinge = along(by(f.ex, HINGE_X), fixed(lift, side * HINGE_Y), f.ey);
    let steer = cross(hinge, f.ez);
    let spin = cross(hub_at, axle);
    // Mass times the centre's velocity at unit steering.
    let sweep = v3(-(offset.y * WHEEL_MASS), offset.x * WHEEL_MASS, nothing);
    let about = cross(hub, sweep);
    Front {
        axle,
        steer,
        spin,
        mass_lin: to_world(f, sweep),
        mass_ang: to_world(f, v3(about.x, about.y, about.z + (WHEEL_TILT + HINGE_SPIN))),
        outer: rim(hub_at, axle, lift, side * HALF_WIDTH, e.x * (side * -FRONT_OUTER), FRONT_WEIGHT),
        inner: rim(hub_at, axle, lift, side * -HALF_WIDTH, nothing, FRONT_WEIGHT),
        stop: stop(angle, rate),
        rub: rub(f, side, angle, steer, spin, axle),
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// `torque` within what a servo has.
#[inline(always)]
fn servo(torque: Real) -> Real {
    let most = fixed(torque, TORQUE_LIMIT);
    larger(smaller(torque, most), -most)
}

#[cfg_attr(feature = "gpu", cube)]
/// The problem of the car as it stands, asked for the drive's `speed` \[rad/s\] and the steering angle `steer` \[rad\].
#[inline(always)]
pub fn problem(car: Motion, f: Frame, speed: Real, steer: Real) -> Problem {
    let nothing = fixed(speed, 0.0);
    let w = car.rates.ang;
    let turn_left = turn_of(car.steer_left);
    let turn_right = turn_of(car.steer_right);
    let e_left = v3(-turn_left.sin, turn_left.cos, nothing);
    let e_right = v3(-turn_right.sin, turn_right.cos, nothing);
    let offset_left = by(e_left, OFFSET);
    let offset_right = by(e_right, -OFFSET);
    let hub_left = v3(offset_left.x + HINGE_X, offset_left.y + HINGE_Y, nothing);
    let hub_right = v3(offset_right.x + HINGE_X, offset_right.y - HINGE_Y, nothing);

    // The inertia matrix, chassis axes. What is not round of the rear axle turns with it, twice as fast as it does.
    let cos2 = (car.axle_cos * car.axle_cos - car.axle_sin * car.axle_sin) * AXLE_HALF;
    let sin2 = car.axle_cos * car.axle_sin * (2.0 * AXLE_HALF);
    let axle_xx = cos2 + AXLE_MEAN;
    let axle_zz = -cos2 + AXLE_MEAN;
    let moment = v3(
        (hub_left.x + hub_right.x) * WHEEL_MASS + FIXED_X,
        (hub_left.y + hub_right.y) * WHEEL_MASS + CHASSIS_Y,
        fixed(speed, CHASSIS_Z),
    );
    let left_x = hub_left.x * WHEEL_MASS;
    let left_y = hub_left.y * WHEEL_MASS;
    let right_x = hub_right.x * WHEEL_MASS;
    let right_y = hub_right.y * WHEEL_MASS;
    let across_x = left_x * hub_left.x + right_x * hub_right.x;
    let across_y = left_y * hub_left.y + right_y * hub_right.y;
    let own_x = e_left.x * e_left.x + e_right.x * e_right.x;
    let own_y = e_left.y * e_left.y + e_right.y * e_right.y;
    let own_xy = e_left.x * e_left.y + e_right.x * e_right.y;
    let tensor = Sym3 {
        xx: across_y + own_x * WHEEL_EXCESS + cos2 + FIXED_XX,
        yy: across_x + own_y * WHEEL_EXCESS + FIXED_YY,
        zz: across_x + across_y - cos2 + FIXED_ZZ,
        xy: own_xy * WHEEL_EXCESS - (left_x * hub_left.y + right_x * hub_right.y) + CHASSIS_XY,
        xz: -sin2 + CHASSIS_XZ,
        yz: nothing,
    };

    // Forces of inertia, chassis axes: of what does not turn in the chassis, of the rear axle, of the front wheels.
    let swing = cross(w, v3(fixed(speed, FIXED_X), fixed(speed, CHASSIS_Y), fixed(speed, CHASSIS_Z)));
    let rigid = v3(
        w.x * RIGID_XX + w.y * CHASSIS_XY + w.z * CHASSIS_XZ,
        w.x * CHASSIS_XY + w.y * RIGID_YY,
        w.x * CHASSIS_XZ + w.z * RIGID_ZZ,
    );
    let spin = car.rates.rear;
    let axle_rate = v3(w.x, w.y + spin, w.z);
    let axle_turning = v3(-(w.z * spin), nothing, w.x * spin);
    let axle_push = v3(
        axle_turning.x * axle_xx - axle_turning.z * sin2,
        nothing,
        axle_turning.z * axle_zz - axle_turning.x * sin2,
    );
    let axle_momentum = v3(
        axle_rate.x * axle_xx - axle_rate.z * sin2,
        axle_rate.y * AXLE_SPIN,
        axle_rate.z * axle_zz - axle_rate.x * sin2,
    );
    let axle_drag = plus(axle_push, cross(axle_rate, axle_momentum));
    let drag_left = drag_of(w, hub_left, offset_left, e_left, car.rates.steer_left, car.rates.left);
    let drag_right = drag_of(w, hub_right, offset_right, e_right, car.rates.steer_right, car.rates.right);
    let force = to_world(f, plus(cross(w, swing), plus(drag_left.force, drag_right.force)));
    let torque = to_world(
        f,
        plus(plus(cross(w, rigid), axle_drag), plus(drag_left.torque, drag_right.torque)),
    );

    let moment = to_world(f, moment);
    let omega = to_world(f, w);
    let rear_hub = by(f.ex, REAR_X);
    let rear_left = along(rear_hub, fixed(speed, REAR_Y), f.ey);
    let rear_right = along(rear_hub, fixed(speed, -REAR_Y), f.ey);
    let apart = car.steer_left - car.steer_right;
    let rod = impedance(apart);
    Problem {
        ez: f.ez,
        axle: f.ey,
        rear: cross(rear_hub, f.ey),
        moment,
        inertia: turned(f, tensor),
        left: front(f, 1.0, car.lift, car.steer_left, car.rates.steer_left, e_left, offset_left, hub_left),
        right: front(f, -1.0, car.lift, car.steer_right, car.rates.steer_right, e_right, offset_right, hub_right),
        a: rim(rear_left, f.ey, car.lift, HALF_WIDTH, car.axle_cos * REAR_OUTER, REAR_WEIGHT),
        b: rim(rear_left, f.ey, car.lift, -HALF_WIDTH, car.axle_cos * REAR_INNER, REAR_WEIGHT),
        c: rim(rear_right, f.ey, car.lift, HALF_WIDTH, car.axle_cos * -REAR_INNER, REAR_WEIGHT),
        d: rim(rear_right, f.ey, car.lift, -HALF_WIDTH, car.axle_cos * -REAR_OUTER, REAR_WEIGHT),
        force: Acc {
            lin: v3(-force.x, -force.y, -force.z - MASS * GRAVITY),
            ang: v3(-(moment.y * GRAVITY) - torque.x, moment.x * GRAVITY - torque.y, -torque.z),
            steer_left: servo(steer - car.steer_left) - car.rates.steer_left * DAMPING - drag_left.steer,
            steer_right: -(car.rates.steer_right * DAMPING) - drag_right.steer,
            left: -(car.rates.left * DAMPING) - drag_left.spin,
            right: -(car.rates.right * DAMPING) - drag_right.spin,
            rear: servo(speed - spin) - spin * DAMPING - axle_drag.y,
        },
        rates: Acc {
            lin: by(car.rates.lin, APPROACH),
            ang: by(omega, APPROACH),
            steer_left: car.rates.steer_left * APPROACH,
            steer_right: car.rates.steer_right * APPROACH,
            left: car.rates.left * APPROACH,
            right: car.rates.right * APPROACH,
            rear: car.rates.rear * APPROACH,
        },
        rod_weight: firm(rod, ROD_WEIGHT),
        rod_push: apart * rod * STIFFNESS,
    }
}

}
