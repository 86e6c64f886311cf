// `mj_RungeKutta` of the Racecar: the classical fourth order, of which every stage is a contact problem.
device! {

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Velocities and accelerations, in MuJoCo's coordinates.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub rates: Rates,
    pub accs: Rates,
}

#[cfg_attr(feature = "gpu", cube)]
/// a + s b
#[inline(always)]
fn along_rates(a: Rates, s: Fixed, b: Rates) -> Rates {
    Rates {
        lin: plus(a.lin, by(b.lin, s)),
        ang: plus(a.ang, by(b.ang, s)),
        steer_left: a.steer_left + b.steer_left * s,
        steer_right: a.steer_right + b.steer_right * s,
        left: a.left + b.left * s,
        right: a.right + b.right * s,
        rear: a.rear + b.rear * s,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// a + s b
#[inline(always)]
pub fn along_flow(a: Flow, s: Fixed, b: Flow) -> Flow {
    Flow { rates: along_rates(a.rates, s, b.rates), accs: along_rates(a.accs, s, b.accs) }
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn no_flow(like: Real) -> Flow {
    let o = fixed(like, 0.0);
    let still = v3(o, o, o);
    let none = Rates { lin: still, ang: still, steer_left: o, steer_right: o, left: o, right: o, rear: o };
    Flow { rates: none, accs: none }
}

#[cfg_attr(feature = "gpu", cube)]
/// How the car, whose frame is `f`, moves under the accelerations `acc`.
#[inline(always)]
pub fn flow(car: Motion, f: Frame, acc: Acc) -> Flow {
    Flow {
        rates: car.rates,
        accs: Rates {
            lin: acc.lin,
            ang: to_frame(f, acc.ang),
            steer_left: acc.steer_left,
            steer_right: acc.steer_right,
            left: acc.left,
            right: acc.right,
            rear: acc.rear,
        },
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// The car `step` \[s\] after `start` with this flow.
#[inline(always)]
pub fn moved(start: Motion, flow: Flow, step: Fixed) -> Motion {
    // Turns below 0.1 rad, where the series are exact to 1e-9.
    let half = by(flow.rates.ang, step * 0.5);
    let t = dot(half, half);
    let unit = fixed(t, 1.0);
    let sinc = unit - t * SINC_2 + t * t * SINC_4;
    let cos = unit - t * COS_2 + t * t * COS_4;
    let turn = Quat { w: cos, x: half.x * sinc, y: half.y * sinc, z: half.z * sinc };
    // The axle turns by up to 0.2 rad.
    let roll = turn_of(flow.rates.rear * step);
    let axle_cos = start.axle_cos * roll.cos - start.axle_sin * roll.sin;
    let axle_sin = start.axle_sin * roll.cos + start.axle_cos * roll.sin;
    let length = fixed(t, 1.5) - (axle_cos * axle_cos + axle_sin * axle_sin) * 0.5;
    Motion {
        dx: start.dx + flow.rates.lin.x * step,
        dy: start.dy + flow.rates.lin.y * step,
        lift: start.lift + flow.rates.lin.z * step,
        pose: normalised(compose(start.pose, turn)),
        steer_left: start.steer_left + flow.rates.steer_left * step,
        steer_right: start.steer_right + flow.rates.steer_right * step,
        axle_cos: axle_cos * length,
        axle_sin: axle_sin * length,
        rates: along_rates(start.rates, step, flow.accs),
        accelerometer: start.accelerometer,
        unsolved: start.unsolved,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// What an accelerometer at the site reads, chassis axes.
#[inline(always)]
pub fn proper_acceleration(car: Motion, f: Frame, acc: Acc) -> V3 {
    let origin = to_frame(f, v3(acc.lin.x, acc.lin.y, acc.lin.z + GRAVITY));
    let turn = to_frame(f, acc.ang);
    let w = car.rates.ang;
    // The site lies ahead of the origin.
    v3(
        origin.x - (w.y * w.y + w.z * w.z) * SITE_X,
        origin.y + (turn.z + w.x * w.y) * SITE_X,
        origin.z + (w.x * w.z - turn.y) * SITE_X,
    )
}

#[cfg_attr(feature = "gpu", cube)]
/// The share of stage `stage` in a timestep.
#[inline(always)]
pub fn share_of(stage: u32) -> Fixed {
    if stage == 1 || stage == 2 { THIRD } else { SIXTH }
}

#[cfg_attr(feature = "gpu", cube)]
/// How far from the start the stage after `stage` lies \[s\].
#[inline(always)]
pub fn reach_of(stage: u32) -> Fixed {
    if stage >= 2 { H } else { HALF_H }
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A car within a timestep.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// When the timestep began.
    pub start: Motion,
    /// Where the next stage looks at it.
    pub car: Motion,
    /// The stages so far, weighted.
    pub sum: Flow,
}

#[cfg_attr(feature = "gpu", cube)]
/// The course after round `round`, which found the accelerations `acc` for the car, whose frame is `f`; `unsolved` is 1 where
/// it found none.
#[inline(always)]
pub fn onward(course: Course, f: Frame, acc: Acc, unsolved: Real, round: u32) -> Course {
    let stage = round % STAGES;
    let mut start = course.start;
    let mut car = course.car;
    let mut sum = course.sum;
    start.unsolved += unsolved;
    if round < STAGES * SUBSTEPS {
        let now = flow(car, f, acc);
        sum = along_flow(sum, share_of(stage), now);
        if stage == STAGES - 1 {
            start = moved(start, sum, H);
            car = start;
            sum = no_flow(unsolved);
        } else {
            car = moved(start, now, reach_of(stage));
        }
    } else {
        car.accelerometer = proper_acceleration(car, f, acc);
        car.unsolved = start.unsolved;
    }
    Course { start, car, sum }
}

#[cfg_attr(feature = "gpu", cube)]
/// One environment step: [`SUBSTEPS`] timesteps of four stages under commands `speed` and `steer`, then the accelerations at the
/// new state, which the accelerometer reads.
#[inline(always)]
pub fn step(begin: Motion, speed: Real, steer: Real) -> Motion {
    let mut course = Course { start: begin, car: begin, sum: no_flow(speed) };
    // The last round only senses: one loop keeps one copy of the solver in the machine code.
    for round in 0..ROUNDS {
        let f = frame(course.car.pose);
        let p = problem(course.car, f, speed, steer);
        let solved = solve(p);
        course = onward(course, f, solved.acc, solved.unsolved, round);
    }
    course.car
}

}
