//! The 32-bit hash behind the noise, one text for the host and for kernels.

#![allow(missing_docs)] // of the module that `cube` makes for the function

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

/// A bijection of the 32-bit integers whose output bits each depend on every input bit.
///
/// Its products wrap by design; the same text compiles for kernels, where `wrapping_mul` does not exist, so this crate is
/// built without overflow checks.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub fn mix(x: u32) -> u32 {
    let a = x ^ (x >> 16);
    let b = a * 0x7feb_352d;
    let c = b ^ (b >> 15);
    let d = c * 0x846c_a68b;
    d ^ (d >> 16)
}
