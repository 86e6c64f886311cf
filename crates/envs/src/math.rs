//! Elementary functions in float32, the same bits on every CPU (no libm, no fused operations).
//!
//! The polynomials are minimax fits made for this crate (weighted least squares, Lawson
//! iterations, float64); the error bounds stand at each function and are tested below.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

/// Full turn, radians.
pub const TAU: f32 = core::f32::consts::TAU;
/// Radians in a sixteenth of a turn.
pub const SIXTEENTH: f32 = TAU / 16.0;
/// Half turn, radians.
pub const PI: f32 = core::f32::consts::PI;

const MINUS_PI: f32 = -PI;
// 2 pi in two parts: subtracting float32's 2 pi alone would shift the yaw by 1.7e-7 each turn.
const TAU_LOW: f32 = (core::f64::consts::TAU - TAU as f64) as f32;
const TWO_OVER_PI: f32 = core::f32::consts::FRAC_2_PI;
// Pi/2 in two parts: the first has 16 bits, so that q * HALF_PI_HIGH is exact for |q| < 256.
const HALF_PI_HIGH: f32 = 51_471.0 / 32_768.0;
const HALF_PI_LOW: f32 = (core::f64::consts::FRAC_PI_2 - HALF_PI_HIGH as f64) as f32;

/// Sine and cosine of `x`, |x| <= 100 rad; absolute error below 1e-7 for |x| <= 4.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn sin_cos(x: f32) -> (f32, f32) {
    // Rounding by a cast of a positive number: `floor` is a library call on plain x86-64.
    let quarter = ((x * TWO_OVER_PI + 64.5) as i32) - 64;
    let q = quarter as f32;
    let r = (x - q * HALF_PI_HIGH) - q * HALF_PI_LOW;
    let z = r * r;
    let s = r + r * z * (-0.166_666_54f32 + z * (0.008_332_063f32 + z * -0.000_195_021_35f32));
    let c = 1.0f32 - z * 0.5 + z * z * (0.041_666_646f32 + z * (-0.001_388_724_3f32 + z * 2.442_389e-5));
    let odd = (quarter & 1) != 0;
    let sin = if odd { c } else { s };
    let cos = if odd { s } else { c };
    let sin = if (quarter & 2) != 0 { -sin } else { sin };
    let cos = if ((quarter + 1) & 2) != 0 { -cos } else { cos };
    (sin, cos)
}

/// Angle of the vector (x, y) in sixteenths of a turn, in [0, 16]; absolute error below 1e-6 of a
/// sixteenth. The zero vector has angle 0.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn sixteenths(y: f32, x: f32) -> f32 {
    let ax = x.abs();
    let ay = y.abs();
    let large = ax.max(ay);
    let small = ax.min(ay);
    let t = small / large.max(1e-30f32);
    let z = t * t;
    let a = t
        * (2.546_477_3f32
            + z * (-0.848_737_96f32
                + z * (0.507_935_1f32
                    + z * (-0.354_180_34f32
                        + z * (0.245_536_49f32
                            + z * (-0.142_379_5f32 + z * (0.055_673_52f32 + z * -0.010_324_858f32)))))));
    let a = if ay > ax { 4.0f32 - a } else { a };
    let a = if x < 0.0 { 8.0f32 - a } else { a };
    if y < 0.0 { 16.0f32 - a } else { a }
}

/// `angle` brought into (-pi, pi], given |angle| <= 3 pi. Keeps float32 yaw at full resolution.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn wrap_angle(angle: f32) -> f32 {
    let a = if angle > PI { (angle - TAU) - TAU_LOW } else { angle };
    if a <= MINUS_PI { (a + TAU) + TAU_LOW } else { a }
}

/// The larger of two numbers that are not NaN (one instruction; `f32::max` has to look for NaN).
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Square.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn square(x: f32) -> f32 {
    x * x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sin_cos_is_accurate_over_the_yaw_range() {
        for i in -40_000..=40_000 {
            let x = i as f32 * 1e-4;
            let (s, c) = sin_cos(x);
            assert!((f64::from(s) - f64::from(x).sin()).abs() < 1e-7, "sin {x}");
            assert!((f64::from(c) - f64::from(x).cos()).abs() < 1e-7, "cos {x}");
        }
    }

    #[test]
    fn sixteenths_follows_atan2_in_every_octant() {
        for i in 0..100_000 {
            let angle = f64::from(i) * 6.283e-5;
            let (y, x) = ((2.3 * angle.sin()) as f32, (2.3 * angle.cos()) as f32);
            let exact = f64::from(y).atan2(f64::from(x)).rem_euclid(std::f64::consts::TAU);
            let got = f64::from(sixteenths(y, x)) * std::f64::consts::TAU / 16.0;
            assert!((got - exact).abs() < 8e-7, "{angle}: {got} {exact}");
        }
        assert_eq!(sixteenths(0.0, 0.0), 0.0);
        assert_eq!(sixteenths(0.0, -1.0), 8.0);
        assert_eq!(sixteenths(1.0, 0.0), 4.0);
    }

    #[test]
    fn wrapped_angles_stay_equivalent() {
        for i in -900..=900 {
            let a = i as f32 * 0.01;
            let w = wrap_angle(a);
            assert!(w > -PI && w <= PI);
            assert!((f64::from(a).sin() - f64::from(w).sin()).abs() < 1e-6);
        }
    }
}
