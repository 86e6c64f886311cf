//! One K-FAC policy update with the steps of the hand-written peer in `benches/compare`, and no others:
//! `cargo bench -p trainer --bench kfac_update -- [--threads N] [--batch N,..] [--hidden 64,64] [--fisher exact|sampled]
//! [--length kronecker|exact] [--seconds S] [--json] [--parts]`.
//!
//! Forward, surrogates of reward and cost, Fisher scores, two gradients and the factors, their moving average, damped
//! inverses of all factors, two natural gradients, a blend of fixed weights, the step to the trust region's edge, the
//! divergence it causes, and the choice between the old policy and the new. Training does more: it shuffles and gathers,
//! averages gradients, projects, and measures the divergence of a whole epoch (`trainer bench kfac` times all of that).
//!
//! `--parts` times the update's parts instead, with the rate of each beside the processor's peak.

use std::error::Error;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use compute::noise::{NoiseKey, Stream};
use kfac::benchmark::{Operations, Peak, PolicyUpdate};
use kfac::{Activation, Factors, FisherKind, Mlp, MlpSpec, exact_seeds, score_seeds, trust_region};
use safe_rl::{Gaussian, LOG_STD_FISHER};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const OBSERVATIONS: usize = 60;
const ACTIONS: usize = 2;
const DAMPING: f32 = 0.1;
const KL_LIMIT: f32 = 0.01;
/// Weight of the cost's natural gradient in the fixed blend.
const COST_WEIGHT: f32 = 0.3;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    if options.parts {
        return parts(&options);
    }
    for hidden in &options.hidden {
        for &batch in &options.batch {
            for &exact_fisher in &options.exact_fisher {
                let mut update = Update::new(hidden, batch, exact_fisher, options.exact_length)?;
                let Figures { wall, processor, least, kl } = update.measure(options.seconds)?;
                let rate = 1e-6 * update.operations() / wall;
                let fisher = if exact_fisher { "exact" } else { "sampled" };
                let length = if options.exact_length { "exact" } else { "kronecker" };
                let threads = rayon::current_num_threads();
                if options.json {
                    println!(
                        "{{\"hidden\": {hidden:?}, \"batch\": {batch}, \"threads\": {threads}, \"fisher\": \"{fisher}\", \
                         \"length\": \"{length}\", \"ms_per_update\": {wall:.4}, \
                         \"processor_ms_per_update\": {processor:.4}, \"least_ms_per_update\": {least:.4}, \"gflop_per_s\": {rate:.1}, \"kl\": {kl}}}"
                    );
                } else {
                    println!(
                        "{OBSERVATIONS}-{hidden:?}-{ACTIONS} batch {batch:6}, {threads} threads, {fisher} Fisher, \
                         {length} length: {wall:8.3} ms, least {least:8.3}, {processor:8.3} of processor time, {rate:4.0} GFLOP/s"
                    );
                }
            }
        }
    }
    Ok(())
}

/// One row a configuration: milliseconds and GFLOP/s of each part, operations counted at their least.
fn parts(options: &Options) -> Result<(), Box<dyn Error>> {
    let threads = rayon::current_num_threads();
    let peak = Peak::measure(threads, Duration::from_millis(300));
    println!(
        "{threads} threads: peak {:.0} GFLOP/s on registers, {:.0} by a product in cache",
        1e-9 * peak.registers,
        1e-9 * peak.product
    );
    for hidden in &options.hidden {
        for &batch in &options.batch {
            for &exact in &options.exact_fisher {
                let kind = if exact { FisherKind::Exact } else { FisherKind::Sampled };
                let sizes = [&[OBSERVATIONS][..], hidden, &[ACTIONS]].concat();
                let mut update = PolicyUpdate::new(&sizes, batch, kind, &Device::flex())?;
                let work = update.operations();
                let probe = update.parts(1)?;
                let once = probe.forward + probe.statistics + probe.inverse + probe.divergence;
                let part = update.parts(((options.seconds / once) as usize).clamp(5, 2000))?;
                let rows = [
                    ("forward", part.forward, work.forward),
                    ("gradients", part.gradients, work.backward + work.gradients),
                    ("statistics", part.statistics, work.statistics()),
                    ("inverse", part.inverse, work.inverse),
                    ("precondition", part.precondition, work.precondition),
                    ("jacobian", part.jacobian, work.jacobian),
                    ("divergence", part.divergence, work.divergence),
                ];
                print!("{hidden:?} batch {batch} {kind:?}:");
                for (name, seconds, operations) in rows {
                    print!(" {name} {:.3} ms {:.0},", 1e3 * seconds, 1e-9 * operations / seconds);
                }
                println!();
            }
        }
    }
    Ok(())
}

