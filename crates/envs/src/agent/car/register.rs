//! Blocks of cars in vector registers.

use crate::register::Aligned;
use crate::state::LANES;

/// The commands of a block of cars, `action [cars, 2]`: all first ones, then all second ones.
#[inline(always)]
pub fn commands(action: &[f32]) -> Aligned<{ 2 * LANES }> {
    let mut rows = [0.0; 2 * LANES];
    for (lane, command) in action.chunks_exact(2).enumerate().take(LANES) {
        rows[lane] = command[0];
        rows[LANES + lane] = command[1];
    }
    Aligned(rows)
}

/// Runs `$work` of the caller's module `avx512` or `avx2`, by the widest registers that the machine has; whether it has any.
macro_rules! in_vectors {
    ($work:ident { $($field:ident: $value:expr),+ }) => {
        if let Some(simd) = pulp::x86::V4::try_new() {
            simd.vectorize(avx512::$work { simd, $($field: $value),+ });
            true
        } else if let Some(simd) = pulp::x86::V3::try_new() {
            simd.vectorize(avx2::$work { simd, $($field: $value),+ });
            true
        } else {
            false
        }
    };
}
pub(in crate::agent) use in_vectors;
