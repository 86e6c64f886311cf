//! Whole updates of the policy from the same samples.

use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor};
use kfac::FisherKind;
use safe_rl::Samples;

use super::findings::{Findings, Measure};
use super::numbers::{noise, values};
use super::subject::Subject;
use crate::algorithm::kfcpo::KfcpoConfig;
use crate::algorithm::ppo::PpoConfig;
use crate::algorithm::{self, Context, CostEstimate, Progress, ReturnEstimate, Setup};
use crate::comm::Alone;
use crate::config::TrainConfig;
use crate::critics::Critics;
use crate::policy::Policy;

const STEPS: &str = "rounding goes through inverses and from each minibatch into the next";
const ADAM: &str = "Adam divides small gradients by their own size, rounding included";
const SAME: &str = "the bits of the CPU do not depend on the number of threads";
const SUMS: &str = "float32, sums in another order";

/// What an update is made on.
struct Shape {
    obs: usize,
    samples: usize,
    iterations: u64,
    /// Whether critics are fitted, too.
    critics: bool,
}

/// What an update did.
struct Updated {
    moved: Vec<f32>,
    log_std: Vec<f32>,
    metrics: Vec<f32>,
    critics: Option<Vec<f32>>,
}

fn update(config: &TrainConfig, shape: &Shape, device: &Device) -> Result<Updated> {
    let &Shape { obs: inputs, samples, iterations, critics } = shape;
    let mut policy = Policy::new(&config.policy, inputs, 2, config.seed, device)?;
    let obs = noise(1, [samples, inputs], device);
    let behaviour = policy.distribution(obs.clone());
    let action = behaviour.mean.clone() + noise(2, [samples, 2], device) * 0.6;
    let batch = Samples {
        log_prob: behaviour.log_prob(&action),
        mean: behaviour.mean,
        action,
        advantage: noise(3, [2, samples], device) + obs.clone().narrow(1, 0, 2).transpose(),
        target: noise(4, [2, samples], device),
        obs,
    };
    let before = values(policy.network().theta().clone())?;
    let constraints = config.cost_limit.of(&["cost".to_owned()])?;
    let setup = Setup { config, policy: &policy, constraints: &constraints, horizon: 1000 };
    let mut algorithm = algorithm::build(&setup)?;
    let mut metrics = Vec::new();
    for iteration in 1..=iterations {
        let costs = [CostEstimate { rollout: 30.0, episodes: 30.0 }];
        let earned = ReturnEstimate { rollout: 10.0, advantage_scale: Tensor::full([1], 0.5, device) };
        let progress = Progress { fraction: 0.1, iteration };
        let context = Context { costs: &costs, earned: &earned, progress, comm: &Alone };
        metrics = algorithm.update(&mut policy, &batch, &context)?.read()?.metrics;
    }
    let after = values(policy.network().theta().clone())?;
    let critics = if critics {
        let mut critics = Critics::new(config, 2, inputs, device)?;
        let losses = values(critics.fit(&batch, 1, &Alone)?)?;
        Some([losses, values(critics.values(batch.obs))?].concat())
    } else {
        None
    };
    Ok(Updated {
        moved: after.iter().zip(before).map(|(after, before)| after - before).collect(),
        log_std: values(policy.log_std().clone())?,
        metrics: metrics.iter().map(|(_, number)| *number as f32).collect(),
        critics,
    })
}

