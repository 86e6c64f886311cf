//! Environment steps per second on the CPU with random actions: `cargo bench -p envs --bench env_step [-- ID [NUM_ENVS]]`.
//!
//! Actions are made beforehand; a step is what a trainer calls: tensors in, tensors out, autoreset included.

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use envs::{Navigation, NavigationSpec, VecEnv, find, registry};
use test_support::numbers::{random_actions, tensor};

const WARM_UP: usize = 200;
const STEPS: usize = 1000;
const REPEATS: usize = 5;
/// Distinct action batches, cycled.
const BATCHES: usize = 16;

fn main() {
    // `cargo bench` adds flags of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let specs = match arguments.next() {
        Some(id) => vec![find(&id).unwrap_or_else(|error| panic!("{error}"))],
        None => registry().to_vec(),
    };
    let sizes = match arguments.next() {
        Some(n) => vec![n.parse().expect("NUM_ENVS is a number")],
        None => vec![1, 64, 1024, 8192],
    };
    println!("{} threads", rayon::current_num_threads());
    for spec in &specs {
        for n in &sizes {
            let (best, median) = measure(spec, *n);
            println!("{:24} {n:6} envs: {:.2} M steps/s (median {:.2})", spec.env.id, best * 1e-6, median * 1e-6);
        }
    }
}

/// Best and median steps per second over the repeats.
fn measure(spec: &NavigationSpec, n: usize) -> (f64, f64) {
    let device = Device::flex();
    let mut env = Navigation::new(spec.clone(), n, 1, &device).expect("the CPU backend is always supported");
    env.reset(true);
    let actions: Vec<Tensor<2>> = (0..BATCHES).map(|batch| actions(spec, n, batch, &device)).collect();
    for t in 0..WARM_UP {
        env.step(actions[t % BATCHES].clone());
    }
    let mut rates: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            for t in 0..STEPS {
                env.step(actions[t % BATCHES].clone());
            }
            (n * STEPS) as f64 / start.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    (rates[REPEATS - 1], rates[REPEATS / 2])
}

fn actions(spec: &NavigationSpec, n: usize, batch: usize, device: &Device) -> Tensor<2> {
    tensor(&random_actions(batch, n * spec.env.action_dim), [n, spec.env.action_dim], device)
}
