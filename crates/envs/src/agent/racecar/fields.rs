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
    put(car.dx, state, base, DX);
    put(car.dy, state, base, DY);
    put(f.ex.x / level, state, base, COS);
    put(f.ex.y / level, state, base, SIN);
    put(f.ex.z * w.x + f.ey.z * w.y + f.ez.z * w.z, state, base, OMEGA);
    put(car.rates.lin.x, state, base, VX);
    put(car.rates.lin.y, state, base, VY);
    put(car.rates.lin.z, state, base, VZ);
    put(car.lift, state, base, LIFT);
    put(car.pose.w, state, base, POSE);
    put(car.pose.x, state, base, POSE + 1);
    put(car.pose.y, state, base, POSE + 2);
    put(car.pose.z, state, base, POSE + 3);
    put_v3(w, state, base, SPIN);
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
