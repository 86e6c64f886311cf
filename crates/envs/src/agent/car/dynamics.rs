// `mj_step` of the Car: from a state and two motor torques to the contact problem of a substep, and from
// its solution to the next state.
device! {

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A unit quaternion.
#[derive(Clone, Copy, Debug)]
pub struct Quat {
    pub w: Real,
    pub x: Real,
    pub y: Real,
    pub z: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// State of one car.
#[derive(Clone, Copy, Debug)]
pub struct Motion {
    /// Displacement of the body origin since the step began \[m\]: added to the position once a
    /// step, one rounding of a large number instead of ten.
    pub dx: Real,
    pub dy: Real,
    /// Height of the body origin above [`NOMINAL_HEIGHT`] \[m\]: contact depths are micrometres.
    pub lift: Real,
    /// Chassis to world.
    pub pose: Quat,
    /// Velocity of the body origin, world axes \[m/s\].
    pub velocity: V3,
    /// Angular velocity, chassis axes \[rad/s\].
    pub omega: V3,
    /// Wheel speeds relative to the chassis \[rad/s\].
    pub left: Real,
    pub right: Real,
    /// Angular velocity of the ball relative to the chassis, chassis axes \[rad/s\]. There, unlike
    /// in the ball's own axes, no turn of the ball changes it, and contacts need no ball pose.
    pub ball: V3,
    /// Ball to chassis.
    pub ball_pose: Quat,
    /// What the accelerometer reads, chassis axes \[m/s^2\].
    pub accelerometer: V3,
    /// Substeps whose contacts were left unsolved.
    pub unsolved: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// The chassis axes in the world.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub ex: V3,
    pub ey: V3,
    pub ez: V3,
}

#[cfg_attr(feature = "gpu", cube)]
/// Rotation `a` after rotation `b`.
#[inline(always)]
pub fn compose(a: Quat, b: Quat) -> Quat {
    Quat {
        w: a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z,
        x: a.w * b.x + b.w * a.x + a.y * b.z - a.z * b.y,
        y: a.w * b.y + b.w * a.y + a.z * b.x - a.x * b.z,
        z: a.w * b.z + b.w * a.z + a.x * b.y - a.y * b.x,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// The rotation at rate `omega` over one substep. Half the angle is below 0.05 at 25 rad/s, where
/// the series are exact to 1e-11.
#[inline(always)]
fn turn(omega: V3) -> Quat {
    let half = by(omega, HALF_H);
    let t = dot(half, half);
    let unit = fixed(t, 1.0);
    let sinc = unit - t * SINC_2 + t * t * SINC_4;
    let cos = unit - t * COS_2 + t * t * COS_4;
    Quat { w: cos, x: half.x * sinc, y: half.y * sinc, z: half.z * sinc }
}

#[cfg_attr(feature = "gpu", cube)]
/// `q` brought back to unit length, from which rounding moves it by 1e-7 per substep.
#[inline(always)]
pub fn normalised(q: Quat) -> Quat {
    let s = fixed(q.w, 1.5) - (q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z) * 0.5;
    Quat { w: q.w * s, x: q.x * s, y: q.y * s, z: q.z * s }
}

#[cfg_attr(feature = "gpu", cube)]
/// Axes of the frame `q` turns to, in the frame it turns from.
#[inline(always)]
pub fn frame(q: Quat) -> Frame {
    let unit = fixed(q.w, 1.0);
    let x2 = q.x + q.x;
    let y2 = q.y + q.y;
    let z2 = q.z + q.z;
    let xx = q.x * x2;
    let yy = q.y * y2;
    let zz = q.z * z2;
    let xy = q.x * y2;
    let xz = q.x * z2;
    let yz = q.y * z2;
    let wx = q.w * x2;
    let wy = q.w * y2;
    let wz = q.w * z2;
    Frame {
        ex: v3(unit - (yy + zz), xy + wz, xz - wy),
        ey: v3(xy - wz, unit - (xx + zz), yz + wx),
        ez: v3(xz + wy, yz - wx, unit - (xx + yy)),
    }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn to_world(f: Frame, v: V3) -> V3 {
    along(along(scaled(f.ex, v.x), v.y, f.ey), v.z, f.ez)
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn to_frame(f: Frame, v: V3) -> V3 {
    v3(dot(f.ex, v), dot(f.ey, v), dot(f.ez, v))
}

#[cfg_attr(feature = "gpu", cube)]
/// The centre of mass, from the body origin.
#[inline(always)]
pub fn centre_of_mass(f: Frame) -> V3 {
    plus(by(f.ey, COM_Y), by(f.ez, COM_Z))
}

#[cfg_attr(feature = "gpu", cube)]
/// The constant chassis inertia in world axes.
#[inline(always)]
fn inertia(f: Frame) -> Sym3 {
    let a = by(f.ex, INERTIA_XX);
    let b = plus(by(f.ey, INERTIA_YY), by(f.ez, INERTIA_YZ));
    let c = plus(by(f.ey, INERTIA_YZ), by(f.ez, INERTIA_ZZ));
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
/// Length of the axle's horizontal part, 1 for a car on its wheels; never 0, that a car on its side divides by it too.
#[inline(always)]
pub fn horizontal(f: Frame) -> Real {
    larger(root(f.ex.x * f.ex.x + f.ex.y * f.ex.y), fixed(f.ex.x, 1e-3))
}

#[cfg_attr(feature = "gpu", cube)]
/// The contact problem of the car as it stands, under motor torques `left` and `right`.
#[inline(always)]
pub fn problem(car: Motion, f: Frame, left: Real, right: Real) -> Problem {
    // Gaps are sums of small numbers only, never a difference of large ones, so that micrometres
    // survive float32: the vertical components nx, ny of the axes are small, 1 - ez.z = tilt and
    // 1 - level = nx^2 / (1 + level).
    let nx = f.ex.z;
    let ny = f.ey.z;
    let tilt = (car.pose.x * car.pose.x + car.pose.y * car.pose.y) * 2.0;
    let level = horizontal(f);
    let sunk = car.lift + tilt * RADIUS;
    let rim = sunk + ny * AXLE_Y + nx * nx / (level + 1.0) * RADIUS;
    let gap_a = rim - nx * OUTER;
    let gap_b = rim - nx * INNER;
    let gap_c = rim + nx * INNER;
    let gap_d = rim + nx * OUTER;
    let gap_e = sunk + ny * BALL_Y;

    let com = centre_of_mass(f);
    let height = car.lift + com.z + NOMINAL_HEIGHT;
    // A tilted wheel touches off its middle, this far along the axle.
    let lean = nx / level * RADIUS;
    let hub_x = f.ey.x * AXLE_Y_COM + f.ez.x * HUB_Z_COM;
    let hub_y = f.ey.y * AXLE_Y_COM + f.ez.y * HUB_Z_COM;
    let lever = fixed(level, RADIUS) / level;
    let at_a = lean - OUTER;
    let at_b = lean - INNER;
    let at_c = lean + INNER;
    let at_d = lean + OUTER;
    // The contact point lies half way between the surfaces.
    let mid_a = gap_a * 0.5;
    let mid_b = gap_b * 0.5;
    let mid_c = gap_c * 0.5;
    let mid_d = gap_d * 0.5;
    let mid_e = gap_e * 0.5;

    let mass = inertia(f);
    let omega = to_world(f, car.omega);
    let ball = to_world(f, car.ball);
    let swing = cross(omega, com);
    let centripetal = cross(omega, swing);
    let spin = dot(f.ex, omega);
    let momentum = along(times(mass, omega), (spin + spin + car.left + car.right) * WHEEL_SPIN, f.ex);
    let drag = by(ball, DAMPING);
    Problem {
        ex: f.ex,
        inertia: mass,
        lin: v3(-centripetal.x, -centripetal.y, -centripetal.z - GRAVITY),
        torque: minus(drag, cross(omega, momentum)),
        left: left - car.left * DAMPING,
        right: right - car.right * DAMPING,
        ball: minus(by(cross(ball, omega), BALL_SPIN), drag),
        rates: Acc {
            lin: by(plus(car.velocity, swing), APPROACH),
            ang: by(omega, APPROACH),
            left: car.left * APPROACH,
            right: car.right * APPROACH,
            ball: by(plus(omega, ball), APPROACH),
        },
        a: floor_contact(
            gap_a,
            hub_x + f.ex.x * at_a,
            hub_y + f.ex.y * at_a,
            mid_a - height,
            lever + mid_a,
            WHEEL_WEIGHT,
        ),
        b: floor_contact(
            gap_b,
            hub_x + f.ex.x * at_b,
            hub_y + f.ex.y * at_b,
            mid_b - height,
            lever + mid_b,
            WHEEL_WEIGHT,
        ),
        c: floor_contact(
            gap_c,
            hub_x + f.ex.x * at_c,
            hub_y + f.ex.y * at_c,
            mid_c - height,
            lever + mid_c,
            WHEEL_WEIGHT,
        ),
        d: floor_contact(
            gap_d,
            hub_x + f.ex.x * at_d,
            hub_y + f.ex.y * at_d,
            mid_d - height,
            lever + mid_d,
            WHEEL_WEIGHT,
        ),
        e: floor_contact(
            gap_e,
            f.ey.x * BALL_Y_COM + f.ez.x * HUB_Z_COM,
            f.ey.y * BALL_Y_COM + f.ez.y * HUB_Z_COM,
            f.ey.z * BALL_Y_COM + f.ez.z * HUB_Z_COM,
            mid_e + RADIUS,
            BALL_WEIGHT,
        ),
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Integrates one substep under the accelerations that solve `p`.
#[inline(always)]
pub fn integrate(car: Motion, f: Frame, p: Problem, acc: Acc) -> Motion {
    // MuJoCo's implicit joint damping: (M + h D) a = M acc. Wheels and ball eliminated, the chassis
    // keeps a constant matrix in its own axes.
    let spin = dot(f.ex, acc.ang);
    let wheels = (spin + spin + acc.left + acc.right) * WHEEL_DRAG;
    let load = to_frame(f, plus(along(times(p.inertia, acc.ang), wheels, f.ex), by(acc.ball, BALL_DRAG)));
    let ang = v3(
        load.x * DAMPED_XX,
        load.y * DAMPED_YY + load.z * DAMPED_YZ,
        load.y * DAMPED_YZ + load.z * DAMPED_ZZ,
    );
    let lin = minus(acc.lin, cross(to_world(f, ang), centre_of_mass(f)));
    let velocity = plus(car.velocity, by(lin, H));
    let omega = plus(car.omega, by(ang, H));
    let ball = plus(car.ball, by(minus(to_frame(f, acc.ball), ang), BALL_KEEP));
    Motion {
        dx: car.dx + velocity.x * H,
        dy: car.dy + velocity.y * H,
        lift: car.lift + velocity.z * H,
        pose: normalised(compose(car.pose, turn(omega))),
        velocity,
        omega,
        left: car.left + (acc.left + spin - ang.x) * WHEEL_KEEP,
        right: car.right + (acc.right + spin - ang.x) * WHEEL_KEEP,
        ball,
        ball_pose: normalised(compose(turn(ball), car.ball_pose)),
        accelerometer: car.accelerometer,
        unsolved: car.unsolved,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// What an accelerometer at the body origin reads, chassis axes.
#[inline(always)]
pub fn proper_acceleration(f: Frame, acc: Acc) -> V3 {
    let lin = minus(acc.lin, cross(acc.ang, centre_of_mass(f)));
    to_frame(f, v3(lin.x, lin.y, lin.z + GRAVITY))
}

#[cfg_attr(feature = "gpu", cube)]
/// One environment step: [`SUBSTEPS`] substeps under motor commands `left` and `right`, then the
/// accelerations at the new state, which the accelerometer reads.
#[inline(always)]
pub fn step(start: Motion, left: Real, right: Real) -> Motion {
    let strongest = fixed(left, TORQUE_LIMIT);
    let left = larger(smaller(left, strongest), -strongest);
    let right = larger(smaller(right, strongest), -strongest);
    let mut car = start;
    // The last round only senses: one loop keeps one copy of the solver in the machine code.
    for round in 0..ROUNDS {
        let f = frame(car.pose);
        let p = problem(car, f, left, right);
        let solved = solve(p);
        car.unsolved += solved.unsolved;
        if round < SUBSTEPS {
            car = integrate(car, f, p, solved.acc);
        } else {
            car.accelerometer = proper_acceleration(f, solved.acc);
        }
    }
    car
}

}
