//! Minibatches: a counter-based permutation and the gathering of rows.

#[cfg(feature = "gpu")]
mod kernel;

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor};
use rayon::prelude::*;

use crate::rollout::index_tensor;
use compute::cpu::{self, View};
use compute::noise::NoiseKey;

/// Rows `x[index[i]]` of `x` `[N, D]`, as `[M, D]`.
pub fn gather_rows(x: &Tensor<2>, index: &Tensor<1, Int>) -> Tensor<2> {
    gather_rows_fused(x, index).unwrap_or_else(|| x.clone().select(0, index.clone()))
}

/// Columns `x[s, index[i]]` of `x` `[S, N]`, as `[S, M]`.
pub fn gather_columns(x: &Tensor<2>, index: &Tensor<1, Int>) -> Tensor<2> {
    gather_columns_fused(x, index).unwrap_or_else(|| x.clone().select(1, index.clone()))
}

fn gather_columns_fused(x: &Tensor<2>, index: &Tensor<1, Int>) -> Option<Tensor<2>> {
    let [rows, columns] = x.dims();
    let (input, index) = (View::of(x)?, cpu::indices(index)?);
    let mut out = Vec::with_capacity(rows * index.len());
    for row in input.values().chunks_exact(columns.max(1)) {
        out.extend(index.iter().map(|&column| row[column]));
    }
    Some(cpu::tensor(out, [rows, index.len()]))
}

/// Rows moved by one task; fixed, and irrelevant for the result.
const GATHER_ROWS: usize = 512;

fn gather_rows_fused(x: &Tensor<2>, index: &Tensor<1, Int>) -> Option<Tensor<2>> {
    let [rows, columns] = x.dims();
    let (input, index) = (View::of(x)?, cpu::indices(index)?);
    let values = input.values();
    assert!(index.iter().all(|&row| row < rows), "row index out of range: {rows} rows");
    let mut out = vec![0.0; index.len() * columns];
    let copy = |(out, index): (&mut [f32], &[usize])| {
        for (out, &row) in out.chunks_exact_mut(columns).zip(index) {
            out.copy_from_slice(&values[row * columns..][..columns]);
        }
    };
    if columns > 0 && index.len() > GATHER_ROWS {
        out.par_chunks_mut(GATHER_ROWS * columns).zip(index.par_chunks(GATHER_ROWS)).for_each(copy);
    } else if columns > 0 {
        copy((&mut out, &index));
    }
    Some(cpu::tensor(out, [index.len(), columns]))
}

/// A permutation of `0..n` (Fisher and Yates), the same for the same key everywhere.
pub fn permutation(n: usize, key: NoiseKey) -> Vec<usize> {
    let bits = key.bits();
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        // Multiply-shift maps 32 bits to 0..=i; its bias is below n / 2^32.
        let j = (u64::from(bits(i as u32, 0)) * (i as u64 + 1)) >> 32;
        order.swap(i, j as usize);
    }
    order
}

/// A shuffled cut of `n` samples into minibatches of at least `size` (one if `n < size`), differing by one at most.
///
/// Sizes are evened out instead of leaving a small rest: a small minibatch has a noisy KL estimate.
pub fn minibatch_indices(n: usize, size: usize, key: NoiseKey, device: &Device) -> Vec<Tensor<1, Int>> {
    let order = permutation(n, key);
    let count = (n / size.max(1)).max(1);
    (0..count).map(|k| index_tensor(&order[k * n / count..(k + 1) * n / count], device)).collect()
}

/// The samples an update trains on: a whole rollout, or a minibatch of it.
#[derive(Debug, Clone)]
pub struct Samples {
    /// Normalised observations, `[N, D]`.
    pub obs: Tensor<2>,
    /// `[N, A]`.
    pub action: Tensor<2>,
    /// Mean of the behaviour policy, `[N, A]`.
    pub mean: Tensor<2>,
    /// Log-probability under the behaviour policy, `[N]`.
    pub log_prob: Tensor<1>,
    /// Processed advantages, `[S, N]`.
    pub advantage: Tensor<2>,
    /// Value targets of C critics, `[C, N]`.
    pub target: Tensor<2>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.obs.dims()[0]
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples at `index` `[M]`.
    pub fn select(&self, index: &Tensor<1, Int>) -> Self {
        #[cfg(feature = "gpu")]
        if let Some(samples) = kernel::select(self, index) {
            return samples;
        }
        Self {
            obs: gather_rows(&self.obs, index),
            action: gather_rows(&self.action, index),
            mean: gather_rows(&self.mean, index),
            log_prob: gather_columns(&self.log_prob.clone().unsqueeze(), index).squeeze_dim(0),
            advantage: gather_columns(&self.advantage, index),
            target: gather_columns(&self.target, index),
        }
    }

