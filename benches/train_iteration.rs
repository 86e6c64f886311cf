//! Environment steps per second of the whole training loop on the CPU, default configuration:
//! `cargo bench -p trainer --bench train_iteration [-- ENV [THREADS]]`.

use std::error::Error;
use std::time::Instant;

use burn::tensor::Device;
use trainer::config::{EnvSetting, TrainConfig};
use trainer::runner::Runner;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Iterations before the measurement; the first has no update.
const WARM_UP: usize = 5;
const REPEATS: usize = 7;
const ITERATIONS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` adds flags of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let env = arguments.next().map_or_else(|| TrainConfig::default().env, EnvSetting::from);
    let threads = arguments.next().map_or(Ok(0), |n| n.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let config = TrainConfig { env, ..TrainConfig::default() };
    let samples = config.batch_size() as f64;
    let mut runner = Runner::new(config, Device::flex())?;
    for _ in 0..WARM_UP {
        runner.iterate()?;
    }
    let mut rates = Vec::with_capacity(REPEATS);
    let (mut rollout, mut update) = (0.0, 0.0);
    for _ in 0..REPEATS {
        let start = Instant::now();
        for _ in 0..ITERATIONS {
            let report = runner.iterate()?;
            rollout += report.rollout_s;
            update += report.update_s;
        }
        rates.push(ITERATIONS as f64 * samples / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "{} {} threads: median {:.0} steps/s, best {:.0}; rollout {:.0} % of the time",
        runner.config().env,
        rayon::current_num_threads(),
        rates[REPEATS / 2],
        rates[REPEATS - 1],
        100.0 * rollout / (rollout + update),
    );
    Ok(())
}