struct Options {
    threads: usize,
    batch: Vec<usize>,
    hidden: Vec<Vec<usize>>,
    exact_fisher: Vec<bool>,
    exact_length: bool,
    seconds: f64,
    json: bool,
    parts: bool,
}

impl Options {
    fn parse() -> Result<Options, Box<dyn Error>> {
        let mut options = Options {
            threads: 0,
            batch: vec![4096, 32768],
            hidden: vec![vec![64, 64], vec![256, 256]],
            exact_fisher: vec![true, false],
            exact_length: false,
            seconds: 2.0,
            json: false,
            parts: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--threads" => options.threads = value()?.parse()?,
                "--batch" => options.batch = list(&value()?)?,
                "--hidden" => options.hidden = vec![list(&value()?)?],
                "--fisher" => options.exact_fisher = vec![either(&value()?, "exact", "sampled")?],
                "--length" => options.exact_length = either(&value()?, "exact", "kronecker")?,
                "--seconds" => options.seconds = value()?.parse()?,
                "--json" => options.json = true,
                "--parts" => options.parts = true,
                "--bench" => {} // `cargo bench` adds it
                _ => return Err(format!("unknown argument {name}").into()),
            }
        }
        Ok(options)
    }
}

fn list(text: &str) -> Result<Vec<usize>, Box<dyn Error>> {
    Ok(text.split(',').map(str::parse).collect::<Result<_, _>>()?)
}

fn either(text: &str, yes: &str, no: &str) -> Result<bool, String> {
    if text == yes || text == no { Ok(text == yes) } else { Err(format!("{text}: expected {yes} or {no}")) }
}

/// Milliseconds of an update.
struct Figures {
    /// Median wall time.
    wall: f64,
    /// Mean processor time of all threads.
    processor: f64,
    /// Least wall time.
    least: f64,
    /// The divergence that the last update caused.
    kl: f32,
}

/// A policy with a batch of its own, and what lasts from update to update.
struct Update {
    policy: Mlp,
    log_std: Tensor<1>,
    factors: Factors,
    observations: Tensor<2>,
    action: Tensor<2>,
    old_mean: Tensor<2>,
    old_log_prob: Tensor<1>,
    advantage: Tensor<2>,
    exact_fisher: bool,
    exact_length: bool,
    step: u64,
}

impl Update {
    fn new(hidden: &[usize], batch: usize, exact_fisher: bool, exact_length: bool) -> Result<Update, Box<dyn Error>> {
        let device = Device::flex();
        let sizes = [&[OBSERVATIONS][..], hidden, &[ACTIONS]].concat();
        let spec = MlpSpec::new(sizes, Activation::Tanh)?;
        let policy = Mlp::init(spec.clone(), 1, 1.0, &device);
        let log_std = Tensor::full([ACTIONS], -0.5, &device);
        let noise = |stream: u32, shape: [usize; 2]| {
            let standard = Gaussian::new(Tensor::zeros(shape, &device), Tensor::zeros([shape[1]], &device));
            standard.sample(NoiseKey { seed: 1, stream: Stream::Other(stream), step: 0 })
        };
        let observations = noise(1, [batch, OBSERVATIONS]);
        let behaviour = Gaussian::new(policy.forward(observations.clone()), log_std.clone());
        let (action, old_log_prob) = behaviour.act(NoiseKey { seed: 1, stream: Stream::Other(2), step: 0 });
        Ok(Update {
            factors: Factors::new(&spec, 0.95, &device)?,
            policy,
            log_std,
            observations,
            action,
            old_mean: behaviour.mean,
            old_log_prob,
            advantage: noise(3, [batch, 2]).transpose() + 0.0,
            exact_fisher,
            exact_length,
            step: 0,
        })
    }

