// The Racecar's place in an environment's state.
device! {

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn get_v3(like: Real, state: &mut [f32], base: usize, field: usize) -> V3 {
    v3(get(like, state, base, field), get(like, state, base, field + 1), get(like, state, base, field + 2))
}

#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn put_v3(value: V3, state: &mut [f32], base: usize, field: usize) {
    put(value.x, state, base, field);
    put(value.y, state, base, field + 1);
    put(value.z, state, base, field + 2);
}

#[cfg_attr(feature = "gpu", cube)]
/// Reads the motion of the cars at `base`; `like` is any number of the variant.
#[inline(always)]
pub fn load(like: Real, state: &mut [f32], base: usize) -> Motion {
    let o = fixed(like, 0.0);
    Motion {
        dx: o,
        dy: o,
        lift: get(like, state, base, LIFT),
        pose: Quat {
            w: get(like, state, base, POSE),
            x: get(like, state, base, POSE + 1),
            y: get(like, state, base, POSE + 2),
            z: get(like, state, base, POSE + 3),
        },
        steer_left: get(like, state, base, STEER_LEFT),
        steer_right: get(like, state, base, STEER_RIGHT),
        axle_cos: get(like, state, base, AXLE),
        axle_sin: get(like, state, base, AXLE + 1),
        rates: Rates {
            lin: v3(get(like, state, base, VX), get(like, state, base, VY), get(like, state, base, VZ)),
            ang: get_v3(like, state, base, SPIN),
            steer_left: get(like, state, base, STEER_LEFT_RATE),
            steer_right: get(like, state, base, STEER_RIGHT_RATE),
            left: get(like, state, base, LEFT),
            right: get(like, state, base, RIGHT),
            rear: get(like, state, base, REAR),
        },
        accelerometer: v3(o, o, o),
        unsolved: get(like, state, base, UNSOLVED),
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Reads what [`keep`] wrote.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn recall(like: Real, state: &mut [f32], base: usize) -> Motion {
    let mut car = load(like, state, base);
    car.dx = get(like, state, base, DX);
    car.dy = get(like, state, base, DY);
    car.accelerometer = get_v3(like, state, base, ACCELEROMETER);
    car
}

#[cfg_attr(feature = "gpu", cube)]
/// Writes the motion back, and the fields common to all agents except the yaw.
#[inline(always)]
pub fn store(car: Motion, state: &mut [f32], base: usize) {
    let x = get(car.dx, state, base, X);
    let y = get(car.dx, state, base, Y);
    let f = frame(car.pose);
    let level = larger(root(f.ex.x * f.ex.x + f.ex.y * f.ex.y), fixed(x, 1e-3));
    let w = car.rates.ang;
    put(x + car.dx, state, base, X);
    put(y + car.dy, state, base, Y);
    put(f.ex.x / level, state, base, COS);
    put(f.ex.y / level, state, base, SIN);
    put(f.ex.z * w.x + f.ey.z * w.y + f.ez.z * w.z, state, base, OMEGA);
    keep(car, state, base);
}

#[cfg_attr(feature = "gpu", cube)]
/// Writes the motion alone.
#[inline(always)]
pub fn keep(car: Motion, state: &mut [f32], base: usize) {
    put(car.dx, state, base, DX);
    put(car.dy, state, base, DY);
    put(car.rates.lin.x, state, base, VX);
    put(car.rates.lin.y, state, base, VY);
    put(car.rates.lin.z, state, base, VZ);
    put(car.lift, state, base, LIFT);
    put(car.pose.w, state, base, POSE);
    put(car.pose.x, state, base, POSE + 1);
    put(car.pose.y, state, base, POSE + 2);
    put(car.pose.z, state, base, POSE + 3);
    put_v3(car.rates.ang, state, base, SPIN);
    put(car.steer_left, state, base, STEER_LEFT);
    put(car.steer_right, state, base, STEER_RIGHT);
    put(car.rates.steer_left, state, base, STEER_LEFT_RATE);
    put(car.rates.steer_right, state, base, STEER_RIGHT_RATE);
    put(car.axle_cos, state, base, AXLE);
    put(car.axle_sin, state, base, AXLE + 1);
    put(car.rates.left, state, base, LEFT);
    put(car.rates.right, state, base, RIGHT);
    put(car.rates.rear, state, base, REAR);
    put_v3(car.accelerometer, state, base, ACCELEROMETER);
    put(car.unsolved, state, base, UNSOLVED);
}

#[cfg_attr(feature = "gpu", cube)]
/// Writes rates as eleven numbers from field `field` on.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn keep_rates(rates: Rates, state: &mut [f32], base: usize, field: usize) {
    put_v3(rates.lin, state, base, field);
    put_v3(rates.ang, state, base, field + 3);
    put(rates.steer_left, state, base, field + 6);
    put(rates.steer_right, state, base, field + 7);
    put(rates.left, state, base, field + 8);
    put(rates.right, state, base, field + 9);
    put(rates.rear, state, base, field + 10);
}

#[cfg_attr(feature = "gpu", cube)]
/// Reads what [`keep_rates`] wrote.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn recall_rates(like: Real, state: &mut [f32], base: usize, field: usize) -> Rates {
    Rates {
        lin: get_v3(like, state, base, field),
        ang: get_v3(like, state, base, field + 3),
        steer_left: get(like, state, base, field + 6),
        steer_right: get(like, state, base, field + 7),
        left: get(like, state, base, field + 8),
        right: get(like, state, base, field + 9),
        rear: get(like, state, base, field + 10),
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// Writes a course.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn keep_course(course: Course, to: &mut [f32], base: usize) {
    keep(course.start, to, base);
    keep(course.car, to, base + COURSE_CAR);
    keep_rates(course.sum.rates, to, base + COURSE_SUM, 0);
    keep_rates(course.sum.accs, to, base + COURSE_SUM, RATES);
}

#[cfg_attr(feature = "gpu", cube)]
/// Reads what [`keep_course`] wrote.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn recall_course(like: Real, from: &mut [f32], base: usize) -> Course {
    Course {
        start: recall(like, from, base),
        car: recall(like, from, base + COURSE_CAR),
        sum: Flow {
            rates: recall_rates(like, from, base + COURSE_SUM, 0),
            accs: recall_rates(like, from, base + COURSE_SUM, RATES),
        },
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// What is asked of drive \[rad/s\] or steering \[rad\] by a command, which is clipped to [-1, 1].
#[inline(always)]
pub fn asked(command: Real, most: Fixed) -> Real {
    larger(smaller(command, fixed(command, 1.0)), fixed(command, -1.0)) * most
}

#[cfg_attr(feature = "gpu", cube)]
/// One environment step of the cars at `base` under the commands for `speed` and `steer`.
#[inline(always)]
pub fn drive(speed: Real, steer: Real, state: &mut [f32], base: usize) {
    let speed = asked(speed, MOST_SPEED);
    let steer = asked(steer, MOST_STEER);
    store(step(load(speed, state, base), speed, steer), state, base);
}

}
