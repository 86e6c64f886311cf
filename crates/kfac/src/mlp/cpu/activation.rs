//! Vectorised activations and their derivatives.

use pulp::{Simd, WithSimd};

use crate::mlp::spec::Activation;
use crate::simd::width::{vectors, vectors_mut};

/// Beyond this |x| the rational approximation is evaluated at the bound, where it equals 1 in float32.
const TANH_BOUND: f32 = 8.2;

// tanh(x) = x P(x^2) / Q(x^2) on [-8.2, 8.2]; fitted for this project by iteratively reweighted least squares on 4,001
// Chebyshev points (relative error 8.3e-9 in float64). In float32 the absolute error is at most 3.2e-7, |tanh| <= 1.
const P: [f32; 5] = [1.0, 0.134_321_56, 0.003_556_725_1, 2.163_790_5e-5, 1.484_141_3e-8];
const Q: [f32; 5] = [1.0, 0.467_654_82, 0.026_108_447, 0.000_338_650_42, 8.370_958e-7];

/// tanh of a vector; NaN stays NaN (a hidden NaN would let a broken step pass as finite).
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let bound = simd.splat_f32s(TANH_BOUND);
    let low = simd.splat_f32s(-TANH_BOUND);
    let over = simd.greater_than_f32s(x, bound);
    let x = simd.select_f32s(over, bound, x);
    let under = simd.less_than_f32s(x, low);
    let x = simd.select_f32s(under, low, x);
    let u = simd.mul_f32s(x, x);
    let mut p = simd.splat_f32s(P[4]);
    let mut q = simd.splat_f32s(Q[4]);
    for i in (0..4).rev() {
        p = simd.mul_add_f32s(p, u, simd.splat_f32s(P[i]));
        q = simd.mul_add_f32s(q, u, simd.splat_f32s(Q[i]));
    }
    simd.div_f32s(simd.mul_f32s(x, p), q)
}

/// Replaces the first `width` floats of each row by their activation.
#[inline(always)]
pub(crate) fn activate<S: Simd>(simd: S, kind: Activation, rows: &mut [f32], stride: usize, width: usize) {
    simd.vectorize(Activate { kind, rows, stride, width });
}

struct Activate<'a> {
    kind: Activation,
    rows: &'a mut [f32],
    stride: usize,
    width: usize,
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.rows.chunks_exact_mut(self.stride);
        match self.kind {
            Activation::Tanh => {
                for row in rows {
                    for v in vectors_mut::<S>(&mut row[..self.width]) {
                        *v = tanh(simd, *v);
                    }
                }
            }
            Activation::Relu => {
                let zero = simd.splat_f32s(0.0);
                for row in rows {
                    for v in vectors_mut::<S>(&mut row[..self.width]) {
                        // `x < 0` keeps a NaN, `max` would not.
                        *v = simd.select_f32s(simd.less_than_f32s(*v, zero), zero, *v);
                    }
                }
            }
        }
    }
}

/// The derivative at an activation value `h`.
#[inline(always)]
fn slope<S: Simd, const RELU: bool>(simd: S, h: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    if RELU {
        let zero = simd.splat_f32s(0.0);
        simd.select_f32s(simd.greater_than_f32s(h, zero), one, zero)
    } else {
        simd.negate_mul_add_f32s(h, h, one)
    }
}

/// `delta *= f'(h)`, row by row over `width` floats.
#[inline(always)]
pub(crate) fn times_slope<S: Simd>(
    simd: S,
    kind: Activation,
    delta: &mut [f32],
    delta_stride: usize,
    h: &[f32],
    h_stride: usize,
    width: usize,
) {
    match kind {
        Activation::Tanh => simd.vectorize(TimesSlope::<false> { delta, delta_stride, h, h_stride, width }),
        Activation::Relu => simd.vectorize(TimesSlope::<true> { delta, delta_stride, h, h_stride, width }),
    }
}

struct TimesSlope<'a, const RELU: bool> {
    delta: &'a mut [f32],
    delta_stride: usize,
    h: &'a [f32],
    h_stride: usize,
    width: usize,
}

impl<const RELU: bool> WithSimd for TimesSlope<'_, RELU> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.width;
        for (delta, h) in self.delta.chunks_exact_mut(self.delta_stride).zip(self.h.chunks_exact(self.h_stride)) {
            for (d, &h) in vectors_mut::<S>(&mut delta[..width]).iter_mut().zip(vectors::<S>(&h[..width])) {
                *d = simd.mul_f32s(*d, slope::<S, RELU>(simd, h));
            }
        }
    }
}

/// `out = f'(h) * scale`, `scale` one row of `width` floats shared by all samples.
#[inline(always)]
pub(crate) fn slope_times_row<S: Simd>(
    simd: S,
    kind: Activation,
    out: &mut [f32],
    out_stride: usize,
    h: &[f32],
    h_stride: usize,
    scale: &[f32],
) {
    match kind {
        Activation::Tanh => simd.vectorize(SlopeTimesRow::<false> { out, out_stride, h, h_stride, scale }),
        Activation::Relu => simd.vectorize(SlopeTimesRow::<true> { out, out_stride, h, h_stride, scale }),
    }
}

struct SlopeTimesRow<'a, const RELU: bool> {
    out: &'a mut [f32],
    out_stride: usize,
    h: &'a [f32],
    h_stride: usize,
    scale: &'a [f32],
}

impl<const RELU: bool> WithSimd for SlopeTimesRow<'_, RELU> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.scale.len();
        let scale = vectors::<S>(self.scale);
        for (out, h) in self.out.chunks_exact_mut(self.out_stride).zip(self.h.chunks_exact(self.h_stride)) {
            let rows = vectors_mut::<S>(&mut out[..width]).iter_mut().zip(vectors::<S>(&h[..width]));
            for ((o, &h), &s) in rows.zip(scale) {
                *o = simd.mul_f32s(slope::<S, RELU>(simd, h), s);
            }
        }
    }
}

/// `out = sum_o (coefficient_o scale_o) source_o` row by row: `sources` are `[rows, stride]` one after another, a
/// coefficient row holds one number per source (row stride `ld`, 0 for the same row everywhere).
#[inline(always)]
pub(crate) fn combine<S: Simd>(
    simd: S,
    out: &mut [f32],
    sources: &[f32],
    stride: usize,
    width: usize,
    coefficients: &[f32],
    ld: usize,
    scale: &[f32],
) {
    simd.vectorize(Combine { out, sources, stride, width, coefficients, ld, scale });
}

struct Combine<'a> {
    out: &'a mut [f32],
    sources: &'a [f32],
    stride: usize,
    width: usize,
    coefficients: &'a [f32],
    ld: usize,
    scale: &'a [f32],
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Combine { out, sources, stride, width, coefficients, ld, scale } = self;
        let len = out.len();
        for (n, out) in out.chunks_exact_mut(stride).enumerate() {
            let out = vectors_mut::<S>(&mut out[..width]);
            let coefficients = &coefficients[n * ld..];
            for (o, (&c, &scale)) in coefficients.iter().zip(scale).enumerate() {
                let c = simd.splat_f32s(c * scale);
                let source = vectors::<S>(&sources[o * len + n * stride..][..width]);
                if o == 0 {
                    for (x, &y) in out.iter_mut().zip(source) {
                        *x = simd.mul_f32s(c, y);
                    }
                } else {
                    for (x, &y) in out.iter_mut().zip(source) {
                        *x = simd.mul_add_f32s(c, y, *x);
                    }
                }
            }
        }
    }
}
