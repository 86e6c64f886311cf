//! `bench`: measures on this machine, warm, the median of several rounds, beside the machine's own peak.
//!
//! The peak is measured in the same run: a large matrix product for what computes, a large copy for what moves
//! data. A share of it says how much a faster program could still gain at most.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use burn::tensor::{Device, Distribution, Tensor};
use envs::{EnvSpec, VecEnv};
use rayon::prelude::*;
use safe_rl::Samples;
use serde_json::{Value, json};

use crate::actor::Actor;
use crate::algorithm::{self, CostEstimate, Progress};
use crate::cli::{BenchArgs, BenchTarget, print};
use crate::config::TrainConfig;
use crate::device::{DeviceChoice, SelectedDevice, select_device, synchronize};
use crate::error::UsageError;
use crate::runner::Runner;
use crate::statistics::median;

/// Rounds of a measurement.
const ROUNDS: usize = 7;
/// Seconds a round lasts at least, so that the clock and the first cache misses do not matter.
const ROUND_SECONDS: f64 = 0.5;
/// Seconds of warming up: threads start, caches fill, GPU kernels are compiled.
const WARM_UP_SECONDS: f64 = 1.0;
/// Rows and columns of the product that shows the arithmetic peak.
const PEAK_SIZE: usize = 1024;
/// Float32 numbers copied to show the memory peak: 128 MB, beyond any cache.
const COPY_NUMBERS: usize = 1 << 25;
/// Environments of `bench env` unless said: enough to fill every thread many times.
const DEFAULT_ENVS: u64 = 4096;
/// Bytes of a float32.
const FLOAT: f64 = 4.0;

/// Measures what the arguments name.
///
/// # Errors
/// When the environment, the sizes or the device are not usable.
pub fn run(args: &BenchArgs) -> Result<ExitCode> {
    let spec = envs::find(&args.env).map_err(|error| UsageError::new(error.to_string()))?;
    let threads = args.common.apply_threads()?;
    let selected = select_device(args.common.device)?;
    let bench = Bench { args, spec, selected, threads };
    let (row, text) = match args.what {
        BenchTarget::Env => bench.env()?,
        BenchTarget::Kfac => bench.kfac()?,
        BenchTarget::Train => bench.train()?,
    };
    print(&if args.json { row.to_string() } else { text })?;
    Ok(ExitCode::SUCCESS)
}

struct Bench<'a> {
    args: &'a BenchArgs,
    spec: EnvSpec,
    selected: SelectedDevice,
    threads: usize,
}

