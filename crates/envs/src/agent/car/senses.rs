// What the Car senses of itself (`mj_sensorPos`, `mj_sensorVel`, `mj_sensorAcc`), and how it sees points on the floor.
device! {

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// The Car's sensors in the order of its observations; of `rear`, the ball's axes, by components: `ex.x`, `ey.x`, `ez.x`,
/// `ex.y` and so on.
#[derive(Clone, Copy, Debug)]
pub struct Senses {
    pub accelerometer: V3,
    pub velocimeter: V3,
    pub gyro: V3,
    pub magnetometer: V3,
    pub ball: V3,
    pub rear: Frame,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// The numbers of a [`crate::agent::AgentFrame`]: `x` holds `xx`, `xy` and `x0`, `y` likewise.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    pub x: V3,
    pub y: V3,
}

#[cfg_attr(feature = "gpu", cube)]
/// What the cars at `base` sense; `like` is any number of the variant.
#[inline(always)]
pub fn senses(like: Real, state: &mut [f32], base: usize) -> Senses {
    let car = load(like, state, base);
    let chassis = frame(car.pose);
    let rear = frame(car.ball_pose);
    Senses {
        accelerometer: v3(
            get(like, state, base, ACCELEROMETER),
            get(like, state, base, ACCELEROMETER + 1),
            get(like, state, base, ACCELEROMETER + 2),
        ),
        velocimeter: to_frame(chassis, car.velocity),
        gyro: car.omega,
        // The field points along world -y.
        magnetometer: v3(chassis.ex.y * -FIELD, chassis.ey.y * -FIELD, chassis.ez.y * -FIELD),
        ball: to_frame(rear, car.ball),
        rear,
    }
}

#[cfg_attr(feature = "gpu", cube)]
/// How the cars at `base` see points on the floor.
#[inline(always)]
pub fn sight(like: Real, state: &mut [f32], base: usize) -> Sight {
    let car = load(like, state, base);
    let chassis = frame(car.pose);
    let down = -(car.lift + NOMINAL_HEIGHT);
    Sight {
        x: v3(chassis.ex.x, chassis.ex.y, chassis.ex.z * down),
        y: v3(chassis.ey.x, chassis.ey.y, chassis.ey.z * down),
    }
}

}
