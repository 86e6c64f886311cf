use std::sync::{Mutex, PoisonError};

use super::plan::Plan;

/// Buffers of dropped [`Hidden`]s: fresh pages cost about as much as computing their contents.
static SPARE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Most buffers kept.
const SPARES: usize = 4;

/// The hidden activations of a batch, kept from a forward pass for the passes after it.
///
/// Chunk after chunk; within a chunk layer after layer, each `[rows, in_stride]` with its ones column.
pub(crate) struct Hidden {
    data: Vec<f32>,
    width: usize,
}

impl Hidden {
    /// Room for `rows` rows, contents unspecified.
    pub fn new(plan: &Plan, rows: usize) -> Self {
        let width = plan.layers.iter().skip(1).map(|l| l.in_stride).sum();
        let mut data = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        data.resize(rows * width, 0.0);
        Hidden { data, width }
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

impl Drop for Hidden {
    fn drop(&mut self) {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARES {
            spare.push(std::mem::take(&mut self.data));
        }
    }
}
