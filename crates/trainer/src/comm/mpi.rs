//! Processes that MPI brings together.
//!
//! Bits must not depend on the number of processes, and MPI's own sums do: the order of additions is the library's. So the
//! parts travel as they are and are added here, in their order. Short vectors and those of few shards go to everybody; else each
//! process adds up a slice and tells the others, which costs every process twice the vector's length however many there are.

use std::thread;

use anyhow::{Context, Result, ensure};
use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Root, Source};

use super::{Processes, in_order};

/// Floats of all shards that are sent to everybody: more are added up in slices.
const SHORT: usize = 1 << 14;
/// Shards whose vectors are sent to everybody whatever their length: two calls would not send less.
const FEW: usize = 3;
/// Bytes of one message: MPI counts in 32-bit integers.
const MESSAGE: usize = 1 << 30;

/// The processes that were begun together, until it is dropped: nothing can be said after that.
pub struct Mpi {
    size: usize,
    rank: usize,
    _universe: Universe,
}

impl Mpi {
    /// Joins the others.
    ///
    /// # Errors
    /// When this process has done so before, or the library cannot be used from a thread that is not the first.
    pub fn connect() -> Result<Self> {
        let (universe, threading) = mpi::initialize_with_threading(Threading::Serialized)
            .context("MPI cannot be initialised: this process has done so before")?;
        ensure!(threading >= Threading::Serialized, "this MPI was built without support for threads");
        let world = universe.world();
        Ok(Self { size: world.size() as usize, rank: world.rank() as usize, _universe: universe })
    }

    fn world(&self) -> SimpleCommunicator {
        SimpleCommunicator::world()
    }

    /// The sum where every process has all parts of all processes, `parts` for each.
    fn sum_here(&self, all: &[f32], length: usize) -> Vec<f32> {
        let mut everything = vec![0.0; all.len() * self.size];
        self.world().all_gather_into(all, &mut everything[..]);
        in_order(everything.chunks_exact(length.max(1)))
    }

    /// The sum by slices: slice `i` of all parts goes to process `i`, which adds it up for all.
    fn sum_by_slices(&self, parts: &[Vec<f32>], length: usize) -> Vec<f32> {
        let (size, slice) = (self.size, length.div_ceil(self.size));
        let mut sent = Vec::with_capacity(size * parts.len() * slice);
        for i in 0..size {
            for part in parts {
                let taken = &part[(i * slice).min(length)..((i + 1) * slice).min(length)];
                sent.extend_from_slice(taken);
                sent.resize(sent.len() + slice - taken.len(), 0.0);
            }
        }
        let mut received = vec![0.0; sent.len()];
        self.world().all_to_all_into(&sent[..], &mut received[..]);
        let own = in_order(received.chunks_exact(slice));
        let mut sum = vec![0.0; size * slice];
        self.world().all_gather_into(&own[..], &mut sum[..]);
        sum.truncate(length);
        sum
    }
}

impl Processes for Mpi {
    fn size(&self) -> usize {
        self.size
    }

    fn rank(&self) -> usize {
        self.rank
    }

    fn sum(&self, parts: &[Vec<f32>]) -> Result<Vec<f32>> {
        let length = parts.first().map_or(0, Vec::len);
        let shards = parts.len() * self.size;
        if shards <= FEW || length * shards <= SHORT {
            return Ok(self.sum_here(&parts.concat(), length));
        }
        Ok(self.sum_by_slices(parts, length))
    }

    fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut lengths = vec![0u64; self.size];
        self.world().all_gather_into(&(bytes.len() as u64), &mut lengths[..]);
        let total: u64 = lengths.iter().sum();
        ensure!(total < MESSAGE as u64, "{total} bytes are more than all processes can list for each other");
        let counts: Vec<i32> = lengths.iter().map(|length| *length as i32).collect();
        let starts: Vec<i32> =
            counts.iter().scan(0, |next, count| Some(std::mem::replace(next, *next + count))).collect();
        let mut all = vec![0u8; total as usize];
        self.world().all_gather_varcount_into(bytes, &mut PartitionMut::new(&mut all[..], &counts[..], &starts[..]));
        let of = |(start, count): (&i32, &i32)| all[*start as usize..(*start + *count) as usize].to_vec();
        Ok(starts.iter().zip(&counts).map(of).collect())
    }

    fn collect(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let world = self.world();
        if self.rank > 0 {
            let root = world.process_at_rank(0);
            root.send(&(bytes.len() as u64));
            bytes.chunks(MESSAGE).for_each(|chunk| root.send(chunk));
            return Ok(Vec::new());
        }
        let mut all = vec![bytes];
        for rank in 1..self.size {
            let other = world.process_at_rank(rank as i32);
            let mut length = 0u64;
            other.receive_into(&mut length);
            let mut bytes = vec![0u8; length as usize];
            for chunk in bytes.chunks_mut(MESSAGE) {
                other.receive_into(chunk);
            }
            all.push(bytes);
        }
        Ok(all)
    }

    fn broadcast(&self, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
        let world = self.world();
        let root = world.process_at_rank(0);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        bytes.chunks_mut(MESSAGE).for_each(|chunk| root.broadcast_into(chunk));
        Ok(bytes)
    }

    fn host(&self) -> String {
        mpi::environment::processor_name().unwrap_or_else(|_| "a host without a name".to_owned())
    }

    fn abort(&self, code: u8) -> ! {
        self.world().abort(code.into());
    }
}

impl Drop for Mpi {
    /// A process that ends by a panic would leave the others waiting for it.
    fn drop(&mut self) {
        if thread::panicking() {
            self.abort(1);
        }
    }
}
