//! Sums over the shards of a run: the parts of its environments that train one policy together, in one process or in several.
//!
//! An algorithm asks for a sum wherever it takes a mean over samples: of gradients, of Kronecker factors, of the KL
//! divergence, of costs. A run of one shard is [`Alone`], whose sums are the values themselves. Several shards are [`Shard`]s
//! of a [`Group`] per process, and the processes reach each other by [`Processes`]: MPI where the feature `mpi` is built in.

use std::cell::RefCell;
use std::sync::Arc;

use anyhow::{Error, Result};
use burn::tensor::{Device, Tensor};
use safe_rl::conjugate_gradient;

mod group;
pub mod launch;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "nccl")]
mod nccl;
mod processes;

pub use group::{Group, Shard};
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub use processes::{OneProcess, Processes, in_order};

/// Lets `processes` sum on their devices, of which `device` is this one's, where NCCL is built in and can; else as they are.
///
/// # Errors
/// When a process, a device or the network fails.
#[cfg_attr(not(feature = "nccl"), allow(unused_variables, clippy::unnecessary_wraps))]
pub(crate) fn on_devices(processes: Arc<dyn Processes>, device: &Device) -> Result<Arc<dyn Processes>> {
    #[cfg(feature = "nccl")]
    let processes = nccl::join(processes, device)?;
    Ok(processes)
}

/// How far apart the seeds of two shards lie.
const SEED_STEP: u32 = 40;

/// The shards that train one policy together; every one of them makes the same calls in the same order.
pub trait Comm: Send + Sync {
    /// How many shards there are, at least 1.
    fn size(&self) -> usize;

    /// Which one this is, from 0.
    fn rank(&self) -> usize;

    /// The sum over all shards of a vector `[n]`, added in their order so that every one gets the same bits, however many
    /// processes there are.
    ///
    /// # Errors
    /// When a process, another shard or the network fails.
    fn sum(&self, values: Tensor<1>) -> Result<Tensor<1>>;

    /// Every shard's numbers, in their order; one may have more than another.
    ///
    /// # Errors
    /// When a process, another shard or the network fails.
    fn gather(&self, values: &[f64]) -> Result<Vec<Vec<f64>>>;

    /// Seconds that this shard has spent in [`sum`](Self::sum) and [`gather`](Self::gather) so far, waiting for others included.
    fn seconds(&self) -> f64 {
        0.0
    }
}

impl dyn Comm + '_ {
    /// The mean over all shards of a tensor, of any shape; a shard alone gets the tensor itself.
    ///
    /// # Errors
    /// When a process, another shard or the network fails.
    pub fn mean<const D: usize>(&self, values: Tensor<D>) -> Result<Tensor<D>> {
        if self.size() == 1 {
            return Ok(values);
        }
        let shape = values.dims();
        let sum = self.sum(values.reshape([-1]))?;
        Ok((sum / self.size() as f32).reshape(shape))
    }

    /// The means over all shards of vectors `[n]`, `[m]`, ..., summed together.
    ///
    /// # Errors
    /// When a process, another shard or the network fails.
    pub fn means<const K: usize>(&self, vectors: [Tensor<1>; K]) -> Result<[Tensor<1>; K]> {
        if self.size() == 1 {
            return Ok(vectors);
        }
        let lengths = vectors.each_ref().map(|vector| vector.dims()[0]);
        let all = self.mean(Tensor::cat(vectors.into(), 0))?;
        let mut start = 0;
        Ok(lengths.map(|length| {
            start += length;
            all.clone().narrow(0, start - length, length)
        }))
    }

    /// `x` with `A x = b`, A being the mean over all shards of a matrix that each knows by its products with vectors: as
    /// [`conjugate_gradient`].
    ///
    /// # Errors
    /// When a process, another shard or the network fails.
    pub fn solve(
        &self,
        product: impl Fn(Tensor<1>) -> Tensor<1>,
        b: &Tensor<1>,
        iterations: usize,
    ) -> Result<Tensor<1>> {
        let failed: RefCell<Option<Error>> = RefCell::new(None);
        let product = |v: Tensor<1>| {
            let zeros = v.zeros_like();
            self.mean(product(v)).unwrap_or_else(|error| {
                failed.borrow_mut().get_or_insert(error);
                zeros
            })
        };
        let x = conjugate_gradient(product, b, iterations);
        failed.into_inner().map_or(Ok(x), Err)
    }

    /// This shard's seed for what each must draw for itself. That of the first is the run's.
    pub fn own_seed(&self, seed: u64) -> u64 {
        seed.wrapping_add((self.rank() as u64) << SEED_STEP)
    }
}

/// A shard alone.
///
/// ```
/// use trainer::comm::{Alone, Comm};
///
/// assert_eq!((Alone.size(), Alone.rank()), (1, 0));
/// assert_eq!(Alone.gather(&[1.5]).unwrap(), [[1.5]]);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alone;

impl Comm for Alone {
    fn size(&self) -> usize {
        1
    }

    fn rank(&self) -> usize {
        0
    }

    fn sum(&self, values: Tensor<1>) -> Result<Tensor<1>> {
        Ok(values)
    }

    fn gather(&self, values: &[f64]) -> Result<Vec<Vec<f64>>> {
        Ok(vec![values.to_vec()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    /// Two shards that hold the same numbers; the network fails where it is asked for three.
    struct Twins;

    impl Comm for Twins {
        fn size(&self) -> usize {
            2
        }

        fn rank(&self) -> usize {
            1
        }

        fn sum(&self, values: Tensor<1>) -> Result<Tensor<1>> {
            if values.dims() == [3] {
                bail!("the network is down");
            }
            Ok(values * 2.0)
        }

        fn gather(&self, values: &[f64]) -> Result<Vec<Vec<f64>>> {
            Ok(vec![values.to_vec(); 2])
        }
    }

    #[test]
    fn a_mean_is_the_sum_over_the_shards_by_their_number() {
        let values = || Tensor::<2>::from_floats([[1.0, -3.0], [0.5, 7.0]], &Device::flex());
        for comm in [&Alone as &dyn Comm, &Twins] {
            let mean = comm.mean(values()).unwrap();
            assert_eq!(mean.into_data(), values().into_data());
            let vectors = || [values().flatten::<1>(0, 1), Tensor::ones([1], &Device::flex())];
            for (mean, vector) in comm.means(vectors()).unwrap().into_iter().zip(vectors()) {
                assert_eq!(mean.into_data(), vector.into_data());
            }
        }
        assert_eq!([(&Alone as &dyn Comm).own_seed(7), (&Twins as &dyn Comm).own_seed(7)], [7, 7 + (1 << 40)]);
    }

    #[test]
    fn a_solution_by_products_over_the_shards_fails_where_a_sum_does() {
        let solve = |length: usize| {
            let b = Tensor::<1>::ones([length], &Device::flex());
            (&Twins as &dyn Comm).solve(|v| v * 4.0, &b, 2)
        };
        let x = solve(2).unwrap().into_data();
        assert!(x.iter::<f32>().all(|x| (x - 0.25).abs() < 1e-6));
        assert!(solve(3).unwrap_err().to_string().contains("the network is down"));
    }
}
