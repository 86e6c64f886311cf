//! One text compiled several ways: for one environment, and for vector registers of environments.
//!
//! The physics is written once, over the names `Real`, `Fixed` (a constant), `Mask` and a handful of
//! functions (`pick`, `below`, `any`, ...), and included here several times: over `f32` for one
//! environment (the host, and a GPU unit: then every function is a CubeCL function), over vector
//! registers of 16 or 8 environments (`Car::drive_block`), in tests over `f64`. Branches are
//! selections, so that neighbouring environments can share an instruction; all variants in float32
//! give the same bits. Why not generics: a CubeCL function generic over its float does not run on
//! the host, and a vector register is no CubeCL type. Why not leave it to the compiler: it does not
//! vectorise a body of this size. `device!` lets the vector variants drop the CubeCL attribute, which
//! is therefore the first of every item.

use super::{ACCELEROMETER, BALL, BALL_POSE, FIELD, LEFT, LIFT, POSE, RIGHT, SPIN, UNSOLVED, VZ};
use crate::state::{COS, DX, DY, LANES, OMEGA, SIN, VX, VY, X, Y};

macro_rules! constants {
    ($($name:ident)*) => { $(const $name: Fixed = crate::agent::car::model::$name as Fixed;)* };
}

/// The physics over the names of the module it is called in.
macro_rules! physics {
    () => {
        constants! {
            H HALF_H GRAVITY NOMINAL_HEIGHT RADIUS AXLE_Y BALL_Y OUTER INNER
            AXLE_Y_COM BALL_Y_COM HUB_Z_COM COM_Y COM_Z TORQUE_LIMIT DAMPING
            MASS WHEEL_SPIN WHEEL_SPIN_2 BALL_SPIN PER_WHEEL_SPIN PER_BALL_SPIN
            INERTIA_XX INERTIA_YY INERTIA_ZZ INERTIA_YZ
            WHEEL_DRAG BALL_DRAG WHEEL_KEEP BALL_KEEP DAMPED_XX DAMPED_YY DAMPED_ZZ DAMPED_YZ
            SOFTEST SOFT_RANGE PER_WIDTH STIFFNESS APPROACH TORSION ROLLING TORSION_2 ROLLING_2
            WHEEL_WEIGHT BALL_WEIGHT SINC_2 SINC_4 COS_2 COS_4
        }
        /// Substeps of an environment step.
        pub const SUBSTEPS: u32 = 10;
        /// Contact problems of an environment step: one more for the accelerometer.
        pub const ROUNDS: u32 = SUBSTEPS + 1;
        /// Newton steps after which every other kind of step is tried, and after which to give up.
        /// Of 15 million random problems one in a million needed more than nine, none more than 17.
        const PATIENCE: u32 = 9;
        const PASSES: u32 = 25;

        include!("floor_contact.rs");
        include!("newton.rs");
        include!("dynamics.rs");
    };
}

/// One environment: the host's plain variant, and the GPU's.
pub mod scalar {
    #[cfg(feature = "gpu")]
    use cubecl::prelude::*;

    use super::*;

    macro_rules! device {
        ($($text:tt)*) => { $($text)* };
    }

    pub type Real = f32;
    pub type Fixed = f32;
    pub type Mask = bool;

    constants! { PER_FORCE PER_TORQUE PER_SPIN }
    physics!();
    include!("fields.rs");
    include!("senses.rs");

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn get(_like: Real, state: &mut [f32], base: usize, field: usize) -> Real {
        state[base + field * LANES]
    }

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn put(value: Real, state: &mut [f32], base: usize, field: usize) {
        state[base + field * LANES] = value;
    }

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn fixed(_like: Real, value: Fixed) -> Real {
        value
    }

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn below(a: Real, b: Real) -> Mask {
        a < b
    }

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn both(a: Mask, b: Mask) -> Mask {
        a && b
    }

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn negated(a: Mask) -> Mask {
        !a
    }

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn any(a: Mask) -> bool {
        a
    }

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn pick(m: Mask, a: Real, b: Real) -> Real {
        if m { a } else { b }
    }

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn smaller(a: Real, b: Real) -> Real {
        pick(a < b, a, b)
    }

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn larger(a: Real, b: Real) -> Real {
        pick(b < a, a, b)
    }

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn magnitude(a: Real) -> Real {
        a.abs()
    }

    #[cfg_attr(feature = "gpu", cube)]
    #[inline(always)]
    pub fn root(a: Real) -> Real {
        a.sqrt()
    }
}

