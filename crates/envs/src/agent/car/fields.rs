// The Car's place in an environment's state.
device! {

#[cfg_attr(feature = "gpu", cube)]
/// Reads the motion of the cars at `base`; `like` is any number of the variant.
#[inline(always)]
pub fn load(like: Real, state: &mut [f32], base: usize) -> Motion {
    Motion {
        dx: fixed(like, 0.0),
        dy: fixed(like, 0.0),
        lift: get(like, state, base, LIFT),
        pose: Quat {
            w: get(like, state, base, POSE),
            x: get(like, state, base, POSE + 1),
            y: get(like, state, base, POSE + 2),
            z: get(like, state, base, POSE + 3),
        },
        velocity: v3(
            get(like, state, base, VX),
            get(like, state, base, VY),
            get(like, state, base, VZ),
        ),
        omega: v3(
            get(like, state, base, SPIN),
            get(like, state, base, SPIN + 1),
            get(like, state, base, SPIN + 2),
        ),
        left: get(like, state, base, LEFT),
        right: get(like, state, base, RIGHT),
        ball: v3(
            get(like, state, base, BALL),
            get(like, state, base, BALL + 1),
            get(like, state, base, BALL + 2),
        ),
        ball_pose: Quat {
            w: get(like, state, base, BALL_POSE),
            x: get(like, state, base, BALL_POSE + 1),
            y: get(like, state, base, BALL_POSE + 2),
            z: get(like, state, base, BALL_POSE + 3),
        },
        accelerometer: v3(fixed(like, 0.0), fixed(like, 0.0), fixed(like, 0.0)),
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
    car.accelerometer = v3(
        get(like, state, base, ACCELEROMETER),
        get(like, state, base, ACCELEROMETER + 1),
        get(like, state, base, ACCELEROMETER + 2),
    );
    car
}

#[cfg_attr(feature = "gpu", cube)]
/// Writes the motion back, and the fields common to all agents except the yaw.
#[inline(always)]
pub fn store(car: Motion, state: &mut [f32], base: usize) {
    let x = get(car.dx, state, base, X);
    let y = get(car.dx, state, base, Y);
    let f = frame(car.pose);
    let level = horizontal(f);
    put(x + car.dx, state, base, X);
    put(y + car.dy, state, base, Y);
    put(f.ex.x / level, state, base, COS);
    put(f.ex.y / level, state, base, SIN);
    put(f.ex.z * car.omega.x + f.ey.z * car.omega.y + f.ez.z * car.omega.z, state, base, OMEGA);
    keep(car, state, base);
}

#[cfg_attr(feature = "gpu", cube)]
/// Writes the motion alone.
#[inline(always)]
pub fn keep(car: Motion, state: &mut [f32], base: usize) {
    put(car.dx, state, base, DX);
    put(car.dy, state, base, DY);
    put(car.velocity.x, state, base, VX);
    put(car.velocity.y, state, base, VY);
    put(car.velocity.z, state, base, VZ);
    put(car.lift, state, base, LIFT);
    put(car.pose.w, state, base, POSE);
    put(car.pose.x, state, base, POSE + 1);
    put(car.pose.y, state, base, POSE + 2);
    put(car.pose.z, state, base, POSE + 3);
    put(car.omega.x, state, base, SPIN);
    put(car.omega.y, state, base, SPIN + 1);
    put(car.omega.z, state, base, SPIN + 2);
    put(car.left, state, base, LEFT);
    put(car.right, state, base, RIGHT);
    put(car.ball.x, state, base, BALL);
    put(car.ball.y, state, base, BALL + 1);
    put(car.ball.z, state, base, BALL + 2);
    put(car.ball_pose.w, state, base, BALL_POSE);
    put(car.ball_pose.x, state, base, BALL_POSE + 1);
    put(car.ball_pose.y, state, base, BALL_POSE + 2);
    put(car.ball_pose.z, state, base, BALL_POSE + 3);
    put(car.accelerometer.x, state, base, ACCELEROMETER);
    put(car.accelerometer.y, state, base, ACCELEROMETER + 1);
    put(car.accelerometer.z, state, base, ACCELEROMETER + 2);
    put(car.unsolved, state, base, UNSOLVED);
}

#[cfg_attr(feature = "gpu", cube)]
/// One environment step of the cars at `base` under motor commands `left` and `right`.
#[inline(always)]
pub fn drive(left: Real, right: Real, state: &mut [f32], base: usize) {
    store(step(load(left, state, base), left, right), state, base);
}

}
