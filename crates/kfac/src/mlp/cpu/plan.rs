//! How a network is laid out and a batch is cut.

use crate::mlp::spec::MlpSpec;
use crate::simd::width::{padded, row_stride};

/// Floats of activations a chunk may hold: a quarter of a 1 MiB second-level cache. Between 48 and 256 rows the speed
/// changes by less than 4 % (measured at widths 64 and 256); 96 was best.
const CHUNK_FLOATS: usize = 64 * 1024;

/// Networks with more floats of activations per row than this (widths from about 750) take chunks of [`WIDE_CHUNK`] rows:
/// their sums (26 MB at width 1024) pass through the cache once per chunk, which then costs more than the activations.
/// Width 1024 gained 7 %, width 512 nothing.
const WIDE_FLOATS: usize = 3072;

/// Rows of a chunk of a wide network.
const WIDE_CHUNK: usize = 192;

/// Floats of partial sums a batch may hold, unless eight shards hold more: 256 MB.
const PARTIAL_FLOATS: usize = 64 * 1024 * 1024;

/// Below this many multiply-adds a call stays on one thread: waking a worker costs about 10 us.
const PARALLEL_WORK: usize = 1_500_000;

/// Last layers up to this width are computed by dot products: a vector of outputs would be mostly padding.
const NARROW: usize = 7;

/// Shapes of one layer in padded buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerPlan {
    /// Inputs, without the bias.
    pub inputs: usize,
    /// Outputs.
    pub outputs: usize,
    /// Row stride of the layer's input: its values, a one for the bias, zeros.
    pub in_stride: usize,
    /// Width of the inputs without the bias column, padded.
    pub in_width: usize,
    /// Outputs, padded.
    pub out_width: usize,
    /// Row stride of the derivatives with respect to the outputs.
    pub out_stride: usize,
    /// First element of the layer in theta.
    pub offset: usize,
}

impl LayerPlan {
    pub fn weights(&self) -> usize {
        (self.inputs + 1) * self.outputs
    }
}

/// How a network is laid out and a batch is cut: a function of the shapes only, never of the number of threads.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub layers: Vec<LayerPlan>,
    pub params: usize,
    /// Rows that pass through all layers together.
    pub chunk: usize,
    /// Multiply-adds of one forward row.
    pub work: usize,
}

impl Plan {
    pub fn new(spec: &MlpSpec) -> Self {
        let mut offset = 0;
        let layers: Vec<LayerPlan> = spec
            .sizes()
            .windows(2)
            .map(|pair| {
                let layer = LayerPlan {
                    inputs: pair[0],
                    outputs: pair[1],
                    in_stride: row_stride(padded(pair[0] + 1)),
                    in_width: padded(pair[0]),
                    out_width: padded(pair[1]),
                    out_stride: row_stride(padded(pair[1])),
                    offset,
                };
                offset += layer.weights();
                layer
            })
            .collect();
        let floats: usize = layers.iter().map(|l| l.in_stride).sum::<usize>()
            + 2 * layers.iter().map(|l| l.out_width).max().unwrap_or(0);
        let chunk = if floats > WIDE_FLOATS { WIDE_CHUNK } else { (CHUNK_FLOATS / floats / 16 * 16).clamp(48, 96) };
        Plan { params: offset, chunk, work: offset, layers }
    }

    pub fn first(&self) -> &LayerPlan {
        &self.layers[0]
    }

    pub fn last(&self) -> &LayerPlan {
        &self.layers[self.layers.len() - 1]
    }

    /// Whether layer `l` is a last layer of few outputs.
    pub fn narrow(&self, l: usize) -> bool {
        l + 1 == self.layers.len() && self.layers[l].outputs <= NARROW
    }

    /// Rows of a shard: large enough that adding a shard's `sums` floats of partial sums is a few per cent of its work.
    pub fn shard_rows(&self, rows: usize, sums: usize) -> usize {
        let least = if sums <= 96 * 1024 { 256 } else { 1024 };
        // At most 64 shards, fewer of a wide network, so that the partial sums of a huge batch stay bounded.
        let shards = (PARTIAL_FLOATS / sums.max(1)).clamp(8, 64);
        let rows = rows.div_ceil(shards).max(least);
        rows.next_multiple_of(self.chunk)
    }

    /// Whether `rows` rows with `factor` times the forward work are worth a second thread.
    pub fn parallel(&self, rows: usize, factor: usize) -> bool {
        rows * self.work * factor >= PARALLEL_WORK && rayon::current_num_threads() > 1
    }
}