// From here on `device!` drops the CubeCL attribute.
#[cfg(any(target_arch = "x86_64", test))]
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
            use crate::agent::FrameLanes;
            use crate::agent::car::OWN_SENSES;
            use crate::agent::car::register::commands;
            use crate::register::{Aligned, LaneMask, Lanes};

            pub type Real = Lanes<$simd>;
            pub type Fixed = f32;
            pub type Mask = LaneMask<$simd>;

            constants! { PER_FORCE PER_TORQUE PER_SPIN }
            physics!();
            include!("fields.rs");
            include!("senses.rs");

            #[inline(always)]
            pub fn get(like: Real, state: &mut [f32], base: usize, field: usize) -> Real {
                like.load(&state[base + field * LANES..])
            }

            #[inline(always)]
            pub fn put(value: Real, state: &mut [f32], base: usize, field: usize) {
                value.store(&mut state[base + field * LANES..]);
            }

            #[inline(always)]
            pub fn fixed(like: Real, value: Fixed) -> Real {
                like.fixed(value)
            }

            #[inline(always)]
            pub fn below(a: Real, b: Real) -> Mask {
                a.below(b)
            }

            #[inline(always)]
            pub fn both(a: Mask, b: Mask) -> Mask {
                a.both(b)
            }

            #[inline(always)]
            pub fn negated(a: Mask) -> Mask {
                a.negated()
            }

            #[inline(always)]
            pub fn any(a: Mask) -> bool {
                a.any()
            }

            #[inline(always)]
            pub fn pick(m: Mask, a: Real, b: Real) -> Real {
                a.pick(m, b)
            }

            #[inline(always)]
            pub fn smaller(a: Real, b: Real) -> Real {
                a.pick(a.below(b), b)
            }

            #[inline(always)]
            pub fn larger(a: Real, b: Real) -> Real {
                a.pick(b.below(a), b)
            }

            #[inline(always)]
            pub fn magnitude(a: Real) -> Real {
                a.magnitude()
            }

            #[inline(always)]
            pub fn root(a: Real) -> Real {
                a.root()
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
                        let left = like.load(&action[base..]);
                        let right = like.load(&action[LANES + base..]);
                        drive(left, right, self.state, base);
                    }
                }
            }

            /// A round of several cars by themselves, from their motion in `now` to that in `next`, both kept by `keep`; run it by
            /// the instruction set's `vectorize`.
            pub struct Round<'a> {
                pub simd: $simd,
                pub now: &'a mut [f32],
                pub next: &'a mut [f32],
                /// Motor torques, left and right.
                pub torques: &'a Aligned<{ 2 * LANES }>,
                /// Of how many cars; those up to the register's end are computed too.
                pub cars: usize,
                /// Whether they move; else they sense.
                pub moves: bool,
                /// The accelerations, `[11, 32]`.
                pub accs: &'a mut [f32],
            }

            impl NullaryFnOnce for Round<'_> {
                type Output = ();

                #[inline(always)]
                fn call(self) {
                    let Self { simd, now, next, torques, cars, moves, accs } = self;
                    let like = Real::new(simd);
                    let Aligned(torques) = black_box(torques);
                    for base in (0..cars).step_by(Real::WIDTH) {
                        let left = like.load(&torques[base..]);
                        let right = like.load(&torques[LANES + base..]);
                        let mut car = recall(like, now, base);
                        let f = frame(car.pose);
                        let p = problem(car, f, left, right);
                        let solved = solve(p);
                        car.unsolved += solved.unsolved;
                        let acc = solved.acc;
                        if moves {
                            car = integrate(car, f, p, acc);
                        } else {
                            car.accelerometer = proper_acceleration(f, acc);
                        }
                        keep(car, next, base);
                        let (lin, ang, ball) = (acc.lin, acc.ang, acc.ball);
                        let numbers =
                            [lin.x, lin.y, lin.z, ang.x, ang.y, ang.z, acc.left, acc.right, ball.x, ball.y, ball.z];
                        for (row, number) in accs.chunks_exact_mut(LANES).zip(numbers) {
                            number.store(&mut row[base..]);
                        }
                    }
                }
            }

            /// [`SimdAgent::sense_block`](crate::agent::SimdAgent::sense_block); run it by the instruction set's `vectorize`.
            pub struct Sense<'a> {
                pub simd: $simd,
                pub state: &'a mut [f32],
                pub obs: &'a mut [f32],
                pub obs_dim: usize,
                pub frames: &'a mut FrameLanes,
            }

            impl NullaryFnOnce for Sense<'_> {
                type Output = ();

                #[inline(always)]
                fn call(self) {
                    let Self { simd, state, obs, obs_dim, frames } = self;
                    let like = Real::new(simd);
                    let mut rows = [[0.0; LANES]; OWN_SENSES];
                    for base in (0..LANES).step_by(Real::WIDTH) {
                        let s = senses(like, state, base);
                        let (e, n, u) = (s.rear.ex, s.rear.ey, s.rear.ez);
                        let numbers = [
                            s.accelerometer,
                            s.velocimeter,
                            s.gyro,
                            s.magnetometer,
                            s.ball,
                            v3(e.x, n.x, u.x),
                            v3(e.y, n.y, u.y),
                            v3(e.z, n.z, u.z),
                        ];
                        for (rows, number) in rows.chunks_exact_mut(3).zip(numbers) {
                            number.x.store(&mut rows[0][base..]);
                            number.y.store(&mut rows[1][base..]);
                            number.z.store(&mut rows[2][base..]);
                        }
                        let sight = sight(like, state, base);
                        sight.x.x.store(&mut frames.xx[base..]);
                        sight.x.y.store(&mut frames.xy[base..]);
                        sight.x.z.store(&mut frames.x0[base..]);
                        sight.y.x.store(&mut frames.yx[base..]);
                        sight.y.y.store(&mut frames.yy[base..]);
                        sight.y.z.store(&mut frames.y0[base..]);
                    }
                    for (lane, obs) in obs.chunks_exact_mut(obs_dim).enumerate().take(LANES) {
                        for (number, row) in obs[..OWN_SENSES].iter_mut().zip(&rows) {
                            *number = row[lane];
                        }
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
