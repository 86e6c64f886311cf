//! One text compiled several ways: for one environment, and for vector registers of environments. How and why: `car/variants.rs`,
//! whose words it uses.

use super::{
    ACCELEROMETER, AXLE, LEFT, LIFT, POSE, REAR, RIGHT, SPIN, STEER_LEFT, STEER_LEFT_RATE, STEER_RIGHT,
    STEER_RIGHT_RATE, UNSOLVED, VZ,
};
#[cfg(target_arch = "x86_64")]
use super::{COURSE_CAR, COURSE_SUM, RATES};
use crate::state::{COS, DX, DY, OMEGA, SIN, VX, VY, X, Y};

macro_rules! constants {
    ($model:ident: $($name:ident)*) => { $(const $name: Fixed = crate::agent::$model::model::$name as Fixed;)* };
}

macro_rules! cubics {
    ($($name:ident $a:ident $b:ident $c:ident $d:ident,)*) => { $(
        const $a: Fixed = crate::agent::racecar::model::$name[0] as Fixed;
        const $b: Fixed = crate::agent::racecar::model::$name[1] as Fixed;
        const $c: Fixed = crate::agent::racecar::model::$name[2] as Fixed;
        const $d: Fixed = crate::agent::racecar::model::$name[3] as Fixed;
    )* };
}

/// The physics over the names of the module it is called in.
macro_rules! physics {
    () => {
        constants! { racecar:
            H HALF_H GRAVITY RADIUS HALF_WIDTH HINGE_X HINGE_Y OFFSET REAR_X REAR_Y SITE_X
            DAMPING MOST_SPEED MOST_STEER TORQUE_LIMIT MASS CHASSIS_Y CHASSIS_Z CHASSIS_XY CHASSIS_XZ
            WHEEL_MASS WHEEL_SPIN WHEEL_TILT WHEEL_EXCESS HINGE_SPIN STEER_SPIN AXLE_SPIN AXLE_MEAN AXLE_HALF
            FIXED_X FIXED_XX FIXED_YY FIXED_ZZ RIGID_XX RIGID_YY RIGID_ZZ
            APPROACH FRONT_WEIGHT REAR_WEIGHT RUB_WEIGHT ROD_WEIGHT LIMIT_WEIGHT
            FRONT_OUTER REAR_OUTER REAR_INNER RUB_FROM
            PER_STEER_SPIN PER_WHEEL_SPIN PER_AXLE_SPIN PER_FORCE PER_TORQUE PER_TURN PER_AXLE
        }
        constants! { car:
            SOFTEST SOFT_RANGE PER_WIDTH STIFFNESS TORSION ROLLING SINC_2 SINC_4 COS_2 COS_4
        }
        cubics! {
            RUB_GAP RUB_GAP_0 RUB_GAP_1 RUB_GAP_2 RUB_GAP_3,
            RUB_X RUB_X_0 RUB_X_1 RUB_X_2 RUB_X_3,
            RUB_Y RUB_Y_0 RUB_Y_1 RUB_Y_2 RUB_Y_3,
            RUB_Z RUB_Z_0 RUB_Z_1 RUB_Z_2 RUB_Z_3,
            RUB_NX RUB_NX_0 RUB_NX_1 RUB_NX_2 RUB_NX_3,
            RUB_NY RUB_NY_0 RUB_NY_1 RUB_NY_2 RUB_NY_3,
            RUB_NZ RUB_NZ_0 RUB_NZ_1 RUB_NZ_2 RUB_NZ_3,
        }
        /// MuJoCo's timesteps of an environment step.
        pub const SUBSTEPS: u32 = 10;
        /// Stages of a timestep.
        pub const STAGES: u32 = 4;
        /// Contact problems of an environment step: one more for the accelerometer.
        pub const ROUNDS: u32 = STAGES * SUBSTEPS + 1;
        const THIRD: Fixed = 1.0 / 3.0;
        const SIXTH: Fixed = 1.0 / 6.0;
        /// Newton steps after which every other kind of step is tried, and after which to give up.
        const PATIENCE: u32 = 12;
        const PASSES: u32 = 30;

        include!("parts.rs");
        include!("problem.rs");
        include!("wheel.rs");
        include!("newton.rs");
        include!("dynamics.rs");
        include!("fields.rs");
    };
}

