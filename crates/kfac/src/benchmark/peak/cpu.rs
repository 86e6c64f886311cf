//! What this processor's float32 units can do at most, measured on one thread.

use std::hint::black_box;
use std::time::{Duration, Instant};

use pulp::{Arch, Simd, WithSimd};

use crate::simd::gemm::gemm_nn;
use crate::simd::pack::{Packed, pack_rows};
use crate::simd::width::padded;

/// Independent sums: two units of a latency of four to five cycles need ten.
const CHAINS: usize = 12;

/// Multiply-adds of a chain between two looks at the clock.
const STEPS: usize = 20_000;

/// Shape of the product: the right-hand block of 64 columns (32 KiB) stays in the first-level cache, all of it in the
/// second.
const ROWS: usize = 96;
const DEPTH: usize = 128;
const WIDTH: usize = 64;

/// Products between two looks at the clock.
const PRODUCTS: usize = 20;

/// Operations per second of one thread by fused multiply-adds on registers alone: the best of several rounds.
pub(crate) fn register_peak(time: Duration) -> f64 {
    let vector = |chains: &mut [f32]| Arch::new().dispatch(Chains { values: chains });
    let mut chains = vec![1.0; CHAINS * 64];
    best_rate(time, || vector(&mut chains))
}

/// Operations per second of one thread by this crate's product on operands that stay in its cache.
pub(crate) fn product_peak(time: Duration) -> f64 {
    let a = vec![0.5; ROWS * DEPTH];
    let source = vec![0.25; DEPTH * WIDTH];
    let (mut b, mut c) = (vec![0.0; DEPTH * WIDTH], vec![0.0; ROWS * padded(WIDTH)]);
    Arch::new().dispatch(Pack { out: &mut b, source: &source });
    best_rate(time, || {
        for _ in 0..PRODUCTS {
            Arch::new().dispatch(Product { a: black_box(&a), b: &b, c: &mut c });
        }
        black_box(&c);
        2.0 * (PRODUCTS * ROWS * DEPTH * WIDTH) as f64
    })
}

/// The best rate of `work`, which returns its operations, within `time`: anything slower was disturbed.
fn best_rate(time: Duration, mut work: impl FnMut() -> f64) -> f64 {
    let begin = Instant::now();
    let mut best: f64 = 0.0;
    while best == 0.0 || begin.elapsed() < time {
        let start = Instant::now();
        let operations = work();
        best = best.max(operations / start.elapsed().as_secs_f64());
    }
    best
}

struct Chains<'a> {
    values: &'a mut [f32],
}

impl WithSimd for Chains<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let mut acc = [simd.splat_f32s(black_box(0.0)); CHAINS];
        let (factor, term) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(1.0)));
        for _ in 0..STEPS {
            for acc in &mut acc {
                *acc = simd.mul_add_f32s(*acc, factor, term);
            }
        }
        for (out, acc) in self.values.iter_mut().zip(acc) {
            *out = simd.reduce_sum_f32s(acc);
        }
        black_box(&self.values);
        2.0 * (STEPS * CHAINS * S::F32_LANES) as f64
    }
}

struct Pack<'a> {
    out: &'a mut [f32],
    source: &'a [f32],
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        pack_rows(simd, self.out, DEPTH, WIDTH, self.source, WIDTH);
    }
}

struct Product<'a> {
    a: &'a [f32],
    b: &'a [f32],
    c: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let b = Packed { data: self.b, depth: DEPTH, width: WIDTH };
        gemm_nn::<S, false>(simd, ROWS, self.a, DEPTH, &b, self.c, WIDTH);
    }
}