    /// Floating-point operations of an update, at their least.
    fn operations(&self) -> f64 {
        let kind = if self.exact_fisher { FisherKind::Exact } else { FisherKind::Sampled };
        let work = Operations::new(self.policy.spec(), self.observations.dims()[0], kind);
        work.total() - if self.exact_length { 0.0 } else { work.jacobian }
    }

    /// One update; returns the divergence. The policy stays as it was, so that every call does the same work.
    fn run(&mut self) -> Result<f32, Box<dyn Error>> {
        let forward = self.policy.forward_pass(self.observations.clone());
        let policy = Gaussian::new(forward.outputs(), self.log_std.clone());
        let surrogate = policy.surrogate(&self.action, &self.old_log_prob, &self.advantage, None);
        let seeds = if self.exact_fisher {
            exact_seeds(self.log_std.clone())
        } else {
            self.step += 1;
            let actions = policy.sample(NoiseKey { seed: 1, stream: Stream::Other(4), step: self.step });
            score_seeds(actions.unsqueeze_dim(0), policy.mean.clone(), self.log_std.clone())
        };
        let statistics = forward.statistics(surrogate.mean, seeds);
        self.factors.update(&statistics.factors);
        let inverses = self.factors.inverse(DAMPING)?;
        let gradients = statistics.gradients;
        let natural = inverses.natural_gradients(gradients.clone());
        let spread = surrogate.log_std.clone() / (LOG_STD_FISHER + DAMPING);
        let (theta, log_std) = (blend(&natural), blend(&spread));
        let quadratic = if self.exact_length {
            let moved = forward.jvp(theta.clone());
            trust_region::gaussian_quadratic(moved, policy.inverse_variance())
                + trust_region::log_std_quadratic(log_std.clone())
        } else {
            (blend(&gradients) * theta.clone()).sum() + (blend(&surrogate.log_std) * log_std.clone()).sum()
        };
        let length = trust_region::step_length(quadratic, Tensor::full([1], KL_LIMIT, &theta.device()), 1e6);
        let candidate = self.policy.with_theta(self.policy.theta().clone() + theta * length.clone());
        let candidate_log_std = self.log_std.clone() + log_std * length;
        let moved = Gaussian::new(candidate.forward(self.observations.clone()), candidate_log_std);
        let kl: f32 = moved.mean_kl(&self.old_mean, &self.log_std).into_scalar();
        let _chosen = if kl <= KL_LIMIT { candidate } else { self.policy.clone() };
        Ok(kl)
    }

    fn measure(&mut self, seconds: f64) -> Result<Figures, Box<dyn Error>> {
        for _ in 0..3 {
            self.run()?;
        }
        let mut times = Vec::new();
        let mut kl = 0.0;
        let (begin, processor) = (Instant::now(), processor_ms());
        while times.len() < 5 || begin.elapsed().as_secs_f64() < seconds {
            let start = Instant::now();
            kl = self.run()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let processor = (processor_ms() - processor) / times.len() as f64;
        times.sort_by(f64::total_cmp);
        Ok(Figures { wall: times[times.len() / 2], processor, least: times[0], kl })
    }
}

/// The first row less its share of the second, of `[2, P]`.
fn blend(both: &Tensor<2>) -> Tensor<1> {
    let row = |s: usize| both.clone().slice([s..s + 1]).squeeze_dim::<1>(0);
    row(0) * (1.0 - COST_WEIGHT) - row(1) * COST_WEIGHT
}

/// Processor time of all threads so far in milliseconds; NaN where the system does not say (it is not Linux).
fn processor_ms() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return f64::NAN };
    let run_time = |task: std::fs::DirEntry| -> Option<f64> {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    tasks.flatten().filter_map(run_time).sum::<f64>() * 1e-6
}
