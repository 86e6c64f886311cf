//! Sums and copies over the processes that train one policy together.
//!
//! An algorithm asks for a sum wherever it takes a mean over samples: of gradients, of Kronecker factors, of the KL
//! divergence, of costs. There is one implementation, a process alone, whose sums are the values themselves.

use anyhow::Result;
use burn::tensor::Tensor;

/// The processes that train one policy together; every one of them makes the same calls in the same order.
pub trait Comm: Send + Sync {
    /// How many processes there are, at least 1.
    fn size(&self) -> usize;

    /// Which one this is, from 0.
    fn rank(&self) -> usize;

    /// The sum over all processes of a vector `[n]`, added in the order of their ranks so that every one gets the same bits.
    ///
    /// # Errors
    /// When a process or the network fails.
    fn sum(&self, values: Tensor<1>) -> Result<Tensor<1>>;

    /// Every process's numbers, in the order of their ranks.
    ///
    /// # Errors
    /// When a process or the network fails.
    fn gather(&self, values: &[f64]) -> Result<Vec<Vec<f64>>>;

    /// The vector `[n]` of the process with rank 0.
    ///
    /// # Errors
    /// When a process or the network fails.
    fn broadcast(&self, values: Tensor<1>) -> Result<Tensor<1>>;
}

impl dyn Comm + '_ {
    /// The mean over all processes of a tensor, of any shape; a process alone gets the tensor itself.
    ///
    /// # Errors
    /// When a process or the network fails.
    pub fn mean<const D: usize>(&self, values: Tensor<D>) -> Result<Tensor<D>> {
        if self.size() == 1 {
            return Ok(values);
        }
        let shape = values.dims();
        let sum = self.sum(values.reshape([-1]))?;
        Ok((sum / self.size() as f32).reshape(shape))
    }
}

/// A process alone.
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

    fn broadcast(&self, values: Tensor<1>) -> Result<Tensor<1>> {
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// Two processes that hold the same numbers.
    struct Twins;

    impl Comm for Twins {
        fn size(&self) -> usize {
            2
        }

        fn rank(&self) -> usize {
            1
        }

        fn sum(&self, values: Tensor<1>) -> Result<Tensor<1>> {
            Ok(values * 2.0)
        }

        fn gather(&self, values: &[f64]) -> Result<Vec<Vec<f64>>> {
            Ok(vec![values.to_vec(); 2])
        }

        fn broadcast(&self, values: Tensor<1>) -> Result<Tensor<1>> {
            Ok(values)
        }
    }

    #[test]
    fn a_mean_is_the_sum_over_the_processes_by_their_number() {
        let values = || Tensor::<2>::from_floats([[1.0, -3.0], [0.5, 7.0]], &Device::flex());
        for comm in [&Alone as &dyn Comm, &Twins] {
            let mean = comm.mean(values()).unwrap();
            assert_eq!(mean.into_data(), values().into_data());
        }
    }
}