impl Bench<'_> {
    /// Environment steps a second under random actions, against what a memory copy would allow.
    fn env(&self) -> Result<(Value, String)> {
        let num_envs = self.args.num_envs.unwrap_or(DEFAULT_ENVS) as usize;
        let device = &self.selected.device;
        let mut env = VecEnv::new(self.spec.clone(), num_envs, 0, device)?;
        env.reset_staggered();
        let shape = [num_envs, self.spec.action_dim];
        let actions: Vec<Tensor<2>> =
            (0..16).map(|_| Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)).collect();
        let mut next = actions.iter().cycle();
        let seconds = self.seconds_of(|| {
            if let Some(action) = next.next() {
                env.step(action.clone());
            }
            Ok(())
        })?;
        let steps_per_s = num_envs as f64 / seconds;
        // The state is read and written, the action read, two observations and seven numbers written.
        let numbers = 2 * self.spec.state_dim() + self.spec.action_dim + 2 * self.spec.obs_dim + 7;
        let copied = self.copied_bytes_per_s()?;
        let share = steps_per_s * numbers as f64 * FLOAT / copied;
        let mut row = self.row("env");
        row["num_envs"] = json!(num_envs);
        row["steps_per_s"] = json!(steps_per_s);
        row["peak_share"] = json!(share);
        row["peak_copy_bytes_per_s"] = json!(copied);
        row["bytes_per_env"] = json!(env.bytes() / num_envs);
        row["bytes"] = json!(env.bytes());
        let text = format!(
            "{}: {num_envs} environments, {} -> {:.0} steps/s ({:.1} % of what copying their data at {:.1} GB/s allows); \
             {} bytes an environment, {:.1} MB in all",
            self.spec.id,
            self.machine(),
            steps_per_s,
            100.0 * share,
            copied / 1e9,
            env.bytes() / num_envs,
            env.bytes() as f64 / 1e6
        );
        Ok((row, text))
    }

    /// One complete KFCPO policy update on a batch of random samples, against the matrix product's speed.
    fn kfac(&self) -> Result<(Value, String)> {
        let batch = self.args.batch as usize;
        let mut config = TrainConfig { env: self.spec.id.clone(), ..TrainConfig::default() };
        config.policy.hidden.clone_from(&self.args.hidden);
        config.kfcpo.minibatch_size = batch;
        config.kfcpo.epochs = 1;
        config.validate().map_err(|error| UsageError::new(format!("{error:#}")))?;
        let device = &self.selected.device;
        let start = Actor::new(&config, self.spec.obs_dim, self.spec.action_dim, device)?;
        let samples = random_samples(&start, &self.spec, batch, device);
        let mut update = algorithm::build(&config, &start)?;
        let cost = CostEstimate { rollout: config.cost_limit, episodes: config.cost_limit };
        let seconds = self.seconds_of(|| {
            // From the same policy every time: the trust region is then never used up.
            let mut actor = start.clone();
            update.update(&mut actor, &samples, cost, Progress { fraction: 0.0, iteration: 1 })?;
            Ok(())
        })?;
        let sizes = [&[self.spec.obs_dim][..], &self.args.hidden, &[self.spec.action_dim]].concat();
        let operations = update_operations(&sizes, batch);
        let peak = self.product_operations_per_s()?;
        let share = operations / seconds / peak;
        let mut row = self.row("kfac");
        row["batch"] = json!(batch);
        row["hidden"] = json!(self.args.hidden);
        row["ms_per_update"] = json!(1e3 * seconds);
        row["peak_share"] = json!(share);
        row["peak_product_flop_per_s"] = json!(peak);
        let text = format!(
            "KFCPO update, {sizes:?}, batch {batch}, {} -> {:.2} ms ({:.0} GFLOP/s, {:.0} % of a matrix product's {:.0})",
            self.machine(),
            1e3 * seconds,
            operations / seconds / 1e9,
            100.0 * share,
            peak / 1e9
        );
        Ok((row, text))
    }

    /// Environment steps a second of the training loop with its default configuration.
    fn train(&self) -> Result<(Value, String)> {
        let mut config = TrainConfig { env: self.spec.id.clone(), total_steps: u64::MAX, ..TrainConfig::default() };
        config.policy.hidden.clone_from(&self.args.hidden);
        if let Some(num_envs) = self.args.num_envs {
            config.num_envs = num_envs as usize;
        }
        config.validate().map_err(|error| UsageError::new(format!("{error:#}")))?;
        let mut runner = Runner::new(config.clone(), self.selected.device.clone())?;
        let (mut rollout_s, mut update_s) = (0.0, 0.0);
        let seconds = self.seconds_of(|| {
            let report = runner.iterate()?;
            rollout_s += report.rollout_s;
            update_s += report.update_s;
            Ok(())
        })?;
        let steps_per_s = config.batch_size() as f64 / seconds;
        let operations = iteration_operations(&config, &self.spec);
        let peak = self.product_operations_per_s()?;
        let share = operations / seconds / peak;
        let mut row = self.row("train");
        row["num_envs"] = json!(config.num_envs);
        row["hidden"] = json!(self.args.hidden);
        row["steps_per_s"] = json!(steps_per_s);
        row["rollout_share"] = json!(rollout_s / (rollout_s + update_s));
        row["peak_share"] = json!(share);
        row["peak_product_flop_per_s"] = json!(peak);
        let text = format!(
            "KFCPO on {}: {} environments, {} -> {:.0} steps/s, {:.0} % of it in rollouts \
             (networks {:.0} GFLOP/s, {:.0} % of a matrix product's {:.0})",
            self.spec.id,
            config.num_envs,
            self.machine(),
            steps_per_s,
            100.0 * rollout_s / (rollout_s + update_s),
            operations / seconds / 1e9,
            100.0 * share,
            peak / 1e9
        );
        Ok((row, text))
    }

    fn row(&self, what: &str) -> Value {
        json!({
            "what": what,
            "env": self.spec.id,
            "device": self.selected.name(),
            "threads": self.threads,
        })
    }

    fn machine(&self) -> String {
        let plural = if self.threads == 1 { "" } else { "s" };
        format!("{}, {} thread{plural}", self.selected.name(), self.threads)
    }

    /// Seconds of one call of `work`, round by round: warmed up, the device waited for inside the round.
    fn rounds_of(&self, mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
        let device = &self.selected.device;
        let mut round = |seconds: f64| -> Result<f64> {
            let start = Instant::now();
            let mut calls = 0;
            while calls == 0 || start.elapsed().as_secs_f64() < seconds {
                work()?;
                calls += 1;
                synchronize(device)?;
            }
            Ok(start.elapsed().as_secs_f64() / f64::from(calls))
        };
        round(WARM_UP_SECONDS)?;
        (0..ROUNDS).map(|_| round(ROUND_SECONDS)).collect()
    }

    /// The usual speed of `work`: the median round.
    fn seconds_of(&self, work: impl FnMut() -> Result<()>) -> Result<f64> {
        Ok(median(&self.rounds_of(work)?))
    }

    /// The best speed of `work`: what a peak means.
    fn best_seconds_of(&self, work: impl FnMut() -> Result<()>) -> Result<f64> {
        Ok(self.rounds_of(work)?.into_iter().fold(f64::INFINITY, f64::min))
    }

    /// Floating-point operations a second of a square matrix product.
    fn product_operations_per_s(&self) -> Result<f64> {
        let device = &self.selected.device;
        let random = || Tensor::<2>::random([PEAK_SIZE; 2], Distribution::Uniform(-1.0, 1.0), device);
        let (a, b) = (random(), random());
        let seconds = self.best_seconds_of(|| {
            let _product = a.clone().matmul(b.clone());
            Ok(())
        })?;
        Ok(2.0 * (PEAK_SIZE as f64).powi(3) / seconds)
    }

    /// Bytes a second of a large copy, read and written both counted.
    fn copied_bytes_per_s(&self) -> Result<f64> {
        let bytes = 2.0 * COPY_NUMBERS as f64 * FLOAT;
        if self.selected.choice == DeviceChoice::Cpu {
            let source = vec![1f32; COPY_NUMBERS];
            let mut target = vec![0f32; COPY_NUMBERS];
            let piece = COPY_NUMBERS.div_ceil(self.threads);
            let seconds = self.best_seconds_of(|| {
                let pieces = target.par_chunks_mut(piece).zip(source.par_chunks(piece));
                pieces.for_each(|(to, from)| to.copy_from_slice(from));
                Ok(())
            })?;
            return Ok(bytes / seconds);
        }
        let source = Tensor::<1>::ones([COPY_NUMBERS], &self.selected.device);
        let seconds = self.best_seconds_of(|| {
            let _copy = source.clone().add_scalar(1.0); // the simplest operation that cannot share the buffer
            Ok(())
        })?;
        Ok(bytes / seconds)
    }
}

