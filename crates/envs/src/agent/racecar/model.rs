//! `mj_setConst`'s results: the Racecar's masses, lengths and contact law as MuJoCo 2.3.3 compiles `racecar.xml` of
//! safety-gymnasium 1.0.0, and what follows from them. float64; the variants round to float32.
//!
//! Lengths are in the chassis frame: origin at the body origin, x ahead, y to the left. "Chassis" is all that is rigidly
//! joined to it (trunk, bumper, the differentials' rings and spiders); the axle, with both rear wheels, turns in it.

/// MuJoCo timestep \[s\].
pub const H: f64 = 0.004;
/// Half of it \[s\].
pub const HALF_H: f64 = 0.5 * H;
/// Standard gravity of the model \[m/s^2\].
pub const GRAVITY: f64 = 9.81;
/// Height of the body origin at which the wheels just touch the floor; also their radius \[m\].
pub const RADIUS: f64 = 0.05;
/// Half the width of a wheel \[m\].
pub const HALF_WIDTH: f64 = 0.0225;
/// The steering hinges: x, and y to either side \[m\].
pub const HINGE_X: f64 = 0.165;
/// See [`HINGE_X`].
pub const HINGE_Y: f64 = 0.1;
/// A front wheel's centre is so far outside of its hinge \[m\].
pub const OFFSET: f64 = 0.0225;
/// The rear axle: its x, and the wheels' centres to either side \[m\].
pub const REAR_X: f64 = -0.16;
/// See [`REAR_X`].
pub const REAR_Y: f64 = 0.1225;
/// The accelerometer's and velocimeter's place: x \[m\].
pub const SITE_X: f64 = 0.02;

/// Viscous damping of all hinges \[N m s\].
pub const DAMPING: f64 = 0.001;
/// Largest speed that can be asked of the drive \[rad/s\].
pub const MOST_SPEED: f64 = 20.0;
/// Largest angle that can be asked of the steering, at which its hinges also have their limits \[rad\].
pub const MOST_STEER: f64 = 0.785;
/// Both servos' torque saturates here \[N m\]; their gains are 1.
pub const TORQUE_LIMIT: f64 = 1.0;

// The chassis: mass, mass times the place of its centre, inertia about the body origin.
const CHASSIS_MASS: f64 = 0.481_871_787_618_291_8;
/// Mass times the place of the chassis' centre: x \[kg m\].
pub const CHASSIS_X: f64 = 0.018_041_419_747;
/// See [`CHASSIS_X`]: y.
pub const CHASSIS_Y: f64 = -0.000_006_737_038;
/// See [`CHASSIS_X`]: z.
pub const CHASSIS_Z: f64 = 0.000_034_650_012;
/// Inertia of the chassis about the body origin \[kg m^2\].
pub const CHASSIS_XX: f64 = 0.197_404_923_752;
/// See [`CHASSIS_XX`].
pub const CHASSIS_YY: f64 = 0.209_509_233_371;
/// See [`CHASSIS_XX`].
pub const CHASSIS_ZZ: f64 = 0.365_062_132_935;
/// See [`CHASSIS_XX`]: the xy element.
pub const CHASSIS_XY: f64 = 0.000_000_955_951;
/// See [`CHASSIS_XX`]: the xz element.
pub const CHASSIS_XZ: f64 = -0.000_007_969_5;

/// Mass of a front wheel \[kg\].
pub const WHEEL_MASS: f64 = 0.340_55;
/// Inertia of a front wheel about its axle \[kg m^2\].
pub const WHEEL_SPIN: f64 = 0.000_412_26;
/// And across it.
pub const WHEEL_TILT: f64 = 0.000_260_46;
/// What its axle has more.
pub const WHEEL_EXCESS: f64 = WHEEL_SPIN - WHEEL_TILT;
/// Mass of a steering hinge's body \[kg\].
pub const HINGE_MASS: f64 = 0.1;
/// Inertia of that body, about any axis \[kg m^2\].
pub const HINGE_SPIN: f64 = 4e-6;
/// Inertia of hinge and wheel about the steering axis \[kg m^2\].
pub const STEER_SPIN: f64 = WHEEL_MASS * OFFSET * OFFSET + WHEEL_TILT + HINGE_SPIN;

