//! One number of each of 32 environments: rows of a block of states, and code compiled for the machine's vectors.

use pulp::{Arch, NullaryFnOnce};

use crate::state::LANES;

/// One number of each environment of a block.
pub(crate) type Lane = [f32; LANES];

/// An environment of some blocks that lie one behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// Where its numbers are in the blocks' state: field f at `base + f * LANES`.
    pub base: usize,
    /// Its number among the environments of the blocks.
    pub number: usize,
}

/// Field `field` of every environment of the block.
#[inline(always)]
pub(crate) fn row(state: &[f32], field: usize) -> &Lane {
    state[field * LANES..][..LANES].try_into().expect("a row has LANES numbers")
}

/// Field `field` of every environment of the block, to write.
#[inline(always)]
pub(crate) fn row_mut(state: &mut [f32], field: usize) -> &mut Lane {
    (&mut state[field * LANES..][..LANES]).try_into().expect("a row has LANES numbers")
}

/// Runs `f` compiled for the best vector instructions of this machine.
#[inline(always)]
pub(crate) fn with_simd<F: NullaryFnOnce>(f: F) -> F::Output {
    Arch::new().dispatch(f)
}