/// Samples as a rollout of `actor` would give them, with random observations and advantages.
fn random_samples(actor: &Actor, spec: &EnvSpec, batch: usize, device: &Device) -> Samples {
    let normal = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device);
    let obs = normal([batch, spec.obs_dim]);
    let policy = actor.distribution(obs.clone());
    let noise = normal([batch, spec.action_dim]);
    let action = policy.mean.clone() + noise * policy.log_std.clone().exp().unsqueeze();
    let log_prob = policy.log_prob(&action);
    Samples { obs, mean: policy.mean, log_prob, action, advantage: normal([2, batch]), target: normal([2, batch]) }
}

/// Multiplications and additions of one policy update, to first order: matrix products alone.
fn update_operations(sizes: &[usize], batch: usize) -> f64 {
    let actions = sizes[sizes.len() - 1] as f64;
    let layers: Vec<(f64, f64)> = sizes.windows(2).map(|pair| (pair[0] as f64 + 1.0, pair[1] as f64)).collect();
    let weights: f64 = layers.iter().map(|(inputs, outputs)| inputs * outputs).sum();
    let above_first = weights - layers[0].0 * layers[0].1;
    // Forward: before the step, inside the statistics and inside the Jacobian product, of the candidate, of the epoch.
    let forward = 5.0 * weights;
    // Backward through the upper layers with reward, cost and one Fisher column per action; two gradients.
    let backward = (2.0 + actions) * above_first + 2.0 * weights;
    // The Jacobian product carries one tangent beside the forward pass.
    let tangent = 2.0 * weights;
    let factors: f64 = layers.iter().map(|(inputs, outputs)| inputs * inputs + actions * outputs * outputs).sum();
    2.0 * batch as f64 * (forward + backward + tangent + factors)
}

/// Matrix products of one training iteration: acting, policy updates, values and the critics' regression.
fn iteration_operations(config: &TrainConfig, spec: &EnvSpec) -> f64 {
    let samples = config.batch_size();
    let policy = [&[spec.obs_dim][..], &config.policy.hidden, &[spec.action_dim]].concat();
    let critic = [&[spec.obs_dim][..], &config.critic.hidden, &[1]].concat();
    let weights = |sizes: &[usize]| sizes.windows(2).map(|pair| (pair[0] as f64 + 1.0) * pair[1] as f64).sum::<f64>();
    let acting = 2.0 * samples as f64 * weights(&policy);
    let updates = config.kfcpo.epochs as f64 * update_operations(&policy, samples);
    // Two critics: one pass for the values, three (forward, inputs' and weights' gradients) an epoch.
    let passes = 1.0 + 3.0 * config.critic.epochs as f64;
    let critics = 2.0 * passes * 2.0 * samples as f64 * weights(&critic);
    acting + updates + critics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_a_linear_policy_by_hand() {
        // One layer, 3 inputs with the bias, 2 actions, 6 weights, nothing above the first layer:
        // 5 * 6 forward + 2 * 6 gradients + 2 * 6 tangent + 9 + 2 * 4 factors = 71 multiplications a sample.
        assert_eq!(update_operations(&[2, 2], 10), 2.0 * 10.0 * 71.0);
    }
}