/// One environment: the host's plain variant, and the GPU's.
pub mod scalar {
    #[cfg(feature = "gpu")]
    use cubecl::prelude::*;

    use super::*;
    pub use crate::agent::car::variants::scalar::{
        Column, Cone, Contact, Fixed, Frame, Mask, Pair, Quat, Real, Six, Sym3, Sym6, V3, add_cone, along, any, below,
        both, by, compose, cone, cross, dot, eliminate, fixed, floor_contact, frame, get, larger, largest, magnitude,
        minus, negated, normalised, pick, pick3, plus, put, reaction, rolling, root, scaled, smaller, solve6, times,
        to_frame, to_world, turning, v3,
    };

    macro_rules! device {
        ($($text:tt)*) => { $($text)* };
    }

    physics!();
}

// From here on `device!` drops the CubeCL attribute.
#[cfg(target_arch = "x86_64")]
macro_rules! device {
    ($(#[cfg_attr($($gpu:tt)*)] $item:item)*) => { $($item)* };
}

/// A variant over a vector register of environments.
#[cfg(target_arch = "x86_64")]
macro_rules! simd_variant {
    ($name:ident, $simd:ty) => {
        pub mod $name {
            use core::hint::black_box;

            use pulp::NullaryFnOnce;

            use super::*;
            use crate::agent::car::register::commands;
            use crate::agent::car::variants::$name::{
                Column, Cone, Contact, Fixed, Frame, Mask, Pair, Quat, Real, Six, Sym3, Sym6, V3, add_cone, along, any,
                below, both, by, compose, cone, cross, dot, eliminate, fixed, floor_contact, frame, get, larger,
                largest, magnitude, minus, negated, normalised, pick, pick3, plus, put, reaction, rolling, root,
                scaled, smaller, solve6, times, to_frame, to_world, turning, v3,
            };
            use crate::register::Aligned;
            use crate::state::LANES;

            physics!();

            /// A round of several cars by themselves, from their courses in `now` to those in `next`; run it by the instruction set's `vectorize`.
            pub struct Round<'a> {
                pub simd: $simd,
                pub now: &'a mut [f32],
                pub next: &'a mut [f32],
                /// What is asked of drive and steering.
                pub asked: &'a Aligned<{ 2 * LANES }>,
                /// Of how many cars; those up to the register's end are computed too.
                pub cars: usize,
                pub round: u32,
                /// The accelerations, as `keep_rates` writes them.
                pub accs: &'a mut [f32],
            }

            impl NullaryFnOnce for Round<'_> {
                type Output = ();

                #[inline(always)]
                fn call(self) {
                    let Self { simd, now, next, asked, cars, round, accs } = self;
                    let like = Real::new(simd);
                    let Aligned(asked) = black_box(asked);
                    for base in (0..cars).step_by(Real::WIDTH) {
                        let speed = like.load(&asked[base..]);
                        let steer = like.load(&asked[LANES + base..]);
                        let course = recall_course(like, now, base);
                        let f = frame(course.car.pose);
                        let p = problem(course.car, f, speed, steer);
                        let solved = solve(p);
                        let acc = solved.acc;
                        keep_course(onward(course, f, acc, solved.unsolved, round), next, base);
                        let rates = Rates {
                            lin: acc.lin,
                            ang: acc.ang,
                            steer_left: acc.steer_left,
                            steer_right: acc.steer_right,
                            left: acc.left,
                            right: acc.right,
                            rear: acc.rear,
                        };
                        keep_rates(rates, accs, base, 0);
                    }
                }
            }

            /// A step of all cars of a block; run it by the instruction set's `vectorize`.
            pub struct Drive<'a> {
                pub simd: $simd,
                pub state: &'a mut [f32],
                /// `[cars, 2]`
                pub action: &'a [f32],
            }

            impl NullaryFnOnce for Drive<'_> {
                type Output = ();

                #[inline(always)]
                fn call(self) {
                    let like = Real::new(self.simd);
                    let commands = commands(self.action);
                    let Aligned(action) = black_box(&commands);
                    for base in (0..LANES).step_by(Real::WIDTH) {
                        let speed = like.load(&action[base..]);
                        let steer = like.load(&action[LANES + base..]);
                        drive(speed, steer, self.state, base);
                    }
                }
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
simd_variant!(avx512, pulp::x86::V4);
#[cfg(target_arch = "x86_64")]
simd_variant!(avx2, pulp::x86::V3);
