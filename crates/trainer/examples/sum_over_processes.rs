//! How long a sum over processes takes, in the order of the shards and by the MPI library's own `MPI_Allreduce`.
//!
//! ```sh
//! cargo build -p trainer --features mpi --example sum_over_processes
//! mpirun -n 4 target/debug/examples/sum_over_processes
//! ```

use std::time::Instant;

use anyhow::{Result, ensure};
use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::CommunicatorCollectives;
use trainer::comm::launch;

/// As in the program: buffers of megabytes come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lengths of the vectors: a number, a critic's gradient, what a minibatch of KFCPO sums with networks of 64-64 and of 256-256.
const LENGTHS: [usize; 5] = [1, 8_129, 36_759, 430_743, 1_000_000];
/// Sums of each length, of which the median is told.
const REPEATS: usize = 101;

fn main() -> Result<()> {
    let processes = launch::connect()?;
    ensure!(processes.size() > 1, "one process has nobody to sum with: mpirun -n 2 {}", file!());
    if processes.rank() == 0 {
        println!(
            "{:>10} floats {:>12} {:>12}   us, median of {REPEATS}, {} processes",
            "",
            "in order",
            "allreduce",
            processes.size()
        );
    }
    for length in LENGTHS {
        let vector: Vec<f32> = (0..length).map(|i| (i % 97) as f32 * 0.01).collect();
        let parts = [vector.clone()];
        let in_order = median(|| processes.sum(&parts).map(drop))?;
        let mut sum = vec![0.0f32; length];
        let allreduce = median(|| {
            SimpleCommunicator::world().all_reduce_into(&vector[..], &mut sum[..], SystemOperation::sum());
            Ok(())
        })?;
        if processes.rank() == 0 {
            println!("{length:>10} floats {in_order:>12.1} {allreduce:>12.1}");
        }
    }
    Ok(())
}

/// Microseconds that `work` takes.
fn median(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[REPEATS / 2])
}
