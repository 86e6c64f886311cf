//! `mju_cholFactor` and `mju_cholSolve` of an agent's Hessian, as L D L' without a square root, where it has too many
//! unknowns for a formula. Loops, so that a GPU holds the code once.
//!
//! A matrix is `size * size` numbers by rows. Factorised, it holds L below the diagonal, 1/D on it and L D above.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::joint::{answer_of, coupling_of};
use super::*;

/// Factorises the matrix at `at` in place; only what is on and below its diagonal is read.
#[cfg_attr(feature = "gpu", cube)]
pub(crate) fn factorise(scratch: &mut [f32], at: usize, size: usize) {
    for j in 0..size {
        let mut own = scratch[at + size * j + j];
        for k in 0..j {
            own -= scratch[at + size * j + k] * scratch[at + size * k + j];
        }
        let inverse = 1.0 / own;
        scratch[at + size * j + j] = inverse;
        for i in (j + 1)..size {
            let mut sum = scratch[at + size * i + j];
            for k in 0..j {
                sum -= scratch[at + size * i + k] * scratch[at + size * k + j];
            }
            scratch[at + size * j + i] = sum;
            scratch[at + size * i + j] = sum * inverse;
        }
    }
}

/// Solves matrix times the vector at `to` = -the vector at `from`, from the factors at `at`; the two may not overlap.
#[cfg_attr(feature = "gpu", cube)]
pub(crate) fn substitute(scratch: &mut [f32], at: usize, size: usize, from: usize, to: usize) {
    for i in 0..size {
        let mut sum = -scratch[from + i];
        for k in 0..i {
            sum -= scratch[at + size * i + k] * scratch[to + k];
        }
        scratch[to + i] = sum;
    }
    for turn in 0..size {
        let i = size - 1 - turn;
        let mut sum = scratch[to + i] * scratch[at + size * i + i];
        for k in (i + 1)..size {
            sum -= scratch[at + size * k + i] * scratch[to + k];
        }
        scratch[to + i] = sum;
    }
}

/// The agent's six answers from its couplings and the factors at `at`: [`substitute`] of each, side by side. One
/// substitution is a chain in which every subtraction waits for the one before; six at once keep a processor busy and read
/// the factors once.
#[cfg_attr(feature = "gpu", cube)]
pub(crate) fn substitute_couplings(scratch: &mut [f32], scratch_base: usize, at: usize, size: usize) {
    let from = coupling_of(scratch_base, 0);
    let to = answer_of(scratch_base, 0);
    for i in 0..size {
        let c = from + i;
        let mut s0 = -scratch[c];
        let mut s1 = -scratch[c + MOST_UNKNOWNS];
        let mut s2 = -scratch[c + 2 * MOST_UNKNOWNS];
        let mut s3 = -scratch[c + 3 * MOST_UNKNOWNS];
        let mut s4 = -scratch[c + 4 * MOST_UNKNOWNS];
        let mut s5 = -scratch[c + 5 * MOST_UNKNOWNS];
        for k in 0..i {
            let l = scratch[at + size * i + k];
            let w = to + k;
            s0 -= l * scratch[w];
            s1 -= l * scratch[w + MOST_UNKNOWNS];
            s2 -= l * scratch[w + 2 * MOST_UNKNOWNS];
            s3 -= l * scratch[w + 3 * MOST_UNKNOWNS];
            s4 -= l * scratch[w + 4 * MOST_UNKNOWNS];
            s5 -= l * scratch[w + 5 * MOST_UNKNOWNS];
        }
        write_answers(scratch, to + i, s0, s1, s2, s3, s4, s5);
    }
    for turn in 0..size {
        let i = size - 1 - turn;
        let d = scratch[at + size * i + i];
        let w = to + i;
        let mut s0 = scratch[w] * d;
        let mut s1 = scratch[w + MOST_UNKNOWNS] * d;
        let mut s2 = scratch[w + 2 * MOST_UNKNOWNS] * d;
        let mut s3 = scratch[w + 3 * MOST_UNKNOWNS] * d;
        let mut s4 = scratch[w + 4 * MOST_UNKNOWNS] * d;
        let mut s5 = scratch[w + 5 * MOST_UNKNOWNS] * d;
        for k in (i + 1)..size {
            let l = scratch[at + size * k + i];
            let w = to + k;
            s0 -= l * scratch[w];
            s1 -= l * scratch[w + MOST_UNKNOWNS];
            s2 -= l * scratch[w + 2 * MOST_UNKNOWNS];
            s3 -= l * scratch[w + 3 * MOST_UNKNOWNS];
            s4 -= l * scratch[w + 4 * MOST_UNKNOWNS];
            s5 -= l * scratch[w + 5 * MOST_UNKNOWNS];
        }
        write_answers(scratch, to + i, s0, s1, s2, s3, s4, s5);
    }
}

