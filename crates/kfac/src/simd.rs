//! What the CPU paths are made of: products of padded matrices on every vector width, and the memory they work in.

pub(crate) mod gemm;
pub(crate) mod pack;
pub(crate) mod recycle;
pub(crate) mod scratch;
#[cfg(test)]
mod tests;
pub(crate) mod width;