    /// A contiguous range of samples: views, no copy of observations on the CPU.
    pub fn range(&self, range: Range<usize>) -> Self {
        let (start, length) = (range.start, range.len());
        Self {
            obs: self.obs.clone().narrow(0, start, length),
            action: self.action.clone().narrow(0, start, length),
            mean: self.mean.clone().narrow(0, start, length),
            log_prob: self.log_prob.clone().narrow(0, start, length),
            advantage: self.advantage.clone().narrow(1, start, length),
            target: self.target.clone().narrow(1, start, length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::{on_cpu, test_device};
    use compute::noise::Stream;
    use compute::noise::normal_tensor;
    use compute::read;

    const KEY: NoiseKey = NoiseKey { seed: 1, stream: Stream::Other(9), step: 0 };

    #[test]
    fn a_permutation_holds_every_index_once_and_depends_on_the_key() {
        let order = permutation(1000, KEY);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_ne!(order, permutation(1000, NoiseKey { step: 1, ..KEY }));
        // The first place is uniform: 4000 keys over 8 places, mean 500, standard deviation 21.
        let mut counts = [0; 8];
        (0..4000).for_each(|step| counts[permutation(8, NoiseKey { step, ..KEY })[0]] += 1);
        assert!(counts.iter().all(|count| (395..605).contains(count)), "{counts:?}");
    }

    #[test]
    fn minibatches_cover_the_samples_with_even_sizes() {
        let device = test_device();
        let batches = minibatch_indices(10_500, 2048, KEY, &device);
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.dims()[0]).collect();
        assert_eq!(sizes, [2100; 5]);
        let mut all: Vec<i64> = batches.into_iter().flat_map(|b| b.try_into_vec_as::<i64>().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..10_500).collect::<Vec<_>>());
        assert_eq!(minibatch_indices(100, 2048, KEY, &device).len(), 1);
    }

    #[test]
    fn the_fused_gather_equals_the_plain_one() {
        let device = test_device();
        let x = normal_tensor(KEY, [3000, 7], &device);
        for rows in [5, 2000] {
            let index = index_tensor(&permutation(3000, KEY)[..rows], &device);
            let columns = gather_columns_fused(&x.clone().transpose(), &index);
            let (Some(columns), Some(fused)) = (columns, gather_rows_fused(&x, &index)) else {
                return assert!(!on_cpu());
            };
            let plain = x.clone().transpose().select(1, index.clone());
            assert_eq!(read("f", columns).unwrap(), read("p", plain).unwrap());
            assert_eq!(read("f", fused).unwrap(), read("p", x.clone().select(0, index)).unwrap());
        }
    }

    #[test]
    fn a_range_and_the_same_indices_select_the_same_samples() {
        let device = test_device();
        let x = |columns| normal_tensor(KEY, [50, columns], &device);
        let samples = Samples {
            obs: x(4),
            action: x(2),
            mean: x(2) + 1.0,
            log_prob: x(1).squeeze_dim(1),
            advantage: x(2).transpose(),
            target: x(2).transpose() * 3.0,
        };
        let (a, b) = (samples.range(10..30), samples.select(&index_tensor(&(10..30).collect::<Vec<_>>(), &device)));
        assert_eq!(a.len(), 20);
        for (a, b) in
            [(a.obs, b.obs), (a.action, b.action), (a.mean, b.mean), (a.advantage, b.advantage), (a.target, b.target)]
        {
            assert_eq!(read("a", a).unwrap(), read("b", b).unwrap());
        }
        assert_eq!(read("a", a.log_prob).unwrap(), read("b", b.log_prob).unwrap());
    }
}