/// One unknown of the six answers, at `w` of the first.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn write_answers(scratch: &mut [f32], w: usize, s0: f32, s1: f32, s2: f32, s3: f32, s4: f32, s5: f32) {
    scratch[w] = s0;
    scratch[w + MOST_UNKNOWNS] = s1;
    scratch[w + 2 * MOST_UNKNOWNS] = s2;
    scratch[w + 3 * MOST_UNKNOWNS] = s3;
    scratch[w + 4 * MOST_UNKNOWNS] = s4;
    scratch[w + 5 * MOST_UNKNOWNS] = s5;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = MOST_UNKNOWNS;

    /// A positive definite matrix, its factors, and a scratch whose couplings are no multiples of each other.
    fn problem() -> (Vec<f64>, Vec<f32>, usize) {
        let at = SCRATCH_LEN;
        let mut scratch = vec![0.0f32; SCRATCH_LEN + SIZE * SIZE];
        let root: Vec<f64> = (0..SIZE * SIZE).map(|n| ((7 * n + n * n / 3) % 11) as f64 / 11.0 - 0.4).collect();
        let mut matrix = vec![0.0f64; SIZE * SIZE];
        for i in 0..SIZE {
            for j in 0..SIZE {
                matrix[SIZE * i + j] = (0..SIZE).map(|k| root[SIZE * i + k] * root[SIZE * j + k]).sum();
            }
            matrix[SIZE * i + i] += 1.0;
        }
        for (to, from) in scratch[at..].iter_mut().zip(&matrix) {
            *to = *from as f32;
        }
        for motion in 0..6 {
            for k in 0..SIZE {
                scratch[coupling_of(0, motion) + k] = ((5 * motion + 3 * k + motion * k) % 13) as f32 / 13.0 - 0.5;
            }
        }
        factorise(&mut scratch, at, SIZE);
        (matrix, scratch, at)
    }

    #[test]
    fn answers_solve_the_system() {
        let (matrix, mut scratch, at) = problem();
        substitute_couplings(&mut scratch, 0, at, SIZE);
        for motion in 0..6 {
            for i in 0..SIZE {
                let product: f64 =
                    (0..SIZE).map(|k| matrix[SIZE * i + k] * scratch[answer_of(0, motion) + k] as f64).sum();
                let want = -scratch[coupling_of(0, motion) + i] as f64;
                assert!((product - want).abs() < 1e-5, "motion {motion}, row {i}: {product} beside {want}");
            }
        }
    }

    /// Side by side is a matter of order in time alone.
    #[test]
    fn six_at_once_have_the_bits_of_one_by_one() {
        let (_, mut scratch, at) = problem();
        substitute_couplings(&mut scratch, 0, at, SIZE);
        let mut apart = scratch.clone();
        for motion in 0..6 {
            substitute(&mut apart, at, SIZE, coupling_of(0, motion), answer_of(0, motion));
        }
        assert_eq!(scratch, apart);
    }
}
