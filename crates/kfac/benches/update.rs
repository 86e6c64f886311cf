//! Times one complete policy update and its pieces: `cargo bench -p kfac` (set RAYON_NUM_THREADS for the threads).

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use kfac::benchmark::{PolicyUpdate, UpdateKind};
use kfac::{Activation, Mlp, MlpSpec};

/// Median and least milliseconds of one call, after two calls of warm-up, over about `seconds`.
fn time(seconds: f64, mut body: impl FnMut()) -> (f64, f64) {
    body();
    body();
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < 7 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        body();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

fn report(what: &str, (median, least): (f64, f64), work: f64, peak: f64) {
    let rate = 2.0 * work / least / 1e6;
    println!("{what:46} {median:9.3} ms median {least:9.3} ms least {rate:7.1} GFLOP/s {:4.0} %", 100.0 * rate / peak);
}

fn main() {
    let device = Device::flex();
    // The peak to compare with: burn's own matrix product.
    let n = 1024;
    let a = Tensor::<2>::ones([n, n], &device);
    let (_, least) = time(1.0, || {
        black_box(a.clone().matmul(a.clone()).into_data());
    });
    let peak = 2.0 * (n * n * n) as f64 / least / 1e6;
    println!("threads {}, product of {n} x {n} by burn: {peak:.0} GFLOP/s = 100 %", rayon::current_num_threads());

    for hidden in [64, 256] {
        let sizes = [60, hidden, hidden, 2];
        for kind in [UpdateKind::Exact, UpdateKind::Sampled] {
            for rows in [4096, 32768] {
                let mut update = PolicyUpdate::new(&sizes, rows, kind, &device).expect("valid sizes");
                let times = time(1.5, || {
                    black_box(update.run().expect("valid damping"));
                });
                report(
                    &format!("{kind:?} update {sizes:?} batch {rows}"),
                    times,
                    0.5 * update.operations().total(),
                    peak,
                );
            }
        }
        let spec = MlpSpec::new(sizes, Activation::Tanh).expect("valid sizes");
        let work = spec.num_params() as f64;
        let policy = Mlp::init(spec, 1, 1.0, &device);
        for rows in [512, 4096] {
            let x = Tensor::<2>::ones([rows, 60], &device);
            let times = time(0.5, || {
                black_box(policy.forward(x.clone()));
            });
            report(&format!("forward {sizes:?} batch {rows}"), times, rows as f64 * work, peak);
        }
        let spec = MlpSpec::new([60, hidden, hidden, 1], Activation::Tanh).expect("valid sizes");
        let work = (2 * spec.num_params() + (hidden + 1) * hidden) as f64;
        let critic = Mlp::init(spec, 1, 1.0, &device);
        for rows in [2048, 8192] {
            let (x, targets) = (Tensor::<2>::ones([rows, 60], &device), Tensor::<2>::ones([rows, 1], &device));
            let times = time(0.5, || {
                black_box(critic.regression_gradient(x.clone(), targets.clone()));
            });
            report(&format!("regression gradient batch {rows}"), times, rows as f64 * work, peak);
        }
    }
}
