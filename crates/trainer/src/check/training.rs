//! The training loop: an iteration, two runs of one seed, memory over many steps.

use std::fs;

use anyhow::{Context, Result};
use compute::GraphUse;

use super::findings::{Findings, Measure};
use super::numbers::values;
use super::subject::Subject;
use crate::algorithm::kfcpo::KfcpoConfig;
use crate::config::TrainConfig;
use crate::device;
use crate::runner::Runner;

const COURSE: &str = "a millionth in the state moves the policy by 0.5 % of its step, a hundred-thousandth by 4 %";
const SAME: &str = "the bits do not depend on the number of threads";
const REPEAT: &str = "no sum depends on the order in which units finish";

const REPLAYED: &str = "a replay is the same kernels on the same numbers";

/// Vector steps of the part `memory`, and after how many it is first looked at.
const STEPS: usize = 1000;
const WARM_STEPS: usize = 500;
/// Steps of an iteration there.
const ITERATION: usize = 10;
/// Growth that is no leak: a buffer that happens to be larger, a thread's cache.
const GROWTH_MB: f64 = 8.0;
/// Without and with recorded launches.
const KINDS: [(bool, &str); 2] = [(false, "memory"), (true, "memory with recorded launches")];

fn config(env: &str, num_envs: usize, rollout_steps: usize, width: usize) -> TrainConfig {
    let mut config = TrainConfig { env: env.into(), seed: 5, num_envs, rollout_steps, ..TrainConfig::default() };
    config.policy.hidden = vec![width; 2];
    config.policy.output_gain = 0.5;
    config.critic.hidden = vec![width; 2];
    config.critic.minibatch_size = config.batch_size() / 4;
    config.section_mut::<KfcpoConfig>().minibatch_size = config.batch_size() / 4;
    config
}

/// What one more iteration of a run has done.
struct Iterated {
    /// How far the policy moved.
    moved: Vec<f32>,
    /// Step estimates of return and cost.
    figures: Vec<f32>,
}

fn iterate(runner: &mut Runner) -> Result<Iterated> {
    let before = values(runner.policy().params().clone())?;
    let report = runner.iterate()?;
    let after = values(runner.policy().params().clone())?;
    let figures = vec![report.sampled.step_return as f32, report.sampled.step_costs[0] as f32];
    Ok(Iterated { moved: after.iter().zip(before).map(|(after, before)| after - before).collect(), figures })
}

/// An iteration from the reference's state after two. Its rollout is one step: after two, a last bit in the state has moved the
/// policy by 2 % of its step, after two rollouts of eight by 40 %, since the accelerometer shows the yaw servo's chatter and the
/// policy learns from it.
pub(super) fn iteration(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let config = config("PointGoal1", 2048, 1, 64);
    let (begun, expected) = subject.reference(|device| {
        let mut runner = Runner::new(config.clone(), device.clone())?;
        runner.iterate()?; // only sets the normaliser
        runner.iterate()?;
        Ok((runner.save()?, iterate(&mut runner)?))
    })?;
    let mut runner = Runner::new(config.clone(), subject.device().clone())?;
    runner.load(&begun)?;
    let got = iterate(&mut runner)?;
    let (moved, figures, reason) = if subject.is_cpu() { (0.0, 0.0, SAME) } else { (0.05, 1e-2, COURSE) };
    findings.compare("the policy's movement", Measure::Length, [&expected.moved, &got.moved], moved, reason);
    let pair = [&expected.figures[..], &got.figures];
    findings.compare("return and cost of the rollout", Measure::Relative(1.0), pair, figures, reason);
    Ok(())
}

/// Two runs of the same seed on the same device: everything that a checkpoint holds, bit for bit.
pub(super) fn repeat(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let config = config("PointGoal1", 128, 8, 64);
    let run = || {
        let mut runner = Runner::new(config.clone(), subject.device().clone())?;
        for _ in 0..3 {
            runner.iterate()?;
        }
        runner.save()
    };
    let (first, second) = (run()?, run()?);
    for (name, expected) in &first.tensors {
        let got = second.host(name)?;
        findings.compare(name.as_str(), Measure::Differing, [&expected.values, &got.values], 0.0, REPEAT);
    }
    Ok(())
}