const AXLE_MASS: f64 = 0.793_1;
/// Inertia of the axle with both wheels about itself \[kg m^2\].
pub const AXLE_SPIN: f64 = 0.050_164_6;
// Across it the axle is not round: its moments about the axes that turn with it.
const AXLE_X: f64 = 0.051_304_2 + AXLE_MASS * 0.105_201 * 0.105_201;
const AXLE_Z: f64 = 0.090_184_2 + AXLE_MASS * 0.105_201 * 0.105_201;
/// Mean of the axle's moments across itself \[kg m^2\].
pub const AXLE_MEAN: f64 = 0.5 * (AXLE_X + AXLE_Z);
/// Half of their difference: about the x axis at angle 0 less that about z.
pub const AXLE_HALF: f64 = 0.5 * (AXLE_X - AXLE_Z);

/// Mass of the whole car \[kg\].
pub const MASS: f64 = CHASSIS_MASS + 2.0 * (WHEEL_MASS + HINGE_MASS) + AXLE_MASS;
// What is always at the same place in the chassis frame: hinges, axle.
/// Mass times place, x: chassis, both hinges, axle \[kg m\].
pub const FIXED_X: f64 = CHASSIS_X + 2.0 * HINGE_MASS * HINGE_X + AXLE_MASS * REAR_X;
/// Inertia about the body origin of what is at the same place in the chassis frame, the axle's own and both wheels' own
/// isotropic part in \[kg m^2\].
pub const FIXED_XX: f64 = CHASSIS_XX + 2.0 * (HINGE_MASS * HINGE_Y * HINGE_Y + HINGE_SPIN + WHEEL_TILT) + AXLE_MEAN;
/// See [`FIXED_XX`].
pub const FIXED_YY: f64 = CHASSIS_YY
    + 2.0 * (HINGE_MASS * HINGE_X * HINGE_X + HINGE_SPIN + WHEEL_TILT)
    + AXLE_SPIN
    + AXLE_MASS * REAR_X * REAR_X;
/// See [`FIXED_XX`].
pub const FIXED_ZZ: f64 = CHASSIS_ZZ
    + 2.0 * (HINGE_MASS * (HINGE_X * HINGE_X + HINGE_Y * HINGE_Y) + HINGE_SPIN + WHEEL_TILT)
    + AXLE_MEAN
    + AXLE_MASS * REAR_X * REAR_X;

// Of the forces that turning brings, those of what never moves in the chassis frame: point masses and the chassis.
/// As [`FIXED_XX`], without what turns by itself.
pub const RIGID_XX: f64 = CHASSIS_XX + 2.0 * HINGE_MASS * HINGE_Y * HINGE_Y;
/// See [`RIGID_XX`].
pub const RIGID_YY: f64 = CHASSIS_YY + 2.0 * HINGE_MASS * HINGE_X * HINGE_X + AXLE_MASS * REAR_X * REAR_X;
/// See [`RIGID_XX`].
pub const RIGID_ZZ: f64 =
    CHASSIS_ZZ + 2.0 * HINGE_MASS * (HINGE_X * HINGE_X + HINGE_Y * HINGE_Y) + AXLE_MASS * REAR_X * REAR_X;

