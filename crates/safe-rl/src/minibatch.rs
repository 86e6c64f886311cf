//! Minibatches: a counter-based permutation and the gathering of rows.

mod cpu;
mod gpu;

use burn::tensor::{Device, Int, Tensor, TensorData};
use compute::first_of;
use compute::noise::NoiseKey;

/// Rows `x[index[i]]` of `x` `[N, D]`, as `[M, D]`.
pub fn gather_rows(x: &Tensor<2>, index: &Tensor<1, Int>) -> Tensor<2> {
    first_of!(cpu::gather_rows(x, index), x.clone().select(0, index.clone()))
}

/// Columns `x[s, index[i]]` of `x` `[S, N]`, as `[S, M]`.
pub fn gather_columns(x: &Tensor<2>, index: &Tensor<1, Int>) -> Tensor<2> {
    first_of!(cpu::gather_columns(x, index), x.clone().select(1, index.clone()))
}

/// A permutation of `0..n` by the Fisher-Yates shuffle, the same for the same key everywhere.
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

/// [`permutation`] as indices on `device`, `[N]`.
pub fn permutation_index(n: usize, key: NoiseKey, device: &Device) -> Tensor<1, Int> {
    index_tensor(&permutation(n, key), device)
}

/// A shuffled cut of `n` samples into minibatches of at least `size` (one if `n < size`), differing by one at most.
///
/// Sizes are evened out instead of leaving a small rest: a small minibatch has a noisy KL estimate.
pub fn minibatch_indices(n: usize, size: usize, key: NoiseKey, device: &Device) -> Vec<Tensor<1, Int>> {
    minibatches_of_a_part(n, 1, size, key, device)
}

/// [`minibatch_indices`] of one of `parts` equal parts of the samples, `n` in each, where a minibatch of at least `size` samples
/// takes as many from each: this part's shares of the minibatches, one to a minibatch, of the same sizes for every part.
pub fn minibatches_of_a_part(
    n: usize,
    parts: usize,
    size: usize,
    key: NoiseKey,
    device: &Device,
) -> Vec<Tensor<1, Int>> {
    let order = permutation(n, key);
    let count = minibatches(n, parts, size);
    (0..count).map(|k| index_tensor(&order[k * n / count..(k + 1) * n / count], device)).collect()
}

/// Into how many minibatches of at least `size` samples `parts` parts of `n` samples each are cut: never more than a part has
/// samples.
pub fn minibatches(n: usize, parts: usize, size: usize) -> usize {
    (n * parts / size.max(1)).clamp(1, n.max(1))
}

/// Row indices as a tensor.
pub(crate) fn index_tensor(indices: &[usize], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = indices.iter().map(|&index| index as i32).collect();
    Tensor::from_ints(TensorData::new(values, [indices.len()]), device)
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
    /// Scaled advantages of the objectives, `[S, N]`.
    pub advantage: Tensor<2>,
    /// Value targets of the objectives' critics, `[S, N]`.
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
        first_of!(gpu::select(self, index), self.gather(index))
    }

    fn gather(&self, index: &Tensor<1, Int>) -> Self {
        Self {
            obs: gather_rows(&self.obs, index),
            action: gather_rows(&self.action, index),
            mean: gather_rows(&self.mean, index),
            log_prob: gather_columns(&self.log_prob.clone().unsqueeze(), index).squeeze_dim(0),
            advantage: gather_columns(&self.advantage, index),
            target: gather_columns(&self.target, index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
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
        // Four parts of 2,625 of the same samples: as many minibatches, a quarter of each from every part.
        let sizes = |n, parts| -> Vec<usize> {
            minibatches_of_a_part(n, parts, 2048, KEY, &device).iter().map(|batch| batch.dims()[0]).collect()
        };
        assert_eq!(sizes(2625, 4), [525; 5]);
        assert_eq!(minibatches(3, 4, 1), 3, "a part has something in every minibatch");
    }

    #[test]
    fn a_selection_takes_the_rows_and_columns_of_its_indices() {
        let device = test_device();
        let x = |columns| normal_tensor(KEY, [3000, columns], &device);
        let samples = Samples {
            obs: x(7),
            action: x(2),
            mean: x(2) + 1.0,
            log_prob: x(1).squeeze_dim(1),
            advantage: x(2).transpose(),
            target: x(3).transpose(),
        };
        for taken in [5, 2000] {
            let index = index_tensor(&permutation(3000, KEY)[..taken], &device);
            let got = samples.select(&index);
            assert_eq!(got.len(), taken);
            let rows = |x: &Tensor<2>| x.clone().select(0, index.clone());
            let columns = |x: &Tensor<2>| x.clone().select(1, index.clone());
            for (got, expected) in [
                (got.obs, rows(&samples.obs)),
                (got.action, rows(&samples.action)),
                (got.mean, rows(&samples.mean)),
                (got.advantage, columns(&samples.advantage)),
                (got.target, columns(&samples.target)),
            ] {
                assert_eq!(read("g", got).unwrap(), read("e", expected).unwrap());
            }
            let expected = samples.log_prob.clone().select(0, index.clone());
            assert_eq!(read("g", got.log_prob).unwrap(), read("e", expected).unwrap());
        }
    }
}
