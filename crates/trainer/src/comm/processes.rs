//! What the processes of a run exchange, and a process that has no others.

use std::process;

use anyhow::Result;
use burn::tensor::Tensor;

/// The processes that a run is made of; every one of them makes the same calls in the same order, from one thread at a time.
pub trait Processes: Send + Sync {
    /// How many there are, at least 1.
    fn size(&self) -> usize;

    /// Which one this is, from 0.
    fn rank(&self) -> usize;

    /// The sum of `parts`, vectors of one length, of all processes: added in the order of the processes and of their parts,
    /// whatever the number of either ([`in_order`]).
    ///
    /// # Errors
    /// When a process or the network fails.
    fn sum(&self, parts: &[Vec<f32>]) -> Result<Vec<f32>>;

    /// [`sum`](Self::sum) of vectors `[n]`, one of each process, without the host: the same bits, on the device of `part`. `None`
    /// where these processes cannot; then all of them are told so.
    ///
    /// # Errors
    /// When a process, a device or the network fails.
    fn sum_on_device(&self, _part: &Tensor<1>) -> Result<Option<Tensor<1>>> {
        Ok(None)
    }

    /// Every process's bytes, in their order; one may have more than another.
    ///
    /// # Errors
    /// When a process or the network fails.
    fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>>;

    /// Every process's bytes in their order for process 0, which may be many; nothing for the others.
    ///
    /// # Errors
    /// When a process or the network fails.
    fn collect(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>>;

    /// The bytes of process 0; the others' are not looked at.
    ///
    /// # Errors
    /// When a process or the network fails.
    fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>>;

    /// The name of the machine that this process runs on.
    fn host(&self) -> String;

    /// Ends all processes at once, with this exit code.
    fn abort(&self, code: u8) -> !;
}

/// A process that has no others.
#[derive(Debug, Clone, Copy, Default)]
pub struct OneProcess;

impl Processes for OneProcess {
    fn size(&self) -> usize {
        1
    }

    fn rank(&self) -> usize {
        0
    }

    fn sum(&self, parts: &[Vec<f32>]) -> Result<Vec<f32>> {
        Ok(in_order(parts.iter().map(Vec::as_slice)))
    }

    fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(vec![bytes.to_vec()])
    }

    fn collect(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        Ok(vec![bytes])
    }

    fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        Ok(bytes)
    }

    fn host(&self) -> String {
        "this machine".to_owned()
    }

    fn abort(&self, code: u8) -> ! {
        process::exit(code.into())
    }
}

/// Vectors of one length, added one after another: `((a + b) + c) + d`.
pub fn in_order<'a>(mut vectors: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut sum = vectors.next().map(<[f32]>::to_vec).unwrap_or_default();
    for vector in vectors {
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x);
    }
    sum
}

/// [`in_order`] of the rows of `[N, n]`, on their device: the same bits.
#[cfg(any(test, feature = "nccl"))]
pub fn rows_in_order(rows: &Tensor<2>) -> Tensor<1> {
    let row = |index| rows.clone().narrow(0, index, 1).squeeze_dim::<1>(0);
    (1..rows.dims()[0]).fold(row(0), |sum, index| sum + row(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_sum_is_taken_from_left_to_right() {
        // The first small number is lost beside the large one, the last is not.
        let parts = [vec![1e8, 1.0], vec![3.0, 2.0], vec![-1e8, 3.0], vec![3.0, 4.0]];
        assert_eq!(OneProcess.sum(&parts).unwrap(), [3.0, 10.0]);
        assert_eq!(in_order(parts[1..].iter().map(Vec::as_slice)), [-1e8, 9.0]);
        let rows = Tensor::<1>::from_floats(parts.concat().as_slice(), &Device::flex()).reshape([4, 2]);
        assert_eq!(compute::read("sum", rows_in_order(&rows)).unwrap(), [3.0, 10.0]);
    }
}
