//! The kernels on every instruction set of this machine, against plain loops.

use pulp::{Arch, Scalar, Simd, WithSimd};

use super::gemm::{dot_rows, gemm_nn, gemm_tn, gram};
use super::pack::{Packed, pack_rows, pack_transposed};
use super::width::{padded, vectors, vectors_mut};
use crate::inverse::cpu::eliminate::attempt;
use crate::mlp::cpu::activation::tanh;

fn numbers(seed: usize, n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// Rows of `width` numbers with row stride `stride`, zeros behind them.
fn rows(seed: usize, rows: usize, width: usize, stride: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows * stride];
    for (row, values) in out.chunks_exact_mut(stride).zip(numbers(seed, rows * width).chunks_exact(width)) {
        row[..width].copy_from_slice(values);
    }
    out
}

struct Check;

impl WithSimd for Check {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (n, depth, columns) in [(1, 1, 1), (7, 5, 16), (13, 61, 64), (23, 33, 81), (6, 17, 130), (35, 12, 48)] {
            check_products(simd, n, depth, columns);
        }
        // On both sides of where the lower triangle is enough, of its strips and of the blocks of pivots.
        for n in [1, 31, 61, 128, 129, 176, 191, 257] {
            check_inverse(simd, n);
        }
        let x = numbers(1, 64).iter().map(|v| 12.0 * v).collect::<Vec<f32>>();
        let mut y = x.clone();
        for v in vectors_mut::<S>(&mut y) {
            *v = tanh(simd, *v);
        }
        for (x, y) in x.iter().zip(&y) {
            assert!((f64::from(*x).tanh() - f64::from(*y)).abs() < 4e-7, "tanh {x}");
        }
        let mut nan = vec![f32::NAN; 16];
        for v in vectors_mut::<S>(&mut nan) {
            *v = tanh(simd, *v);
        }
        assert!(nan.iter().all(|v| v.is_nan()));
    }
}

#[inline(always)]
fn check_products<S: Simd>(simd: S, n: usize, depth: usize, columns: usize) {
    let same = |what: &str, got: f32, expected: f32| {
        assert!((got - expected).abs() < 1e-4, "{what} {n} {depth} {columns}: {got} against {expected}");
    };
    let (lda, width) = (padded(depth), padded(columns));
    let (a, b) = (rows(1, n, depth, lda), numbers(2, depth * columns));
    let dot = |i: usize, j: usize| (0..depth).map(|k| a[i * lda + k] * b[k * columns + j]).sum::<f32>();

    let mut panel = vec![f32::NAN; depth * width];
    pack_rows(simd, &mut panel, depth, width, &b, columns);
    let packed = Packed { data: &panel, depth, width };
    let mut c = vec![f32::NAN; n * width];
    gemm_nn::<S, false>(simd, n, &a, lda, &packed, &mut c, width);
    gemm_nn::<S, true>(simd, n, &a, lda, &packed, &mut c, width);
    for i in 0..n {
        for j in 0..width {
            same("nn", c[i * width + j], if j < columns { 2.0 * dot(i, j) } else { 0.0 });
        }
    }

    // The transpose of b, packed back, is b.
    let transposed: Vec<f32> = (0..columns * depth).map(|i| b[i % depth * columns + i / depth]).collect();
    let mut again = vec![f32::NAN; depth * width];
    pack_transposed(simd, &mut again, depth, width, &transposed, depth);
    assert_eq!(again, panel);

    // Sums over samples: n samples of depth and of columns numbers.
    let y = rows(3, n, columns, width);
    let mut c = vec![1.0; depth * width];
    gemm_tn(simd, &a, lda, depth, &y, width, width, &mut c, width);
    for i in 0..depth {
        for j in 0..width {
            let sum: f32 = (0..n).map(|r| a[r * lda + i] * y[r * width + j]).sum();
            same("tn", c[i * width + j], 1.0 + sum);
        }
    }

    // Lower blocks of a Gram matrix.
    let mut c = vec![0.0; columns * width];
    gram(simd, &y, width, columns, width, &mut c, width);
    for i in 0..columns {
        for j in 0..=i {
            let sum: f32 = (0..n).map(|r| y[r * width + i] * y[r * width + j]).sum();
            same("gram", c[i * width + j], sum);
        }
    }

    // Dot products of padded rows.
    let w = rows(4, 3, depth, lda);
    let mut c = vec![0.5; n * 16];
    dot_rows::<S, true>(simd, &a, lda, &w, &mut c, 16);
    for i in 0..n {
        for o in 0..3 {
            let sum: f32 = (0..depth).map(|k| a[i * lda + k] * w[o * lda + k]).sum();
            same("dot", c[i * 16 + o], 0.5 + sum);
        }
    }
    assert_eq!(vectors::<S>(&a).len() * S::F32_LANES, a.len());
}

/// Inverses of `B B^T / n` and of a matrix of ones, both plus 0.01, against the residual in double precision.
fn check_inverse<S: Simd>(simd: S, n: usize) {
    let b = numbers(6, n * n);
    let product = |i: usize, j: usize| (0..n).map(|k| b[i * n + k] * b[j * n + k]).sum::<f32>() / n as f32;
    let random: Vec<f32> = (0..n * n).map(|at| product((at / n).max(at % n), (at / n).min(at % n))).collect();
    for matrix in [random, vec![1.0; n * n]] {
        let mut inverse = vec![f32::NAN; n * n];
        let told = f64::from(attempt(simd, &matrix, n, 0.01, &mut inverse));
        let mut sum = 0.0;
        for i in 0..n {
            for j in 0..n {
                assert_eq!(inverse[i * n + j].to_bits(), inverse[j * n + i].to_bits(), "order {n}: symmetric");
                let damped = |k: usize| f64::from(matrix[i * n + k]) + if i == k { f64::from(0.01f32) } else { 0.0 };
                let product: f64 = (0..n).map(|k| damped(k) * f64::from(inverse[k * n + j])).sum();
                sum += (product - f64::from(u8::from(i == j))).powi(2);
            }
        }
        let residual = (sum / n as f64).sqrt();
        // The full elimination reaches 2.6e-3 at order 257.
        assert!(residual < 4e-3 && (told - residual).abs() < 4e-3, "order {n}: {residual:e}, said to be {told:e}");
    }
}

#[test]
fn widest_instruction_set() {
    Arch::new().dispatch(Check);
}

#[test]
fn no_vectors_at_all() {
    Scalar.vectorize(Check);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn avx2() {
    // On a machine without it there is nothing to test.
    if let Some(simd) = pulp::x86::V3::try_new() {
        Simd::vectorize(simd, Check);
    }
}
