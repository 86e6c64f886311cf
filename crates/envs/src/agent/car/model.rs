//! `mj_setConst`'s results: the Car's masses, lengths and contact law as MuJoCo 2.3.3 compiles `car.xml` of
//! safety-gymnasium 1.0.0, and what follows from them. float64; the variants round to float32.
//!
//! Lengths are in the chassis frame: origin at the body origin, x along the axle, forward is -y.

/// MuJoCo timestep \[s\].
pub const H: f64 = 0.004;
/// Standard gravity of the model \[m/s^2\].
pub const GRAVITY: f64 = 9.81;
/// Chassis height at which wheels and ball just touch the floor \[m\].
pub const NOMINAL_HEIGHT: f64 = 0.1;
/// Radius of the wheels and of the ball \[m\].
pub const RADIUS: f64 = 0.05;
/// Wheel centres: +-AXLE_X, AXLE_Y, HUB_Z \[m\].
pub const AXLE_X: f64 = 0.13;
/// See [`AXLE_X`].
pub const AXLE_Y: f64 = 0.1;
/// Ball centre: 0, BALL_Y, HUB_Z \[m\].
pub const BALL_Y: f64 = -0.1;
/// Height of the wheel and ball centres in the chassis frame \[m\].
pub const HUB_Z: f64 = -0.05;
/// Half the width of a wheel \[m\].
pub const HALF_WIDTH: f64 = 0.025;
/// Motor torque saturates here \[N m\].
pub const TORQUE_LIMIT: f64 = 0.02;
/// Viscous damping of the wheel hinges and the ball joint \[N m s\].
pub const DAMPING: f64 = 0.001;

const CHASSIS_MASS: f64 = 0.0239;
const CHASSIS_COM_Y: f64 = 0.003_953_974_895_397_49;
const CHASSIS_COM_Z: f64 = 0.001_004_184_100_418_41;
const CHASSIS_XX: f64 = 1.739_005_822_873_083_2e-4;
const CHASSIS_YY: f64 = 9.488_923_291_492_338e-5;
const CHASSIS_ZZ: f64 = 2.283_646_827_057_184_5e-4;
const CHASSIS_YZ: f64 = 3.214_895_397_489_688e-6;
const WHEEL_MASS: f64 = 0.001_963_495_408_493_62;
/// Inertia of a wheel about its axle \[kg m^2\].
pub const WHEEL_SPIN: f64 = 2.454_369_260_617_026_7e-6;
const WHEEL_TILT: f64 = 1.636_246_173_744_684_5e-6;
const BALL_MASS: f64 = 0.002_617_993_877_991_49;
/// Inertia of the ball \[kg m^2\].
pub const BALL_SPIN: f64 = 2.617_993_877_991_494_7e-6;

/// Mass of the whole car \[kg\].
pub const MASS: f64 = CHASSIS_MASS + 2.0 * WHEEL_MASS + BALL_MASS;
/// Centre of mass of the whole car: 0, COM_Y, COM_Z \[m\].
pub const COM_Y: f64 = (CHASSIS_MASS * CHASSIS_COM_Y + 2.0 * WHEEL_MASS * AXLE_Y + BALL_MASS * BALL_Y) / MASS;
/// See [`COM_Y`].
pub const COM_Z: f64 = (CHASSIS_MASS * CHASSIS_COM_Z + (2.0 * WHEEL_MASS + BALL_MASS) * HUB_Z) / MASS;

// About the common centre of mass, without the wheels' inertia about the axle and the ball's own:
// those turn by themselves and have their own equations.
const CY: f64 = CHASSIS_COM_Y - COM_Y;
const CZ: f64 = CHASSIS_COM_Z - COM_Z;
const WY: f64 = AXLE_Y - COM_Y;
const BY: f64 = BALL_Y - COM_Y;
const RZ: f64 = HUB_Z - COM_Z;
/// Inertia of the carried mass about the common centre of mass, chassis axes \[kg m^2\].
pub const INERTIA_XX: f64 = CHASSIS_XX
    + CHASSIS_MASS * (CY * CY + CZ * CZ)
    + 2.0 * WHEEL_MASS * (WY * WY + RZ * RZ)
    + BALL_MASS * (BY * BY + RZ * RZ);
/// See [`INERTIA_XX`].
pub const INERTIA_YY: f64 = CHASSIS_YY
    + CHASSIS_MASS * CZ * CZ
    + 2.0 * (WHEEL_MASS * (AXLE_X * AXLE_X + RZ * RZ) + WHEEL_TILT)
    + BALL_MASS * RZ * RZ;
/// See [`INERTIA_XX`].
pub const INERTIA_ZZ: f64 = CHASSIS_ZZ
    + CHASSIS_MASS * CY * CY
    + 2.0 * (WHEEL_MASS * (AXLE_X * AXLE_X + WY * WY) + WHEEL_TILT)
    + BALL_MASS * BY * BY;
/// See [`INERTIA_XX`]: the yz element (the negative product of inertia).
pub const INERTIA_YZ: f64 = CHASSIS_YZ - CHASSIS_MASS * CY * CZ - 2.0 * WHEEL_MASS * WY * RZ - BALL_MASS * BY * RZ;