// Constraints: solref (0.02, 1), solimp (0.9, 0.95, 0.001, 0.5, 2) everywhere.
/// Damping of the reference acceleration \[1/s\].
pub const APPROACH: f64 = 2.0 / (0.95 * 0.02);
/// Translational `body_invweight0` of a front wheel \[1/kg\].
pub const FRONT_INVERSE: f64 = 0.824_174;
/// The same of the rear wheels.
pub const REAR_INVERSE: f64 = 0.568_185;
/// The same of the bumper.
pub const BUMPER_INVERSE: f64 = 0.579_112_755;
/// The same of the trunk.
pub const TRUNK_INVERSE: f64 = 0.486_722_096;
/// `dof_invweight0` of a steering hinge \[1/(kg m^2)\].
const STEER_INVERSE: f64 = 2_466.809;
/// Weight of a front wheel contact's edge at impedance d, divided by d / (1 - d) \[kg\].
pub const FRONT_WEIGHT: f64 = 1.0 / (4.0 * FRONT_INVERSE);
/// The same of a rear wheel.
pub const REAR_WEIGHT: f64 = 1.0 / (4.0 * REAR_INVERSE);
/// The same of a front wheel that rubs the bumper.
pub const RUB_WEIGHT: f64 = 1.0 / (4.0 * (FRONT_INVERSE + BUMPER_INVERSE));
/// The same of the rod that holds both hinges at one angle \[kg m^2\].
pub const ROD_WEIGHT: f64 = 1.0 / (2.0 * STEER_INVERSE);
/// The same of a hinge's limit \[kg m^2\].
pub const LIMIT_WEIGHT: f64 = 1.0 / STEER_INVERSE;
// The XML's quaternions are rounded, so that axles stand 4.2 micrometres a metre out of true. That shows: a contact damps from
// the moment it closes, and a tenth of a micrometre decides when that is.
/// Height of a front wheel's outer rim above that of a level axle, per sine of the steering angle, of the left wheel; the
/// inner rim is level \[m\].
pub const FRONT_OUTER: f64 = 4.242_642e-6 * (OFFSET + HALF_WIDTH);
/// Heights of the rear wheels' rims above those of a level axle, per cosine of the axle's angle, of the left wheel's outer
/// and inner rim \[m\]; of the right wheel's negated.
pub const REAR_OUTER: f64 = 8.264_7e-8 + 4.242_642e-6 * HALF_WIDTH;
/// See [`REAR_OUTER`].
pub const REAR_INNER: f64 = 8.264_7e-8 - 4.242_642e-6 * HALF_WIDTH;

/// 1 / inertia of hinge and wheel about the steering axis.
pub const PER_STEER_SPIN: f64 = 1.0 / STEER_SPIN;
/// 1 / inertia of a front wheel about its axle.
pub const PER_WHEEL_SPIN: f64 = 1.0 / WHEEL_SPIN;
/// 1 / inertia of the rear axle about itself.
pub const PER_AXLE_SPIN: f64 = 1.0 / AXLE_SPIN;

// Forces the solver may leave unbalanced, as what they would do to a substep's accelerations: about ten times float32's
// rounding of the same forces.
/// 1 / unbalanced force: 5e-4 m/s^2 of the whole car.
pub const PER_FORCE: f64 = 1.0 / (MASS * 5e-4);
/// 1 / unbalanced torque: 5e-3 rad/s^2 of the chassis.
pub const PER_TORQUE: f64 = 1.0 / (0.27 * 5e-3);
/// 1 / unbalanced torque on a front wheel, about its axle or the steering axis: 1e-1 rad/s^2.
pub const PER_TURN: f64 = 1.0 / (WHEEL_SPIN * 1e-1);
/// 1 / unbalanced torque on the rear axle: 5e-3 rad/s^2.
pub const PER_AXLE: f64 = 1.0 / (AXLE_SPIN * 5e-3);

// A front wheel rubs the bumper beyond the steering's limit. Where and how deep follows from the steering angle alone:
// cubics in its excess over MOST_STEER, fitted to what MuJoCo's convex collider finds from 0.779 to 1.15 rad (the collider
// itself is uncertain by 5e-5 m there). Chassis frame, right wheel; of the left one y is mirrored.
/// Gap \[m\].
pub const RUB_GAP: [f64; 4] = [-0.000_133_293, -0.022_234_812, -0.019_056_143, 0.006_691_346];
/// Point: x \[m\].
pub const RUB_X: [f64; 4] = [0.213_518_467, 0.002_995_746, 0.001_330_06, -0.000_098_877];
/// Point: y \[m\].
pub const RUB_Y: [f64; 4] = [-0.087_402_07, 0.015_886_532, 0.007_053_349, -0.000_524_349];
/// Point: z \[m\].
pub const RUB_Z: [f64; 4] = [0.025_016_788, 0.002_723_405, 0.001_209_146, -0.000_089_888];
/// Normal from the wheel to the bumper: x.
pub const RUB_NX: [f64; 4] = [0.612_240_635, -0.670_645_894, -0.304_511_183, 0.193_972_525];
/// Normal: y.
pub const RUB_NY: [f64; 4] = [0.611_753_24, 0.552_933_582, -0.417_374_843, -0.132_646_943];
/// Normal: z.
pub const RUB_NZ: [f64; 4] = [0.500_899_184, 0.145_722_181, 0.089_122_891, 0.032_201_658];
/// Steering angle from which the cubics are looked at \[rad\].
pub const RUB_FROM: f64 = 0.77;
