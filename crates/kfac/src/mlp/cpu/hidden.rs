//! The hidden activations of a batch, kept for the passes after the forward pass.

use super::plan::Plan;
use crate::simd::recycle::Recycled;

/// The hidden activations of a batch, kept from a forward pass for the passes after it.
///
/// Chunk after chunk; within a chunk layer after layer, each `[rows, in_stride]` with its ones column.
pub(crate) struct Hidden {
    data: Recycled,
    width: usize,
}

impl Hidden {
    /// Room for `rows` rows, contents unspecified.
    pub fn new(plan: &Plan, rows: usize) -> Self {
        let width = plan.layers.iter().skip(1).map(|l| l.in_stride).sum();
        Hidden { data: Recycled::new(rows * width), width }
    }

    /// Floats of one row over all layers.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All chunks.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The chunk of `rows` rows that starts at `row`, a multiple of the plan's chunk.
    pub fn chunk(&self, row: usize, rows: usize) -> &[f32] {
        &self.data[row * self.width..(row + rows) * self.width]
    }
}