/// Two runs of the same seed, one of which replays the critics' regressions from the second on: everything that a checkpoint holds,
/// bit for bit.
pub(super) fn graph(subject: &Subject, findings: &mut Findings) -> Result<()> {
    if subject.is_cpu() {
        findings.skip("a CPU has no graphs of launches");
        return Ok(());
    }
    let mut config = config("PointGoal1", 128, 8, 64);
    let run = |config: &TrainConfig| {
        let mut runner = Runner::new(config.clone(), subject.device().clone())?;
        // The first iteration only sets the normaliser, the second records.
        let replays = compute::replays();
        for _ in 0..6 {
            runner.iterate()?;
        }
        Ok::<_, anyhow::Error>((runner.save()?, runner.graph_use().clone(), compute::replays() - replays))
    };
    let (plain, ..) = run(&config)?;
    config.critic.graph = true;
    let (replayed, graph_use, replays) = run(&config)?;
    if let GraphUse::Refused(reason) = graph_use {
        findings.skip(&format!("the device takes no graph, training goes on without: {reason}"));
        return Ok(());
    }
    findings.number(
        "replays",
        "missing of 4",
        4.0 - replays.min(4) as f64,
        0.0,
        "six iterations, one of them without an update",
    );
    for (name, expected) in &plain.tensors {
        let got = replayed.host(name)?;
        findings.compare(name.as_str(), Measure::Differing, [&expected.values, &got.values], 0.0, REPLAYED);
    }
    Ok(())
}

/// Memory over 1,000 vector steps of training must not grow, on a GPU with recorded launches neither.
pub(super) fn memory(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let mut config = config("PointGoal1", 128, ITERATION, 16);
    let kinds: &[(bool, &str)] = if subject.is_cpu() { &[(false, "memory")] } else { &KINDS };
    for (graph, name) in kinds {
        config.critic.graph = *graph;
        let Some(growth) = growth(subject, &config)? else {
            findings.skip("this system does not tell how much memory a program has");
            return Ok(());
        };
        let measure = format!("MB more after {STEPS} steps than after {WARM_STEPS}");
        let reason = "a leak of a rollout's arrays would be 30 MB; buffers that happen to grow are less";
        findings.number(name, &measure, growth, GROWTH_MB, reason);
    }
    Ok(())
}

/// MB that a run takes more after [`STEPS`] steps than after [`WARM_STEPS`]; `None` where nobody tells.
fn growth(subject: &Subject, config: &TrainConfig) -> Result<Option<f64>> {
    let mut runner = Runner::new(config.clone(), subject.device().clone())?;
    let mut seen = Vec::new();
    for iteration in 1..=STEPS / ITERATION {
        runner.iterate()?;
        if iteration * ITERATION >= WARM_STEPS {
            let Some(bytes) = used(subject)? else { return Ok(None) };
            seen.push(bytes);
        }
    }
    // The least of the first and of the last few: what is only held for a while is no growth.
    let least = |bytes: &[f64]| bytes.iter().copied().fold(f64::INFINITY, f64::min);
    let (begin, end) = (least(&seen[..10]), least(&seen[seen.len() - 10..]));
    Ok(Some(((end - begin) / 1e6).max(0.0)))
}

/// Bytes that the device has reserved; of the CPU, what the program has in memory.
fn used(subject: &Subject) -> Result<Option<f64>> {
    device::synchronize(subject.device())?;
    if !subject.is_cpu() {
        return Ok(device::memory_used(subject.device()));
    }
    // Linux: total, resident, ... in pages of 4 KiB.
    let Ok(text) = fs::read_to_string("/proc/self/statm") else { return Ok(None) };
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    Ok(Some(4096.0 * pages.context("/proc/self/statm has no second number")?))
}