fn compare(
    subject: &Subject,
    findings: &mut Findings,
    config: &TrainConfig,
    shape: &Shape,
    (bound, reason): (f64, &'static str),
) -> Result<()> {
    let expected = subject.operation(|device| update(config, shape, device))?;
    hold(findings, &expected, &update(config, shape, subject.device())?, [bound, 1e-4], reason)
}

/// Holds the policy and the logs within the first bound, log sigma and the critics within the second.
fn hold(
    findings: &mut Findings,
    expected: &Updated,
    got: &Updated,
    [bound, narrow]: [f64; 2],
    reason: &'static str,
) -> Result<()> {
    let length: f64 = expected.moved.iter().map(|x| f64::from(*x).powi(2)).sum();
    ensure!(length.sqrt() > 1e-3, "the policy did not move on the reference");
    findings.compare("the policy's movement", Measure::Length, [&expected.moved, &got.moved], bound, reason);
    findings.compare("log sigma", Measure::Relative(1.0), [&expected.log_std, &got.log_std], narrow, reason);
    findings.compare("numbers for the logs", Measure::Relative(1e-2), [&expected.metrics, &got.metrics], bound, reason);
    if let (Some(expected), Some(got)) = (&expected.critics, &got.critics) {
        findings.compare("the critics' losses and values", Measure::Relative(1.0), [expected, got], narrow, SUMS);
    }
    Ok(())
}

/// Two updates of actor and critics, with small networks.
pub(super) fn small(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let mut config = TrainConfig { seed: 2, ..TrainConfig::default() };
    config.policy.hidden = vec![16, 24];
    config.policy.output_gain = 0.5;
    config.critic.hidden = vec![24, 16];
    config.critic.minibatch_size = 100;
    config.section_mut::<KfcpoConfig>().minibatch_size = 100;
    config.section_mut::<KfcpoConfig>().price.price_bound = 1.0;
    let shape = Shape { obs: 11, samples: 800, iterations: 2, critics: true };
    compare(subject, findings, &config, &shape, (1e-3, STEPS))
}

/// One update of samples of 60 observations in four minibatches.
fn kfcpo(subject: &Subject, findings: &mut Findings, width: usize, fisher: FisherKind) -> Result<()> {
    let mut config = TrainConfig { seed: 2, ..TrainConfig::default() };
    config.policy.hidden = vec![width; 2];
    config.policy.output_gain = 0.5;
    let shape = Shape { obs: 60, samples: 2048, iterations: 1, critics: false };
    *config.section_mut() = KfcpoConfig { minibatch_size: 512, fisher, ..KfcpoConfig::default() };
    if subject.is_cpu() && width > 64 {
        // Burn's operations would invert wide factors for minutes.
        let expected = subject.reference(|device| update(&config, &shape, device))?;
        return hold(findings, &expected, &update(&config, &shape, subject.device())?, [0.0; 2], SAME);
    }
    compare(subject, findings, &config, &shape, (1e-3, STEPS))
}

pub(super) fn exact_64(subject: &Subject, findings: &mut Findings) -> Result<()> {
    kfcpo(subject, findings, 64, FisherKind::Exact)
}

pub(super) fn sampled_64(subject: &Subject, findings: &mut Findings) -> Result<()> {
    kfcpo(subject, findings, 64, FisherKind::Sampled)
}

pub(super) fn exact_256(subject: &Subject, findings: &mut Findings) -> Result<()> {
    kfcpo(subject, findings, 256, FisherKind::Exact)
}

pub(super) fn sampled_256(subject: &Subject, findings: &mut Findings) -> Result<()> {
    kfcpo(subject, findings, 256, FisherKind::Sampled)
}

fn first_order(subject: &Subject, findings: &mut Findings, algo: &str) -> Result<()> {
    let mut config = TrainConfig { algo: algo.to_owned(), seed: 2, ..TrainConfig::default() };
    config.policy.output_gain = 0.5;
    config.section_mut::<PpoConfig>().steps.minibatch_size = 512;
    config.section_mut::<PpoConfig>().steps.epochs = 2;
    let shape = Shape { obs: 60, samples: 2048, iterations: 1, critics: false };
    compare(subject, findings, &config, &shape, (1e-2, ADAM))
}

pub(super) fn ppo(subject: &Subject, findings: &mut Findings) -> Result<()> {
    first_order(subject, findings, "ppo")
}

pub(super) fn ppo_lag(subject: &Subject, findings: &mut Findings) -> Result<()> {
    first_order(subject, findings, "ppo-lag")
}