// Implicit damping (M + h D) a = M a*: wheels and ball eliminated, the chassis keeps a constant matrix.
/// h D of a hinge \[kg m^2\].
pub const HD: f64 = H * DAMPING;
/// Share of a wheel's absolute angular acceleration handed to the chassis \[kg m^2\].
pub const WHEEL_DRAG: f64 = HD * WHEEL_SPIN / (WHEEL_SPIN + HD);
/// The same of the ball \[kg m^2\].
pub const BALL_DRAG: f64 = HD * BALL_SPIN / (BALL_SPIN + HD);
/// h times what remains of a wheel's relative acceleration \[s\].
pub const WHEEL_KEEP: f64 = H * WHEEL_SPIN / (WHEEL_SPIN + HD);
/// The same of the ball \[s\].
pub const BALL_KEEP: f64 = H * BALL_SPIN / (BALL_SPIN + HD);
const FULL_YY: f64 = INERTIA_YY + BALL_DRAG;
const FULL_ZZ: f64 = INERTIA_ZZ + BALL_DRAG;
const FULL_DET: f64 = FULL_YY * FULL_ZZ - INERTIA_YZ * INERTIA_YZ;
/// Inverse of the damped chassis inertia, chassis axes \[1/(kg m^2)\].
pub const DAMPED_XX: f64 = 1.0 / (INERTIA_XX + 2.0 * WHEEL_DRAG + BALL_DRAG);
/// See [`DAMPED_XX`].
pub const DAMPED_YY: f64 = FULL_ZZ / FULL_DET;
/// See [`DAMPED_XX`].
pub const DAMPED_ZZ: f64 = FULL_YY / FULL_DET;
/// See [`DAMPED_XX`].
pub const DAMPED_YZ: f64 = -INERTIA_YZ / FULL_DET;

// Contact law: solref (0.02, 1), solimp (0.9, 0.95, 0.001, 0.5, 2).
/// Impedance at zero depth.
pub const SOFTEST: f64 = 0.9;
/// Impedance gained over the first millimetre.
pub const SOFT_RANGE: f64 = 0.95 - SOFTEST;
/// 1 / (width of the impedance curve) \[1/m\].
pub const PER_WIDTH: f64 = 1.0 / 0.001;
/// Stiffness of the reference acceleration \[1/s^2\].
pub const STIFFNESS: f64 = 1.0 / (0.95 * 0.95 * 0.02 * 0.02);
/// Damping of the reference acceleration \[1/s\].
pub const APPROACH: f64 = 2.0 / (0.95 * 0.02);
/// Torsional friction \[m\]; sliding friction is 1.
pub const TORSION: f64 = 0.005;
/// Rolling friction \[m\].
pub const ROLLING: f64 = 0.0001;
// 1 / (2 R0 (1 - d) / d) with R0 = (1 + mu^2) invweight0 and mu = 1.
/// Weight of a wheel contact's edge at impedance d, divided by d / (1 - d) \[kg\].
pub const WHEEL_WEIGHT: f64 = 1.0 / (4.0 * 104.221_266_227_447_33);
/// The same of the ball's contact \[kg\].
pub const BALL_WEIGHT: f64 = 1.0 / (4.0 * 64.228_776_950_342_32);

// Shorthands of the physics' inner loops.
/// h / 2 \[s\].
pub const HALF_H: f64 = 0.5 * H;
/// Series of sin(x)/x and cos(x) in x^2.
pub const SINC_2: f64 = 1.0 / 6.0;
/// See [`SINC_2`].
pub const SINC_4: f64 = 1.0 / 120.0;
/// See [`SINC_2`].
pub const COS_2: f64 = 0.5;
/// See [`SINC_2`].
pub const COS_4: f64 = 1.0 / 24.0;
/// A wheel's outer and inner rim along the axle \[m\].
pub const OUTER: f64 = AXLE_X + HALF_WIDTH;
/// See [`OUTER`].
pub const INNER: f64 = AXLE_X - HALF_WIDTH;
/// Wheel and ball centres from the centre of mass \[m\].
pub const AXLE_Y_COM: f64 = WY;
/// See [`AXLE_Y_COM`].
pub const BALL_Y_COM: f64 = BY;
/// See [`AXLE_Y_COM`].
pub const HUB_Z_COM: f64 = RZ;
/// Both wheels' inertia about the axle \[kg m^2\].
pub const WHEEL_SPIN_2: f64 = 2.0 * WHEEL_SPIN;
/// 1 / inertia of a wheel about its axle.
pub const PER_WHEEL_SPIN: f64 = 1.0 / WHEEL_SPIN;
/// 1 / inertia of the ball.
pub const PER_BALL_SPIN: f64 = 1.0 / BALL_SPIN;
/// Friction coefficients squared \[m^2\].
pub const TORSION_2: f64 = TORSION * TORSION;
/// See [`TORSION_2`].
pub const ROLLING_2: f64 = ROLLING * ROLLING;

// Forces the solver may leave unbalanced, as what they would do to a substep's accelerations: about
// ten times float32's rounding of the same forces.
/// 1 / unbalanced force: 2e-4 m/s^2 of the whole car.
pub const PER_FORCE: f64 = 1.0 / (MASS * 5e-4);
/// 1 / unbalanced torque: 2e-3 rad/s^2 of the chassis.
pub const PER_TORQUE: f64 = 1.0 / (INERTIA_XX * 5e-3);
/// 1 / unbalanced torque on a wheel or the ball: 2e-2 rad/s^2.
pub const PER_SPIN: f64 = 1.0 / (WHEEL_SPIN * 1e-1);
